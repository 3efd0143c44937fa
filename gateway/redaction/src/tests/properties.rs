use std::sync::LazyLock;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::writing::{Rendering, SYNTAXES, encoded, escaped};
use super::*;

const SECRETS: [&str; 4] = ["sk-hunter2-abc/+", "0073u\\n%25&amp;", "ghp_16C7e42F292c6912E77", "{\"key\": \"-----\"}"];

static PREPARED: LazyLock<Arc<Secrets>> = LazyLock::new(|| secrets(&SECRETS));

/// Pieces of text that are nearly escapes, or nearly secrets.
const PIECES: [&str; 28] = [
    "\\",
    "\\\\",
    "\\u",
    "\\u00",
    "\\u0073",
    "u0073",
    "%",
    "%2",
    "%25",
    "%73",
    "&",
    "&#",
    "&#x",
    "&#115;",
    "&amp;",
    ";",
    "s",
    "k",
    "sk-",
    "sk-hunter2",
    "\n",
    "\r\n",
    "\n\n",
    " ",
    "0",
    "ghp_16C7e42F",
    "c2stah",
    "{\"k\": \"v\"}, ",
];

fn text() -> impl Strategy<Value = String> {
    vec(select(&PIECES[..]), 0..12).prop_map(|pieces| pieces.concat())
}

/// A rendering of a secret under none to three layers of escapes.
fn rendering() -> impl Strategy<Value = Rendering> {
    let rendering = select(&SECRETS[..]).prop_flat_map(|secret| select(encoded(secret)));
    let layers = vec((select(&SYNTAXES[..]), vec(any::<bool>(), 7)), 0..=3);
    (rendering, layers).prop_map(|(rendering, layers)| {
        // The outermost layers leave out all characters or none where the escapes below could not be told apart otherwise.
        let partial = if rendering.text.contains(['\\', '%', '&']) { 1 } else { 2 };
        layers.into_iter().take(partial + 1).enumerate().fold(rendering, |rendering, (layer, (syntax, chosen))| {
            let mut chosen = chosen.into_iter().take(if layer < partial { 7 } else { 1 }).cycle();
            escaped(&rendering, syntax, || chosen.next().unwrap_or_default())
        })
    })
}

/// The bytes in pieces of these lengths, again and again.
fn cut<'a>(mut bytes: &'a [u8], lengths: &[usize]) -> Vec<&'a [u8]> {
    let mut chunks = Vec::new();
    for &length in lengths.iter().cycle() {
        let (chunk, rest) = bytes.split_at(length.min(bytes.len()));
        chunks.push(chunk);
        bytes = rest;
        if bytes.is_empty() {
            break;
        }
    }
    chunks
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(600) })]

    #[test]
    fn of_a_text_with_secrets_in_it_only_the_secrets_are_changed(
        parts in vec((text(), rendering()), 0..4),
        end in text(),
        lengths in vec(1_usize..40, 1..6),
    ) {
        let (mut whole, mut expected) = (String::new(), String::new());
        for (text, rendering) in parts {
            whole.push_str(&format!("{text} {} ", rendering.text));
            expected.push_str(&format!("{text} {} ", starred(&rendering.text, rendering.secret)));
        }
        whole.push_str(&end);
        expected.push_str(&end);
        prop_assert_eq!(redacted(&PREPARED, cut(whole.as_bytes(), &lengths)), expected.as_str(), "{:?}", whole);
        prop_assert_eq!(PREPARED.are_in(whole.as_bytes()), whole != expected);
    }

    #[test]
    fn bytes_without_a_secret_come_out_as_they_went_in(bytes in vec(any::<u8>(), 0..400), lengths in vec(1_usize..90, 1..4)) {
        let mut redactor = Redactor::new(PREPARED.clone());
        let mut out = Vec::new();
        for chunk in cut(&bytes, &lengths) {
            out.extend_from_slice(&redactor.push(Bytes::copy_from_slice(chunk)));
        }
        out.extend_from_slice(&redactor.finish());
        prop_assert_eq!(out, bytes);
    }
}
