//! Whether the homeserver is there, knows our registration, and reaches us.

use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::post;
use axum::{Json, Router};
use doorward_appservice::{HsToken, Registration};
use reqwest::Method;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::findings::Findings;
use crate::config::{Config, HomeserverConfig};
use crate::matrix::{Homeserver, MatrixError};
use crate::registration;
use crate::serve::Listener;

/// A homeserver gives up on us after about as long.
const PING: Duration = Duration::from_secs(30);

pub(super) async fn examine(config: &Config, findings: &mut Findings) {
    let settings = match config.homeserver() {
        Ok(settings) => settings,
        Err(error) => return findings.failed("homeserver", error),
    };
    let homeserver = match Homeserver::at(settings.url.clone()) {
        Ok(homeserver) => homeserver,
        Err(error) => return findings.failed("homeserver", error),
    };
    if let Err(error) = homeserver.versions().await {
        return findings.failed("homeserver", format_args!("{error}; start it, or correct `homeserver.url`"));
    }
    findings.ok("homeserver", format_args!("{} answers", settings.url));
    let registration = match registration::read(&config.appservice.registration) {
        Ok(registration) => registration,
        Err(failure) => return findings.failed("registration", failure),
    };
    if accepted(config, settings, &homeserver, &registration, findings).await {
        ping(config, &homeserver, &registration, findings).await;
    }
}

/// Whether our token makes us the sender of the registration.
async fn accepted(
    config: &Config,
    settings: &HomeserverConfig,
    homeserver: &Homeserver,
    registration: &Registration,
    findings: &mut Findings,
) -> bool {
    let token = SecretString::from(registration.as_token.expose());
    let answer = homeserver.call(Method::GET, "/_matrix/client/v3/account/whoami", Some(&token), None).await;
    let expected = format!("@{}:{}", registration.sender_localpart, settings.server_name);
    match answer {
        Ok(answer) if answer["user_id"] == expected.as_str() => {
            findings.ok("registration", format_args!("the homeserver knows us as {expected}"));
            true
        }
        Ok(answer) => {
            let known = answer["user_id"].as_str().unwrap_or("somebody else").to_owned();
            findings.failed(
                "registration",
                format_args!("the homeserver knows us as {known}, not as {expected}; correct `homeserver.server_name`"),
            );
            false
        }
        Err(error) => {
            findings.failed(
                "registration",
                format_args!(
                    "{error}; give the homeserver {} (Synapse: app_service_config_files, then restart; Tuwunel: !admin appservices register)",
                    config.appservice.registration.display()
                ),
            );
            false
        }
    }
}

/// Asks the homeserver to call us. If no doorward is running, the answer comes from here.
async fn ping(config: &Config, homeserver: &Homeserver, registration: &Registration, findings: &mut Findings) {
    let stop = CancellationToken::new();
    if let Ok(listener) = Listener::bind("appservice.listen", config.appservice.listen).await {
        tokio::spawn(listener.serve(stand_in(registration.hs_token.clone()), stop.clone()));
    }
    let token = SecretString::from(registration.as_token.expose());
    let path = format!("/_matrix/client/v1/appservice/{}/ping", registration.id);
    let nothing = json!({});
    let call = homeserver.call(Method::POST, &path, Some(&token), Some(&nothing));
    match tokio::time::timeout(PING, call).await {
        Ok(Ok(answer)) => {
            findings.ok("ping", format_args!("the homeserver reaches us in {} ms", answer["duration_ms"]));
        }
        Ok(Err(error)) => findings.failed("ping", ping_cure(&error, registration)),
        Err(_) => findings.failed("ping", "the homeserver took longer than 30 s; see its log"),
    }
    stop.cancel();
}

fn ping_cure(error: &MatrixError, registration: &Registration) -> String {
    let url = &registration.url;
    let cure = match error {
        MatrixError::Refused { code, .. } if code.contains("CONNECTION") => {
            format!("the homeserver cannot reach {url}: correct `url` in the registration on both sides, or `appservice.listen`")
        }
        MatrixError::Refused { code, .. } if code.contains("BAD_STATUS") => {
            "what answers there has another registration: copy the registration file to the homeserver again, and restart both".to_owned()
        }
        MatrixError::Refused { status: StatusCode::NOT_FOUND, .. } => {
            "this homeserver is too old to ping: transactions will still come".to_owned()
        }
        _ => format!("look at the homeserver's log for {url}"),
    };
    format!("{error}; {cure}")
}

/// Answers the ping, to who shows the homeserver's token.
fn stand_in(token: HsToken) -> Router {
    Router::new().route("/_matrix/app/v1/ping", post(answer_ping)).with_state(token)
}

#[derive(Deserialize)]
struct Legacy {
    access_token: Option<String>,
}

async fn answer_ping(
    State(token): State<HsToken>,
    Query(legacy): Query<Legacy>,
    headers: HeaderMap,
) -> (StatusCode, Json<Value>) {
    let header = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let shown = header.and_then(|value| value.strip_prefix("Bearer ")).or(legacy.access_token.as_deref());
    match shown {
        Some(shown) if token.matches(shown) => (StatusCode::OK, Json(json!({}))),
        _ => (StatusCode::FORBIDDEN, Json(json!({"errcode": "M_FORBIDDEN", "error": "another hs_token"}))),
    }
}
