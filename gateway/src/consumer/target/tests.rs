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

#[test]
fn below_a_repository_an_encoded_slash_is_a_slash() {
    for (asked, read) in [
        ("contents/a%2Fb%2fc", "contents/a/b/c"),
        ("git/ref/heads%2Fagent%2Fx", "git/ref/heads/agent/x"),
        ("compare/main...a%2Fb", "compare/main...a/b"),
        ("branches/a%20b", "branches/a%20b"),
    ] {
        let parsed = target(&format!("/api/v3/repos/acme/widgets/{asked}?x=%2F")).unwrap();
        assert_eq!(parsed.path, format!("/api/v3/repos/acme/widgets/{read}"));
        assert_eq!(parsed.query.as_deref(), Some("x=%2F"));
    }
}

#[test]
fn an_encoded_slash_hides_nothing() {
    for path in [
        "repos/acme%2Fwidgets/contents/a",
        "repos/acme/widgets%2Fcontents/a",
        "repos/acme/widgets%2F..%2Fgadgets",
        "repos/acme/widgets/contents/..%2F..%2Fgadgets",
        "repos/acme/widgets/contents/%2e%2e%2Fgadgets",
        "repos/acme/widgets/contents/a%2F%2Fb",
        "repos/acme/widgets/contents/a%252Fb",
        "repos/acme/widgets/contents/a%2%2FFb",
        "repos/acme/widgets/contents/a%5C..%2Fb",
        "user%2Frepos",
    ] {
        let parsed = target(&format!("/api/v3/{path}"));
        assert!(matches!(parsed, Err(Refusal::AmbiguousTarget(_))), "{path}: {parsed:?}");
    }
    assert!(target("/v1/repos/acme/widgets/contents/a%2Fb").is_err());
    assert!(target("/http/x/repos/acme/widgets/contents/a%2Fb").is_err());
}
