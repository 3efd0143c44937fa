//! What servers write a secret as when they quote it.

use std::fmt::Write as _;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};

/// Each with its name.
pub(crate) fn of(secret: &str) -> Vec<(String, Vec<u8>)> {
    let mut all: Vec<(String, Vec<u8>)> =
        texts(secret).into_iter().map(|(name, text)| (name.to_owned(), text.into_bytes())).collect();
    for before in 0..3 {
        let text = [&b"u:"[..before.min(2)], secret.as_bytes(), b"z"].concat();
        for (name, encoded) in [
            ("base64", STANDARD.encode(&text)),
            ("base64 without padding", STANDARD_NO_PAD.encode(&text)),
            ("URL-safe base64", URL_SAFE.encode(&text)),
            ("URL-safe base64 without padding", URL_SAFE_NO_PAD.encode(&text)),
        ] {
            all.push((format!("{name} at {before}"), encoded.into_bytes()));
        }
    }
    let units: Vec<u16> = secret.encode_utf16().collect();
    all.push(("UTF-16, little end first".to_owned(), units.iter().flat_map(|unit| unit.to_le_bytes()).collect()));
    all.push(("UTF-16, big end first".to_owned(), units.iter().flat_map(|unit| unit.to_be_bytes()).collect()));
    all
}

fn texts(secret: &str) -> Vec<(&'static str, String)> {
    let each =
        |write: &dyn Fn(usize, u8) -> String| secret.bytes().enumerate().map(|(at, byte)| write(at, byte)).collect();
    let char_of = |byte: u8| char::from(byte).to_string();
    let percent = |byte: u8| format!("%{byte:02X}");
    let json = serde_json::to_string(secret).unwrap();
    let json = json[1..json.len() - 1].to_owned();
    let twice = serde_json::to_string(&json).unwrap();
    vec![
        ("itself", secret.to_owned()),
        ("percent", each(&|_, byte| percent(byte))),
        ("percent in lower case", each(&|_, byte| format!("%{byte:02x}"))),
        (
            "percent where needed",
            each(&|_, byte| if byte.is_ascii_alphanumeric() { char_of(byte) } else { percent(byte) }),
        ),
        ("every other percent", each(&|at, byte| if at % 2 == 0 { percent(byte) } else { char_of(byte) })),
        ("percent twice", each(&|_, byte| format!("%25{byte:02X}"))),
        ("a form", url::form_urlencoded::byte_serialize(secret.as_bytes()).collect()),
        ("JSON", json.clone()),
        ("JSON with slashes escaped", json.replace('/', "\\/")),
        ("JSON in JSON", twice[1..twice.len() - 1].to_owned()),
        ("JSON, all escaped", each(&|_, byte| format!("\\u{byte:04x}"))),
        (
            "JSON, some escaped",
            each(&|at, byte| if at % 3 == 0 || byte == b'\n' { format!("\\u{byte:04X}") } else { char_of(byte) }),
        ),
        ("HTML in decimal", each(&|_, byte| format!("&#{byte};"))),
        ("HTML in hexadecimal", each(&|_, byte| format!("&#x{byte:x};"))),
        ("hexadecimal", hex(secret, false)),
        ("HEXADECIMAL", hex(secret, true)),
        ("with other ends of lines", secret.replace('\n', "\r\n")),
        ("in one line", secret.replace('\n', "")),
    ]
}

fn hex(secret: &str, upper: bool) -> String {
    secret.bytes().fold(String::new(), |mut hex, byte| {
        if upper { write!(hex, "{byte:02X}") } else { write!(hex, "{byte:02x}") }.unwrap();
        hex
    })
}

/// What of the rendering is found in the bytes: a piece so long that it tells of the secret.
pub(crate) fn leak<'a>(bytes: &[u8], rendering: &'a [u8]) -> Option<&'a [u8]> {
    const TELLING: usize = 8;
    let pieces = rendering.windows(TELLING);
    let seen: std::collections::HashSet<&[u8]> = bytes.windows(TELLING).collect();
    pieces.into_iter().find(|piece| seen.contains(piece))
}

#[test]
fn a_leak_is_seen() {
    assert_eq!(leak(b"..12345678..", b"x12345678y"), Some(b"12345678".as_slice()));
    assert_eq!(leak(b"..1234567*..", b"x12345678y"), None);
    assert!(of("sk-abcdefg").iter().any(|(name, text)| name == "percent" && text.starts_with(b"%73%6B%2D")));
}
