//! What is checked of the text before a parser recurses over it.

use super::{GraphqlRefused, MAX_DEPTH, MAX_TEXT};

/// Refuses what is too long or too deep, and characters that two parsers may take differently.
pub(super) fn check(text: &str) -> Result<(), GraphqlRefused> {
    if text.len() > MAX_TEXT {
        return Err(GraphqlRefused::TooLong);
    }
    let (mut rest, mut depth) = (text.as_bytes(), 0_usize);
    while let Some(&byte) = rest.first() {
        let length = match byte {
            b'"' => string(rest)?,
            b'#' => rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len()),
            _ => 1,
        };
        let (token, after) = rest.split_at(length);
        if byte != b'"' {
            plain(token, after.first())?;
        }
        match byte {
            b'{' | b'[' | b'(' => depth += 1,
            b'}' | b']' | b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Err(GraphqlRefused::TooDeep);
        }
        rest = after;
    }
    Ok(())
}

/// Outside of strings: printable ASCII, tabs, and lines that end with LF or CR LF. GitHub's parser may end a comment
/// where ours does not.
fn plain(token: &[u8], next: Option<&u8>) -> Result<(), GraphqlRefused> {
    for (at, byte) in token.iter().enumerate() {
        let fine = match byte {
            b'\r' => token.get(at + 1).or(next) == Some(&b'\n'),
            b'\t' | b'\n' | b' '..=b'~' => true,
            _ => false,
        };
        if !fine {
            return Err(GraphqlRefused::Text("outside of strings only ASCII is taken".to_owned()));
        }
    }
    Ok(())
}

/// The length of the string, or block string, that begins here.
fn string(text: &[u8]) -> Result<usize, GraphqlRefused> {
    let unended = || GraphqlRefused::Text("a string does not end".to_owned());
    let (quotes, escape): (&[u8], &[u8]) =
        if text.starts_with(b"\"\"\"") { (b"\"\"\"", b"\\\"\"\"") } else { (b"\"", b"\\") };
    let mut at = quotes.len();
    loop {
        let rest = text.get(at..).filter(|rest| !rest.is_empty()).ok_or_else(unended)?;
        if rest.starts_with(escape) {
            // A block string knows one escape, of its own quotes; another string's takes the next character along.
            at += escape.len().max(2);
        } else if rest.starts_with(quotes) {
            return Ok(at + quotes.len());
        } else if quotes.len() == 1 && matches!(rest.first(), Some(b'\n' | b'\r')) {
            return Err(unended());
        } else {
            at += 1;
        }
    }
}
