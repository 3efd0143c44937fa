//! What callers wrote, made fit for a human's eyes: nothing invisible, and nothing that looks like a secret.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;

const MASKED: &str = "[masked]";
/// More of a value is not looked at: what is shown is far shorter.
const LOOKED_AT: usize = 4096;
/// The longest path that a request can have.
const LONGEST_PATH: usize = 1 << 16;

/// What secrets look like, and what is shown instead.
static SECRETS: LazyLock<Vec<(Regex, String)>> = LazyLock::new(|| {
    let patterns = [
        // A private key, to its end or the end of the text.
        (r"-----BEGIN(?s:.*?)(?:-----END[A-Z0-9 ]*-----|$)", MASKED.to_owned()),
        // Tokens of Doorward, GitHub, GitLab, Slack, AWS, Google, Stripe, npm and Hugging Face.
        (r"(?:dwa?_|gh[pousr]_|github_pat_|glpat-|xox[a-z]-|xapp-)[A-Za-z0-9_.=/+-]{4,}", MASKED.to_owned()),
        (r"(?:AKIA|ASIA)[A-Z0-9]{8,}|AIza[A-Za-z0-9_-]{20,}|(?:npm_|hf_)[A-Za-z0-9]{20,}", MASKED.to_owned()),
        (r"[sr]k_(?:live|test)_[A-Za-z0-9]{8,}", MASKED.to_owned()),
        // OpenAI's and Anthropic's keys; `task-force` is none.
        (r"(^|[^A-Za-z0-9])sk-[A-Za-z0-9_-]{4,}", format!("${{1}}{MASKED}")),
        // A JSON web token.
        (r"eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}(?:\.[A-Za-z0-9_-]*)?", MASKED.to_owned()),
        (r"(?i-u:(bearer|basic)) +[A-Za-z0-9._~+/=-]{20,}", format!("${{1}} {MASKED}")),
        // A password in a URL.
        (r"://[^/@ ]*@", format!("://{MASKED}@")),
    ];
    let compiled = |(pattern, shown): (&str, String)| (Regex::new(pattern).expect("the pattern is constant"), shown);
    patterns.into_iter().map(compiled).collect()
});

/// Whether a character is seen where it stands: no control character, nothing that turns or hides text.
pub(super) fn is_visible(c: char) -> bool {
    !c.is_control()
        && !matches!(c,
            '\u{34f}' | '\u{61c}' | '\u{ad}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{2800}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e01ef}')
}

/// One line without secrets: white space becomes spaces, invisible characters become U+FFFD.
pub(super) fn visible(text: &str) -> String {
    visible_part(text, LOOKED_AT)
}

/// The same of a path or of what is made of one, to its end and in at most so many characters.
pub(super) fn visible_path(text: &str, most: usize) -> String {
    middle(&visible_part(text, LONGEST_PATH), most)
}

fn visible_part(text: &str, looked_at: usize) -> String {
    let seen = |c: char| match c {
        '\n' | '\r' | '\t' => ' ',
        c if is_visible(c) => c,
        _ => char::REPLACEMENT_CHARACTER,
    };
    let line: String = text.chars().take(looked_at).map(seen).collect();
    let masked = SECRETS.iter().fold(Cow::from(line), |text, (secret, shown)| {
        Cow::from(secret.replace_all(&text, shown.as_str()).into_owned())
    });
    masked.into_owned()
}

/// The beginning of a line, at most `most` characters.
pub(super) fn cut(line: &str, most: usize) -> String {
    match line.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

/// The beginning and the end of a line, at most `most` characters: of paths both count.
pub(super) fn middle(line: &str, most: usize) -> String {
    let count = line.chars().count();
    if count <= most {
        return line.to_owned();
    }
    let end: String = line.chars().skip(count - most / 2).collect();
    format!("{}{end}", cut(line, most - most / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_secret_is_masked_wherever_it_stands() {
        for secret in [
            "dw_0123456789abcdefghij",
            "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
            "github_pat_11ABCDEFG0abc_def",
            "sk-proj-abc123DEF456",
            "sk-ant-api03-xyz-_0",
            "xoxb-1234-5678-abcd",
            "AKIAIOSFODNN7EXAMPLE",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
            "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----",
            "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNza",
        ] {
            for text in [secret.to_owned(), format!("key={secret}"), format!("a \"{secret}\" b"), format!("é_{secret}")]
            {
                let shown = visible(&text);
                assert!(shown.contains(MASKED) && !shown.contains(&secret[4..16]), "{text}: {shown}");
            }
        }
        assert_eq!(visible("https://me:hunter2@host/a"), "https://[masked]@host/a");
        assert_eq!(visible("Authorization: Bearer abcdefghij0123456789xyz"), "Authorization: Bearer [masked]");
    }

    #[test]
    fn plain_words_stay_as_they_are() {
        for text in ["Fix the task-force page", "Add basic authentication", "feature/risk-assessment", "a → b, ü"] {
            assert_eq!(visible(text), text);
        }
    }

    #[test]
    fn nothing_invisible_is_shown() {
        assert_eq!(visible("a\u{202e}b\u{1b}[2J\nc\u{200b}"), "a\u{fffd}b\u{fffd}[2J c\u{fffd}");
    }

    #[test]
    fn of_a_long_path_the_end_is_seen_too() {
        let path = format!("/a/{}/transfer", "x".repeat(60_000));
        assert_eq!(visible_path(&path, 20), "/a/xxxxxxx…x/transfer");
        assert_eq!(visible_path("/a/ü", 20), "/a/ü");
    }

    #[test]
    fn a_secret_is_masked_before_the_text_is_cut() {
        let text = format!("{} ghp_16C7e42F292c6912E7710c838347Ae178B4a", "x".repeat(10));
        assert_eq!(cut(&visible(&text), 14), "xxxxxxxxxx [ma…");
    }
}
