use super::*;

fn target(uri: &str) -> Result<Target, Refusal> {
    Target::parse(&uri.parse().unwrap())
}

#[test]
fn a_plain_path_is_taken_with_its_query() {
    let plain = target("/v1/chat/completions?api-version=1").unwrap();
    assert_eq!(plain.path, "/v1/chat/completions");
    assert_eq!(plain.query.as_deref(), Some("api-version=1"));
    assert_eq!(plain.endpoint(&Method::POST).unwrap(), (Endpoint::ChatCompletions, None));
}

#[test]
fn a_path_that_can_be_read_in_two_ways_is_refused() {
    for uri in [
        "//v1/models",
        "/v1//models",
        "/v1/./models",
        "/v1/../admin",
        "/v1/models/..",
        "/v1/%2e%2e/admin",
        "/v1/.%2E/x",
        "/v1%2fmodels",
        "/v1/models%2Fx",
        "/v1/models%5cx",
        "/v1/models%00",
        "/v1/%252e%252e/x",
        "/v1/mod%",
        "/v1/%zz",
        "/v1/models;x=1",
        "/v1/models%3b",
        "http://evil.example/v1/models",
        "https://evil.example/v1/models",
        "*",
        "evil.example:443",
    ] {
        let Ok(parsed) = uri.parse::<Uri>() else { continue };
        assert!(matches!(Target::parse(&parsed), Err(Refusal::AmbiguousTarget(_))), "{uri}");
    }
}

#[test]
fn only_the_paths_in_the_table_are_endpoints() {
    for path in Endpoint::all().map(Endpoint::path) {
        let method = if path == "models" { Method::GET } else { Method::POST };
        assert_eq!(target(&format!("/v1/{path}")).unwrap().endpoint(&method).unwrap().0.path(), path);
        let wrong = target(&format!("/v1/{path}")).unwrap().endpoint(&Method::DELETE).unwrap_err();
        assert!(matches!(wrong, Refusal::WrongMethod { .. }));
    }
    for path in ["/v1/files", "/v1/chat/completions/", "/v1/CHAT/completions", "/v1/models/", "/v1/", "/v1/%6dodels"] {
        assert!(matches!(target(path).unwrap().endpoint(&Method::POST), Err(Refusal::PathNotGranted)), "{path}");
    }
}

#[test]
fn what_this_version_does_not_serve_says_so() {
    for path in
        ["/v1/audio/speech", "/v1/images/edits", "/anthropic/v1/messages", "/api/v3/user", "/git/a/b.git", "/mcp/x"]
    {
        let refusal = target(path).unwrap().endpoint(&Method::POST).unwrap_err();
        assert!(refusal.to_string().contains("not supported by this version yet"), "{path}");
        assert_eq!(refusal.status_and_code().0.as_u16(), 403);
    }
    assert!(matches!(target("/").unwrap().endpoint(&Method::GET), Err(Refusal::UnknownPath)));
}

#[test]
fn a_single_model_may_have_slashes_in_its_name() {
    let one = target("/v1/models/meta-llama/llama-3").unwrap();
    assert_eq!(one.endpoint(&Method::GET).unwrap(), (Endpoint::Models, Some("meta-llama/llama-3")));
}
