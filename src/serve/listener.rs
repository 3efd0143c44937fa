//! Listeners: bound early, so that a port that is taken is told before anything else has happened.

use std::io;
use std::net::SocketAddr;

use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::connections::{Limits, serve};
use super::tls::{Tls, shake_hands};
use crate::failure::Failure;

/// A bound socket.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    limits: Limits,
}

impl Listener {
    /// Binds the address of a setting; the error names both.
    pub(crate) async fn bind(setting: &str, address: SocketAddr) -> Result<Self, Failure> {
        let bound = async {
            let socket = TcpListener::bind(address).await?;
            let address = socket.local_addr()?;
            Ok(Self { socket, address, limits: Limits::of_this_process() })
        };
        bound.await.map_err(|error: io::Error| refused(setting, address, &error))
    }

    /// Where it listens; the port is the one that the system chose if the setting has port 0.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop`, and then finishes what it has begun.
    pub(crate) async fn serve(self, router: Router, stop: CancellationToken) {
        serve(self.socket, |stream| std::future::ready(Ok(stream)), router, self.limits, stop).await;
    }

    /// The same with TLS.
    pub(crate) fn serve_tls(
        self,
        tls: &Tls,
        router: Router,
        stop: CancellationToken,
    ) -> Result<impl Future<Output = ()> + use<>, rustls::Error> {
        let acceptor = tls.acceptor()?;
        let begin = move |stream| shake_hands(acceptor.clone(), stream);
        Ok(serve(self.socket, begin, router, self.limits, stop))
    }
}

fn refused(setting: &str, address: SocketAddr, error: &io::Error) -> Failure {
    let cure = match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another program has that port: stop it (is a doorward running already?), or choose another port".to_owned()
        }
        io::ErrorKind::AddrNotAvailable => {
            "this machine has no such address: choose one of its own, such as 127.0.0.1".to_owned()
        }
        io::ErrorKind::PermissionDenied => "the system does not allow it: choose a port above 1023".to_owned(),
        _ => error.to_string(),
    };
    Failure::new(format_args!("`{setting}` cannot listen on {address}: {cure}"))
}

#[cfg(test)]
mod tests;
