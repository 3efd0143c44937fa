//! Renderings, written without the code under test.

use std::ops::Range;

pub(super) const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// A syntax of escapes. What it needs escaped itself is always escaped; of the rest what is chosen.
#[derive(Clone, Copy, Debug)]
pub(super) enum Syntax {
    Percent,
    PercentLower,
    Json,
    JsonShort,
    Html,
    HtmlDecimal,
}

pub(super) const SYNTAXES: [Syntax; 6] =
    [Syntax::Percent, Syntax::PercentLower, Syntax::Json, Syntax::JsonShort, Syntax::Html, Syntax::HtmlDecimal];

impl Syntax {
    fn needs(self, character: char) -> bool {
        match self {
            Self::Percent | Self::PercentLower => character == '%' || !character.is_ascii(),
            Self::Json | Self::JsonShort => matches!(character, '"' | '\\') || character < ' ',
            Self::Html | Self::HtmlDecimal => character == '&',
        }
    }

    fn one(self, character: char) -> String {
        let utf8 = character.to_string().into_bytes();
        let utf16 = character.encode_utf16(&mut [0; 2]).to_vec();
        match self {
            Self::Percent => utf8.iter().map(|byte| format!("%{byte:02X}")).collect(),
            Self::PercentLower => utf8.iter().map(|byte| format!("%{byte:02x}")).collect(),
            Self::Json => utf16.iter().map(|unit| format!("\\u{unit:04x}")).collect(),
            Self::JsonShort => match character {
                '\n' => "\\n".into(),
                '\r' => "\\r".into(),
                '\t' => "\\t".into(),
                '"' | '\\' | '/' => format!("\\{character}"),
                _ => utf16.iter().map(|unit| format!("\\u{unit:04X}")).collect(),
            },
            Self::Html => match character {
                '&' => "&amp;".into(),
                '<' => "&lt;".into(),
                '"' => "&quot;".into(),
                _ => format!("&#x{:x};", u32::from(character)),
            },
            Self::HtmlDecimal => format!("&#{};", u32::from(character)),
        }
    }

    /// Writes the text, with the characters escaped that are chosen.
    pub(super) fn write(self, text: &str, mut chosen: impl FnMut() -> bool) -> String {
        let write =
            |character| if chosen() || self.needs(character) { self.one(character) } else { character.to_string() };
        text.chars().map(write).collect()
    }
}

/// Base64 without padding.
pub(super) fn base64(bytes: &[u8], url_safe: bool) -> String {
    let bits: Vec<u8> = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
    let characters = bits.chunks(6).map(|six| {
        let value = (0..6).fold(0, |value, place| value * 2 + usize::from(six.get(place).copied().unwrap_or(0)));
        char::from(BASE64[value])
    });
    let url = |character| match character {
        '+' => '-',
        '/' => '_',
        other => other,
    };
    characters.map(|character| if url_safe { url(character) } else { character }).collect()
}

/// A text with what of it stands for the secret.
#[derive(Clone, Debug)]
pub(super) struct Rendering {
    pub(super) text: String,
    pub(super) secret: Range<usize>,
}

fn whole(text: String) -> Rendering {
    let secret = 0..text.len();
    Rendering { text, secret }
}

/// The secret after `before` other bytes, in base64.
pub(super) fn in_base64(secret: &str, before: usize, url_safe: bool) -> Rendering {
    let text = base64(format!("{}{secret}:x", &"user:"[..before]).as_bytes(), url_safe);
    Rendering { text, secret: (before * 8).div_ceil(6)..(before + secret.len()) * 8 / 6 }
}

/// Renderings with no character escaped.
pub(super) fn encoded(secret: &str) -> Vec<Rendering> {
    let hex = |upper| secret.bytes().map(move |byte| if upper { format!("{byte:02X}") } else { format!("{byte:02x}") });
    let mut all = vec![whole(secret.into()), whole(hex(false).collect()), whole(hex(true).collect())];
    all.extend((0..=5).map(|before| in_base64(secret, before, false)));
    all.extend((0..3).map(|before| in_base64(secret, before, true)));
    if secret.is_ascii() {
        let wide = secret.chars().map(String::from).collect::<Vec<_>>().join("\0");
        all.push(Rendering { secret: 1..wide.len() + 1, text: format!("\0{wide}") });
        all.push(Rendering { secret: 0..wide.len(), text: format!("{wide}\0") });
    }
    all
}

/// The rendering with a layer of escapes over it.
pub(super) fn escaped(rendering: &Rendering, syntax: Syntax, mut chosen: impl FnMut() -> bool) -> Rendering {
    let Range { start, end } = rendering.secret;
    let mut write = |text: &str| syntax.write(text, &mut chosen);
    let parts = [write(&rendering.text[..start]), write(&rendering.text[start..end]), write(&rendering.text[end..])];
    Rendering { secret: parts[0].len()..parts[0].len() + parts[1].len(), text: parts.concat() }
}
