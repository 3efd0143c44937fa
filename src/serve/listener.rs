//! Listeners: bound early, so that a port that is taken is told before anything else has happened.

use std::io;
use std::net::SocketAddr;

use axum::Router;
use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::tls::{Tls, TlsListener};
use crate::failure::Failure;

/// A bound socket.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Binds the address of a setting; the error names both.
    pub(crate) async fn bind(setting: &str, address: SocketAddr) -> Result<Self, Failure> {
        let bound = async {
            let socket = TcpListener::bind(address).await?;
            let address = socket.local_addr()?;
            Ok(Self { socket, address })
        };
        bound.await.map_err(|error: io::Error| refused(setting, address, &error))
    }

    /// Where it listens; the port is the one that the system chose if the setting has port 0.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop`, and then finishes what it has begun.
    pub(crate) async fn serve(self, router: Router, stop: CancellationToken) -> io::Result<()> {
        // Events of a stream go out one by one.
        let socket = self.socket.tap_io(|stream| drop(stream.set_nodelay(true)));
        axum::serve(socket, router).with_graceful_shutdown(stop.cancelled_owned()).await
    }

    /// The same with TLS.
    pub(crate) fn serve_tls(
        self,
        tls: &Tls,
        router: Router,
        stop: CancellationToken,
    ) -> Result<impl Future<Output = io::Result<()>> + use<>, rustls::Error> {
        let listener = TlsListener::new(self.socket, self.address, tls)?;
        Ok(async { axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await })
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
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_taken_port_is_told_with_its_setting_and_address() {
        let first = Listener::bind("gateway.listen", SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let sentence = Listener::bind("appservice.listen", first.address()).await.unwrap_err().to_string();
        assert!(
            sentence.contains("`appservice.listen`") && sentence.contains(&first.address().to_string()),
            "{sentence}"
        );
        assert!(sentence.contains("another program"), "{sentence}");
    }
}
