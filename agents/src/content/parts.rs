//! Long texts as several messages: a homeserver refuses an event above 64 KB
//! ([size limits](https://spec.matrix.org/v1.17/client-server-api/#size-limits)).

use super::answer;

/// The longest text of one message, in bytes.
pub(super) const LONGEST: usize = 12_000;
/// The largest content of an event as JSON, in bytes; the homeserver adds its own fields. An edit carries the text twice, and its
/// HTML twice.
const LARGEST: usize = 56_000;
const SMALLEST: usize = 512;

/// The text in parts that fit into a message each, also as an edit: whole paragraphs if that is possible. A code block that is cut
/// is closed in one part and opened again in the next.
pub(crate) fn parts(markdown: &str) -> Vec<String> {
    let mut parts = Vec::new();
    let (mut rest, mut open) = (markdown, None);
    while !rest.is_empty() {
        let part = next(rest, open);
        (rest, open) = (part.rest, part.open);
        if !part.text.trim().is_empty() {
            parts.push(part.text);
        }
    }
    if parts.is_empty() { vec![String::new()] } else { parts }
}

/// The text and a word after it, outside of any code block.
pub(super) fn followed_by(markdown: &str, word: &str) -> String {
    match fence_at_end(markdown, None) {
        Some(fence) => format!("{}\n\n{word}", close(markdown, fence)),
        None if markdown.lines().last().and_then(sign).is_some() => format!("{markdown}\n\n{word}"),
        None => format!("{markdown} {word}"),
    }
}

/// A code block that is open: the line that opened it, and its sign.
#[derive(Clone, Copy)]
struct Fence<'a> {
    line: &'a str,
    sign: &'a str,
}

struct Part<'a> {
    text: String,
    rest: &'a str,
    open: Option<Fence<'a>>,
}

fn next<'a>(rest: &'a str, open: Option<Fence<'a>>) -> Part<'a> {
    let mut longest = LONGEST;
    loop {
        let part = up_to(rest, open, longest);
        if longest <= SMALLEST || fits(&part.text) {
            return part;
        }
        longest /= 2;
    }
}

fn fits(text: &str) -> bool {
    answer(text).to_string().len() * 2 <= LARGEST
}

fn up_to<'a>(text: &'a str, open: Option<Fence<'a>>, longest: usize) -> Part<'a> {
    let (head, rest) = text.split_at(cut(text, longest));
    let mut part = open.map(|fence| format!("{}\n", fence.line)).unwrap_or_default();
    part.push_str(head);
    let still_open = fence_at_end(head, open);
    match still_open {
        _ if rest.is_empty() => Part { text: part, rest, open: None },
        Some(fence) => Part { text: close(part.trim_end(), fence), rest, open: still_open },
        None => Part { text: part.trim_end().to_owned(), rest: rest.trim_start_matches(['\n', '\r']), open: None },
    }
}

/// Where to cut: after a paragraph, else after a line, else after a word, else between two characters.
fn cut(text: &str, longest: usize) -> usize {
    if text.len() <= longest {
        return text.len();
    }
    let head = &text[..text.floor_char_boundary(longest)];
    let after = |sign: &str| head.rfind(sign).map(|start| start + sign.len()).filter(|end| *end > longest / 3);
    after("\n\n").or_else(|| after("\n")).or_else(|| after(" ")).unwrap_or(head.len())
}

fn close(text: &str, fence: Fence<'_>) -> String {
    let line = if text.ends_with('\n') { "" } else { "\n" };
    format!("{text}{line}{}", fence.sign)
}

/// The code block that is open after `text`, if one was open before it
/// ([fenced code blocks](https://spec.commonmark.org/0.31.2/#fenced-code-blocks)).
fn fence_at_end<'a>(text: &'a str, open: Option<Fence<'a>>) -> Option<Fence<'a>> {
    text.lines().fold(open, |open, line| match (open, sign(line)) {
        (None, Some(sign)) => Some(Fence { line, sign }),
        (Some(fence), Some(sign)) if ends(line, sign, fence) => None,
        (open, _) => open,
    })
}

