//! Several keys, upstreams that stand in, and other names for models.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use wiremock::matchers::{any, header, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::rig::{KEY, KEY_2, RawUpstream, Rig, error, nobody, openai, soon};

/// An upstream below `/NAME` with two keys.
fn two_keys(name: &str, server: &MockServer) -> Value {
    json!({
        "name": name, "kind": "openai", "base_url": format!("{}/{name}", server.uri()),
        "credentials": [{ "env": "KEY" }, { "env": "KEY_2" }],
    })
}

async fn answering(server: &MockServer, name: &str, key: &str, answer: ResponseTemplate) {
    let given = Mock::given(path(format!("/{name}/chat/completions")));
    given.and(header("authorization", format!("Bearer {key}").as_str())).respond_with(answer).mount(server).await;
}

/// The keys that were tried, in their order.
async fn tried(server: &MockServer) -> Vec<String> {
    let received = server.received_requests().await.unwrap();
    received.iter().map(|sent| sent.headers["authorization"].to_str().unwrap()[7..].to_owned()).collect()
}

#[tokio::test]
async fn a_key_with_too_many_requests_rests_and_the_other_answers() {
    let (server, rig) =
        (MockServer::start().await, async |server: &MockServer| Rig::start(&[two_keys("up", server)]).await);
    let rig = rig(&server).await;
    let token = rig.token("default").await;
    // Which key comes first depends on the names alone; whichever it is gets the 429.
    Mock::given(any()).respond_with(ResponseTemplate::new(200)).mount(&server).await;
    assert_eq!(rig.chat(&token, "gpt-5").send().await.unwrap().status(), 200);
    let first = tried(&server).await[0].clone();
    let second = if first == KEY { KEY_2 } else { KEY };
    server.reset().await;
    let busy = ResponseTemplate::new(429).insert_header("retry-after", "600");
    answering(&server, "up", &first, busy).await;
    answering(&server, "up", second, ResponseTemplate::new(200).set_body_string("second")).await;
    for _ in 0..3 {
        let answer = rig.chat(&token, "gpt-5").send().await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.text().await.unwrap().as_str()), (200, "second"));
    }
    assert_eq!(tried(&server).await, [&first, second, second, second].map(ToOwned::to_owned));
}

#[tokio::test]
async fn trouble_with_every_key_goes_to_the_upstream_that_stands_in() {
    for status in [500, 502, 503, 429, 401] {
        let server = MockServer::start().await;
        let (mut first, second) = (two_keys("first", &server), two_keys("second", &server));
        first["fallback"] = json!("second");
        Mock::given(path("/first/chat/completions")).respond_with(ResponseTemplate::new(status)).mount(&server).await;
        let good = ResponseTemplate::new(200).set_body_string("second");
        Mock::given(path("/second/chat/completions")).respond_with(good).mount(&server).await;
        let rig = Rig::start(&[first, second]).await;
        let token = rig.token("default").await;
        let answer = rig.chat(&token, "gpt-5").send().await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.text().await.unwrap().as_str()), (200, "second"), "{status}");
        let keys = tried(&server).await;
        assert_eq!(keys.len(), 3, "both keys of the first, one of the second: {keys:?}");
        assert_ne!(keys[0], keys[1]);
        assert_eq!(rig.audit_row().await.upstream.as_deref(), Some("second"));
    }
}

#[tokio::test]
async fn an_upstream_that_cannot_be_reached_is_stood_in_for_too() {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(200)).mount(&server).await;
    let mut first = openai("first", nobody().await);
    first["fallback"] = json!("second");
    let rig = Rig::start(&[first, openai("second", *server.address())]).await;
    let token = rig.token("default").await;
    assert_eq!(rig.chat(&token, "gpt-5").send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn what_the_request_itself_got_wrong_is_not_asked_again() {
    for status in [400, 403, 404, 422] {
        let server = MockServer::start().await;
        Mock::given(any()).respond_with(ResponseTemplate::new(status).set_body_string("no")).mount(&server).await;
        let mut first = two_keys("first", &server);
        first["fallback"] = json!("second");
        let rig = Rig::start(&[first, two_keys("second", &server)]).await;
        let token = rig.token("default").await;
        assert_eq!(rig.chat(&token, "gpt-5").send().await.unwrap().status(), status);
        assert_eq!(tried(&server).await.len(), 1);
    }
}

#[tokio::test]
async fn a_request_that_may_have_had_its_effect_is_sent_once() {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(500)).mount(&server).await;
    let mut http = two_keys("orders", &server);
    http["kind"] = json!("http");
    let rig = Rig::granting(&[http], &json!({ "http": [{ "upstream": "orders", "allow": ["POST /**"] }] })).await;
    let token = rig.mine().await;
    let answer = rig.client.post(rig.url("/http/orders/buy")).bearer_auth(&token).body("1").send().await.unwrap();
    assert_eq!(answer.status(), 500);
    assert_eq!(tried(&server).await.len(), 1);
}

#[tokio::test]
async fn the_last_trouble_is_the_answer_if_nobody_stands_in() {
    let server = MockServer::start().await;
    let busy = ResponseTemplate::new(503).set_body_string("overloaded").insert_header("retry-after", "7");
    Mock::given(any()).respond_with(busy).mount(&server).await;
    let rig = Rig::start(&[two_keys("up", &server)]).await;
    let token = rig.token("default").await;
    let answer = rig.chat(&token, "gpt-5").send().await.unwrap();
    assert_eq!((answer.status().as_u16(), &answer.headers()["retry-after"]), (503, &"7".parse().unwrap()));
    assert_eq!(answer.text().await.unwrap(), "overloaded");
    assert_eq!(tried(&server).await.len(), 2);
}

#[tokio::test]
async fn an_alias_changes_the_name_of_the_model_and_no_other_byte() {
    let upstream = RawUpstream::start().await;
    let mut aliased = openai("up", upstream.address());
    (aliased["models"], aliased["aliases"]) = (json!(["gpt-9"]), json!({ "gpt-fast": "real/\"model\"" }));
    let rig = Rig::start(&[aliased]).await;
    let token = rig.token("default").await;
    let (before, after) = (
        "{\"messages\":[ {\"content\":\"model: \\u0067pt-fast\"}],\"model\" :\t",
        " , \"seed\":1.00, \"x\":{\"model\":\"gpt-fast\"}}\n",
    );
    let sent = tokio::spawn(rig.post(&token, "chat/completions", format!("{before}\"gpt-\\u0066ast\"{after}")).send());
    let mut call = soon(upstream.call()).await;
    let expected = format!("{before}\"real/\\\"model\\\"\"{after}");
    assert_eq!(String::from_utf8_lossy(&call.body), expected);
    assert_eq!(Sha256::digest(&call.body), Sha256::digest(&expected));
    call.answer("{}").await;
    assert_eq!(soon(sent).await.unwrap().unwrap().status(), 200);
    assert_eq!(rig.audit_row().await.model.as_deref(), Some("gpt-fast"));
}

#[tokio::test]
async fn an_alias_is_granted_under_its_own_name_and_opens_no_other_model() {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(200)).mount(&server).await;
    let mut aliased = openai("up", *server.address());
    (aliased["models"], aliased["aliases"]) = (json!(["o3"]), json!({ "gpt-fast": "o3" }));
    let rig = Rig::start(&[aliased]).await;
    let token = rig.token("default").await;
    assert_eq!(rig.chat(&token, "gpt-fast").send().await.unwrap().status(), 200);
    assert_eq!(error(rig.chat(&token, "o3").send().await.unwrap(), 403).await["code"], "model_not_found");
}
