//! What is kept: the database, its log, and what is shown of them.

use doorward_gateway::Decision;
use serde_json::json;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::rig::{Rig, contains, files};
use crate::secrets;

/// A gateway with all credentials, after requests of all kinds were answered, refused and held.
async fn used() -> (Rig, MockServer, String) {
    let server = MockServer::start().await;
    let answer = json!({ "text": "canary-answer", "quoted": secrets::all(), "usage": { "prompt_tokens": 1, "completion_tokens": 2 } });
    Mock::given(any()).respond_with(ResponseTemplate::new(200).set_body_json(answer)).mount(&server).await;
    let rig = secrets::start(&server.uri()).await;
    let token = rig.mine().await;
    for (path, status) in [
        ("/v1/responses?q=canary-query", 200),
        ("/v1/chat/completions", 200),
        ("/anthropic/v1/messages", 200),
        ("/http/stored/x?q=canary-query", 200),
        ("/http/basic/x", 200),
        ("/http/other/x?q=canary-query", 403),
        ("/nowhere?q=canary-query", 404),
    ] {
        let body = json!({ "model": "gpt-5", "input": "canary-prompt" }).to_string();
        let request = rig.client.post(rig.url(path)).bearer_auth(&token).header("content-type", "application/json");
        let answer = request.body(body).send().await.unwrap();
        assert_eq!(answer.status(), status, "{path}");
        assert_eq!(answer.text().await.unwrap().contains("canary-answer"), status == 200);
    }
    rig.audit_rows(7).await;
    (rig, server, token)
}

fn canaries(token: &str) -> Vec<String> {
    let ours = ["canary-prompt", "canary-answer", "canary-query", token].map(str::to_owned);
    // Of the key of several lines each line counts.
    let secrets = secrets::all().into_iter().flat_map(|secret| secret.lines().map(str::to_owned).collect::<Vec<_>>());
    secrets.filter(|line| !line.starts_with("-----")).chain(ours).collect()
}

#[tokio::test]
async fn neither_keys_nor_tokens_nor_prompts_nor_answers_are_in_any_file_while_it_runs_or_afterwards() {
    let (rig, server, token) = used().await;
    let sent = server.received_requests().await.unwrap();
    assert!(
        sent.iter()
            .any(|sent| sent.headers.get("authorization").is_some_and(|value| value == "Bearer sk-real-hunter2"))
    );
    let rows = rig.audit_rows(7).await;
    assert!(rows.iter().any(|row| (row.decision, row.path.as_str()) == (Decision::Allowed, "/http/stored/x")));
    let running = files(rig.folder.path());
    assert!(running.iter().any(|(path, _)| path.ends_with("gateway.db-wal")), "the log of the database is looked at");
    let (admin, master) = (rig.admin_token(), std::fs::read_to_string(rig.folder.path().join("master.key")).unwrap());
    let folder = rig.stop().await;
    let stopped = files(folder.path());
    assert!(stopped.iter().any(|(path, _)| path.ends_with("gateway.db")));
    for (path, bytes) in running.iter().chain(&stopped) {
        for needle in canaries(&token) {
            assert!(!contains(bytes, &needle), "{needle} in {}", path.display());
        }
        let name = path.file_name().unwrap();
        assert!(name == "admin.token" || !contains(bytes, &admin), "the operator's token in {}", path.display());
        assert!(name == "master.key" || !contains(bytes, master.trim()), "the master key in {}", path.display());
    }
}

#[tokio::test]
async fn what_is_shown_to_operators_and_to_those_who_ask_for_health_tells_nothing_either() {
    let (rig, _server, token) = used().await;
    let mut shown = Vec::new();
    for path in ["tokens", "secrets", "audit", "usage", "approvals?state=all"] {
        let (status, answer) = rig.ask("GET", &format!("/admin/v1/{path}"), "").await;
        assert_eq!(status, 200, "{path}");
        shown.push((path, answer.to_string()));
    }
    for (name, url) in [
        ("metrics", format!("http://{}/metrics", rig.admin)),
        ("ready", rig.url("/ready")),
        ("health", rig.url("/health")),
        ("admin ready", format!("http://{}/ready", rig.admin)),
    ] {
        shown.push((name, rig.client.get(url).send().await.unwrap().text().await.unwrap()));
    }
    shown.push(("debug", format!("{:?} {:?} {:?}", rig.gateway.secrets(), rig.gateway.tokens(), rig.gateway.audit())));
    let ours =
        [rig.admin_token(), std::fs::read_to_string(rig.folder.path().join("master.key")).unwrap().trim().to_owned()];
    for (name, text) in shown {
        for needle in canaries(&token).iter().chain(&ours) {
            assert!(!text.contains(needle.as_str()), "{needle} in {name}: {text}");
        }
    }
}
