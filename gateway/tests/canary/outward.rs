//! What goes to upstreams: our credential, and none of the caller's.

use serde_json::json;

use crate::rig::{KEY, RawUpstream, Rig, openai, soon};
use crate::secrets;

/// Headers in which clients carry credentials of their own.
const CARRIERS: [&str; 22] = [
    "cookie",
    "proxy-authorization",
    "api-key",
    "x-goog-api-key",
    "x-auth-token",
    "x-access-token",
    "x-amz-security-token",
    "private-token",
    "job-token",
    "x-github-token",
    "x-csrf-token",
    "x-vault-token",
    "x-secret",
    "x-client-secret",
    "x-credential",
    "x-password",
    "apikey",
    "x-functions-key-token",
    "authorization-x",
    "x-forwarded-authorization",
    "x-original-authorization",
    "x-anything",
];

async fn rig() -> (Rig, RawUpstream, String) {
    let upstream = RawUpstream::start().await;
    let rig = secrets::start(&format!("http://{}", upstream.address())).await;
    let token = rig.mine().await;
    (rig, upstream, token)
}

#[tokio::test]
async fn the_callers_token_and_foreign_keys_stay_here_in_whatever_header_they_come() {
    let (rig, upstream, token) = rig().await;
    for (path, body) in [
        ("/v1/responses", r#"{"model":"gpt-5"}"#),
        ("/anthropic/v1/messages", r#"{"model":"claude"}"#),
        ("/http/basic/x", ""),
        ("/http/stored/x", ""),
        ("/mcp/memory", r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#),
        ("/v1/uploads", r#"{"purpose":"x"}"#),
    ] {
        let request = rig.client.post(rig.url(path)).bearer_auth(&token).header("x-api-key", &token);
        let request = CARRIERS.iter().fold(request.header("content-type", "application/json"), |request, name| {
            let value = if *name == "x-anything" { token.clone() } else { format!("foreign-key; {token}") };
            request.header(*name, value)
        });
        let sent = tokio::spawn(request.body(body).send());
        let mut call = soon(upstream.call()).await;
        assert!(!call.head.contains("dw_") && !call.head.contains("foreign"), "{path}: {}", call.head);
        for name in CARRIERS {
            assert_eq!(call.header(name), None, "{path}");
        }
        call.answer("{}").await;
        soon(sent).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_credential_in_the_query_is_refused() {
    let (rig, _upstream, token) = rig().await;
    let split = token.replacen('_', "%5F", 1);
    for (path, query) in [
        ("/v1/files", format!("after={token}")),
        ("/v1/files", format!("after=x{token}x")),
        ("/v1/files", format!("{token}=1")),
        ("/http/basic/x", format!("q={split}")),
        ("/http/basic/x", "access_token=foreign".to_owned()),
        ("/http/basic/x", "a=1&api_key=foreign".to_owned()),
        ("/http/basic/x", "API%2DKEY=foreign".to_owned()),
        ("/http/basic/x", "client_secret=foreign".to_owned()),
        ("/http/stored/x", "key=foreign".to_owned()),
    ] {
        let answer = rig.client.get(rig.url(&format!("{path}?{query}"))).bearer_auth(&token).send().await.unwrap();
        assert_eq!(answer.status(), 400, "{path}?{query}");
        let text = answer.text().await.unwrap();
        assert!(!text.contains("dw_") && !text.contains("foreign"), "{text}");
    }
    // Pages are asked for by tokens that are no credentials.
    let (rig, upstream, token) = self::rig().await;
    let sent = tokio::spawn(
        rig.client.get(rig.url("/http/basic/x?pageToken=abc&page_token=d&key=e")).bearer_auth(&token).send(),
    );
    let mut call = soon(upstream.call()).await;
    assert!(call.head.starts_with("get /x?pagetoken=abc&page_token=d&key=e "), "{}", call.head);
    call.answer("{}").await;
    soon(sent).await.unwrap().unwrap();
}

#[tokio::test]
async fn our_own_files_never_go_out() {
    let (rig, upstream, token) = rig().await;
    let sent = tokio::spawn(rig.chat(&token, "gpt-5").send());
    let mut call = soon(upstream.call()).await;
    let master = std::fs::read_to_string(rig.folder.path().join("master.key")).unwrap();
    for secret in [master.trim(), &rig.admin_token(), &token] {
        assert!(!call.head.contains(&secret.to_ascii_lowercase()), "{}", call.head);
    }
    call.answer("{}").await;
    soon(sent).await.unwrap().unwrap();
}

#[tokio::test]
async fn each_upstream_gets_its_own_key_and_no_other() {
    let (one, two) = (RawUpstream::start().await, RawUpstream::start().await);
    let mut second = openai("two", two.address());
    second["credential"] = json!({ "env": "KEY_2" });
    second["fallback"] = json!("one");
    second["models"] = json!(["o*"]);
    let rig = Rig::start(&[second, openai("one", one.address())]).await;
    let token = rig.token("all").await;
    let sent = tokio::spawn(rig.chat(&token, "o3").send());
    let mut first = soon(two.call()).await;
    assert_eq!(first.header("authorization"), Some(format!("bearer {}", crate::rig::KEY_2).as_str()));
    first.send(b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n").await;
    let mut fallen = soon(one.call()).await;
    assert_eq!(fallen.header("authorization"), Some(format!("bearer {KEY}").as_str()));
    assert!(!fallen.head.contains(crate::rig::KEY_2));
    fallen.answer("{}").await;
    soon(sent).await.unwrap().unwrap();
}
