//! The body of a request: read once, within limits of size and time, and forwarded as it came.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use tokio::time::timeout;

use super::git::Spooled;
use super::refusal::Refusal;
use super::room::Share;
use crate::approvals::RequestDigest;
use crate::config::ByteSize;
use crate::credentials::splice::splice_model;

/// What a request carries on to the upstream.
#[derive(Debug, Default)]
pub(crate) enum Payload {
    #[default]
    Nothing,
    /// The whole body in memory.
    Memory(Bytes),
    /// A push, on disk.
    Spooled(Spooled),
}

impl Payload {
    pub(crate) fn of(body: Bytes) -> Self {
        if body.is_empty() { Self::Nothing } else { Self::Memory(body) }
    }

    /// Its length in bytes.
    pub(crate) fn length(&self) -> u64 {
        match self {
            Self::Nothing => 0,
            Self::Memory(bytes) => bytes.len() as u64,
            Self::Spooled(spooled) => spooled.length(),
        }
    }

    /// The bytes, as far as they are in memory.
    pub(crate) fn in_memory(&self) -> &[u8] {
        match self {
            Self::Nothing | Self::Spooled(_) => &[],
            Self::Memory(bytes) => bytes,
        }
    }

    /// What a human approves. What is on disk stands there as its SHA-256.
    pub(super) async fn digest(&self, method: &str, target: &str) -> Result<RequestDigest, Refusal> {
        match self {
            Self::Spooled(spooled) => Ok(RequestDigest::of(method, target, &spooled.digest().await?)),
            _ => Ok(RequestDigest::of(method, target, self.in_memory())),
        }
    }

    /// The same once more, for another attempt.
    pub(super) fn again(&self) -> Self {
        match self {
            Self::Nothing => Self::Nothing,
            Self::Memory(bytes) => Self::Memory(bytes.clone()),
            Self::Spooled(spooled) => Self::Spooled(spooled.clone()),
        }
    }

    pub(super) fn take(&mut self) -> Self {
        std::mem::take(self)
    }

    /// Under the name that the upstream has for the model, if it has another.
    pub(super) fn for_model(self, alias: Option<&str>) -> Result<Self, Refusal> {
        match (self, alias) {
            (Self::Memory(body), Some(model)) => {
                let unreadable =
                    |_| Refusal::UnreadableBody("an alias of a model is understood in JSON alone".to_owned());
                splice_model(&body, model).map(Self::Memory).map_err(unreadable)
            }
            (payload, _) => Ok(payload),
        }
    }

    pub(super) fn into_body(self) -> Option<reqwest::Body> {
        match self {
            Self::Nothing => None,
            Self::Memory(bytes) => Some(bytes.into()),
            Self::Spooled(spooled) => Some(spooled.into_body()),
        }
    }
}

/// How much of a body is read, how long the next piece of it may take, and what it takes of the room for all.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    pub(crate) limit: ByteSize,
    pub(crate) idle: Duration,
    pub(crate) share: Arc<Share>,
}

impl Reading {
    /// The whole body in memory.
    pub(crate) async fn collect(self, headers: &HeaderMap, body: Body) -> Result<Bytes, Refusal> {
        let share = self.share.clone();
        let mut pieces = Pieces::new(self, headers, body)?;
        pieces.counted = Some(share);
        let Some(first) = pieces.next().await? else { return Ok(Bytes::new()) };
        let Some(second) = pieces.next().await? else { return Ok(first) };
        let mut whole = BytesMut::from(first.as_ref());
        whole.extend_from_slice(&second);
        while let Some(piece) = pieces.next().await? {
            whole.extend_from_slice(&piece);
        }
        Ok(whole.freeze())
    }
}

/// A body, piece by piece.
pub(crate) struct Pieces {
    body: Body,
    reading: Reading,
    read: u64,
    /// Whose memory the pieces stay in.
    counted: Option<Arc<Share>>,
}

impl Pieces {
    /// Refuses a body that announces itself as too large before any of it is read.
    pub(crate) fn new(reading: Reading, headers: &HeaderMap, body: Body) -> Result<Self, Refusal> {
        let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        match announced {
            Some(length) if length > reading.limit.0 => Err(Refusal::TooLarge(reading.limit)),
            _ => Ok(Self { body, reading, read: 0, counted: None }),
        }
    }

