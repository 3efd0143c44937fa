//! Holes that other gateways had, each by name.

use doorward_base::{ManualClock, Timestamp};
use doorward_gateway::config::{GatewayConfig, Grants};
use serde_json::{Value, json};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::recorder::{assert_below_the_base, open_to_all};
use crate::rig::{self, Rig, config};

const INJECTIONS: [&str; 8] = [
    "' OR '1'='1",
    "'; DROP TABLE token; --",
    "' UNION SELECT digest FROM token --",
    "\\",
    "%' OR consumer LIKE '%",
    "$1",
    "x\u{0}y",
    "\"; VACUUM; --",
];

#[tokio::test]
async fn the_lookup_of_a_token_is_not_injectable() {
    let (rig, recorder, token) = open_to_all().await;
    for injection in INJECTIONS.iter().filter(|text| !text.contains('\u{0}')) {
        let padded = |text: &str| format!("dw_{text:0<42}").chars().take(45).collect::<String>();
        for shown in
            [(*injection).to_owned(), format!("dw_{injection}"), padded(injection), format!("{token}{injection}")]
        {
            for header in ["authorization", "x-api-key"] {
                let value = if header == "authorization" { format!("Bearer {shown}") } else { shown.clone() };
                let answer = rig.client.get(rig.url("/v1/files")).header(header, value).send().await.unwrap();
                assert_eq!(answer.status(), 401, "{shown}");
            }
            let basic = rig.client.get(rig.url("/v1/files")).basic_auth("x", Some(&shown)).send().await.unwrap();
            assert_eq!(basic.status(), 401, "{shown}");
        }
    }
    assert!(recorder.take().is_empty());
    assert_eq!(rig.client.get(rig.url("/v1/files")).bearer_auth(&token).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn names_of_models_consumers_and_filters_are_not_injectable() {
    let (rig, _recorder, token) = open_to_all().await;
    for injection in INJECTIONS {
        let answer = rig.chat(&token, injection).send().await.unwrap();
        let status = answer.status().as_u16();
        assert!(status == 200 || (status == 400 && injection.contains('\u{0}')), "{injection}: {status}");
        let body = json!({ "consumer": injection, "grants": ["mine"] }).to_string();
        let (status, _) = rig.ask("POST", "/admin/v1/tokens", body).await;
        assert!(status == 201 || status == 400, "{injection}: {status}");
        let query: String = url::form_urlencoded::byte_serialize(injection.as_bytes()).collect();
        let (status, audit) = rig.ask("GET", &format!("/admin/v1/audit?consumer={query}"), "").await;
        assert!(status >= 400 || audit["audit"] == json!([]), "{injection}: {audit}");
        let (status, revoked) = rig.ask("DELETE", &format!("/admin/v1/tokens/{}", query.replace('+', "%20")), "").await;
        assert!((400..500).contains(&status) || revoked == json!({ "revoked": 1 }), "{injection}: {revoked}");
    }
    let after = rig.chat(&token, "gpt-5").send().await.unwrap();
    assert_eq!(after.status(), 200, "the tables are there, and the token is good");
}

#[tokio::test]
async fn nothing_in_a_body_or_a_header_chooses_the_destination() {
    let elsewhere = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(200)).expect(0).mount(&elsewhere).await;
    let (rig, recorder, token) = open_to_all().await;
    let (url, host) = (elsewhere.uri(), elsewhere.address().to_string());
    let mut body = json!({ "model": "gpt-5", "messages": [] });
    for key in [
        "api_base",
        "base_url",
        "api_url",
        "endpoint",
        "host",
        "proxy",
        "custom_llm_provider",
        "deployment",
        "azure_endpoint",
        "url",
        "litellm_params",
        "user_config",
        "fallbacks",
        "x-api-base",
    ] {
        body[key] = json!(url);
    }
    body["extra_body"] = json!({ "api_base": url, "base_url": url });
    body["litellm_params"] = json!({ "api_base": url, "api_key": "x" });
    for path in ["/v1/chat/completions", "/v1/responses", "/anthropic/v1/messages", "/v1/batches"] {
        let request = rig.client.post(rig.url(path)).bearer_auth(&token).header("content-type", "application/json");
        let headers = [
            ("host", host.as_str()),
            ("x-forwarded-host", &host),
            ("forwarded", "host=evil.example"),
            ("x-api-base", &url),
            ("x-base-url", &url),
            ("x-upstream", &url),
            ("x-original-host", &host),
            ("x-host", &host),
        ];
        let request = headers.into_iter().fold(request, |request, (name, value)| request.header(name, value));
        assert_eq!(request.body(body.to_string()).send().await.unwrap().status(), 200, "{path}");
    }
    let heads = recorder.take();
    assert_eq!(heads.len(), 4);
    for head in heads {
        assert_below_the_base(&head, &recorder, "a body that names another host");
        assert!(!head.contains("x-forwarded-host") && !head.contains("\r\nforwarded:"), "{head}");
    }
}

#[tokio::test]
async fn a_body_that_names_two_models_in_any_spelling_is_refused() {
    let (rig, recorder, token) = open_to_all().await;
    for body in [
        r#"{"model":"gpt-5","model":"gpt-5"}"#.to_owned(),
        r#"{"model":"gpt-5","mod\u0065l":"o3"}"#.to_owned(),
        r#"{"model":"gpt-5","MODEL":"o3"}"#.to_owned(),
        r#"{"Model":"gpt-5"}"#.to_owned(),
        r#"{"model":["gpt-5","o3"]}"#.to_owned(),
        r#"{"model":{"name":"gpt-5"}}"#.to_owned(),
        r#"{"model":null}"#.to_owned(),
        r#"{"model":5}"#.to_owned(),
        r#"{"model":""}"#.to_owned(),
        r#"{"model":"gpt-5"}{"model":"o3"}"#.to_owned(),
        r#"{"model":"gpt-5"}, "#.to_owned(),
        r#"[{"model":"gpt-5"}]"#.to_owned(),
        "{\"model\":\"gpt-5\",}".to_owned(),
        "{\"model\":\"gpt-5\" /* ,\"model\":\"o3\" */}".to_owned(),
        "{'model':'gpt-5'}".to_owned(),
        "\u{feff}{\"model\":\"gpt-5\"}".to_owned(),
        "{\"model\":\"gpt-5\"}\u{0}".to_owned(),
        format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)),
        format!("{{\"model\":\"{}\"}}", "x".repeat(100_000)),
    ] {
        let answer = rig.post(&token, "chat/completions", body.clone()).send().await.unwrap();
        assert_eq!(answer.status(), 400, "{body:.100}");
    }
    let utf16: Vec<u8> = r#"{"model":"gpt-5"}"#.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let request = rig.post(&token, "chat/completions", "").body(utf16);
    assert_eq!(request.send().await.unwrap().status(), 400);
    assert!(recorder.take().is_empty());
}

