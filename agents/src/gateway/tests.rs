use doorward_base::ManualClock;
use wiremock::matchers::{header, method, path, path_regex};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;
use crate::testing::agent;

struct World {
    server: MockServer,
    clock: ManualClock,
    gateway: Gateway,
    folder: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        let (server, folder) = (MockServer::start().await, tempfile::tempdir().unwrap());
        std::fs::write(folder.path().join("admin.token"), "dwa_test\n").unwrap();
        let clock = ManualClock::new(Timestamp::from_millis(1_000_000));
        let url: Url = server.uri().parse().unwrap();
        let endpoint = GatewayEndpoint {
            consumer_url: url.clone(),
            admin_url: url,
            admin_token_file: folder.path().join("admin.token"),
            tls: None,
        };
        let gateway = Gateway::new(endpoint, Arc::new(clock.clone()));
        Self { server, clock, gateway, folder }
    }

    async fn mints(&self, delay: Duration) {
        let mint =
            Mock::given(method("POST")).and(path("/admin/v1/tokens")).and(header("authorization", "Bearer dwa_test"));
        let answer = ResponseTemplate::new(201).set_body_json(json!({"token": "dw_new"})).set_delay(delay);
        mint.respond_with(answer).mount(&self.server).await;
    }

    async fn minted(&self) -> usize {
        self.server.received_requests().await.unwrap().len()
    }
}

#[tokio::test]
async fn an_agent_keeps_its_token_until_shortly_before_it_expires() {
    let world = World::new().await;
    world.mints(Duration::ZERO).await;
    let alice = agent("alice");
    assert_eq!(world.gateway.token_for(&alice).await.unwrap().expose(), "dw_new");
    world.clock.advance(Duration::from_secs(54 * 60));
    world.gateway.token_for(&alice).await.unwrap();
    assert_eq!(world.minted().await, 1);
    world.clock.advance(Duration::from_secs(2 * 60));
    world.gateway.token_for(&alice).await.unwrap();
    assert_eq!(world.minted().await, 2);
}

#[tokio::test]
async fn an_agent_with_several_turns_gets_one_token_and_agents_do_not_wait_for_each_other() {
    let world = World::new().await;
    world.mints(Duration::from_millis(500)).await;
    let (alice, bob) = (agent("alice"), agent("bob"));
    let began = tokio::time::Instant::now();
    let (one, two, three) =
        tokio::join!(world.gateway.token_for(&alice), world.gateway.token_for(&alice), world.gateway.token_for(&bob));
    assert!(one.is_ok() && two.is_ok() && three.is_ok());
    assert_eq!(world.minted().await, 2);
    assert!(began.elapsed() < Duration::from_millis(950), "{:?}", began.elapsed());
}

#[tokio::test]
async fn tokens_of_agents_that_are_gone_are_not_kept_for_ever() {
    let world = World::new().await;
    world.mints(Duration::ZERO).await;
    for number in 0..20 {
        world.gateway.token_for(&agent(&format!("w{number}"))).await.unwrap();
    }
    assert_eq!(world.gateway.tokens.lock().await.len(), 20);
    world.clock.advance(TOKEN_TTL);
    world.gateway.token_for(&agent("alice")).await.unwrap();
    assert_eq!(world.gateway.tokens.lock().await.len(), 1);
}

#[tokio::test]
async fn a_refusal_is_the_gateways_own_sentence_and_what_passes_is_told_from_what_does_not() {
    let world = World::new().await;
    let refusal = json!({"error": "there is no grant \"coder\"; there are default"});
    let mint = Mock::given(method("POST")).respond_with(ResponseTemplate::new(400).set_body_json(refusal));
    mint.mount(&world.server).await;
    let error = world.gateway.token_for(&agent("alice")).await.unwrap_err();
    assert_eq!(error.to_string(), "there is no grant \"coder\"; there are default");
    assert!(!error.is_retryable());
    std::fs::remove_file(world.folder.path().join("admin.token")).unwrap();
    let error = world.gateway.token_for(&agent("alice")).await.unwrap_err();
    assert!(error.to_string().contains("admin.token"), "{error}");
    assert!(error.is_retryable(), "the gateway writes the file when it first starts");
}

#[tokio::test]
async fn taking_back_the_tokens_of_an_agent_that_had_none_is_done_already() {
    let world = World::new().await;
    world.mints(Duration::ZERO).await;
    let delete = Mock::given(method("DELETE")).and(path_regex("/admin/v1/tokens/worker-bob$"));
    delete.respond_with(ResponseTemplate::new(404).set_body_json(json!({"error": "none"}))).mount(&world.server).await;
    let delete = Mock::given(method("DELETE")).and(path_regex("/admin/v1/tokens/worker-alice$"));
    delete.respond_with(ResponseTemplate::new(200).set_body_json(json!({"revoked": 1}))).mount(&world.server).await;
    world.gateway.revoke(&agent("bob")).await.unwrap();
    world.gateway.token_for(&agent("alice")).await.unwrap();
    world.gateway.revoke(&agent("alice")).await.unwrap();
    world.gateway.token_for(&agent("alice")).await.unwrap();
    let mints = world.server.received_requests().await.unwrap();
    assert_eq!(mints.iter().filter(|request| request.method.as_str() == "POST").count(), 2, "a new token after that");
}

#[tokio::test]
async fn a_gateway_that_is_away_is_called_so() {
    let world = World::new().await;
    let World { server, gateway, folder: _folder, .. } = world;
    drop(server);
    let nobody = Gateway {
        endpoint: GatewayEndpoint { admin_url: "http://127.0.0.1:1".parse().unwrap(), ..gateway.endpoint.clone() },
        ..gateway
    };
    let error = nobody.usage().await.unwrap_err();
    assert!(error.to_string().contains("does not answer at http://127.0.0.1:1/"), "{error}");
    assert!(error.is_retryable());
}
