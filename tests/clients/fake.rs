//! Servers in place of those that cannot be had: they ask for the real key, and remember what they heard.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};

/// More than any client here sends.
const LARGEST_BODY: usize = 64 << 20;

/// One request, as it arrived.
#[derive(Clone, Debug)]
pub struct Heard {
    pub method: Method,
    /// Path and query.
    pub target: String,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Whether it showed the real key.
    pub authorized: bool,
}

impl Heard {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// The header that a server wants to see, and what it may say.
#[derive(Clone)]
pub struct Key {
    pub header: &'static str,
    pub values: Vec<String>,
}

impl Key {
    pub fn new(header: &'static str, value: impl Into<String>) -> Self {
        Self { header, values: vec![value.into()] }
    }
}

#[derive(Clone)]
struct Ears {
    key: Option<Key>,
    heard: Arc<Mutex<Vec<Heard>>>,
}

/// A server on a loopback port, until the test ends.
pub struct Fake {
    pub url: String,
    ears: Ears,
}

impl Fake {
    /// Serves `router` to whoever shows `key`. Everyone else gets a 401.
    pub async fn serve(key: Key, router: Router) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::serve_on(listener, key, router)
    }

    /// The same, for a router that has to know its own address.
    pub fn serve_on(listener: tokio::net::TcpListener, key: Key, router: Router) -> Self {
        Self::start(listener, Some(key), router)
    }

    /// Serves `router` to everyone.
    pub async fn serve_everyone(router: Router) -> Self {
        Self::start(tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap(), None, router)
    }

    fn start(listener: tokio::net::TcpListener, key: Option<Key>, router: Router) -> Self {
        let url = format!("http://{}", listener.local_addr().unwrap());
        let ears = Ears { key, heard: Arc::default() };
        let router = router.layer(from_fn_with_state(ears.clone(), hear));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, ears }
    }

    /// All that was heard so far.
    pub fn heard(&self) -> Vec<Heard> {
        self.ears.heard.lock().unwrap().clone()
    }

    /// What was heard at this path.
    pub fn heard_at(&self, method: &Method, path: &str) -> Vec<Heard> {
        let mut heard = self.heard();
        heard.retain(|one| one.method == *method && one.target.split('?').next() == Some(path));
        heard
    }

    /// Something arrived; all of it showed the real key (if one is asked for), and none of it a token of ours.
    #[track_caller]
    pub fn heard_the_real_key_alone(&self) {
        let heard = self.heard();
        assert!(!heard.is_empty(), "nothing arrived");
        for one in heard {
            assert!(one.authorized, "without the real key: {one:?}");
            let everything = format!("{} {:?} {}", one.target, one.headers, one.text());
            assert!(!everything.contains("dw_"), "a consumer token arrived: {everything}");
        }
    }
}

async fn hear(State(ears): State<Ears>, request: Request, next: Next) -> Response {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, LARGEST_BODY).await.unwrap();
    let authorized = ears.key.as_ref().is_none_or(|key| {
        let shown: Vec<_> = head.headers.get_all(key.header).into_iter().collect();
        matches!(shown[..], [value] if key.values.iter().any(|good| value == good))
    });
    let target = head.uri.path_and_query().map_or("", |target| target.as_str()).to_owned();
    let heard =
        Heard { method: head.method.clone(), target, headers: head.headers.clone(), body: body.clone(), authorized };
    ears.heard.lock().unwrap().push(heard);
    if !authorized {
        return (StatusCode::UNAUTHORIZED, "the real key is missing").into_response();
    }
    next.run(Request::from_parts(head, Body::from(body))).await
}

/// An answer of server-sent events, each in a piece of its own.
pub fn events(events: impl IntoIterator<Item = String>) -> Response {
    let pieces: Vec<Result<String, std::convert::Infallible>> = events.into_iter().map(Ok).collect();
    let body = Body::from_stream(futures_util::stream::iter(pieces));
    ([("content-type", "text/event-stream")], body).into_response()
}