#[tokio::test]
async fn tools_that_the_provider_runs_are_off_in_every_spelling() {
    let (rig, recorder, token) = open_to_all().await;
    for more in [
        r#""tools":[{"type":"web_search"}]"#,
        r#""tools":[{"type":"function","name":"f"},{"type":"web_search_preview"}]"#,
        r#""tools":[{"ty\u0070e":"code_interpreter"}]"#,
        r#""tools":[{"type":"mcp","server_url":"https://evil.example"}]"#,
        r#""tools":[{"type":"computer_use_preview"}]"#,
        r#""tools":[{"type":"file_search"}]"#,
        r#""tools":[{"type":"image_generation"}]"#,
        r#""tools":[{"type":"something_new"}]"#,
        r#""web_search_options":{}"#,
        r#""search_parameters":{"mode":"on"}"#,
        r#""plugins":[{"id":"web"}]"#,
        r#""prompt":{"id":"pmpt_1"}"#,
    ] {
        let answer = rig.post(&token, "responses", format!("{{\"model\":\"gpt-5\",{more}}}")).send().await.unwrap();
        assert_eq!(answer.status(), 403, "{more}");
    }
    for more in [
        r#""tools":[{"type":"function","type":"web_search"}]"#,
        r#""tools":[{"type":"function"}],"tools":[]"#,
        r#""Tools":[{"type":"web_search"}]"#,
    ] {
        let answer = rig.post(&token, "responses", format!("{{\"model\":\"gpt-5\",{more}}}")).send().await.unwrap();
        assert_eq!(answer.status(), 400, "{more}");
    }
    assert!(recorder.take().is_empty());
}

