use super::*;

fn target(uri: &str) -> Result<Target, Refusal> {
    Target::parse(&uri.parse().unwrap())
}

#[test]
fn a_plain_path_is_taken_with_its_query() {
    let plain = target("/v1/chat/completions?api-version=1").unwrap();
    assert_eq!(plain.path, "/v1/chat/completions");
    assert_eq!(plain.query.as_deref(), Some("api-version=1"));
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
