use super::writing::{Rendering, SYNTAXES, base64, encoded, escaped};
use super::*;

const SECRETS: [&str; 5] =
    ["sk-Abc12", "ghp_16C7e42F292c691", "p%41\\n&lt;\"w/+=", "naïve-pässword\u{1f511}", "two words, no less"];

/// Each rendering of the secret, and each under one layer and under two layers of escapes.
fn renderings(secret: &str) -> Vec<Rendering> {
    let mut all = encoded(secret);
    for rendering in encoded(secret) {
        for (place, syntax) in SYNTAXES.into_iter().enumerate() {
            let mut count = 0;
            let every = |step: usize, count: &mut usize| {
                *count += 1;
                (*count).is_multiple_of(step)
            };
            all.extend([1, 2, 5, 99].map(|step| escaped(&rendering, syntax, || every(step, &mut count))));
            let one = escaped(&rendering, syntax, || every(3, &mut count));
            let over = SYNTAXES[(place + 2) % SYNTAXES.len()];
            all.extend([syntax, over].map(|over| escaped(&one, over, || every(2, &mut count))));
        }
    }
    all
}

#[test]
fn a_secret_is_found_in_every_rendering_wherever_the_stream_is_cut() {
    for secret in SECRETS {
        let prepared = secrets(&["another-secret", secret]);
        for Rendering { text, secret } in renderings(secret) {
            let whole = format!("{{\"key\": \"{text}\"}}");
            let expected = starred(&whole, secret.start + 9..secret.end + 9);
            assert!(prepared.are_in(whole.as_bytes()), "{whole}");
            let bytes = whole.as_bytes();
            // Every place for short texts; long ones repeat themselves.
            for cut in (0..bytes.len()).step_by(1 + bytes.len() / 40) {
                assert_eq!(redacted(&prepared, [&bytes[..cut], &bytes[cut..]]), expected, "{whole} cut at {cut}");
            }
            assert_eq!(redacted(&prepared, bytes.chunks(1)), expected, "{whole} byte by byte");
        }
    }
}

#[test]
fn a_secret_is_found_at_the_very_end_and_beside_what_is_like_it() {
    let prepared = secrets(&["aaaaaaab", "sk-hunter2%4"]);
    assert_eq!(redacted(&prepared, [b"aaaaaaaaaa".as_slice(), b"aab"]), "aaaaa********");
    assert_eq!(redacted(&prepared, [b"sk-sk-hunter2%4".as_slice()]), "sk-************");
    assert_eq!(redacted(&prepared, [b"sk-hunter2%4!".as_slice()]), "************!");
    assert_eq!(redacted(&prepared, [b"%sk-hunter2\\u0025".as_slice(), b"4"]), "%*****************");
    assert_eq!(redacted(&prepared, [b"sk-hunter2%".as_slice(), b"5"]), "sk-hunter2%5");
}

#[test]
fn overlapping_secrets_are_one_find_and_secrets_apart_are_two() {
    let prepared = secrets(&["abcd1234", "1234efgh", "abcd1234efgh5678"]);
    let mut redactor = Redactor::new(prepared);
    assert_eq!(
        redactor.push(Bytes::from_static(b"abcd1234efgh. abcd1234, 1234efgh.")),
        "************. ********, ********."
    );
    assert_eq!((redactor.finish(), redactor.found()), (Bytes::new(), 3));
}

#[test]
fn a_word_is_no_secret_and_white_space_around_a_secret_is_no_part_of_it() {
    assert!(secrets(&["ollama", "seven..", "", " seven..\n"]).is_empty());
    assert!(!secrets(&["ollama"]).are_in(b"ollama"));
    assert_eq!(redacted(&secrets(&["ollama"]), [b"ollama".as_slice()]), "ollama");
    assert!(secrets(&["  hunter2-abc\n"]).are_in(b"hunter2-abc"));
}

#[test]
fn a_key_of_several_lines_is_found_however_its_lines_end() {
    let key = pem(4);
    let key = key.trim();
    let prepared = secrets(&[&format!("{key}\n")]);
    for between in ["\n", "\r\n", ""] {
        let written = key.replace('\n', between);
        let base64_in_lines = base64(written.as_bytes(), false)
            .as_bytes()
            .chunks(76)
            .map(String::from_utf8_lossy)
            .collect::<Vec<_>>()
            .join("\n");
        for text in encoded(&written)
            .into_iter()
            .chain([Rendering { secret: 0..base64_in_lines.len() - 1, text: base64_in_lines }])
        {
            for rendering in [text.clone()].into_iter().chain(SYNTAXES.map(|syntax| escaped(&text, syntax, || false))) {
                let expected = starred(&rendering.text, rendering.secret.clone());
                for size in [1, 7, 64, 100_000] {
                    let out = redacted(&prepared, rendering.text.as_bytes().chunks(size));
                    // The last character of base64 may stand for bits of the secret alone or not.
                    assert_eq!(out[..out.len() - 1], expected[..expected.len() - 1], "{}", rendering.text);
                }
            }
        }
    }
}

#[test]
fn a_line_of_a_key_is_a_secret_of_its_own_but_its_first_and_last_lines_are_none() {
    let key = pem(3);
    let lines: Vec<&str> = key.lines().collect();
    let prepared = secrets(&[&key]);
    for line in &lines[1..4] {
        assert_eq!(redacted(&prepared, [format!("a {line} b").as_bytes()]), format!("a {} b", "*".repeat(64)));
        assert!(prepared.are_in(base64(format!("x{line}").as_bytes(), true).as_bytes()));
    }
    for line in [lines[0], lines[4]] {
        assert_eq!(redacted(&prepared, [line.as_bytes()]), line);
    }
}

#[test]
fn what_cannot_become_a_secret_goes_out_at_once() {
    let key = pem(3);
    let prepared = secrets(&["sk-hunter2-abc", &key]);
    let mut redactor = Redactor::new(prepared);
    for event in [
        "data: {\"a\": \"sk-\"}\n\n",
        "data: sk-hunter2-\n\n",
        "data: \\u0073k\\u002dhunter2\r\n\r\n",
        "data: -----BEGIN\n\n",
    ] {
        assert_eq!(redactor.push(Bytes::from(event)), event);
    }
    assert_eq!(redactor.push(Bytes::from_static(b"data: sk-hun")), "data: ");
    assert_eq!(redactor.push(Bytes::from_static(b"dred\n\n")), "sk-hundred\n\n");
    assert_eq!(redactor.push(Bytes::from_static(b"data: 100%\n\n")), "data: 100%\n\n");
    assert_eq!((redactor.finish(), redactor.found()), (Bytes::new(), 0));
}

#[test]
fn a_chunk_with_nothing_in_it_is_given_back_uncopied() {
    for prepared in [secrets(&[]), secrets(&["sk-hunter2-abc"])] {
        let mut redactor = Redactor::new(prepared);
        for text in ["{\"a\": \"it\\u0027s \\\"said\\\", 100%, &amp; \\u0073k\"}\n", "", "two\n\n"] {
            let chunk = Bytes::from(text.to_owned());
            let out = redactor.push(chunk.clone());
            assert_eq!((out.as_ptr(), out.len()), (chunk.as_ptr(), chunk.len()));
        }
    }
}

#[test]
fn nothing_of_a_secret_is_printed() {
    let prepared = secrets(&["sk-hunter2-abc"]);
    assert_eq!(format!("{prepared:?}"), "Secrets { .. }");
    assert_eq!(format!("{:?}", Redactor::new(prepared)), "Redactor { found: 0, .. }");
}