#[tokio::test]
async fn a_redirect_takes_no_credential_anywhere() {
    let elsewhere = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(200)).expect(0).mount(&elsewhere).await;
    for status in [300, 301, 302, 303, 305, 307, 308] {
        let server = MockServer::start().await;
        let moved = ResponseTemplate::new(status).insert_header("location", format!("{}/x", elsewhere.uri()).as_str());
        Mock::given(any()).respond_with(moved).mount(&server).await;
        let http =
            json!({ "name": "weather", "kind": "http", "base_url": server.uri(), "credential": { "env": "KEY" } });
        let up = json!({ "name": "up", "kind": "openai", "base_url": server.uri(), "credential": { "env": "KEY" } });
        let grant =
            json!({ "models": ["*"], "paths": ["/v1/**"], "http": [{ "upstream": "weather", "allow": ["* /**"] }] });
        let rig = Rig::granting(&[http, up], &grant).await;
        let token = rig.mine().await;
        for path in ["/http/weather/x", "/v1/files", "/v1/models"] {
            let answer = rig.client.get(rig.url(path)).bearer_auth(&token).send().await.unwrap();
            assert_eq!(answer.status(), 502, "{status} {path}");
            assert!(!answer.headers().contains_key("location"));
            let body: Value = answer.json().await.unwrap();
            assert!(!body.to_string().contains(&elsewhere.address().port().to_string()), "{body}");
        }
    }
}

#[tokio::test]
async fn an_address_of_a_metadata_service_is_never_dialled() {
    for host in [
        "169.254.169.254",
        "169.254.170.2",
        "[fd00:ec2::254]",
        "[::ffff:169.254.169.254]",
        "2852039166",
        "0xa9fea9fe",
        "0251.0376.0251.0376",
        "100.100.100.200",
        "metadata.google.internal",
        "METADATA.google.internal.",
        "168.63.129.16",
    ] {
        for key in ["base_url", "uploads_url", "git_url"] {
            let mut upstream = json!({ "name": "github", "kind": "github", "base_url": "http://127.0.0.1:1" });
            upstream[key] = json!(format!("http://{host}/latest"));
            let folder = tempfile::tempdir().unwrap();
            let clock = ManualClock::new(Timestamp::from_millis(0));
            let opened =
                rig::open(folder.path(), config(&[upstream]), Grants::new(), std::sync::Arc::new(|_| None), clock)
                    .await;
            let error = opened.err().unwrap().to_string();
            assert!(error.contains("cloud metadata service"), "{key} {host}: {error}");
        }
    }
}

#[tokio::test]
async fn a_token_for_nothing_can_do_nothing_and_one_for_another_listener_is_none() {
    let (rig, recorder, _) = open_to_all().await;
    let nothing = rig.token("nothing").await;
    let gone = rig.token("gone").await;
    for token in [&nothing, &gone] {
        for (method, path) in [
            ("POST", "/v1/responses"),
            ("GET", "/v1/files"),
            ("POST", "/anthropic/v1/messages"),
            ("GET", "/http/weather/x"),
            ("GET", "/api/v3/repos/acme/widgets"),
            ("GET", "/api/v3/rate_limit"),
            ("GET", "/git/acme/widgets.git/info/refs?service=git-upload-pack"),
            ("GET", "/mcp/memory"),
        ] {
            let request = rig.client.request(method.parse().unwrap(), rig.url(path)).bearer_auth(token);
            let request = request.header("content-type", "application/json").body(if method == "POST" {
                r#"{"model":"gpt-5"}"#
            } else {
                ""
            });
            assert_eq!(request.send().await.unwrap().status(), 403, "{method} {path}");
        }
    }
    let operator = rig.admin_token();
    let answer = rig.client.get(rig.url("/v1/files")).bearer_auth(&operator).send().await.unwrap();
    assert_eq!(answer.status(), 401, "the operator's token opens no upstream");
    let on_admin =
        rig.client.get(format!("http://{}/admin/v1/tokens", rig.admin)).bearer_auth(&nothing).send().await.unwrap();
    assert_eq!(on_admin.status(), 401);
    assert!(recorder.take().is_empty());
    assert!(
        GatewayConfig::default().listen.ip().is_loopback() && GatewayConfig::default().admin_listen.ip().is_loopback()
    );
}
