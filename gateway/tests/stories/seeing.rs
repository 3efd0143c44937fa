//! What operators see of calls: the audit log, metrics and traces.

use std::time::Duration;

use doorward_gateway::config::Usd;
use doorward_gateway::{AuditFilter, Decision};
use serde_json::{Value, json};
use wiremock::matchers::{any, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::rig::{KEY, Rig, config, nobody, openai, soon};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// An upstream that answers with usage and quotes the key that it was shown.
async fn indiscreet() -> MockServer {
    let server = MockServer::start().await;
    let usage =
        json!({ "prompt_tokens": 1000, "completion_tokens": 100, "prompt_tokens_details": { "cached_tokens": 400 } });
    let body = json!({ "model": "gpt-5-2025-08-07", "usage": usage, "choices": [{ "message": { "content": format!("hello {KEY}") } }] });
    Mock::given(any()).respond_with(ResponseTemplate::new(200).set_body_json(body)).mount(&server).await;
    server
}

#[tokio::test]
async fn a_row_says_what_was_done_under_which_grant_and_for_how_much() {
    let server = indiscreet().await;
    let rig = Rig::start(&[openai("up", *server.address())]).await;
    let token = rig.token("searcher").await;
    let body = json!({ "model": "gpt-5", "input": "hi", "tools": [{ "type": "web_search" }] }).to_string();
    rig.post(&token, "responses", body).send().await.unwrap().bytes().await.unwrap();
    let row = rig.audit_row().await;
    assert_eq!((row.effects.as_deref(), row.grant.as_deref()), (Some("web_search"), Some("searcher")));
    assert_eq!((row.prompt_tokens, row.cached_tokens, row.completion_tokens), (Some(1000), Some(400), Some(100)));
    // 600 tokens at 1.25 $, 400 at 0.125 $ and 100 at 10 $ a million.
    assert_eq!(row.usd, Some(Usd::try_from(0.0018).unwrap()));
}

#[tokio::test]
async fn a_row_names_the_effects_on_github_and_the_tools_of_an_mcp_server() {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(200)).mount(&server).await;
    let base = server.uri();
    let upstreams = [
        json!({ "name": "github", "kind": "github", "base_url": base, "credential": { "env": "KEY" } }),
        json!({ "name": "memory", "kind": "mcp", "base_url": base }),
    ];
    let grant = json!({
        "github": [{ "repos": ["acme/*"], "allow": ["pulls:merge"] }],
        "mcp": [{ "upstream": "memory", "tools": ["read_*"] }],
    });
    let rig = Rig::granting(&upstreams, &grant).await;
    let token = rig.mine().await;
    let merge = rig.client.put(rig.url("/api/v3/repos/Acme/Widgets/pulls/7/merge")).bearer_auth(&token);
    assert_eq!(merge.json(&json!({})).send().await.unwrap().status(), 200);
    let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": "delete_all" } });
    let call = rig.client.post(rig.url("/mcp/memory")).bearer_auth(&token).json(&call);
    assert_eq!(call.send().await.unwrap().status(), 403);
    let rows = rig.audit_rows(2).await;
    let seen: Vec<_> = rows.iter().map(|row| (row.effects.as_deref().unwrap_or_default(), row.decision)).collect();
    let merged = ("pulls:merge on acme/widgets", Decision::Allowed);
    assert!(seen.contains(&merged) && seen.contains(&("tool delete_all", Decision::Refused)), "{seen:?}");
    assert!(rows.iter().all(|row| row.usd.is_none()));
}

#[tokio::test]
async fn metrics_tell_of_upstreams_and_of_credentials_that_came_back() {
    let server = indiscreet().await;
    let rig = Rig::start(&[openai("up", *server.address())]).await;
    let token = rig.token("default").await;
    let answer = rig.chat(&token, "gpt-5").send().await.unwrap().text().await.unwrap();
    assert!(answer.contains("hello ***") && !answer.contains(KEY), "{answer}");
    rig.chat("dw_wrong", "gpt-5").send().await.unwrap();
    rig.audit_rows(2).await;
    let metrics = rig.client.get(format!("http://{}/metrics", rig.admin)).send().await.unwrap();
    let text = metrics.text().await.unwrap();
    for line in [
        "requests_total{wire=\"openai\",decision=\"allowed\",status=\"200\"} 1",
        "requests_total{wire=\"openai\",decision=\"refused\",status=\"401\"} 1",
        "tokens_total{upstream=\"up\",kind=\"cached\"} 400",
        "cost_dollars_total{upstream=\"up\"} 0.0018",
        "upstream_seconds_count{upstream=\"up\"} 1",
        "overhead_seconds_bucket{upstream=\"up\",le=\"+Inf\"} 1",
        "redactions_total 1",
        "held_approvals 0",
        "resting_credentials{upstream=\"up\"} 0",
        "audit_queue_rows 0",
    ] {
        assert!(text.lines().any(|found| found == format!("doorward_gateway_{line}")), "{line} in {text}");
    }
    for family in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let name = family.split(' ').next().unwrap();
        assert!(text.contains(&format!("# HELP {name} ")), "{name}");
    }
}

