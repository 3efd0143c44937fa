//! TLS on a listener, with a certificate that is read again when its file changes.

use std::io;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use doorward_gateway::config::TlsConfig;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use secrecy::zeroize::Zeroizing;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;

const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// The first byte of every TLS connection (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;
const NO_TLS: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: 44\r\n\r\n\
                        This port speaks HTTPS: use an https:// URL\n";

/// The certificate of a listener, as its files have it.
#[derive(Clone, Debug)]
pub(crate) struct Tls {
    files: TlsConfig,
    current: Arc<Current>,
}

/// What new connections are shown.
#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

impl Tls {
    /// Reads the files.
    pub(crate) fn read(files: &TlsConfig) -> Result<Self, Failure> {
        let current = Arc::new(Current(RwLock::new(Arc::new(certified_key(files)?))));
        Ok(Self { files: files.clone(), current })
    }

    /// Looks at the files now and then, until `stop`. Connections that stand go on; files that do not fit together change nothing.
    pub(crate) async fn watch(self, stop: CancellationToken) {
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut told = String::new();
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            let problem = self.read_again().err().map(|failure| failure.to_string()).unwrap_or_default();
            if !problem.is_empty() && problem != told {
                tracing::warn!(%problem, "the listener goes on with the certificate that it has");
            }
            told = problem;
        }
    }

    fn read_again(&self) -> Result<(), Failure> {
        let read = certified_key(&self.files)?;
        let mut current = self.current.0.write().unwrap_or_else(PoisonError::into_inner);
        if read.cert != current.cert {
            *current = Arc::new(read);
            tracing::info!("the listener has a new certificate");
        }
        Ok(())
    }

    pub(super) fn acceptor(&self) -> Result<TlsAcceptor, rustls::Error> {
        let config = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
        let mut config = config.with_no_client_auth().with_cert_resolver(self.current.clone());
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn certified_key(files: &TlsConfig) -> Result<CertifiedKey, Failure> {
    let key = Zeroizing::new(contents("gateway.tls.key_file", &files.key_file)?);
    let key = PrivateKeyDer::from_pem_slice(&key)
        .map_err(|error| no_pem("gateway.tls.key_file", &files.key_file, "private key", &error))?;
    let chain = certificates(&files.cert_file)?;
    CertifiedKey::from_der(chain, key, &provider()).map_err(|error| {
        let (cert, key) = (files.cert_file.display(), files.key_file.display());
        Failure::new(format_args!(
            "`gateway.tls` cannot use {cert} with the key {key} ({error}): the first certificate has to be the one that was made for \
             this key"
        ))
    })
}

/// The certificates in `gateway.tls.cert_file`, the server's own first; at least one.
pub(super) fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let setting = "gateway.tls.cert_file";
    let text = contents(setting, file)?;
    let chain: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(&text).collect();
    match chain {
        Ok(chain) if chain.is_empty() => Err(no_pem(setting, file, "certificate", &pem::Error::NoItemsFound)),
        Ok(chain) => Ok(chain),
        Err(error) => Err(no_pem(setting, file, "certificate", &error)),
    }
}

fn contents(setting: &str, file: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(file).map_err(|error| {
        let file = file.display();
        Failure::new(format_args!(
            "`{setting}` cannot be read ({file}: {error}): put the PEM file there, or name another"
        ))
    })
}

fn no_pem(setting: &str, file: &Path, what: &str, error: &pem::Error) -> Failure {
    let (file, label) = (file.display(), what.to_uppercase());
    Failure::new(format_args!(
        "`{setting}` holds no {what} in PEM ({file}: {error}): it needs a block that begins with `-----BEGIN {label}-----`"
    ))
}

/// What a listener does first with each connection.
pub(super) async fn shake_hands(acceptor: TlsAcceptor, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
    timeout(HANDSHAKE_TIMEOUT, greet(&acceptor, stream)).await?
}

async fn greet(acceptor: &TlsAcceptor, mut stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
    let mut first = [0];
    stream.peek(&mut first).await?;
    if first[0].is_ascii_alphabetic() && first[0] != HANDSHAKE {
        refuse_plain_http(&mut stream).await?;
        return Err(io::ErrorKind::InvalidData.into());
    }
    acceptor.accept(stream).await
}

/// Closing before the request was read would take the answer away from the client.
async fn refuse_plain_http(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(NO_TLS).await?;
    stream.shutdown().await?;
    let mut rest = [0; 4096];
    while stream.read(&mut rest).await? > 0 {}
    Ok(())
}

#[cfg(test)]
mod tests;
