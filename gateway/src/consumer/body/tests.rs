use super::*;

fn tools(body: &str) -> Vec<String> {
    Facts::read(Wire::OpenAi, body.as_bytes()).unwrap().provider_tools
}

fn refused(body: &str) -> String {
    let refusal = Facts::read(Wire::OpenAi, body.as_bytes()).unwrap_err();
    assert!(refusal.status_and_code().0.is_client_error());
    refusal.to_string()
}

#[test]
fn the_model_is_read_and_everything_else_is_let_be() {
    let body = r#" { "messages" : [ ], "x":1, "x":2, "model" : "gpt-5", "nested":{"model":"other","model":"more"} } "#;
    assert_eq!(
        Facts::read(Wire::OpenAi, body.as_bytes()).unwrap(),
        Facts { model: "gpt-5".to_owned(), ..Facts::default() }
    );
}

#[test]
fn an_escaped_key_is_the_same_key() {
    assert_eq!(Facts::read(Wire::OpenAi, br#"{"mod\u0065l":"gpt-5"}"#).unwrap().model, "gpt-5");
    assert!(refused(r#"{"model":"a","mod\u0065l":"b"}"#).contains("twice"));
}

#[test]
fn two_models_are_refused() {
    assert!(refused(r#"{"model":"a","model":"b"}"#).contains("`model` stands there twice"));
    assert!(refused(r#"{"model":"a","model":"a"}"#).contains("twice"));
}

#[test]
fn a_key_that_some_servers_take_for_the_model_is_refused() {
    for body in [r#"{"model":"a","Model":"b"}"#, r#"{"MODEL":"a"}"#, r#"{"model":"a","toolſ":[]}"#] {
        assert!(refused(body).contains("only in its spelling"), "{body}");
    }
}

#[test]
fn what_is_no_json_object_with_a_model_is_refused() {
    for body in [
        "",
        "{",
        "[]",
        "null",
        "\"x\"",
        r#"{"model":"a"} {}"#,
        r#"{"model":1}"#,
        r#"{"model":["a"]}"#,
        r#"{"model":null}"#,
        r#"{"model":""}"#,
        r#"{"model":"a\u0000b"}"#,
        r#"{"model":"a",}"#,
        r"{'model':'a'}",
        "\u{feff}{\"model\":\"a\"}",
        r#"{"model":"a","tools":{}}"#,
        r#"{"model":"a","models":"b"}"#,
    ] {
        refused(body);
    }
    assert!(Facts::read(Wire::OpenAi, b"{\"model\":\"\xff\"}").is_err());
    assert!(Facts::read(Wire::OpenAi, b"{\"model\":\"a\",\"x\":\"\xff\"}").is_err());
    assert_eq!(refused("{}"), Refusal::NoModel.to_string());
    refused(&format!(r#"{{"model":"{}"}}"#, "a".repeat(257)));
}

#[test]
fn a_body_that_is_nested_without_end_neither_panics_nor_passes() {
    let deep = format!(r#"{{"model":"a","x":{}"#, "[".repeat(500_000));
    refused(&deep);
}

#[test]
fn tools_of_the_caller_are_no_tools_of_the_provider() {
    let body =
        r#"{"model":"a","tools":[{"type":"function","function":{"name":"web_search"}},{"type":"custom","name":"x"}]}"#;
    assert!(tools(body).is_empty());
    assert!(tools(r#"{"model":"a","tools":null}"#).is_empty());
}

#[test]
fn every_other_tool_is_one_of_the_provider() {
    let body =
        r#"{"model":"a","tools":[{"type":"function"},{"type":"web_search"},{"server_url":"http://x","type":"mcp"}]}"#;
    assert_eq!(tools(body), ["web_search", "mcp"]);
}

#[test]
fn a_tool_that_can_be_read_in_two_ways_is_refused() {
    refused(r#"{"model":"a","tools":[{"type":"function","type":"web_search"}]}"#);
    refused(r#"{"model":"a","tools":[{"type":"function","Type":"web_search"}]}"#);
    refused(r#"{"model":"a","tools":[{"name":"web_search"}]}"#);
    refused(r#"{"model":"a","tools":["web_search"]}"#);
    refused(r#"{"model":"a","tools":[],"tools":[{"type":"mcp"}]}"#);
}

#[test]
fn searching_by_a_switch_is_searching() {
    for switch in [
        r#""web_search_options":{}"#,
        r#""search_parameters":{"mode":"on"}"#,
        r#""plugins":[{"id":"web"}]"#,
        r#""enable_search":true"#,
    ] {
        assert_eq!(tools(&format!(r#"{{"model":"a",{switch}}}"#)), ["web_search"], "{switch}");
    }
    assert!(tools(r#"{"model":"a","web_search_options":null,"enable_search":false}"#).is_empty());
}

#[test]
fn fallback_models_count_as_models() {
    let body = br#"{"model":"a","models":["b","c"]}"#;
    assert_eq!(Facts::read(Wire::OpenAi, body).unwrap().fallbacks, ["b", "c"]);
}

#[test]
fn a_prompt_stored_at_the_provider_is_refused_and_a_prompt_is_not() {
    assert!(refused(r#"{"model":"a","prompt":{"id":"pmpt_1"}}"#).contains("stored"));
    assert!(Facts::read(Wire::OpenAi, br#"{"model":"a","prompt":"say hello"}"#).is_ok());
    assert!(Facts::read(Wire::OpenAi, br#"{"model":"a","prompt":["say","hello"]}"#).is_ok());
}

fn anthropic(body: &str) -> Vec<String> {
    Facts::read(Wire::Anthropic, body.as_bytes()).unwrap().provider_tools
}

#[test]
fn of_anthropics_tools_those_are_the_providers_that_it_runs_itself() {
    let tools = r#"[{"name":"mine","input_schema":{}},{"type":"custom","name":"x"},{"type":"bash_20250124","name":"bash"},
        {"type":"text_editor_20250728"},{"type":"web_search_20250305"},{"type":"code_execution_20250825"},{"type":"bashful_1"}]"#;
    let body = format!(r#"{{"model":"claude","tools":{tools}}}"#);
    assert_eq!(anthropic(&body), ["web_search_20250305", "code_execution_20250825", "bashful_1"]);
    assert_eq!(
        anthropic(r#"{"model":"claude","mcp_servers":[{"url":"http://x"}],"container":"c"}"#),
        ["mcp", "code_execution"]
    );
    assert!(anthropic(r#"{"model":"claude","mcp_servers":[],"container":null}"#).is_empty());
}

#[test]
fn the_largest_answer_is_read_under_each_of_its_names() {
    for key in ["max_tokens", "max_completion_tokens", "max_output_tokens"] {
        let body = format!(r#"{{"model":"a","{key}":7}}"#);
        assert_eq!(Facts::read(Wire::OpenAi, body.as_bytes()).unwrap().max_output, Some(7));
    }
    assert_eq!(Facts::read(Wire::OpenAi, br#"{"model":"a","max_tokens":null}"#).unwrap().max_output, None);
    let three = Facts::read(Wire::OpenAi, br#"{"n":3,"model":"a","max_tokens":7}"#).unwrap();
    assert_eq!(three.max_output, Some(21));
    refused(r#"{"model":"a","max_tokens":-1}"#);
}

#[test]
fn a_body_without_a_model_has_no_facts_but_a_tool_in_it_is_read_all_the_same() {
    assert_eq!(Facts::read_any(Wire::OpenAi, b"{}").unwrap(), None);
    assert!(Facts::read_any(Wire::OpenAi, br#"{"tools":[{}]}"#).is_err());
}

#[test]
fn what_nobody_would_charge_or_see_has_to_be_granted() {
    assert_eq!(tools(r#"{"model":"a","background":true}"#), ["background"]);
    assert_eq!(tools(r#"{"model":"a","background":"true","deferred":1}"#), ["background", "background"]);
    for body in [r#"{"model":"a","background":false}"#, r#"{"model":"a","background":"transparent"}"#] {
        assert!(tools(body).is_empty(), "{body}");
    }
}

#[test]
fn a_model_that_always_searches_the_web_is_a_tool_of_the_provider() {
    for model in ["gpt-4o-search-preview-2025-03-11", "gpt-5-search-api", "vendor/model:online"] {
        assert_eq!(tools(&format!(r#"{{"model":"{model}"}}"#)), ["web_search"], "{model}");
    }
    assert_eq!(tools(r#"{"model":"a","models":["b:online"]}"#), ["web_search"]);
    assert!(tools(r#"{"model":"research-4"}"#).is_empty());
}

#[test]
fn tools_are_not_let_through_because_no_model_is_named() {
    let read = |body: &str| Facts::read_any(Wire::OpenAi, body.as_bytes());
    for body in [r#"{"tools":[{"type":"code_interpreter"}]}"#, r#"{"web_search_options":{}}"#, r#"{"models":["a"]}"#] {
        assert!(read(body).is_err(), "{body}");
    }
    assert_eq!(read(r#"{"tools":[{"type":"function"}]}"#).unwrap(), None);
}