    /// The next piece, or the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Refusal> {
        loop {
            let Ok(frame) = timeout(self.reading.idle, self.body.frame()).await else {
                return Err(Refusal::BodyTooSlow);
            };
            let Some(frame) = frame else { return Ok(None) };
            let frame = frame.map_err(|_| Refusal::BodyBrokeOff)?;
            // Trailers of a request are nobody's business.
            let Ok(piece) = frame.into_data() else { continue };
            if let Some(share) = &self.counted {
                share.take_bytes(piece.len() as u64)?;
            }
            self.read += piece.len() as u64;
            if self.read > self.reading.limit.0 {
                return Err(Refusal::TooLarge(self.reading.limit));
            }
            return Ok(Some(piece));
        }
    }
}

/// A type or an encoding that a server would read in another way than the policy does is refused.
pub(crate) fn check_json(headers: &HeaderMap) -> Result<(), Refusal> {
    if is_json(headers)? && is_plain(headers) { Ok(()) } else { Err(Refusal::MediaType) }
}

/// Whether the body says of itself that it is JSON in UTF-8; refused if it says two things.
pub(crate) fn is_json(headers: &HeaderMap) -> Result<bool, Refusal> {
    let Some(value) = media_type(headers)? else { return Ok(false) };
    let mut parts = value.split(';').map(str::trim);
    let json = parts.next() == Some("application/json");
    let utf8 = parts.all(|part| matches!(part, "" | "charset=utf-8" | "charset=\"utf-8\"" | "charset=utf8"));
    Ok(json && utf8)
}

/// The one `Content-Type`, in lower case.
pub(crate) fn media_type(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let mut types = headers.get_all(CONTENT_TYPE).into_iter();
    match (types.next(), types.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => {
            value.to_str().map(|value| Some(value.to_ascii_lowercase())).map_err(|_| Refusal::MediaType)
        }
        _ => Err(Refusal::MediaType),
    }
}

/// Whether the body is not compressed.
pub(crate) fn is_plain(headers: &HeaderMap) -> bool {
    headers.get_all(CONTENT_ENCODING).into_iter().all(|value| value == "identity")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consumer::room::Room;
    use crate::tokens::ConsumerName;

    #[test]
    fn only_plain_json_in_utf_8_is_read() {
        let headers = |pairs: &[(&'static str, &'static str)]| -> HeaderMap {
            pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
        };
        for good in [
            "application/json",
            "Application/JSON; charset=UTF-8",
            "application/json;charset=\"utf-8\"",
            "application/json;",
        ] {
            assert!(check_json(&headers(&[("content-type", good)])).is_ok(), "{good}");
        }
        for bad in [
            "application/json; charset=utf-7",
            "text/plain",
            "multipart/form-data; boundary=x",
            "application/jsonp",
            "",
        ] {
            assert!(check_json(&headers(&[("content-type", bad)])).is_err(), "{bad}");
        }
        assert!(check_json(&HeaderMap::new()).is_err());
        assert!(check_json(&headers(&[("content-type", "application/json"), ("content-encoding", "gzip")])).is_err());
    }

    fn reading(limit: u64) -> Reading {
        let share = Room::new(ByteSize(1 << 20)).share(&ConsumerName::new("alice").unwrap());
        Reading { limit: ByteSize(limit), idle: Duration::from_secs(30), share }
    }

    fn silent() -> Body {
        Body::from_stream(futures_util::stream::iter(["abc", "de"].map(Ok::<_, std::io::Error>)))
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stops_coming_is_given_up() {
        let never = Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
        assert!(matches!(reading(10).collect(&HeaderMap::new(), never).await, Err(Refusal::BodyTooSlow)));
    }

    #[tokio::test]
    async fn a_body_larger_than_the_limit_is_refused_whether_or_not_it_says_so() {
        let announced = [(CONTENT_LENGTH, "5".parse().unwrap())].into_iter().collect();
        assert!(matches!(reading(4).collect(&announced, Body::empty()).await, Err(Refusal::TooLarge(_))));
        assert!(matches!(reading(4).collect(&HeaderMap::new(), silent()).await, Err(Refusal::TooLarge(_))));
        assert_eq!(reading(5).collect(&HeaderMap::new(), silent()).await.unwrap(), "abcde");
    }

    #[tokio::test]
    async fn a_body_for_which_there_is_no_room_is_refused() {
        let share = Room::new(ByteSize(8)).share(&ConsumerName::new("alice").unwrap());
        let reading = Reading { share, ..reading(5) };
        assert!(matches!(reading.collect(&HeaderMap::new(), silent()).await, Err(Refusal::NoRoom)));
    }
}
