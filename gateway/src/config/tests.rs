use serde_json::{Value, json};

use super::*;

fn gateway(value: Value) -> Result<GatewayConfig, String> {
    serde_json::from_value(value).map_err(|error| error.to_string())
}

fn grants(value: Value) -> Result<Grants, String> {
    serde_json::from_value(value).map_err(|error| error.to_string())
}

fn upstream(more: &Value) -> Value {
    let mut upstream = json!({ "name": "up", "kind": "openai", "base_url": "https://up.example/v1" });
    upstream.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({ "upstreams": [upstream] })
}

fn refusal(config: &GatewayConfig, grants: &Grants) -> String {
    config.check(grants).unwrap_err().to_string()
}

#[test]
fn nothing_given_means_the_documented_defaults() {
    let config = gateway(json!({})).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:9010");
    assert_eq!(config.admin_listen.to_string(), "127.0.0.1:9011");
    assert_eq!(config.limits.request_body, ByteSize(32 * 1024 * 1024));
    assert_eq!(config.approval_timeout, HumanDuration(Duration::from_secs(600)));
    assert_eq!(config.consumer_url(), "http://127.0.0.1:9010");
    config.check(&Grants::new()).unwrap();
}

#[test]
fn every_documented_key_is_read() {
    let mut config = gateway(json!({
        "listen": "127.0.0.1:1", "admin_listen": "127.0.0.1:2", "url": "http://127.0.0.1:1", "database": "sqlite://g.db",
        "master_key_file": "m", "admin_token_file": "a", "approval_timeout": "10m",
        "limits": { "request_body": "32MB", "push": "2GB" },
        "upstreams": [
            { "name": "openai", "kind": "openai", "base_url": "https://api.openai.com/v1",
              "credential": { "env": "OPENAI_API_KEY" }, "models": ["gpt-*"] },
            { "name": "github", "kind": "github", "base_url": "https://api.github.com",
              "uploads_url": "https://uploads.github.com", "git_url": "https://github.com", "credential": { "secret": "github" } },
            { "name": "anthropic", "kind": "anthropic", "base_url": "https://api.anthropic.com",
              "credential": { "env": "ANTHROPIC_API_KEY" }, "models": ["claude-*"] },
            { "name": "memory", "kind": "mcp", "base_url": "https://memory.example" },
            { "name": "weather", "kind": "http", "base_url": "https://weather.example",
              "credential": { "secret": "weather" }, "inject": { "header": "X-Api-Key" } }
        ]
    }))
    .unwrap();
    config.upstreams.truncate(1);
    config
        .check(&grants(json!({ "default": { "models": ["gpt-*"], "provider_tools": ["web_search"] } })).unwrap())
        .unwrap();
    grants(json!({ "coder": {
        "models": ["*"], "budget": { "tokens_per_day": 2_000_000, "usd_per_day": 5.0 }, "rate": { "requests_per_minute": 120 },
        "provider_tools": ["web_search"], "paths": ["/v1/batches/**"],
        "github": [{ "repos": ["acme/*"], "allow": ["read"], "push": ["refs/heads/agent/*"], "approve": ["pulls:merge"] }],
        "http": [{ "upstream": "weather", "allow": ["GET /v1/**"] }],
        "mcp": [{ "upstream": "memory", "tools": ["read_*"] }]
    } }))
    .unwrap();
}

#[test]
fn an_unknown_key_is_an_error_at_every_depth() {
    for config in [
        json!({ "listne": "127.0.0.1:1" }),
        json!({ "limits": { "body": "1MB" } }),
        upstream(&json!({ "modles": [] })),
        upstream(&json!({ "credential": { "env": "A", "extra": 1 } })),
        upstream(&json!({ "inject": { "header": "A", "extra": 1 } })),
    ] {
        assert!(gateway(config.clone()).unwrap_err().contains("unknown field"), "{config}");
    }
    for config in [json!({ "a": { "modles": [] } }), json!({ "a": { "budget": { "tokens": 1 } } })] {
        assert!(grants(config.clone()).unwrap_err().contains("unknown field"), "{config}");
    }
}

#[test]
fn a_grant_that_names_an_upstream_which_is_not_there_is_refused() {
    let config = gateway(upstream(&json!({ "kind": "http" }))).unwrap();
    for (key, kind) in [("http", "http"), ("mcp", "mcp")] {
        let mut rule = json!({ "upstream": "nowhere" });
        if key == "http" {
            rule["allow"] = json!(["GET /"]);
        }
        let sentence = refusal(&config, &grants(json!({ "coder": { key: [rule] } })).unwrap());
        let expected =
            format!("grant `coder` names `nowhere`, which is no upstream of kind {kind} under [[gateway.upstreams]]");
        assert_eq!(sentence, expected);
    }
    config.check(&grants(json!({ "coder": { "http": [{ "upstream": "up", "allow": ["GET /"] }] } })).unwrap()).unwrap();
}

