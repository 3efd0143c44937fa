use super::*;

const FLOODS: [&str; 16] = [
    "a",
    "aaaaaaab",
    "\\",
    "%",
    "&",
    "%25",
    "\\\\u",
    "\\u0073",
    "\\u005c",
    "&#",
    "&amp;",
    "&#38;",
    "%5c",
    "&#x26;#38;",
    "%25%",
    "\n",
];

/// How many steps the automaton takes for the stream, and how much of it is held at most.
fn work(secrets: &Arc<Secrets>, stream: &[u8], size: usize) -> (u64, usize) {
    let mut redactor = Redactor::new(secrets.clone());
    STEPS.set(0);
    let (mut taken, mut given, mut held) = (0, 0, 0);
    for chunk in stream.chunks(size) {
        taken += chunk.len();
        given += redactor.push(Bytes::copy_from_slice(chunk)).len();
        held = held.max(taken - given);
    }
    assert_eq!(given + redactor.finish().len(), stream.len());
    (STEPS.get(), held)
}

#[test]
fn the_work_grows_no_faster_than_the_stream_and_what_is_held_does_not_grow() {
    let long = format!("{}b", "a".repeat(3000));
    let backslashes = format!("{}u0073%25&amp;", "\\".repeat(50));
    let prepared = secrets(&["aaaaaaab", &long, &backslashes, "sk-hunter2-abc", "%25%25%25%25%%%%&&&&;"]);
    for flood in FLOODS {
        for size in [1, 100, 100_000] {
            let bytes = flood.repeat(40_000 / flood.len());
            let (steps, held) = work(&prepared, bytes.as_bytes(), size);
            let bound = 10 * bytes.len() as u64;
            assert!(steps <= bound, "{flood:?} in chunks of {size}: {steps} steps for {} bytes", bytes.len());
            assert!(held <= 12 * long.len(), "{flood:?}: {held} bytes are held");
        }
    }
}

#[test]
fn ordinary_json_is_not_read_closely() {
    let key = pem(25);
    let prepared = secrets(&["sk-hunter2-abc", "ghp_16C7e42F292c6912E77", &key]);
    let json =
        "{\"content\": \"He said: \\\"\\u4f60\\u597d\\\"\\n\\tand\\\\nleft.\", \"share\": \"100%\", \"a&b\": null}\n";
    let (steps, held) = work(&prepared, json.repeat(500).as_bytes(), 100_000);
    assert!(steps < 50 && held == 0, "{steps} steps, {held} bytes held");
}

#[test]
fn a_long_key_is_found_and_the_memory_for_it_is_bounded() {
    let key = pem(200);
    let prepared = secrets(&[&key]);
    let json = key.trim().replace('\n', "\\n");
    let stream = format!("{}{json}{}", "x".repeat(5000), "y".repeat(5000));
    assert_eq!(redacted(&prepared, stream.as_bytes().chunks(997)), starred(&stream, 5000..5000 + json.len()));
    let (_, held) = work(&prepared, stream.as_bytes(), 997);
    assert!(held <= json.len(), "{held} bytes are held");
}