fn ends(line: &str, sign: &str, fence: Fence<'_>) -> bool {
    sign.starts_with(fence.sign) && line.trim() == sign
}

/// The sign of a line that opens or closes a code block.
fn sign(line: &str) -> Option<&str> {
    let text = line.trim_start_matches(' ');
    let first = text.chars().next().filter(|first| matches!(first, '`' | '~'))?;
    let (sign, info) = text.split_at(text.len() - text.trim_start_matches(first).len());
    let is_fence = sign.len() >= 3 && line.len() - text.len() <= 3 && !(first == '`' && info.contains('`'));
    is_fence.then_some(sign)
}

#[cfg(test)]
mod tests {
    use doorward_appservice::replacement;
    use ruma::event_id;

    use super::*;

    /// What the homeserver refuses is measured on an edit of the part.
    fn assert_small(parts: &[String]) {
        for part in parts {
            let edit = replacement(&answer(part), event_id!("$an-event-id-of-the-usual-length-of-44-characters"));
            assert!(edit.to_string().len() < 60_000, "{} bytes of text", part.len());
        }
    }

    #[test]
    fn a_short_text_is_one_message_as_it_is() {
        assert_eq!(parts("Hello\n\nthere\n"), ["Hello\n\nthere\n"]);
        assert_eq!(parts(""), [""]);
    }

    #[test]
    fn a_long_text_is_cut_between_paragraphs_and_nothing_is_missing() {
        let paragraphs: Vec<String> =
            (0..200).map(|number| format!("{number} {}", "word ".repeat(60).trim())).collect();
        let parts = parts(&paragraphs.join("\n\n"));
        assert!(parts.len() > 4);
        assert_small(&parts);
        let again: Vec<&str> = parts.iter().flat_map(|part| part.split("\n\n")).collect();
        assert_eq!(again, paragraphs);
    }

    #[test]
    fn a_code_block_that_is_cut_is_closed_and_opened_again() {
        let code: Vec<String> = (0..2_000).map(|line| format!("    let x{line} = {line};")).collect();
        let parts = parts(&format!("Here:\n\n```rust\n{}\n```\n\nThat is all.", code.join("\n")));
        assert!(parts.len() > 2);
        assert_small(&parts);
        for part in &parts {
            assert_eq!(part.matches("```").count(), 2, "each block is whole: {part}");
        }
        assert!(parts[1].starts_with("```rust\n    let x"), "{}", &parts[1][..40]);
        let lines: Vec<&str> = parts.iter().flat_map(|part| part.lines()).filter(|line| line.contains("let")).collect();
        assert_eq!(lines, code);
        assert!(parts.last().unwrap().ends_with("```\n\nThat is all."));
    }

    #[test]
    fn text_that_grows_as_json_or_html_makes_smaller_parts() {
        for text in ["\"&<>".repeat(10_000), "\u{1}".repeat(30_000), "漢字".repeat(20_000), "a\n\n".repeat(20_000)] {
            let parts = parts(&text);
            assert_small(&parts);
            let all: String = parts.concat();
            assert_eq!(all.replace('\n', ""), text.replace('\n', ""));
        }
    }

    #[test]
    fn what_follows_a_half_answer_stands_outside_of_its_code_block() {
        assert_eq!(followed_by("see\n```rust\nlet x", "…"), "see\n```rust\nlet x\n```\n\n…");
        assert_eq!(followed_by("~~~~\n```\n", "…"), "~~~~\n```\n~~~~\n\n…");
        assert_eq!(followed_by("```\nx\n```", "…"), "```\nx\n```\n\n…");
        assert_eq!(followed_by("``` `not` a fence", "…"), "``` `not` a fence …");
    }
}
