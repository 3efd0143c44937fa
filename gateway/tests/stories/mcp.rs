//! MCP servers: what is granted can be seen and used, and nothing else.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::rig::{KEY, RawUpstream, Rig, soon};

const LIST: &str = r#"{ "jsonrpc":"2.0", "id":1,"result":{"tools":[{"name":"read_graph", "x":1.0},{"name":"delete_all"},{"name":"write_note"}]} }"#;
const SEEN: &str = r#"{ "jsonrpc":"2.0", "id":1,"result":{"tools":[{"name":"read_graph", "x":1.0}]} }"#;

fn memory(base: &str) -> Value {
    json!({ "name": "memory", "kind": "mcp", "base_url": format!("{base}/srv/mcp"), "credential": { "env": "KEY" } })
}

fn grant() -> Value {
    json!({ "mcp": [{ "upstream": "memory", "tools": ["read_*"], "resources": ["file:///open/*"] }] })
}

fn message(method: &str, params: &Value) -> String {
    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string()
}

fn send(rig: &Rig, token: &str, body: String) -> reqwest::RequestBuilder {
    let request = rig.client.post(rig.url("/mcp/memory")).bearer_auth(token).header("mcp-session-id", "s1");
    request
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .body(body)
}

async fn raw() -> (Rig, RawUpstream, String) {
    let upstream = RawUpstream::start().await;
    let rig = Rig::granting(&[memory(&format!("http://{}", upstream.address()))], &grant()).await;
    let token = rig.mine().await;
    (rig, upstream, token)
}

#[tokio::test]
async fn tools_that_are_not_granted_are_absent_from_the_list_and_all_else_stays_as_it_came() {
    let (rig, upstream, token) = raw().await;
    let sent = tokio::spawn(send(&rig, &token, message("tools/list", &json!({}))).send());
    let mut call = soon(upstream.call()).await;
    assert!(call.head.starts_with("post /srv/mcp http/1.1\r\n"), "{}", call.head);
    assert_eq!(call.header("authorization"), Some(format!("bearer {KEY}").as_str()));
    assert_eq!(call.header("mcp-session-id"), Some("s1"));
    call.answer(LIST).await;
    assert_eq!(soon(sent).await.unwrap().unwrap().text().await.unwrap(), SEEN);
}

#[tokio::test]
async fn in_a_stream_of_events_the_list_is_filtered_too_and_each_event_arrives_at_once() {
    let (rig, upstream, token) = raw().await;
    let sent = tokio::spawn(send(&rig, &token, message("tools/list", &json!({}))).send());
    let mut call = soon(upstream.call()).await;
    call.begin_events().await;
    let progress = "event: message\nid: 7\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\"}\n\n";
    call.send_chunk(progress).await;
    let mut answer = soon(sent).await.unwrap().unwrap();
    assert_eq!(soon(answer.chunk()).await.unwrap().unwrap(), progress);
    let event = format!("event: message\ndata: {LIST}\n\n");
    for piece in event.as_bytes().chunks(9) {
        call.send_chunk(piece).await;
    }
    call.end_events().await;
    let rest = soon(async {
        let mut rest = Vec::new();
        while let Some(chunk) = answer.chunk().await.unwrap() {
            rest.extend_from_slice(&chunk);
        }
        String::from_utf8(rest).unwrap()
    });
    assert_eq!(rest.await, format!("event: message\ndata: {SEEN}\n\n"));
}

#[tokio::test]
async fn a_list_that_comes_on_the_stream_of_the_server_is_filtered_as_well() {
    let (rig, upstream, token) = raw().await;
    let get = rig.client.get(rig.url("/mcp/memory")).bearer_auth(&token).header("accept", "text/event-stream");
    let sent = tokio::spawn(get.send());
    let mut call = soon(upstream.call()).await;
    assert!(call.head.starts_with("get /srv/mcp "), "{}", call.head);
    call.begin_events().await;
    call.send_chunk(format!("data: {LIST}\n\n")).await;
    let mut answer = soon(sent).await.unwrap().unwrap();
    assert_eq!(soon(answer.chunk()).await.unwrap().unwrap(), format!("data: {SEEN}\n\n"));
}

#[tokio::test]
async fn a_granted_call_goes_out_and_comes_back_byte_for_byte() {
    let (rig, upstream, token) = raw().await;
    let body = "{\"jsonrpc\":\"2.0\" ,\"id\":1.0,\"method\":\"tools/call\",\"params\":{\"name\":\"read_gr\\u0061ph\",\"x\":[]}}\n";
    let sent = tokio::spawn(send(&rig, &token, body.to_owned()).send());
    let mut call = soon(upstream.call()).await;
    assert_eq!(Sha256::digest(&call.body), Sha256::digest(body));
    let answer = "{\"jsonrpc\":\"2.0\", \"id\":1.0,\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"tools\"}]}}";
    call.answer(answer).await;
    assert_eq!(soon(sent).await.unwrap().unwrap().text().await.unwrap(), answer);
}

#[tokio::test]
async fn what_is_not_granted_is_refused_alone_or_in_a_batch_and_the_server_hears_nothing() {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(200).set_body_string("{}")).mount(&server).await;
    let rig = Rig::granting(&[memory(&server.uri())], &grant()).await;
    let token = rig.mine().await;
    let call = |name: &str| message("tools/call", &json!({ "name": name }));
    for (body, status) in [
        (call("delete_all"), 403),
        (call("READ_graph"), 403),
        (format!("[{},{}]", call("read_graph"), call("delete_all")), 403),
        (message("resources/read", &json!({ "uri": "file:///secret/a" })), 403),
        (message("prompts/get", &json!({ "name": "any" })), 403),
        (message("completion/complete", &json!({})), 403),
        (message("tools/call", &json!({})), 400),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call","params":{"name":"delete_all"}}"#
                .to_owned(),
            400,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read_a","name":"delete_all"}}"#
                .to_owned(),
            400,
        ),
        ("not JSON".to_owned(), 400),
    ] {
        let answer = send(&rig, &token, body.clone()).send().await.unwrap();
        assert_eq!(answer.status(), status, "{body}");
        let refusal: Value = answer.json().await.unwrap();
        assert!(refusal["jsonrpc"] == "2.0" && refusal["error"]["code"].is_i64(), "{refusal}");
        assert!(refusal["error"]["message"].is_string());
    }
    let other = rig.client.post(rig.url("/mcp/other")).bearer_auth(&token).header("content-type", "application/json");
    assert_eq!(other.body(call("read_graph")).send().await.unwrap().status(), 403);
    let nothing = rig.token("nothing").await;
    assert_eq!(send(&rig, &nothing, message("initialize", &json!({}))).send().await.unwrap().status(), 403);
    assert!(server.received_requests().await.unwrap().is_empty());
    assert_eq!(
        send(&rig, &token, format!("[{},{}]", call("read_a"), call("read_b"))).send().await.unwrap().status(),
        200
    );
    let granted = message("resources/read", &json!({ "uri": "file:///open/a" }));
    assert_eq!(send(&rig, &token, granted).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn an_answer_that_cannot_be_searched_for_what_to_hide_does_not_pass() {
    let (rig, upstream, token) = raw().await;
    let sent =
        tokio::spawn(async move { send(&rig, &token, message("tools/list", &json!({}))).send().await?.text().await });
    let mut call = soon(upstream.call()).await;
    call.answer(r#"{"result":{"tools":[{"name":"delete_all"}],"tools":[]}}"#).await;
    assert!(soon(sent).await.unwrap().is_err());
}
