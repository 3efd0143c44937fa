//! The connections of a listener: how many there are at a time, and how long one may hold its place without asking for anything.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::process::{Resource, getrlimit};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::early::answer;
use super::unread::Unread;

const MOST_CONNECTIONS: usize = 10_000;
/// Of the files that the process may open, a listener's connections take one in so many: the others are for the connections to
/// upstreams, of which each request needs one too, for the database and for the other listeners.
const SHARE: usize = 4;

/// What strangers can take of a listener.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// From the begin of a connection, or from the end of an answer, until a request's head is there.
    pub(super) head: Duration,
    /// How long the other side may take nothing of an answer.
    pub(super) unread: Duration,
    /// So many connections are open at a time; more wait until the system accepts them for us.
    pub(super) connections: usize,
}

impl Limits {
    /// As many connections as the process may have.
    pub(super) fn of_this_process() -> Self {
        let files = getrlimit(Resource::Nofile).current.and_then(|files| usize::try_from(files).ok());
        let connections = files.map_or(MOST_CONNECTIONS, |files| (files / SHARE).clamp(1, MOST_CONNECTIONS));
        Self { head: Duration::from_secs(30), unread: Duration::from_secs(120), connections }
    }
}

/// Answers until `stop`, and then finishes what has begun. `begin` makes of a connection what HTTP is spoken on.
pub(super) async fn serve<B, F, S>(
    mut socket: TcpListener,
    begin: B,
    router: Router,
    limits: Limits,
    stop: CancellationToken,
) where
    B: Fn(TcpStream) -> F,
    F: Future<Output = io::Result<S>> + Send + 'static,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (connections, places) = (TaskTracker::new(), Arc::new(Semaphore::new(limits.connections)));
    while let Some((stream, place)) = stop.run_until_cancelled(accept(&mut socket, &places)).await {
        let (begun, router, stop) = (begin(stream), router.clone(), stop.clone());
        connections.spawn(async move {
            // Who does not get through learns of it from TLS; there is nothing to tell the operator.
            if let Some(Ok(stream)) = stop.run_until_cancelled(begun).await {
                converse(stream, router, limits, &stop).await;
            }
            drop(place);
        });
    }
    drop(socket);
    connections.close();
    connections.wait().await;
}

async fn accept(socket: &mut TcpListener, places: &Arc<Semaphore>) -> (TcpStream, Option<OwnedSemaphorePermit>) {
    if places.available_permits() == 0 {
        tracing::debug!("a listener has as many connections as it may have: more wait");
    }
    let place = places.clone().acquire_owned().await.ok();
    // Waits a moment and tries again where the system refuses.
    let (stream, _) = axum::serve::Listener::accept(socket).await;
    // Events of a stream go out one by one. A connection that has ended already is found out by reading it.
    let _ = stream.set_nodelay(true);
    (stream, place)
}

/// HTTP/1 until the other side has had enough, breaks a limit, or `stop`; then a request that has begun is answered.
async fn converse<S>(stream: S, router: Router, limits: Limits, stop: &CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let io = TokioIo::new(Unread::new(stream, limits.unread));
    let mut builder = Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(limits.head);
    let service = service_fn(move |request| answer(router.clone(), request));
    let mut connection = pin!(builder.serve_connection(io, service));
    // What breaks a connection is the other side's matter; what becomes of its requests, the record of the calls tells.
    if stop.run_until_cancelled(connection.as_mut()).await.is_none() {
        connection.as_mut().graceful_shutdown();
        let _ = connection.await;
    }
}
