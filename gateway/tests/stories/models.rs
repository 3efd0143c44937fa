//! `/v1/models`: what a consumer may know of.

use doorward_gateway::Decision;
use serde_json::{Value, json};
use wiremock::matchers::{header, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::rig::{KEY, Rig, error, nobody, openai};

async fn offering(models: &[&str]) -> MockServer {
    let server = MockServer::start().await;
    let data: Vec<Value> = models.iter().map(|id| json!({ "id": id, "object": "model", "owned_by": "x" })).collect();
    Mock::given(path("/v1/models"))
        .and(header("authorization", format!("Bearer {KEY}").as_str()))
        .and(header("accept-encoding", "identity"))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({ "object": "list", "data": data })))
        .mount(&server)
        .await;
    server
}

async fn ids(rig: &Rig, token: &str) -> Vec<String> {
    let asked = rig.client.get(rig.url("/v1/models")).bearer_auth(token).header("accept-encoding", "gzip");
    let answer = asked.send().await.unwrap();
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["object"], "list");
    body["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_list_has_what_is_granted_and_would_be_routed_there() {
    let (one, two) = (offering(&["gpt-5", "o3"]).await, offering(&["gpt-5", "gpt-oss", "llama/x"]).await);
    let mut first = openai("one", *one.address());
    first["models"] = json!(["gpt-5", "o*"]);
    let rig = Rig::start(&[first, openai("two", *two.address())]).await;
    assert_eq!(ids(&rig, &rig.token("default").await).await, ["gpt-5", "gpt-oss"]);
    assert_eq!(ids(&rig, &rig.token("all").await).await, ["gpt-5", "o3", "gpt-oss", "llama/x"]);
    assert_eq!(ids(&rig, &rig.token("gone").await).await, Vec::<String>::new());
}

#[tokio::test]
async fn one_model_is_shown_as_its_upstream_has_it_or_not_at_all() {
    let server = offering(&["gpt-5", "o3"]).await;
    let rig = Rig::start(&[openai("up", *server.address())]).await;
    let token = rig.token("default").await;
    let get =
        async |id: &str| rig.client.get(rig.url(&format!("/v1/models/{id}"))).bearer_auth(&token).send().await.unwrap();
    assert_eq!(
        get("gpt-5").await.json::<Value>().await.unwrap(),
        json!({ "id": "gpt-5", "object": "model", "owned_by": "x" })
    );
    for hidden in ["o3", "gpt-6"] {
        assert_eq!(error(get(hidden).await, 404).await["code"], "model_not_found");
    }
}

#[tokio::test]
async fn an_upstream_that_is_down_hides_its_own_models_alone() {
    let server = offering(&["gpt-5"]).await;
    let rig = Rig::start(&[openai("down", nobody().await), openai("up", *server.address())]).await;
    // The first upstream serves every model, so the second lists nothing; but there is an answer.
    assert_eq!(ids(&rig, &rig.token("default").await).await, Vec::<String>::new());
    let alone = Rig::start(&[openai("down", nobody().await)]).await;
    let token = alone.token("default").await;
    let answer = alone.client.get(alone.url("/v1/models")).bearer_auth(token).send().await.unwrap();
    assert_eq!(error(answer, 502).await["code"], "upstream_unreachable");
    assert_eq!(alone.audit_row().await.decision, Decision::Allowed);
}
