use std::net::SocketAddr;

use axum::Router;
use axum::routing::get;
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use reqwest::{Certificate, Client};
use tempfile::TempDir;

use super::super::listener::Listener;
use super::super::trust;
use super::*;

/// A certificate authority, and a folder with a certificate for localhost and its key.
struct Files {
    folder: TempDir,
    authority: Certificate,
    config: TlsConfig,
}

impl Files {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = TlsConfig { cert_file: folder.path().join("cert.pem"), key_file: folder.path().join("key.pem") };
        let authority = write_pair(&config);
        Self { folder, authority, config }
    }

    /// A client that trusts the authority alone.
    fn client(&self) -> Client {
        client_of(&self.authority)
    }
}

fn client_of(authority: &Certificate) -> Client {
    crate::install_tls();
    Client::builder().tls_certs_only([authority.clone()]).no_proxy().build().unwrap()
}

/// Gives the authority of the new pair.
fn write_pair(config: &TlsConfig) -> Certificate {
    let (authority_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pem = authority.self_signed(&authority_key).unwrap().pem();
    let issuer = rcgen::Issuer::new(authority, authority_key);
    let cert = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    std::fs::write(&config.cert_file, cert.pem()).unwrap();
    std::fs::write(&config.key_file, key.serialize_pem()).unwrap();
    Certificate::from_pem(pem.as_bytes()).unwrap()
}

/// As `openssl req -x509` makes one by default: its own authority.
fn write_self_signed(config: &TlsConfig) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["gateway.example".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    std::fs::write(&config.cert_file, params.self_signed(&key).unwrap().pem()).unwrap();
    std::fs::write(&config.key_file, key.serialize_pem()).unwrap();
}

struct Server {
    tls: Tls,
    address: SocketAddr,
    stop: CancellationToken,
    running: tokio::task::JoinHandle<()>,
}

impl Server {
    async fn start(files: &Files) -> Self {
        let tls = Tls::read(&files.config).unwrap();
        let listener = Listener::bind("gateway.listen", SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let (address, stop) = (listener.address(), CancellationToken::new());
        let router = Router::new().route("/", get(async || "hello"));
        let running = tokio::spawn(listener.serve_tls(&tls, router, stop.clone()).unwrap());
        Self { tls, address, stop, running }
    }

    fn url(&self) -> String {
        format!("https://localhost:{}/", self.address.port())
    }

    async fn greets(&self, client: &Client) -> reqwest::Result<String> {
        client.get(self.url()).send().await?.text().await
    }
}

#[tokio::test]
async fn a_client_that_trusts_the_authority_is_answered_until_the_stop() {
    let files = Files::new();
    let server = Server::start(&files).await;
    assert_eq!(server.greets(&files.client()).await.unwrap(), "hello");
    let stranger = Files::new();
    assert!(server.greets(&stranger.client()).await.unwrap_err().is_connect());
    server.stop.cancel();
    timeout(Duration::from_secs(5), server.running).await.unwrap().unwrap();
}

#[tokio::test]
async fn plain_http_is_told_to_use_https() {
    let files = Files::new();
    let server = Server::start(&files).await;
    crate::install_tls();
    let answer = reqwest::get(format!("http://{}/", server.address)).await.unwrap();
    assert_eq!(answer.status(), 400);
    assert_eq!(answer.text().await.unwrap(), "This port speaks HTTPS: use an https:// URL\n");
}

#[tokio::test]
async fn handshakes_that_do_not_come_hold_up_nobody() {
    let files = Files::new();
    let server = Server::start(&files).await;
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(TcpStream::connect(server.address).await.unwrap());
    }
    let client = files.client();
    let greeting = timeout(Duration::from_secs(5), server.greets(&client));
    assert_eq!(greeting.await.unwrap().unwrap(), "hello");
}

#[tokio::test]
async fn only_http_1_is_spoken() {
    let files = Files::new();
    let server = Server::start(&files).await;
    let mut config = trust::client_config(&files.config.cert_file).unwrap();
    for (offered, agreed) in [(&b"http/1.1"[..], true), (b"h2", false)] {
        config.alpn_protocols = vec![offered.to_vec()];
        let stream = TcpStream::connect(server.address).await.unwrap();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config.clone()));
        let shaken = connector.connect("localhost".try_into().unwrap(), stream).await;
        assert_eq!(shaken.is_ok(), agreed, "{shaken:?}");
    }
}

#[tokio::test]
async fn a_new_certificate_is_shown_and_the_old_connection_goes_on() {
    let files = Files::new();
    let server = Server::start(&files).await;
    let before = files.client();
    assert_eq!(server.greets(&before).await.unwrap(), "hello");
    let authority = write_pair(&files.config);
    let after = client_of(&authority);
    // The first look is at once.
    tokio::spawn(server.tls.clone().watch(server.stop.clone()));
    let shown = async {
        while server.greets(&after).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(5), shown).await.unwrap();
    assert_eq!(server.greets(&before).await.unwrap(), "hello", "on the connection that it has");
    assert!(server.greets(&files.client()).await.is_err(), "a new one is shown the new certificate");
}

#[tokio::test]
async fn files_that_do_not_fit_together_change_nothing() {
    let files = Files::new();
    let server = Server::start(&files).await;
    std::fs::write(&files.config.key_file, KeyPair::generate().unwrap().serialize_pem()).unwrap();
    assert!(server.tls.read_again().unwrap_err().to_string().contains("made for this key"));
    assert_eq!(server.greets(&files.client()).await.unwrap(), "hello");
}

#[tokio::test]
async fn our_own_agents_trust_the_configured_certificate_alone_also_when_it_changes() {
    let files = Files::new();
    write_self_signed(&files.config);
    let server = Server::start(&files).await;
    crate::install_tls();
    let client = || {
        let tls = trust::client_config(&files.config.cert_file).unwrap();
        Client::builder().tls_backend_preconfigured(tls).no_proxy().pool_max_idle_per_host(0).build().unwrap()
    };
    let ours = client();
    assert_eq!(server.greets(&ours).await.unwrap(), "hello");
    write_self_signed(&files.config);
    assert_eq!(server.greets(&ours).await.unwrap(), "hello", "the server shows the old one for a while");
    server.tls.read_again().unwrap();
    assert_eq!(server.greets(&ours).await.unwrap(), "hello");
    let other = Files::new();
    let impostor = Server::start(&other).await;
    assert!(impostor.greets(&ours).await.unwrap_err().is_connect());
}

#[test]
fn a_wrong_file_is_one_sentence_with_the_file_and_the_cure() {
    let files = Files::new();
    let TlsConfig { cert_file, key_file } = &files.config;
    let missing = files.folder.path().join("nowhere.pem");
    for (cert, key, parts) in [
        (&missing, key_file, ["`gateway.tls.cert_file`", "nowhere.pem"]),
        (cert_file, &missing, ["`gateway.tls.key_file`", "nowhere.pem"]),
        (key_file, key_file, ["`gateway.tls.cert_file` holds no certificate", "-----BEGIN CERTIFICATE-----"]),
        (cert_file, cert_file, ["`gateway.tls.key_file` holds no private key", "-----BEGIN PRIVATE KEY-----"]),
    ] {
        let sentence =
            Tls::read(&TlsConfig { cert_file: cert.clone(), key_file: key.clone() }).unwrap_err().to_string();
        assert!(parts.iter().all(|part| sentence.contains(part)), "{sentence}");
    }
}
