use super::*;

fn find(method: &Method, path: &str) -> Result<Route, Refusal> {
    Route::find(method, &Target { path: path.to_owned(), query: None })
}

fn guard(method: &Method, path: &str) -> Guard {
    find(method, path).unwrap().entry.guard
}

#[test]
fn each_path_falls_on_the_line_of_its_guard() {
    for (method, path, expected) in [
        (Method::GET, "/v1/models", Guard::ModelList),
        (Method::GET, "/v1/models/meta-llama/llama-3", Guard::ModelList),
        (Method::POST, "/v1/chat/completions", Guard::Model),
        (Method::POST, "/v1/audio/transcriptions", Guard::ModelForm),
        (Method::POST, "/v1/batches", Guard::Path),
        (Method::POST, "/v1/chat/completions/", Guard::Path),
        (Method::POST, "/v1/CHAT/completions", Guard::Path),
        (Method::POST, "/v1/ch%61t/completions", Guard::Path),
        (Method::POST, "/anthropic/v1/messages", Guard::Model),
        (Method::POST, "/anthropic/v1/messages/batches", Guard::Path),
        (Method::GET, "/api/v3/", Guard::GithubRest),
        (Method::GET, "/api/v3", Guard::GithubRest),
        (Method::DELETE, "/api/v3/repos/a/b", Guard::GithubRest),
        (Method::POST, "/api/graphql", Guard::GithubGraphql),
        (Method::POST, "/api/uploads/repos/a/b/releases/1/assets", Guard::GithubUploads),
        (Method::GET, "/git/a/b.git/info/refs", Guard::Git),
        (Method::GET, "/a/b.git/info/refs", Guard::Git),
        (Method::POST, "/a/b.git/git-receive-pack", Guard::Git),
        (Method::POST, "/v1/b.git/git-receive-pack", Guard::Path),
        (Method::POST, "/http/b.git/git-receive-pack", Guard::Http),
        (Method::POST, "/mcp/memory", Guard::Mcp),
        (Method::PUT, "/http/weather/v1/x", Guard::Http),
        (Method::GET, "/http/weather", Guard::Http),
    ] {
        assert_eq!(guard(&method, path), expected, "{method} {path}");
    }
}

#[test]
fn what_is_in_no_line_is_not_there() {
    for path in [
        "/",
        "/v1",
        "/v2/chat/completions",
        "/anthropic/messages",
        "/git/a/b.git/info/lfs/x",
        "/a/b/info/refs",
        "/a/.git/info/refs",
        "/a/b.git/info/lfs/x",
        "/x/a/b.git/info/refs",
        "/mcp",
        "/mcp/a/b",
        "/http/",
    ] {
        assert!(matches!(find(&Method::GET, path), Err(Refusal::UnknownPath)), "{path}");
    }
}

#[test]
fn the_part_below_the_upstream_is_taken_as_it_came() {
    assert_eq!(find(&Method::POST, "/v1/chat/completions").unwrap().below, "chat/completions");
    assert_eq!(find(&Method::POST, "/anthropic/v1/messages").unwrap().below, "v1/messages");
    assert_eq!(find(&Method::GET, "/api/v3/repos/a/b%20c").unwrap().below, "repos/a/b%20c");
    let named = find(&Method::GET, "/http/weather/v1/today/").unwrap();
    assert_eq!((named.upstream.as_deref(), named.below.as_str()), (Some("weather"), "v1/today/"));
    let named = find(&Method::GET, "/mcp/memory").unwrap();
    assert_eq!((named.upstream.as_deref(), named.below.as_str()), (Some("memory"), ""));
}

#[test]
fn a_tunnel_or_a_trace_is_never_passed_on() {
    for method in ["CONNECT", "TRACE", "TRACK", "trace"] {
        let found = find(&method.parse().unwrap(), "/http/weather/x");
        assert!(matches!(found, Err(Refusal::NeverForwarded)), "{method}: {found:?}");
    }
}

#[test]
fn a_path_of_the_table_under_another_method_is_remembered() {
    assert_eq!(find(&Method::GET, "/v1/chat/completions").unwrap().wrong_method, Some(Method::POST));
    assert_eq!(find(&Method::POST, "/v1/chat/completions").unwrap().wrong_method, None);
}
