//! The real credentials of the suite, and a gateway that holds them all.

use serde_json::{Value, json};

use crate::rig::{KEY, KEY_2, Rig, config};

/// In the sealed store under the name `stored`.
pub(crate) const STORED: &str = "st0red/Secret+value=&with space-99";
/// The password of a pair for Basic authentication; the user is `me`.
pub(crate) const PASSWORD: &str = "pa55w0rd-hunter2";

/// The private key of a GitHub App; no real one, but of the same form.
pub(crate) fn pem() -> String {
    let lines = (0..6_u8).map(|line| {
        let letter = |at: u8| char::from(b'A' + (line.wrapping_mul(31).wrapping_add(at.wrapping_mul(7))) % 26);
        (0..64).map(letter).collect::<String>()
    });
    format!("-----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY-----", lines.collect::<Vec<_>>().join("\n"))
}

/// Every credential that the gateway of [`start`] has.
pub(crate) fn all() -> Vec<String> {
    let plain = [KEY, KEY_2, STORED, PASSWORD].map(str::to_owned);
    plain.into_iter().chain([format!("me:{PASSWORD}"), pem()]).collect()
}

/// A gateway with five upstreams, all at one address, each with a credential of another kind.
pub(crate) async fn start(base: &str) -> Rig {
    let upstream = |name: &str, kind: &str, more: Value| {
        let mut upstream = json!({ "name": name, "kind": kind, "base_url": base });
        upstream.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        upstream
    };
    let upstreams = [
        upstream("up", "openai", json!({ "credential": { "env": "KEY" } })),
        upstream("claude", "anthropic", json!({ "credential": { "env": "KEY_2" } })),
        upstream("stored", "http", json!({ "credential": { "secret": "stored" }, "inject": { "query": "key" } })),
        upstream("basic", "http", json!({ "credential": { "env": "PASSWORD" }, "inject": { "basic_user": "me" } })),
        upstream("github", "github", json!({ "credential": { "app_id": 7, "private_key": { "env": "PEM" } } })),
        upstream("memory", "mcp", json!({ "credential": { "env": "KEY" } })),
    ];
    let grant = json!({
        "models": ["*"],
        "paths": ["/v1/**"],
        "http": [{ "upstream": "stored", "allow": ["* /**"] }, { "upstream": "basic", "allow": ["* /**"] }],
        "mcp": [{ "upstream": "memory", "tools": ["*"] }],
        "github": [{ "repos": ["acme/*"], "allow": ["read"] }],
    });
    let rig = Rig::granting_with(config(&upstreams), &grant).await;
    {
        let mut environment = rig.environment.lock().unwrap();
        environment.insert("PASSWORD".to_owned(), PASSWORD.to_owned());
        environment.insert("PEM".to_owned(), pem());
    }
    rig.set_secret("stored", STORED).await;
    rig
}
