//! Why a value does not fit, without the value: it may be a key that was written where its name belongs.

/// What was given, and what `key` wants instead. `unexpected` is how serde prints what it found, the value included.
pub(super) fn of_type(unexpected: &str, expected: &str, key: &str) -> String {
    let expected = match key.rsplit('.').next() {
        Some("credential" | "private_key") => "a table like { env = \"NAME\" }",
        _ if expected.starts_with("struct ") || expected == "a map" => "a table",
        _ => expected,
    };
    format!("{} was given where {expected} is expected", given(unexpected))
}

/// The sentence of a deserializer, without the value that it quotes.
pub(super) fn of_sentence(sentence: &str, key: &str) -> String {
    // The last one: an earlier one may be part of the value.
    let (found, expected) = sentence.rsplit_once(", expected ").unwrap_or((sentence, ""));
    if let Some(unexpected) = found.strip_prefix("invalid type: ") {
        of_type(unexpected, expected, key)
    } else if let Some(unexpected) = found.strip_prefix("invalid value: ") {
        format!("{} that cannot be used, expected {expected}", given(unexpected))
    } else if found.starts_with("unknown variant ") {
        format!("a word that it does not know, expected {expected}")
    } else if sentence.contains(" does not have variant constructor ") {
        "a word that it does not know".to_owned()
    } else if let Some((_, problem)) = sentence.strip_prefix('`').and_then(|rest| rest.rsplit_once("` is ")) {
        format!("it is {problem}")
    } else {
        // As `Url` has it: `relative URL without a base: "VALUE"`.
        sentence.split('"').next().unwrap_or_default().trim_end_matches([' ', ':', '.']).to_owned()
    }
}

fn given(unexpected: &str) -> &'static str {
    // The value follows in quotes.
    match unexpected.split(['"', '`']).next().unwrap_or_default().trim_end() {
        "string" => "a string",
        "boolean" => "true or false",
        "sequence" => "a list",
        "map" => "a table",
        kind if kind.ends_with("integer") || kind == "floating point" => "a number",
        _ => "something else",
    }
}
