//! Which certificate of the gateway its own agents trust: the configured one, to the byte, and what this machine trusts anyway.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use rustls_platform_verifier::Verifier;

use super::tls::{certificates, provider};

/// A client's settings for a gateway whose certificate is the first in `cert_file`. A name in it is not looked at then, nor who
/// signed it: nobody else has its key.
pub(super) fn client_config(cert_file: &Path) -> Result<ClientConfig, Error> {
    let provider = provider();
    // Without any root certificates on the machine there is nothing to fall back to.
    let platform = Verifier::new(provider.clone()).ok();
    let seen = Mutex::new(own(cert_file).into_iter().collect());
    let pinned = Pinned { file: cert_file.to_owned(), seen, platform, provider: provider.clone() };
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.dangerous().with_custom_certificate_verifier(Arc::new(pinned)).with_no_client_auth())
}

#[derive(Debug)]
struct Pinned {
    file: PathBuf,
    /// What the file held since the start: the server may take a while until it shows a new certificate.
    seen: Mutex<Vec<CertificateDer<'static>>>,
    platform: Option<Verifier>,
    provider: Arc<CryptoProvider>,
}

impl Pinned {
    fn knows(&self, certificate: &CertificateDer<'_>) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.contains(certificate) {
            return true;
        }
        let changed = own(&self.file).filter(|own| own == certificate);
        let known = changed.is_some();
        seen.extend(changed);
        known
    }
}

/// The server's own certificate in the file, as far as there is one.
fn own(file: &Path) -> Option<CertificateDer<'static>> {
    certificates(file).ok()?.into_iter().next()
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.knows(end_entity) {
            return Ok(ServerCertVerified::assertion());
        }
        let unknown = || Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let platform = self.platform.as_ref().ok_or_else(unknown)?;
        platform.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
