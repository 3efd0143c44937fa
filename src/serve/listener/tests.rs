use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use axum::routing::{get, post};
use futures_util::stream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::*;

const HEAD: Duration = Duration::from_millis(300);
/// Longer than any test has to wait.
const LONG: Duration = Duration::from_secs(20);
const ASK: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";

struct Server {
    address: SocketAddr,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl Server {
    async fn start(limits: Limits, router: Router) -> Self {
        let mut listener = Listener::bind("gateway.listen", SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        listener.limits = limits;
        let (address, stop) = (listener.address(), CancellationToken::new());
        Self { address, stop: stop.clone(), running: tokio::spawn(listener.serve(router, stop)) }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn ends(self) {
        timeout(LONG, self.running).await.unwrap().unwrap();
    }
}

fn limits() -> Limits {
    Limits { head: HEAD, unread: LONG, connections: 100 }
}

fn hello() -> Router {
    Router::new().route("/", get(async || "hello"))
}

/// What comes until the other side closes; that it resets the connection is as good.
async fn rest(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    let _ = timeout(LONG, stream.read_to_end(&mut read)).await.expect("the server closes");
    String::from_utf8(read).unwrap()
}

/// Reads up to and with `end`.
async fn until(stream: &mut TcpStream, end: &str) {
    let mut read = Vec::new();
    while !read.ends_with(end.as_bytes()) {
        read.push(timeout(LONG, stream.read_u8()).await.unwrap().unwrap());
    }
}

#[tokio::test]
async fn a_taken_port_is_told_with_its_setting_and_address() {
    let first = Listener::bind("gateway.listen", SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let sentence = Listener::bind("appservice.listen", first.address()).await.unwrap_err().to_string();
    assert!(sentence.contains("`appservice.listen`") && sentence.contains(&first.address().to_string()), "{sentence}");
    assert!(sentence.contains("another program"), "{sentence}");
}

#[tokio::test]
async fn who_connects_and_says_nothing_is_let_go() {
    let server = Server::start(limits(), hello()).await;
    let began = Instant::now();
    assert_eq!(rest(&mut server.connect().await).await, "");
    assert!(began.elapsed() >= HEAD);
}

#[tokio::test]
async fn a_head_that_comes_byte_by_byte_is_not_waited_for() {
    let server = Server::start(limits(), hello()).await;
    let (mut reads, mut writes) = server.connect().await.into_split();
    let dripping = tokio::spawn(async move {
        let endless = ASK[..ASK.len() - 2].iter().chain(std::iter::repeat(&b'a'));
        for byte in endless {
            if writes.write_all(&[*byte]).await.is_err() {
                return;
            }
            sleep(HEAD / 10).await;
        }
    });
    let mut read = Vec::new();
    let _ = timeout(LONG, reads.read_to_end(&mut read)).await.expect("the server closes");
    assert_eq!(read, b"");
    timeout(LONG, dripping).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_connection_is_kept_for_the_next_request_but_not_for_ever() {
    let server = Server::start(limits(), hello()).await;
    let mut stream = server.connect().await;
    for _ in 0..3 {
        stream.write_all(ASK).await.unwrap();
        until(&mut stream, "hello").await;
        sleep(HEAD / 2).await;
    }
    assert_eq!(rest(&mut stream).await, "");
}

#[tokio::test]
async fn an_answer_may_take_its_time() {
    let slow = Router::new().route(
        "/",
        get(async || {
            sleep(HEAD * 3).await;
            "hello"
        }),
    );
    let server = Server::start(limits(), slow).await;
    let mut stream = server.connect().await;
    stream.write_all(ASK).await.unwrap();
    until(&mut stream, "hello").await;
}

#[tokio::test]
async fn a_refused_request_whose_body_does_not_come_ends_its_connection() {
    let refusing = Router::new().fallback(async || StatusCode::UNAUTHORIZED);
    let server = Server::start(Limits { head: LONG * 2, ..limits() }, refusing).await;
    let mut stream = server.connect().await;
    stream.write_all(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n").await.unwrap();
    assert!(rest(&mut stream).await.starts_with("HTTP/1.1 401"));
}

#[tokio::test]
async fn an_answer_before_the_end_of_its_request_arrives_and_is_the_last() {
    let router =
        Router::new().route("/", post(async || StatusCode::FORBIDDEN)).route("/read", post(async |_: Bytes| "read"));
    let server = Server::start(limits(), router).await;
    let (mut stream, body) = (server.connect().await, vec![b'x'; 8 << 20]);
    for path in ["/read", "/read", "/"] {
        let length = if path == "/" { body.len() } else { 4 };
        let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        if path == "/read" {
            stream.write_all(b"four").await.unwrap();
            until(&mut stream, "\r\n\r\nread").await;
        }
    }
    // What was refused goes on for a while.
    stream.write_all(&body).await.unwrap();
    let answer = rest(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("connection: close"), "{answer}");
}

#[tokio::test]
async fn a_client_that_will_write_no_more_is_let_go() {
    let server = Server::start(Limits { head: LONG * 2, ..limits() }, hello()).await;
    for begun in [&b""[..], b"GET / HT"] {
        let mut stream = server.connect().await;
        stream.write_all(begun).await.unwrap();
        stream.shutdown().await.unwrap();
        rest(&mut stream).await;
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_is_let_go_whether_it_asks_once_or_again_and_again() {
    let (gone, mut told) = mpsc::channel::<()>(1);
    let endless = async move || {
        // Dropped with the answer.
        let gone = gone.clone();
        let chunk = move || {
            let _ = &gone;
            Ok::<_, io::Error>(vec![b'x'; 1 << 16])
        };
        Body::from_stream(stream::repeat_with(chunk))
    };
    let router = hello().route("/endless", get(endless));
    let server = Server::start(Limits { head: LONG * 2, unread: HEAD, ..limits() }, router).await;
    let mut once = server.connect().await;
    once.write_all(b"GET /endless HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut again = server.connect().await;
    let flood = async { while again.write_all(&ASK.repeat(1000)).await.is_ok() {} };
    timeout(LONG, flood).await.expect("the server closes");
    server.stop.cancel();
    server.ends().await;
    assert!(told.recv().await.is_none());
}

#[tokio::test]
async fn connections_above_the_limit_wait_for_a_place() {
    let server = Server::start(Limits { head: LONG * 2, connections: 2, ..limits() }, hello()).await;
    let (first, _second) = (server.connect().await, server.connect().await);
    let mut third = server.connect().await;
    third.write_all(ASK).await.unwrap();
    assert!(timeout(HEAD, third.read_u8()).await.is_err(), "there are two already");
    drop(first);
    until(&mut third, "hello").await;
}

#[tokio::test]
async fn a_stop_lets_the_idle_go_at_once_and_finishes_what_has_begun() {
    let (chunks, mut received) = mpsc::channel::<&str>(1);
    let body = Body::from_stream(stream::poll_fn(move |context| {
        received.poll_recv(context).map(|chunk| chunk.map(Ok::<_, io::Error>))
    }));
    let body = Arc::new(Mutex::new(Some(body)));
    let router = hello().route("/stream", get(async move || body.lock().unwrap().take().unwrap()));
    let server = Server::start(Limits { head: LONG * 2, ..limits() }, router).await;
    let (mut silent, mut idle, mut busy) = (server.connect().await, server.connect().await, server.connect().await);
    idle.write_all(ASK).await.unwrap();
    until(&mut idle, "hello").await;
    busy.write_all(b"GET /stream HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    chunks.send("one").await.unwrap();
    until(&mut busy, "one\r\n").await;

    server.stop.cancel();
    assert_eq!((rest(&mut silent).await, rest(&mut idle).await), (String::new(), String::new()));
    assert!(TcpStream::connect(server.address).await.is_err(), "nobody listens any more");
    assert!(!server.running.is_finished());
    chunks.send("two").await.unwrap();
    drop(chunks);
    assert_eq!(rest(&mut busy).await, "3\r\ntwo\r\n0\r\n\r\n");
    server.ends().await;
}