/// A collector, and a gateway that sends its spans there.
async fn traced(upstream: &MockServer) -> (MockServer, Rig) {
    let collector = MockServer::start().await;
    Mock::given(path("/v1/traces")).respond_with(ResponseTemplate::new(200)).mount(&collector).await;
    let mut config = config(&[openai("up", *upstream.address())]);
    config.telemetry.otlp_endpoint = Some(collector.uri().parse().unwrap());
    (collector, Rig::start_with(config).await)
}

/// All that the collector got, once that many spans are there.
async fn spans(collector: &MockServer, count: usize) -> Vec<Value> {
    soon(async {
        loop {
            let requests = collector.received_requests().await.unwrap();
            let bodies = requests.iter().map(|request| serde_json::from_slice::<Value>(&request.body).unwrap());
            let lists =
                bodies.map(|body| body["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap().clone());
            let spans: Vec<Value> = lists.flatten().collect();
            if spans.len() >= count {
                return spans;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
}

fn attribute<'a>(span: &'a Value, key: &str) -> &'a Value {
    let found = span["attributes"].as_array().unwrap().iter().find(|attribute| attribute["key"] == key);
    found.map_or(&Value::Null, |attribute| attribute["value"].as_object().unwrap().values().next().unwrap())
}

#[tokio::test]
async fn a_call_is_a_span_below_its_callers_without_secrets_and_texts() {
    let server = indiscreet().await;
    let (collector, rig) = traced(&server).await;
    let token = rig.token("default").await;
    let body =
        json!({ "model": "gpt-5", "messages": [{ "role": "user", "content": "a private question" }] }).to_string();
    let asked = rig.post(&token, "chat/completions?trace=hidden", body).header("traceparent", PARENT);
    asked.send().await.unwrap().bytes().await.unwrap();
    let span = spans(&collector, 1).await.remove(0);
    assert_eq!((&span["name"], &span["kind"]), (&json!("chat gpt-5"), &json!(3)));
    assert_eq!(span["traceId"], "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(span["parentSpanId"], "b7ad6b7169203331");
    assert_eq!(span["spanId"].as_str().unwrap().len(), 16);
    assert_eq!((&span["startTimeUnixNano"], &span["status"]), (&json!("1700000000000000000"), &json!({})));
    for (key, value) in [
        ("gen_ai.operation.name", json!("chat")),
        ("gen_ai.provider.name", json!("openai")),
        ("gen_ai.request.model", json!("gpt-5")),
        ("gen_ai.response.model", json!("gpt-5-2025-08-07")),
        ("gen_ai.usage.input_tokens", json!("1000")),
        ("gen_ai.usage.output_tokens", json!("100")),
        ("gen_ai.usage.cache_read.input_tokens", json!("400")),
        ("http.request.method", json!("POST")),
        ("http.response.status_code", json!("200")),
        ("url.path", json!("/v1/chat/completions")),
        ("server.address", json!("127.0.0.1")),
        ("server.port", json!(server.address().port().to_string())),
        ("error.type", Value::Null),
        ("doorward.consumer", json!("alice")),
        ("doorward.decision", json!("allowed")),
        ("doorward.cost_usd", json!(0.0018)),
    ] {
        assert_eq!(attribute(&span, key), &value, "{key}");
    }
    let sent = collector.received_requests().await.unwrap();
    assert_eq!(sent[0].headers["content-type"], "application/json");
    let sent = String::from_utf8_lossy(&sent[0].body).into_owned();
    for secret in [KEY, token.as_str(), "private question", "hello", "hidden"] {
        assert!(!sent.contains(secret), "{secret} in {sent}");
    }
    let passed = server.received_requests().await.unwrap();
    assert_eq!(passed[0].headers["traceparent"], PARENT, "the caller's headers go on as they came");
}

#[tokio::test]
async fn a_refused_call_is_a_failed_span_and_one_that_its_caller_does_not_keep_is_none() {
    let server = indiscreet().await;
    let (collector, rig) = traced(&server).await;
    let token = rig.token("default").await;
    let unsampled = PARENT.replace("-01", "-00");
    rig.chat(&token, "gpt-5").header("traceparent", unsampled).send().await.unwrap().bytes().await.unwrap();
    rig.chat(&token, "o3").send().await.unwrap().bytes().await.unwrap();
    rig.audit_rows(2).await;
    // What is still on its way goes out at the stop.
    rig.stop().await;
    let spans = spans(&collector, 1).await;
    assert_eq!(spans.len(), 1);
    assert_eq!((&spans[0]["name"], &spans[0]["status"]), (&json!("chat o3"), &json!({ "code": 2 })));
    assert_eq!(attribute(&spans[0], "http.response.status_code"), "403");
    assert_eq!(attribute(&spans[0], "error.type"), "model_not_found");
    assert_eq!(spans[0]["parentSpanId"], Value::Null);
}

#[tokio::test]
async fn a_collector_that_is_away_holds_up_nobody_and_its_spans_are_counted() {
    let server = indiscreet().await;
    let mut config = config(&[openai("up", *server.address())]);
    config.telemetry.otlp_endpoint = Some(format!("http://{}", nobody().await).parse().unwrap());
    let rig = Rig::start_with(config).await;
    let token = rig.token("default").await;
    assert_eq!(soon(rig.chat(&token, "gpt-5").send()).await.unwrap().status(), 200);
    let dropped = async {
        loop {
            let metrics = rig.client.get(format!("http://{}/metrics", rig.admin)).send().await.unwrap();
            if metrics.text().await.unwrap().contains("doorward_gateway_dropped_spans_total 1\n") {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    soon(dropped).await;
}

#[tokio::test]
async fn the_admin_interface_filters_and_says_what_it_does_not_understand() {
    let server = indiscreet().await;
    let rig = Rig::start(&[openai("up", *server.address())]).await;
    let token = rig.token("default").await;
    for model in ["gpt-5", "o3"] {
        rig.chat(&token, model).send().await.unwrap().bytes().await.unwrap();
    }
    rig.audit_rows(2).await;
    for (query, count) in [
        ("decision=refused&status=4xx&since=1h", 1),
        ("model=gpt-*&upstream=up&path=/v1/chat", 1),
        ("path=/v1/*/completions", 2),
        ("until=2020-01-01T00:00:00Z", 0),
        ("decision=&status=&path=&model=", 2),
    ] {
        let (status, rows) = rig.ask("GET", &format!("/admin/v1/audit?{query}"), "").await;
        assert_eq!((status, rows["audit"].as_array().unwrap().len()), (200, count), "{query}");
    }
    for (query, part) in [
        ("audit?decision=maybe", "`allowed` and `refused`"),
        ("audit?status=4x", "4xx"),
        ("audit?since=yesterday", "`yesterday` is no time"),
        ("usage?by=month", "`consumer`, `model` and `day`"),
    ] {
        let (status, answer) = rig.ask("GET", &format!("/admin/v1/{query}"), "").await;
        let sentence = answer["error"].as_str().unwrap();
        assert!(status == 400 && sentence.contains(part), "{query}: {sentence}");
    }
    let (_, usage) = rig.ask("GET", "/admin/v1/usage?by=day,model", "").await;
    assert_eq!((&usage["usage"][0]["day"], &usage["usage"][0]["usd"]), (&json!("2023-11-14"), &json!(0.0018)));
    assert_eq!(usage["usage"][0]["consumer"], Value::Null);
    let rows = rig.gateway.audit().list(&AuditFilter::default(), 10).await.unwrap();
    assert!(!format!("{rows:?}").contains(KEY));
}

#[tokio::test]
async fn usage_shows_what_is_left_of_a_budget() {
    let server = indiscreet().await;
    let grant = json!({ "models": ["*"], "budget": { "tokens_per_day": 5000, "usd_per_day": 1.5 } });
    let rig = Rig::granting(&[openai("up", *server.address())], &grant).await;
    let token = rig.mine().await;
    let row = rig.chat(&token, "gpt-5").send().await.unwrap();
    row.bytes().await.unwrap();
    assert_eq!(rig.audit_row().await.grant.as_deref(), Some("mine"));
    let settled = async {
        loop {
            let (_, usage) = rig.ask("GET", "/admin/v1/usage", "").await;
            let budget = &usage["budgets"][0];
            if budget["tokens_today"] == 1100 {
                return budget.clone();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let budget = soon(settled).await;
    assert_eq!((&budget["usd_today"], &budget["limits"]["usd_per_day"]), (&json!(0.0018), &json!(1.5)));
    assert_eq!(budget["renews_at"], "2023-11-15T00:00:00Z");
}
