//! The shapes of error answers, as the client of each format reads them.

use axum::http::{HeaderValue, StatusCode};
use serde_json::{Value, json};

use crate::consumer::wire::Wire;

/// The body of a refusal.
pub(super) fn body(wire: Wire, status: StatusCode, code: &str, message: &str) -> String {
    match wire {
        Wire::OpenAi => openai(status, code, message).to_string(),
        Wire::Anthropic => anthropic(status, message).to_string(),
        // https://docs.github.com/rest/using-the-rest-api/troubleshooting-the-rest-api; GraphQL clients read `errors`.
        Wire::Github => {
            // By these words clients tell a bad token from the rest.
            let short = if status == StatusCode::UNAUTHORIZED { "Bad credentials" } else { message };
            json!({
                "message": short, "status": status.as_str(), "code": code, "errors": [{ "message": message, "type": code.to_uppercase() }],
            })
            .to_string()
        }
        // git shows the lines of a plain text after `remote:`.
        Wire::Git => format!("{message}\n"),
        // JSON-RPC 2.0, section 5.1: an error that is not of one request has no id.
        Wire::Mcp => json!({
            "jsonrpc": "2.0", "id": null, "error": { "code": -32_000, "message": message, "data": { "code": code } },
        })
        .to_string(),
        Wire::Http => json!({ "error": { "message": message, "code": code } }).to_string(),
    }
}

pub(super) fn content_type(wire: Wire) -> &'static str {
    if wire == Wire::Git { "text/plain; charset=utf-8" } else { "application/json" }
}

/// RFC 9110, section 11.6.1. git sends what it has only after it was asked for Basic.
pub(super) fn challenge(wire: Wire) -> HeaderValue {
    HeaderValue::from_static(if wire == Wire::Git { "Basic realm=\"doorward\"" } else { "Bearer" })
}

fn openai(status: StatusCode, code: &str, message: &str) -> Value {
    let kind = match status {
        _ if status.is_server_error() => "server_error",
        StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
        _ => "invalid_request_error",
    };
    json!({ "error": { "message": message, "type": kind, "param": null, "code": code } })
}

/// <https://docs.anthropic.com/en/api/errors>
fn anthropic(status: StatusCode, message: &str) -> Value {
    let kind = match status {
        StatusCode::UNAUTHORIZED => "authentication_error",
        StatusCode::FORBIDDEN => "permission_error",
        StatusCode::NOT_FOUND => "not_found_error",
        StatusCode::PAYLOAD_TOO_LARGE => "request_too_large",
        StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
        StatusCode::GATEWAY_TIMEOUT => "timeout_error",
        _ if status.is_server_error() => "api_error",
        _ => "invalid_request_error",
    };
    json!({ "type": "error", "error": { "type": kind, "message": message } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_finds_the_sentence_where_it_looks_for_it() {
        let read = |wire| -> Value {
            serde_json::from_str(&body(wire, StatusCode::FORBIDDEN, "not_granted", "no \"x\"")).unwrap()
        };
        assert_eq!(read(Wire::OpenAi)["error"]["message"], "no \"x\"");
        assert_eq!(read(Wire::Anthropic)["error"]["type"], "permission_error");
        assert_eq!(read(Wire::Github)["message"], "no \"x\"");
        let unknown = body(Wire::Github, StatusCode::UNAUTHORIZED, "invalid_api_key", "expired");
        let unknown: Value = serde_json::from_str(&unknown).unwrap();
        assert_eq!(
            (&unknown["message"], &unknown["errors"][0]["message"]),
            (&"Bad credentials".into(), &"expired".into())
        );
        assert_eq!(read(Wire::Mcp)["error"]["message"], "no \"x\"");
        assert_eq!(body(Wire::Git, StatusCode::FORBIDDEN, "not_granted", "no"), "no\n");
    }
}
