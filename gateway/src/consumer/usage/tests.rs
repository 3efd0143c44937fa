use proptest::prelude::*;

use super::*;

const JSON: &str = "application/json; charset=utf-8";
const EVENTS: &str = "text/event-stream";

fn read_in_chunks(content_type: &str, text: &[u8], size: usize) -> Option<Usage> {
    let mut reader = UsageReader::new(Some(content_type), None);
    for chunk in text.chunks(size.max(1)) {
        reader.read(chunk);
    }
    reader.usage()
}

fn read(content_type: &str, text: &str) -> Option<(Option<u64>, Option<u64>)> {
    let whole = read_in_chunks(content_type, text.as_bytes(), usize::MAX);
    let split = read_in_chunks(content_type, text.as_bytes(), 1);
    assert_eq!(whole, split, "chunks must not matter");
    whole.map(|usage| (usage.prompt(), usage.completion()))
}

#[test]
fn the_usage_of_a_unary_answer_is_read() {
    let answer = r#"{"id":"x","choices":[{"message":{"content":"hi"}}], "usage" : {"prompt_tokens":9,"completion_tokens":12,"total_tokens":21,"prompt_tokens_details":{"cached_tokens":0}}}"#;
    assert_eq!(read(JSON, answer), Some((Some(9), Some(12))));
    let responses = r#"{"output":[],"usage":{"input_tokens":3,"output_tokens":4}}"#;
    assert_eq!(read(JSON, responses), Some((Some(3), Some(4))));
}

#[test]
fn the_model_that_answered_is_read_where_it_stands() {
    let model = |content_type: &str, text: &str| {
        let mut reader = UsageReader::new(Some(content_type), None);
        text.as_bytes().chunks(3).for_each(|chunk| reader.read(chunk));
        reader.model().map(str::to_owned)
    };
    let started = "data: {\"type\":\"message_start\",\"message\":{\"id\":\"x\",\"model\":\"claude-sonnet-4-5\"}}\n\n";
    let chunks = "data: {\"choices\":[{\"model\":\"wrong\"}],\"model\":\"gpt-5-x\"}\n\ndata: {\"model\":\"later\"}\n\n";
    let long = format!("{{\"model\":\"{}\"}}", "m".repeat(300));
    for (content_type, text, expected) in [
        (JSON, r#"{"id":"x","model" : "gpt\u002d5","usage":{}}"#, Some("gpt-5")),
        (JSON, r#"{"model":{"model":"inner"},"a":"model"}"#, None),
        (JSON, r#"{"choices":[{"message":{"model":"wrong"}}],"model":null}"#, None),
        (JSON, long.as_str(), None),
        (EVENTS, started, Some("claude-sonnet-4-5")),
        (EVENTS, chunks, Some("gpt-5-x")),
    ] {
        assert_eq!(model(content_type, text).as_deref(), expected, "{text}");
    }
}

#[test]
fn the_usage_of_a_stream_is_read_from_its_last_chunk() {
    let stream = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}],\"usage\":null}\n\n\
                  data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":1}}\n\n\
                  data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":7}}\n\ndata: [DONE]\n\n";
    assert_eq!(read(EVENTS, stream), Some((Some(5), Some(7))));
    assert_eq!(read(EVENTS, &stream.replace('\n', "\r\n")), Some((Some(5), Some(7))));
    assert_eq!(read(EVENTS, &stream.replace('\n', "\r")), Some((Some(5), Some(7))));
}

#[test]
fn the_usage_of_a_stream_of_responses_is_read_where_it_stands() {
    let stream = "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"usage\":{\"input_tokens\":2,\"output_tokens\":8}}}\n\n";
    assert_eq!(read(EVENTS, stream), Some((Some(2), Some(8))));
}

#[test]
fn the_usage_of_a_stream_of_anthropic_is_put_together_from_its_first_and_last_events() {
    let stream = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"content\":[],\"usage\":{\"input_tokens\":3,\
                  \"cache_read_input_tokens\":5,\"cache_creation_input_tokens\":2,\"output_tokens\":1}}}\n\n\
                  event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{},\"usage\":{\"output_tokens\":9}}\n\n";
    let usage = read_in_chunks(EVENTS, stream.as_bytes(), usize::MAX).unwrap();
    assert_eq!((usage.prompt(), usage.cached(), usage.cache_written(), usage.completion()), (Some(10), 5, 2, Some(9)));
}

