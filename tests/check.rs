//! `doorward check` against a homeserver that answers as the table says.

#![expect(clippy::unwrap_used, reason = "a story that cannot go on has failed")]

use std::path::Path;

use doorward_testkit::free_port;
use serde_json::{Value, json};
use tokio::process::Command;
use wiremock::matchers::{header_exists, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

async fn doorward(folder: &Path, arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_doorward"));
    command.args(arguments).current_dir(folder).env_remove("DOORWARD_CONFIG").env("OPENAI_API_KEY", "sk-good");
    let output = command.output().await.unwrap();
    (output.status.success(), String::from_utf8(output.stdout).unwrap())
}

async fn initialized(homeserver: &MockServer) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let init = ["init", "--homeserver", &homeserver.uri(), "--server-name", "example.org"];
    assert!(doorward(folder.path(), &init).await.0);
    let file = folder.path().join("doorward.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let text = text.replace("127.0.0.1:9009", &format!("127.0.0.1:{}", free_port()));
    std::fs::write(file, text.replace("https://api.openai.com/v1", &format!("{}/v1", homeserver.uri()))).unwrap();
    folder
}

async fn homeserver(whoami: ResponseTemplate, ping: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    let answers = [
        ("GET", "/_matrix/client/versions", ResponseTemplate::new(200).set_body_json(json!({"versions": ["v1.11"]}))),
        ("GET", "/_matrix/client/v3/account/whoami", whoami),
        ("POST", "/_matrix/client/v1/appservice/doorward/ping", ping),
        ("GET", "/v1/models", ResponseTemplate::new(200).set_body_json(json!({"data": []}))),
    ];
    for (verb, at, answer) in answers {
        let mock = Mock::given(method(verb)).and(path(at));
        let mock = if at.ends_with("versions") { mock } else { mock.and(header_exists("authorization")) };
        mock.respond_with(answer).mount(&server).await;
    }
    server
}

fn user(id: &str) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(json!({"user_id": id}))
}

fn refusal(status: u16, code: &str) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_json(json!({"errcode": code, "error": "no"}))
}

fn pong() -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(json!({"duration_ms": 5}))
}

#[tokio::test]
async fn all_is_well_when_everything_answers() {
    let server = homeserver(user("@manager:example.org"), pong()).await;
    let folder = initialized(&server).await;
    let (good, text) = doorward(folder.path(), &["check", "--json"]).await;
    let findings: Value = serde_json::from_str(&text).unwrap();
    assert!(good, "{findings:#}");
    let whats: Vec<_> = findings["findings"].as_array().unwrap().iter().map(|finding| &finding["what"]).collect();
    assert_eq!(
        json!(whats),
        json!([
            "configuration",
            "appservice.database",
            "gateway.database",
            "homeserver",
            "registration",
            "ping",
            "upstream openai"
        ])
    );
}

#[tokio::test]
async fn each_trouble_with_the_homeserver_has_its_cure() {
    let table = [
        (refusal(401, "M_UNKNOWN_TOKEN"), pong(), "FAILED  registration", "app_service_config_files"),
        (user("@manager:other.org"), pong(), "FAILED  registration", "homeserver.server_name"),
        (
            user("@manager:example.org"),
            refusal(502, "M_CONNECTION_FAILED"),
            "FAILED  ping",
            "cannot reach http://127.0.0.1:9009",
        ),
        (user("@manager:example.org"), refusal(502, "M_BAD_STATUS"), "FAILED  ping", "another registration"),
    ];
    for (whoami, ping, finding, cure) in table {
        let server = homeserver(whoami, ping).await;
        let folder = initialized(&server).await;
        let (good, text) = doorward(folder.path(), &["check"]).await;
        assert!(!good && text.lines().any(|line| line.starts_with(finding) && line.contains(cure)), "{cure}: {text}");
    }
}