#[test]
fn agents_reach_a_listener_with_tls_by_https() {
    let config = json!({ "listen": "0.0.0.0:8443", "tls": { "cert_file": "c", "key_file": "k" } });
    let config = gateway(config).unwrap();
    config.check(&Grants::new()).unwrap();
    assert_eq!(config.consumer_url(), "https://127.0.0.1:8443");
}

#[test]
fn settings_that_would_be_ignored_are_refused() {
    let app = upstream(&json!({ "credential": { "app_id": 1, "private_key": { "secret": "x" } } }));
    assert!(refusal(&gateway(app).unwrap(), &Grants::new()).contains("GitHub App"));
}

#[test]
fn an_upstream_that_cannot_work_is_refused() {
    for (more, part) in [
        (json!({ "base_url": "ftp://x" }), "must begin with http"),
        (json!({ "base_url": "https://user:hunter2@x" }), "user name or password"),
        (json!({ "base_url": "https://x/?a=1" }), "query"),
        (json!({ "name": "a b" }), "no name"),
        (json!({ "inject": { "header": "Host" } }), "inject"),
        (json!({ "inject": { "header": "a b" } }), "inject"),
    ] {
        let sentence = refusal(&gateway(upstream(&more)).unwrap(), &Grants::new());
        assert!(sentence.contains(part) && !sentence.contains("hunter2"), "{sentence}");
    }
    let one = upstream(&json!({}))["upstreams"][0].clone();
    let twice = gateway(json!({ "upstreams": [one, one] })).unwrap();
    assert!(refusal(&twice, &Grants::new()).contains("two upstreams are named `up`"));
}

#[test]
fn a_credential_comes_from_exactly_one_place() {
    for credential in [
        json!({}),
        json!({ "env": "A", "file": "b" }),
        json!({ "app_id": 1 }),
        json!({ "private_key": { "env": "A" } }),
    ] {
        assert!(
            gateway(upstream(&json!({ "credential": credential }))).unwrap_err().contains("a credential is one of")
        );
    }
    for inject in [json!({}), json!({ "prefix": "x" }), json!({ "query": "a", "header": "b" })] {
        assert!(gateway(upstream(&json!({ "inject": inject }))).unwrap_err().contains("inject is one of"));
    }
}

#[test]
fn durations_and_sizes_are_read_as_people_write_them() {
    for (written, seconds) in [("90s", 90), ("15m", 900), ("1h", 3600), ("30d", 2_592_000), ("0s", 0)] {
        assert_eq!(written.parse(), Ok(HumanDuration(Duration::from_secs(seconds))));
    }
    for (written, bytes) in [("7B", 7), ("64KB", 65_536), ("32MB", 33_554_432), ("2GB", 2_147_483_648)] {
        assert_eq!(written.parse(), Ok(ByteSize(bytes)));
        assert_eq!(ByteSize(bytes).to_string(), written);
    }
    for bad in ["", "10", "m", "-1m", "1.5h", "10 m", "10M", "99999999999999999999s", "18446744073709551615d"] {
        assert!(bad.parse::<HumanDuration>().unwrap_err().to_string().contains("90s"), "{bad}");
    }
    for bad in ["32", "32mb", "MB", "32 MB", "99999999999999999999GB", "18446744073709551615GB"] {
        assert!(bad.parse::<ByteSize>().unwrap_err().to_string().contains("32MB"), "{bad}");
    }
}

#[test]
fn relative_paths_are_taken_from_the_folder_of_the_file() {
    let config = gateway(upstream(&json!({ "credential": { "file": "key" } }))).unwrap().relative_to(Path::new("/srv"));
    assert_eq!(config.master_key_file, Path::new("/srv/master.key"));
    assert_eq!(config.admin_token_file, Path::new("/srv/admin.token"));
    assert_eq!(config.database.sqlite_path().unwrap(), Path::new("/srv/gateway.db"));
    assert_eq!(config.upstreams[0].credential, Some(CredentialSource::File("/srv/key".into())));
}

#[test]
fn a_wildcard_address_is_reached_by_loopback() {
    let config = gateway(json!({ "listen": "0.0.0.0:80", "admin_listen": "[::]:81" })).unwrap();
    assert_eq!(
        (config.consumer_url().as_str(), config.admin_url().as_str()),
        ("http://127.0.0.1:80", "http://[::1]:81")
    );
}

#[test]
fn an_unknown_grant_is_refused_with_the_known_ones() {
    let known = grants(json!({ "default": {}, "coder": {} })).unwrap();
    assert!(check_known(&known, &["coder".to_owned()]).is_ok());
    let error = check_known(&known, &["codr".to_owned()]).unwrap_err().to_string();
    assert_eq!(error, "there is no grant `codr`; the configuration has `coder`, `default`");
    assert!(check_known(&known, &[]).unwrap_err().to_string().contains("at least one grant"));
}
