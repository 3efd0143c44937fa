//! What a secret may be written as, where no character of it is escaped.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use secrecy::zeroize::Zeroizing;

use crate::anchors::ANCHOR;
use crate::layer::unescape;

/// What is shorter is no secret but a word such as `ollama`, and stands in honest answers too.
const SHORTEST: usize = ANCHOR;
/// A line of a PEM file that is as long is a secret of its own.
const SHORTEST_LINE: usize = 40;

type Text = Zeroizing<Vec<u8>>;

/// All renderings of a secret, each at least [`SHORTEST`] long. None of a word.
pub(crate) fn of(secret: &[u8]) -> Vec<Text> {
    let secret = secret.trim_ascii();
    let mut texts = vec![Zeroizing::new(secret.to_vec())];
    if secret.len() < SHORTEST {
        return Vec::new();
    }
    // A secret that looks as if it was escaped is read as if it was, once escapes are taken off the stream.
    for _ in 0..2 {
        let unescaped = Zeroizing::new(unescape(&texts[texts.len() - 1]));
        texts.push(unescaped);
    }
    let lines = texts.iter().flat_map(|text| lines_of_pem(text)).collect::<Vec<_>>();
    let texts: Vec<_> = texts.iter().flat_map(|text| with_other_lines(text)).chain(lines).collect();
    let renderings =
        texts.iter().flat_map(|text| encodings(text)).chain(texts.iter().filter_map(|text| in_a_form(text)));
    let mut renderings: Vec<_> = renderings.filter(|rendering| rendering.len() >= SHORTEST).collect();
    renderings.sort_unstable_by(|one, other| one.as_slice().cmp(other.as_slice()));
    renderings.dedup_by(|one, other| one.as_slice() == other.as_slice());
    renderings
}

/// The lines of base64 in a PEM file: half a key is a leak.
fn lines_of_pem(text: &[u8]) -> Vec<Text> {
    let is_base64 = |line: &[u8]| line.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(byte));
    if !text.starts_with(b"-----BEGIN ") && !text.windows(12).any(|window| window == b"\n-----BEGIN ") {
        return Vec::new();
    }
    let lines = text.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii);
    let long = lines.filter(|line| line.len() >= SHORTEST_LINE && is_base64(line));
    long.map(|line| Zeroizing::new(line.to_vec())).collect()
}

/// The text, and its lines joined in each other way.
fn with_other_lines(text: &[u8]) -> Vec<Text> {
    let mut texts = vec![Zeroizing::new(text.to_vec())];
    if text.contains(&b'\n') {
        let end = |line: &'_ [u8]| line.len() - usize::from(line.ends_with(b"\r"));
        let lines: Vec<_> = text.split(|&byte| byte == b'\n').map(|line| &line[..end(line)]).collect();
        texts.extend([b"\n".as_slice(), b"\r\n", b""].map(|between| Zeroizing::new(lines.join(between))));
    }
    texts
}

/// The text with each space as a `+`, if it has any.
fn in_a_form(text: &[u8]) -> Option<Text> {
    let plus = |&byte: &u8| if byte == b' ' { b'+' } else { byte };
    text.contains(&b' ').then(|| Zeroizing::new(text.iter().map(plus).collect()))
}

fn encodings(text: &[u8]) -> Vec<Text> {
    let hex = |digits: &[u8; 16]| {
        let digits = text.iter().flat_map(|&byte| [digits[usize::from(byte >> 4)], digits[usize::from(byte & 15)]]);
        Zeroizing::new(digits.collect())
    };
    let mut all = vec![Zeroizing::new(text.to_vec()), hex(b"0123456789abcdef"), hex(b"0123456789ABCDEF")];
    all.extend(utf16(text));
    for before in 0..3 {
        all.extend([&STANDARD_NO_PAD, &URL_SAFE_NO_PAD].map(|engine| in_base64(engine, text, before)));
    }
    all
}

/// What UTF-16 of either order of bytes has in common: all but the zero byte at one of its ends, if the text is of ASCII.
fn utf16(text: &[u8]) -> Option<Text> {
    let text = str::from_utf8(text).ok()?;
    let mut bytes: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    if text.is_ascii() {
        bytes.pop();
    }
    Some(Zeroizing::new(bytes))
}

/// The characters that stand for the text alone where it follows `before` other bytes (modulo 3), as in `user:password`.
fn in_base64(engine: &impl Engine, text: &[u8], before: usize) -> Text {
    let padded = Zeroizing::new([&[0; 2][..before], text].concat());
    let encoded = Zeroizing::new(engine.encode(padded.as_slice()));
    let shared_before = (before * 8).div_ceil(6);
    let shared_after = usize::from(padded.len() % 3 != 0);
    Zeroizing::new(encoded.as_bytes()[shared_before..encoded.len() - shared_after].to_vec())
}
