//! Requests to the homeserver: one place that shows it our token, one place that reads its refusals.

mod error;

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Url};
use ruma::UserId;
use serde_json::Value;

use crate::registration::AsToken;

pub use error::IntentError;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_mins(1);

/// The homeserver, as this application service sees it.
#[derive(Clone, Debug)]
pub(crate) struct Homeserver {
    http: reqwest::Client,
    base: Url,
    token: AsToken,
}

/// A request being put together.
pub(crate) struct Call<'a> {
    homeserver: &'a Homeserver,
    request: reqwest::RequestBuilder,
}

impl Homeserver {
    pub(crate) fn new(base: Url, token: AsToken) -> Self {
        // An error means that the program has chosen its provider already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            // The token is for the homeserver alone: a proxy named in the environment would read it, even on the way to loopback.
            // Without a test, because the environment of a running test cannot be changed safely.
            .no_proxy()
            // A homeserver has no reason to send a request with our token elsewhere.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .expect("a client without certificates or proxies of its own can always be built");
        Self { http, base, token }
    }

    pub(crate) fn url(&self) -> &Url {
        &self.base
    }

    /// A request to the path made of `segments`, each percent-encoded.
    pub(crate) fn call(&self, method: Method, segments: &[&str]) -> Call<'_> {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        let mut token = HeaderValue::try_from(format!("Bearer {}", self.token.expose()))
            .unwrap_or_else(|_| HeaderValue::from_static("Bearer"));
        token.set_sensitive(true);
        let request = self.http.request(method, url).header(AUTHORIZATION, token).timeout(TIMEOUT);
        Call { homeserver: self, request }
    }
}

impl Call<'_> {
    /// Acts as one of our users instead of the sender.
    /// [Application Service API, "Identity assertion"](https://spec.matrix.org/v1.16/application-service-api/#identity-assertion)
    pub(crate) fn acting_as(self, user: &UserId) -> Self {
        self.query("user_id", user.as_str())
    }

    pub(crate) fn query(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.query(&[(name, value)]);
        self
    }

    pub(crate) fn json(mut self, body: &Value) -> Self {
        self.request = self.request.json(body);
        self
    }

    pub(crate) fn bytes(mut self, body: bytes::Bytes, content_type: &str) -> Self {
        self.request = self.request.header(CONTENT_TYPE, content_type).body(body);
        self
    }

    pub(crate) fn within(mut self, timeout: Duration) -> Self {
        self.request = self.request.timeout(timeout);
        self
    }

    /// Sends the request; gives the JSON of a 2xx answer.
    pub(crate) async fn send(self) -> Result<Value, IntentError> {
        let homeserver = self.homeserver;
        let unreachable = |error| IntentError::unreachable(homeserver.url(), &error);
        let response = self.request.send().await.map_err(unreachable)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.bytes().await.map_err(unreachable)?;
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|_| IntentError::foreign(homeserver.url(), status.as_u16()));
        }
        Err(IntentError::refused(homeserver.url(), status.as_u16(), &headers, &body))
    }
}