#[test]
fn an_upstream_that_uses_the_names_of_both_is_read() {
    let answer = r#"{"usage":{"prompt_tokens":9,"input_tokens":9,"completion_tokens":2,"output_tokens":2}}"#;
    assert_eq!(read(JSON, answer), Some((Some(9), Some(2))));
}

#[test]
fn cached_tokens_are_among_those_of_the_prompt_at_openai() {
    let answer = r#"{"usage":{"prompt_tokens":9,"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":4}}}"#;
    let usage = read_in_chunks(JSON, answer.as_bytes(), usize::MAX).unwrap();
    assert_eq!((usage.prompt(), usage.cached()), (Some(9), 4));
}

#[test]
fn data_over_several_lines_is_one_document() {
    assert_eq!(read(EVENTS, "data: {\"usage\":\ndata: {\"prompt_tokens\":1}}\n\n"), Some((Some(1), None)));
}

#[test]
fn usage_anywhere_else_is_no_usage() {
    for answer in [
        r#"{"choices":[{"usage":{"prompt_tokens":1}}]}"#,
        r#"{"content":"\"usage\":{\"prompt_tokens\":1}"}"#,
        r#"{"usage":null,"x":{"prompt_tokens":1}}"#,
        r#"{"usage":[{"prompt_tokens":1}]}"#,
        r#"{"usage":"x","y":{"prompt_tokens":1}}"#,
        r#"["usage",{"prompt_tokens":1}]"#,
    ] {
        assert_eq!(read(JSON, answer), None, "{answer}");
    }
    assert_eq!(read(EVENTS, ": {\"usage\":{\"prompt_tokens\":1}}\n\nid: {\"usage\":{\"prompt_tokens\":1}}\n\n"), None);
}

#[test]
fn an_event_that_breaks_off_does_not_spoil_the_next() {
    let stream = "data: {\"choices\":[{\"a\n\ndata: {\"usage\":{\"prompt_tokens\":4}}\n\n";
    assert_eq!(read(EVENTS, stream), Some((Some(4), None)));
}

#[test]
fn what_cannot_be_read_gives_nothing() {
    let answer = br#"{"usage":{"prompt_tokens":1}}"#;
    let mut compressed = UsageReader::new(Some(JSON), Some("gzip"));
    compressed.read(answer);
    assert_eq!(compressed.usage(), None);
    assert_eq!(read_in_chunks("audio/mpeg", answer, 100), None);
}

#[test]
fn a_usage_without_end_is_let_go() {
    let mut scanner = JsonScanner::default();
    scanner.read(br#"{"usage":{"x":""#);
    for _ in 0..10_000 {
        scanner.read(&[b'a'; 100]);
    }
    assert!(matches!(scanner.capture, Capture::Off));
    assert_eq!(scanner.last.length, 1_000_000);
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic_and_chunks_never_matter(bytes: Vec<u8>, size in 1_usize..9) {
        for content_type in [JSON, EVENTS] {
            let whole = read_in_chunks(content_type, &bytes, usize::MAX);
            prop_assert_eq!(whole, read_in_chunks(content_type, &bytes, size));
        }
    }

    #[test]
    fn usage_is_found_behind_any_content_in_any_chunks(content: String, prompt: u32, size in 1_usize..40) {
        let content = serde_json::to_string(&content).unwrap();
        let event = format!("{{\"choices\":[{{\"delta\":{{\"content\":{content}}}}}],\"usage\":{{\"prompt_tokens\":{prompt}}}}}");
        let stream = format!("data: {event}\n\ndata: [DONE]\n\n");
        let expected = Some(Usage { prompt_tokens: Some(u64::from(prompt)), ..Usage::default() });
        prop_assert_eq!(read_in_chunks(EVENTS, stream.as_bytes(), size), expected);
        prop_assert_eq!(read_in_chunks(JSON, event.as_bytes(), size), expected);
    }
}
