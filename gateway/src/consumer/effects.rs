//! What a request would do, in a few words for the audit log.

use super::ask::{Ask, Subject};
use super::mcp::Use;

const LONGEST: usize = 512;

/// The effects of a request, as far as they are more than its method, path and model say; at most 512 bytes.
pub(super) fn effects(ask: &Ask) -> Option<String> {
    let words: Vec<String> = match &ask.subject {
        Subject::Github(deeds) => deeds.effects.iter().map(ToString::to_string).collect(),
        Subject::Git(git) => git.effects().iter().map(ToString::to_string).collect(),
        Subject::Mcp(uses) => uses.uses.iter().filter_map(word).collect(),
        Subject::Model(facts) | Subject::Path(Some(facts)) => facts.provider_tools.clone(),
        Subject::ModelList | Subject::Path(None) | Subject::Http => Vec::new(),
    };
    listed(words)
}

fn word(used: &Use) -> Option<String> {
    match used {
        Use::Protocol => None,
        Use::Tool(name) => Some(format!("tool {name}")),
        Use::Prompt(name) => Some(format!("prompt {name}")),
        // The rest of a URI may be a secret, as in a signed link.
        Use::Resource(uri) => Some(format!("resource {}", uri.split(['?', '#']).next().unwrap_or_default())),
        Use::Other(method) => Some(format!("method {method}")),
    }
}

/// Each once, in the order of their coming, without characters that a database or a terminal would take for something else.
fn listed(words: Vec<String>) -> Option<String> {
    let mut text = String::new();
    let mut seen = std::collections::HashSet::new();
    for word in words {
        if !seen.insert(word.clone()) {
            continue;
        }
        if !text.is_empty() {
            text.push_str(", ");
        }
        text.extend(word.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }));
        if text.len() > LONGEST {
            text.truncate(text.floor_char_boundary(LONGEST - '…'.len_utf8()));
            text.push('…');
            break;
        }
    }
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_effect_stands_there_once() {
        let words = ["read on a/b", "read on a/b", "push\nto x"].map(str::to_owned);
        assert_eq!(listed(words.to_vec()).unwrap(), "read on a/b, push\u{fffd}to x");
        assert_eq!(listed(Vec::new()), None);
    }

    #[test]
    fn a_long_list_is_cut_between_two_characters() {
        let words = (0..200).map(|number| format!("toöl {number}")).collect();
        let text = listed(words).unwrap();
        assert!(text.len() <= LONGEST && text.ends_with('…'), "{text}");
    }

    #[test]
    fn the_query_of_a_resource_is_left_out() {
        let used = Use::Resource("https://x/y?signature=hunter2".to_owned());
        assert_eq!(word(&used).unwrap(), "resource https://x/y");
    }
}
