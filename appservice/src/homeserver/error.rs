//! What can go wrong with a request to the homeserver, sorted by what a caller can do about it.

use std::error::Error as _;
use std::time::Duration;

use doorward_base::StoreError;
use reqwest::Url;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use ruma::OwnedUserId;
use serde::Deserialize;

/// Why something could not be done as one of our users.
#[derive(Debug, thiserror::Error)]
pub enum IntentError {
    /// No answer came.
    #[error("the homeserver at {url} cannot be reached: {reason}")]
    Unreachable {
        /// Where it should be.
        url: String,
        /// What went wrong on the way.
        reason: String,
        /// Whether the homeserver may have got the request all the same: `false` if there was no connection to send it on.
        sent: bool,
    },
    /// The homeserver said no.
    /// [Client-Server API, "Standard error response"](https://spec.matrix.org/v1.16/client-server-api/#standard-error-response)
    #[error("the homeserver refused ({status} {errcode}): {message}")]
    Matrix {
        /// The HTTP status.
        status: u16,
        /// For example `M_FORBIDDEN`.
        errcode: String,
        /// For a person.
        message: String,
        /// How long the homeserver wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// Something answered that does not speak Matrix.
    #[error("what answers at {url} (status {status}) is no Matrix homeserver: check the URL, and the proxy before it")]
    Foreign {
        /// Where it should be.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// A person has this name.
    #[error(
        "the user {user} exists already and is not ours: rename or deactivate that account, or choose another name for ours"
    )]
    UserInUse {
        /// The name.
        user: OwnedUserId,
    },
    /// The answer lacks what it should hold.
    #[error("the homeserver's answer has no usable `{0}`")]
    Answer(&'static str),
    /// Our own database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[derive(Deserialize)]
struct Body {
    errcode: String,
    #[serde(default)]
    error: String,
    #[serde(default)]
    retry_after_ms: Option<f64>,
}

impl IntentError {
    /// Whether the same request may succeed later without anyone changing the request.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Store(_) => true,
            // A proxy speaks for a homeserver that is down or misplaced, except about the size of what we sent.
            Self::Foreign { status, .. } => *status != 413,
            // A token that is not accepted is a setting that someone will correct; what is sent need not be lost for it.
            Self::Matrix { status, errcode, .. } => {
                matches!(*status, 408 | 425 | 429 | 500..)
                    || matches!(errcode.as_str(), "M_LIMIT_EXCEEDED" | "M_UNKNOWN_TOKEN" | "M_MISSING_TOKEN")
            }
            Self::UserInUse { .. } | Self::Answer(_) => false,
        }
    }

    /// Whether the request certainly changed nothing on the homeserver: it was never sent, or it was refused. After silence
    /// or a failure of the server, no one knows.
    pub(crate) fn changed_nothing(&self) -> bool {
        match self {
            Self::Unreachable { sent, .. } => !sent,
            // A redirect is a refusal too, because we do not follow it. A server that timed out may have done half of it.
            Self::Matrix { status, .. } | Self::Foreign { status, .. } => {
                matches!(*status, 300..=499) && *status != 408
            }
            Self::UserInUse { .. } | Self::Answer(_) | Self::Store(_) => false,
        }
    }

    /// How long the homeserver wants to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Matrix { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// The Matrix error code, if the homeserver gave one.
    pub fn errcode(&self) -> Option<&str> {
        match self {
            Self::Matrix { errcode, .. } => Some(errcode),
            _ => None,
        }
    }

    pub(crate) fn is(&self, errcode: &str) -> bool {
        self.errcode() == Some(errcode)
    }

    pub(super) fn unreachable(url: &Url, error: &reqwest::Error) -> Self {
        let reason = if error.is_timeout() { "no answer in time".to_owned() } else { root_cause(error) };
        Self::Unreachable { url: url.to_string(), reason, sent: !error.is_connect() }
    }

    pub(super) fn foreign(url: &Url, status: u16) -> Self {
        Self::Foreign { url: url.to_string(), status }
    }

    pub(super) fn refused(url: &Url, status: u16, headers: &HeaderMap, body: &[u8]) -> Self {
        let Ok(body) = serde_json::from_slice::<Body>(body) else { return Self::foreign(url, status) };
        let in_body =
            body.retry_after_ms.map(|millis| Duration::try_from_secs_f64(millis / 1000.0).unwrap_or_default());
        let retry_after = in_body.max(retry_after_header(headers));
        Self::Matrix { status, errcode: body.errcode, message: body.error, retry_after }
    }
}

/// The header in seconds. As a date it would need the server's clock to agree with ours; Matrix servers send seconds.
fn retry_after_header(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// The innermost error says "connection refused"; the outer ones repeat the URL with its query.
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    match cause.to_string() {
        text if error.source().is_none() || text.is_empty() => "the connection failed".to_owned(),
        text => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(status: u16, header: Option<&str>, body: &str) -> IntentError {
        let mut headers = HeaderMap::new();
        if let Some(value) = header {
            headers.insert(RETRY_AFTER, value.parse().unwrap());
        }
        IntentError::refused(&Url::parse("http://hs").unwrap(), status, &headers, body.as_bytes())
    }

    #[test]
    fn the_longer_of_both_ways_to_say_wait_counts() {
        let body = r#"{"errcode":"M_LIMIT_EXCEEDED","error":"slow","retry_after_ms":1500}"#;
        assert_eq!(refusal(429, None, body).retry_after(), Some(Duration::from_millis(1500)));
        assert_eq!(refusal(429, Some("3"), body).retry_after(), Some(Duration::from_secs(3)));
        assert_eq!(refusal(429, Some("soon"), r#"{"errcode":"M_X"}"#).retry_after(), None);
    }

    #[test]
    fn what_may_pass_later_is_told_from_what_never_will() {
        for (status, errcode) in [(429, "M_LIMIT_EXCEEDED"), (502, "M_UNKNOWN"), (401, "M_UNKNOWN_TOKEN")] {
            assert!(refusal(status, None, &format!(r#"{{"errcode":"{errcode}"}}"#)).is_retryable(), "{errcode}");
        }
        for (status, errcode) in [(403, "M_FORBIDDEN"), (413, "M_TOO_LARGE"), (400, "M_BAD_JSON"), (403, "M_EXCLUSIVE")]
        {
            assert!(!refusal(status, None, &format!(r#"{{"errcode":"{errcode}"}}"#)).is_retryable(), "{errcode}");
        }
        assert!(refusal(502, None, "<html>Bad gateway</html>").is_retryable());
        assert!(!refusal(413, None, "<html>Too large</html>").is_retryable());
    }

    #[test]
    fn a_refusal_changed_nothing_and_a_failure_may_have() {
        for (status, body) in
            [(401, r#"{"errcode":"M_UNKNOWN_TOKEN"}"#), (429, r#"{"errcode":"M_X"}"#), (301, ""), (404, "<html>")]
        {
            assert!(refusal(status, None, body).changed_nothing(), "{status}");
        }
        for (status, body) in [(500, r#"{"errcode":"M_UNKNOWN"}"#), (408, ""), (504, "<html>"), (200, "<html>")] {
            assert!(!refusal(status, None, body).changed_nothing(), "{status}");
        }
    }
}
