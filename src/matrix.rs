//! The few client-server API calls that a person's side needs: the account of `up --local`, and `chat`.
//!
//! Our agents speak through the appservice crate; this is the human, with a password and an access token of its own.

use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Method, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

const TIMEOUT: Duration = Duration::from_secs(30);
/// How long the homeserver may hold a sync that has nothing to tell.
const LONG_POLL: Duration = Duration::from_secs(25);
/// What may stand unescaped in one segment of a path.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A call to the homeserver that did not succeed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MatrixError {
    /// No request could even be made.
    #[error("no HTTP client can be made: {0}")]
    Client(#[source] reqwest::Error),
    /// No answer came.
    #[error("the homeserver at {url} does not answer: {reason}")]
    Unreachable {
        /// Where it should be.
        url: String,
        /// What happened instead.
        reason: String,
    },
    /// The answer was an error of the specification, or of something between.
    #[error("the homeserver refused ({status} {code}): {message}")]
    Refused {
        /// The HTTP status.
        status: StatusCode,
        /// `M_FORBIDDEN` and the like.
        code: String,
        /// The sentence of the homeserver.
        message: String,
        /// Of an authentication that has more stages.
        session: Option<String>,
    },
}

impl MatrixError {
    /// Whether the access token or the password is not accepted (any more).
    pub(crate) fn is_unauthorized(&self) -> bool {
        matches!(self, Self::Refused { status, code, .. } if *status == StatusCode::UNAUTHORIZED || code == "M_FORBIDDEN")
    }
}

fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

/// A homeserver, without an account.
#[derive(Clone, Debug)]
pub(crate) struct Homeserver {
    http: reqwest::Client,
    url: Url,
}

impl Homeserver {
    pub(crate) fn at(url: Url) -> Result<Self, MatrixError> {
        let http = reqwest::Client::builder().no_proxy().timeout(TIMEOUT).build().map_err(MatrixError::Client)?;
        Ok(Self { http, url })
    }

    /// `GET /_matrix/client/versions`: whether it is there.
    pub(crate) async fn versions(&self) -> Result<Value, MatrixError> {
        self.call(Method::GET, "/_matrix/client/versions", None, None).await
    }

    /// `POST /_matrix/client/v3/login` with a password; gives the access token.
    pub(crate) async fn login(&self, user: &str, password: &SecretString) -> Result<SecretString, MatrixError> {
        let body = json!({
            "type": "m.login.password",
            "identifier": {"type": "m.id.user", "user": user},
            "password": password.expose_secret(),
            "device_id": "DOORWARDCHAT",
            "initial_device_display_name": "doorward chat",
        });
        let answer = self.call(Method::POST, "/_matrix/client/v3/login", None, Some(&body)).await?;
        Ok(answer["access_token"].as_str().unwrap_or_default().into())
    }

    /// One call with a body and an access token; the answer's JSON.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        token: Option<&SecretString>,
        body: Option<&Value>,
    ) -> Result<Value, MatrixError> {
        let url = format!("{}{path}", self.url.as_str().trim_end_matches('/'));
        let mut request = self.http.request(method, url);
        if let Some(token) = token {
            request = request.bearer_auth(token.expose_secret());
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let unreachable = |error| MatrixError::Unreachable { url: self.url.to_string(), reason: innermost(&error) };
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let answer: Value = match response.json().await {
            Ok(answer) => answer,
            Err(error) if status.is_success() => return Err(unreachable(error)),
            Err(_) => Value::Null,
        };
        if status.is_success() { Ok(answer) } else { Err(refusal(status, &answer)) }
    }
}

fn refusal(status: StatusCode, answer: &Value) -> MatrixError {
    MatrixError::Refused {
        status,
        code: answer["errcode"].as_str().unwrap_or("no errcode").to_owned(),
        message: answer["error"].as_str().unwrap_or("no reason given").to_owned(),
        session: answer["session"].as_str().map(str::to_owned),
    }
}

/// An account on a homeserver.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    homeserver: Homeserver,
    token: SecretString,
}

impl Account {
    pub(crate) fn new(homeserver: Homeserver, token: SecretString) -> Self {
        Self { homeserver, token }
    }

    /// The user id that the token belongs to.
    pub(crate) async fn whoami(&self) -> Result<String, MatrixError> {
        let answer = self.get("/_matrix/client/v3/account/whoami").await?;
        Ok(answer["user_id"].as_str().unwrap_or_default().to_owned())
    }

    pub(crate) async fn create_room(&self, request: &Value) -> Result<String, MatrixError> {
        let answer = self.send_json(Method::POST, "/_matrix/client/v3/createRoom", request).await?;
        Ok(answer["room_id"].as_str().unwrap_or_default().to_owned())
    }

    pub(crate) async fn set_display_name(&self, user: &str, name: &str) -> Result<(), MatrixError> {
        let path = format!("/_matrix/client/v3/profile/{}/displayname", escape(user));
        self.send_json(Method::PUT, &path, &json!({"displayname": name})).await.map(drop)
    }

    /// Joins a room by id or alias; gives its id.
    pub(crate) async fn join(&self, room: &str) -> Result<String, MatrixError> {
        let answer =
            self.send_json(Method::POST, &format!("/_matrix/client/v3/join/{}", escape(room)), &json!({})).await?;
        Ok(answer["room_id"].as_str().unwrap_or_default().to_owned())
    }

    /// Sends an `m.room.message`; `transaction` makes a retry harmless.
    pub(crate) async fn send_message(&self, room: &str, transaction: &str, content: &Value) -> Result<(), MatrixError> {
        let path = format!("/_matrix/client/v3/rooms/{}/send/m.room.message/{}", escape(room), escape(transaction));
        self.send_json(Method::PUT, &path, content).await.map(drop)
    }

    /// What happened since the batch token `since`; without one, the state of things at once.
    pub(crate) async fn sync(&self, since: Option<&str>, filter: &Value) -> Result<Value, MatrixError> {
        let since = since.map(|since| format!("&since={}&timeout={}", escape(since), LONG_POLL.as_millis()));
        let filter = escape(&filter.to_string());
        self.get(&format!("/_matrix/client/v3/sync?filter={filter}{}", since.unwrap_or_default())).await
    }

    async fn get(&self, path: &str) -> Result<Value, MatrixError> {
        self.homeserver.call(Method::GET, path, Some(&self.token), None).await
    }

    async fn send_json(&self, method: Method, path: &str, body: &Value) -> Result<Value, MatrixError> {
        self.homeserver.call(method, path, Some(&self.token), Some(body)).await
    }
}

fn escape(segment: &str) -> String {
    utf8_percent_encode(segment, SEGMENT).to_string()
}
