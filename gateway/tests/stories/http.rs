//! Upstreams of kind `http`: granted by method and path.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::rig::{KEY, RawUpstream, Rig, soon};

fn weather(base: &str, inject: Value) -> Value {
    let mut upstream = json!({ "name": "weather", "kind": "http", "base_url": base, "credential": { "env": "KEY" } });
    if !inject.is_null() {
        upstream["inject"] = inject;
    }
    upstream
}

fn grant(allow: &[&str]) -> Value {
    json!({ "http": [{ "upstream": "weather", "allow": allow }] })
}

#[tokio::test]
async fn what_a_rule_covers_goes_through_and_nothing_else() {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(200)).mount(&server).await;
    let other = json!({ "name": "bank", "kind": "http", "base_url": format!("{}/bank", server.uri()) });
    let upstreams = [weather(&format!("{}/base/", server.uri()), Value::Null), other];
    let rig = Rig::granting(&upstreams, &grant(&["GET /v1/**", "POST /v1/*/notes"])).await;
    let token = rig.mine().await;
    let ask = async |method: &str, path: &str| {
        let request =
            rig.client.request(method.parse().unwrap(), rig.url(&format!("/http/{path}"))).bearer_auth(&token);
        request.send().await.unwrap().status().as_u16()
    };
    for (method, path) in [
        ("GET", "weather/v1"),
        ("GET", "weather/v1/a/b?x=%2e"),
        ("HEAD", "weather/v1/a"),
        ("POST", "weather/v1/a/notes"),
    ] {
        assert_eq!(ask(method, path).await, 200, "{method} {path}");
    }
    for (method, path) in [
        ("POST", "weather/v1/a"),
        ("DELETE", "weather/v1/a"),
        ("GET", "weather"),
        ("GET", "weather/"),
        ("GET", "weather/v2"),
        ("GET", "weather/V1/a"),
        ("GET", "bank/v1/a"),
        ("GET", "Weather/v1/a"),
        ("GET", "nowhere/v1/a"),
        ("get", "weather/v1/a"),
    ] {
        assert_eq!(ask(method, path).await, 403, "{method} {path}");
    }
    let heard: Vec<_> = server
        .received_requests()
        .await
        .unwrap()
        .iter()
        .map(|sent| sent.url[url::Position::BeforePath..].to_owned())
        .collect();
    assert_eq!(heard, ["/base/v1", "/base/v1/a/b?x=%2e", "/base/v1/a", "/base/v1/a/notes"]);
}

#[tokio::test]
async fn the_key_stands_where_the_configuration_says_and_nowhere_else() {
    for (inject, name, value) in [
        (Value::Null, "authorization", format!("bearer {KEY}")),
        (json!({ "header": "X-Key" }), "x-key", KEY.to_owned()),
        (json!({ "header": "X-Key", "prefix": "v1 " }), "x-key", format!("v1 {KEY}")),
        (json!({ "basic_user": "me" }), "authorization", "basic bwu6c2stcmvhbc1odw50zxiy".to_owned()),
    ] {
        let upstream = RawUpstream::start().await;
        let base = format!("http://{}", upstream.address());
        let rig = Rig::granting(&[weather(&base, inject)], &grant(&["* /**"])).await;
        let token = rig.mine().await;
        // A header of the caller in the same place gives way.
        let sent = tokio::spawn(
            rig.client.get(rig.url("/http/weather/x?y=1")).bearer_auth(&token).header("x-key", "mine").send(),
        );
        let mut call = soon(upstream.call()).await;
        assert_eq!(call.header(name), Some(value.as_str()), "{}", call.head);
        assert!(call.head.starts_with("get /x?y=1 "), "{}", call.head);
        if name == "x-key" {
            assert_eq!(call.header("authorization"), None);
        }
        call.answer("{}").await;
        soon(sent).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_key_in_the_query_is_put_behind_the_callers_own_and_cannot_be_given_twice() {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(200)).mount(&server).await;
    let rig = Rig::granting(&[weather(&server.uri(), json!({ "query": "key" }))], &grant(&["* /**"])).await;
    let token = rig.mine().await;
    let ask =
        async |path: &str| rig.client.get(rig.url(path)).bearer_auth(&token).send().await.unwrap().status().as_u16();
    assert_eq!((ask("/http/weather/x?a=1&&b=%20").await, ask("/http/weather/x").await), (200, 200));
    for query in ["key=1", "KEY=1", "k%65y=1", "a=1&key"] {
        assert_eq!(ask(&format!("/http/weather/x?{query}")).await, 400, "{query}");
    }
    let heard: Vec<_> =
        server.received_requests().await.unwrap().iter().map(|sent| sent.url.query().unwrap().to_owned()).collect();
    assert_eq!(heard, [format!("a=1&&b=%20&key={KEY}"), format!("key={KEY}")]);
}

#[tokio::test]
async fn any_body_and_any_answer_pass_byte_for_byte() {
    let upstream = RawUpstream::start().await;
    let base = format!("http://{}", upstream.address());
    let rig = Rig::granting(&[weather(&base, Value::Null)], &grant(&["PUT /**"])).await;
    let token = rig.mine().await;
    let body: Vec<u8> = (0..=255).cycle().take(30_000).collect();
    let put = rig
        .client
        .put(rig.url("/http/weather/x"))
        .bearer_auth(&token)
        .header("content-type", "x/odd")
        .body(body.clone());
    let sent = tokio::spawn(put.send());
    let mut call = soon(upstream.call()).await;
    assert_eq!((Sha256::digest(&call.body), call.header("content-type")), (Sha256::digest(&body), Some("x/odd")));
    call.send(b"HTTP/1.1 207 Multi-Status\r\netag: \"a\"\r\ntransfer-encoding: chunked\r\n\r\n").await;
    for piece in body.chunks(7_000) {
        call.send_chunk(piece).await;
    }
    call.end_events().await;
    let answer = soon(sent).await.unwrap().unwrap();
    assert_eq!((answer.status().as_u16(), &answer.headers()["etag"]), (207, &"\"a\"".parse().unwrap()));
    assert_eq!(Sha256::digest(soon(answer.bytes()).await.unwrap()), Sha256::digest(&body));
}
