//! git over smart HTTP, as far as no pack is needed.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::rig::{KEY, Rig};

async fn rig(allow: &[&str]) -> (Rig, MockServer, String) {
    let server = MockServer::start().await;
    let answer = ResponseTemplate::new(200).set_body_raw("0000", "application/x-git-upload-pack-advertisement");
    Mock::given(any()).respond_with(answer).mount(&server).await;
    let upstream = json!({
        "name": "github", "kind": "github", "base_url": server.uri(), "git_url": format!("{}/git", server.uri()),
        "credential": { "env": "KEY" },
    });
    let rig = Rig::granting(&[upstream], &json!({ "github": [{ "repos": ["acme/*"], "allow": allow }] })).await;
    let token = rig.mine().await;
    (rig, server, token)
}

async fn asked(rig: &Rig, token: Option<&str>, method: &str, path: &str) -> reqwest::Response {
    let request = rig.client.request(method.parse().unwrap(), rig.url(&format!("/git/{path}")));
    match token {
        Some(token) => request.basic_auth("x-access-token", Some(token)).send().await.unwrap(),
        None => request.send().await.unwrap(),
    }
}

#[tokio::test]
async fn git_is_asked_for_basic_authentication_in_plain_text() {
    let (rig, server, _) = rig(&["read"]).await;
    let answer = asked(&rig, None, "GET", "acme/widgets.git/info/refs?service=git-upload-pack").await;
    assert_eq!(answer.status(), 401);
    assert_eq!(answer.headers()["www-authenticate"], "Basic realm=\"doorward\"");
    assert_eq!(answer.headers()["content-type"], "text/plain; charset=utf-8");
    assert!(answer.text().await.unwrap().ends_with('\n'));
    assert!(server.received_requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_fetch_passes_with_the_real_key_in_githubs_own_form() {
    let (rig, server, token) = rig(&["read"]).await;
    let answer = asked(&rig, Some(&token), "GET", "acme/widgets.git/info/refs?service=git-upload-pack").await;
    assert_eq!((answer.status().as_u16(), answer.text().await.unwrap().as_str()), (200, "0000"));
    let wants = "0032want 0000000000000000000000000000000000000001\n00000009done\n";
    let pack = rig.client.post(rig.url("/git/acme/widgets.git/git-upload-pack")).basic_auth("x", Some(&token));
    let pack = pack.header("content-type", "application/x-git-upload-pack-request").header("git-protocol", "version=2");
    assert_eq!(pack.body(wants).send().await.unwrap().status(), 200);
    let received = server.received_requests().await.unwrap();
    let paths: Vec<_> = received.iter().map(|sent| sent.url[url::Position::BeforePath..].to_owned()).collect();
    assert_eq!(
        paths,
        ["/git/acme/widgets.git/info/refs?service=git-upload-pack", "/git/acme/widgets.git/git-upload-pack"]
    );
    let basic = format!("Basic {}", STANDARD.encode(format!("x-access-token:{KEY}")));
    assert!(received.iter().all(|sent| sent.headers["authorization"] == basic.as_str()));
    assert_eq!(
        (received[1].body.as_slice(), &received[1].headers["git-protocol"]),
        (wants.as_bytes(), &"version=2".parse().unwrap())
    );
}

#[tokio::test]
async fn what_is_not_granted_or_is_no_smart_git_is_refused_and_github_hears_nothing() {
    let (rig, server, token) = rig(&["read"]).await;
    for (method, path, status) in [
        ("GET", "acme/widgets.git/info/refs?service=git-receive-pack", 403),
        ("GET", "torvalds/linux.git/info/refs?service=git-upload-pack", 403),
        ("GET", "acme/widgets.git/info/refs", 403),
        ("GET", "acme/widgets.git/info/refs?service=git-upload-pack&service=git-receive-pack", 403),
        ("GET", "acme/widgets.git/HEAD", 404),
        ("GET", "acme/widgets.git/objects/info/packs", 404),
        ("GET", "acme/widgets.git/git-upload-pack", 405),
        ("POST", "acme/widgets.git/info/refs?service=git-upload-pack", 405),
        ("POST", "acme/widgets.git/git-upload-pack", 403),
        ("GET", "acme/widgets.git.git/info/refs?service=git-upload-pack", 403),
    ] {
        let answer = asked(&rig, Some(&token), method, path).await;
        assert_eq!(answer.status(), status, "{method} {path}");
        assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("text/plain"), "{path}");
    }
    let nothing = rig.token("nothing").await;
    assert_eq!(
        asked(&rig, Some(&nothing), "GET", "acme/widgets.git/info/refs?service=git-upload-pack").await.status(),
        403
    );
    assert!(server.received_requests().await.unwrap().is_empty());
    let rows = rig.audit_rows(11).await;
    let decisions: Vec<Value> = rows.iter().map(|row| serde_json::to_value(row.decision).unwrap()).collect();
    assert!(decisions.iter().all(|decision| decision == "refused"));
}

#[tokio::test]
async fn the_body_of_a_push_that_is_not_granted_is_not_waited_for() {
    let (rig, server, token) = rig(&["read"]).await;
    let head = format!(
        "POST /git/acme/widgets.git/git-receive-pack HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\
         content-type: application/x-git-receive-pack-request\r\ncontent-length: 1000000\r\nconnection: close\r\n\r\n"
    );
    let answer = rig.raw(head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 403 ") && answer.contains("push to acme/widgets"), "{answer}");
    assert!(server.received_requests().await.unwrap().is_empty());
}
