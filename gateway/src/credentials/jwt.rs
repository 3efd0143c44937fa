//! How a GitHub App says who it is: a JSON Web Token, signed with the app's private key (RFC 7519; RS256 of RFC 7518, section 3.3).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use doorward_base::Timestamp;
use rustls::SignatureScheme;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::sign::SigningKey;
use secrecy::SecretString;
use serde_json::json;
use std::sync::Arc;

use crate::credential::Credential;

/// Clocks differ: a token from the future is refused.
const BACKDATED_SECONDS: i64 = 60;
/// GitHub takes at most ten minutes.
const GOOD_FOR_SECONDS: i64 = 9 * 60;

/// The private key of an app. It prints nothing of itself.
#[derive(Clone)]
pub(super) struct AppKey(Arc<dyn SigningKey>);

/// The text is no RSA private key. Nothing of it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoRsaKey;

impl AppKey {
    /// Reads a PEM file of GitHub's (PKCS#1) or one that was converted (PKCS#8).
    pub(super) fn from_pem(pem: &Credential) -> Result<Self, NoRsaKey> {
        let der = PrivateKeyDer::from_pem_slice(pem.expose().as_bytes()).map_err(|_| NoRsaKey)?;
        let key = any_supported_type(&der).map_err(|_| NoRsaKey)?;
        match key.choose_scheme(&[SignatureScheme::RSA_PKCS1_SHA256]) {
            Some(_) => Ok(Self(key)),
            None => Err(NoRsaKey),
        }
    }

    /// A token of this app, good from a minute ago for nine minutes from now.
    pub(super) fn sign(&self, app_id: u64, now: Timestamp) -> Result<SecretString, NoRsaKey> {
        let seconds = now.as_millis().div_euclid(1000);
        let header = json!({ "alg": "RS256", "typ": "JWT" });
        let claims =
            json!({ "iat": seconds - BACKDATED_SECONDS, "exp": seconds + GOOD_FOR_SECONDS, "iss": app_id.to_string() });
        let signed = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
        let signer = self.0.choose_scheme(&[SignatureScheme::RSA_PKCS1_SHA256]).ok_or(NoRsaKey)?;
        let signature = signer.sign(signed.as_bytes()).map_err(|_| NoRsaKey)?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)).into())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use secrecy::ExposeSecret;
    use serde_json::Value;

    use super::*;

    pub(in crate::credentials) const PKCS1: &str = include_str!("tests/app.pkcs1.pem");
    const PKCS8: &str = include_str!("tests/app.pkcs8.pem");
    /// `RSAPublicKey` of RFC 8017, appendix A.1.1.
    const PUBLIC: &[u8] = include_bytes!("tests/app.public.der");

    /// The claims, if the key for tests has signed them.
    pub(in crate::credentials) fn verified(jwt: &str) -> Option<Value> {
        let (signed, signature) = jwt.rsplit_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        let algorithms = rustls::crypto::ring::default_provider().signature_verification_algorithms;
        let (_, [rs256, ..]) =
            algorithms.mapping.iter().find(|(scheme, _)| *scheme == SignatureScheme::RSA_PKCS1_SHA256)?
        else {
            return None;
        };
        rs256.verify_signature(PUBLIC, signed.as_bytes(), &signature).ok()?;
        let (header, claims) = signed.split_once('.')?;
        let read = |part| serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
        assert_eq!(read(header), json!({ "alg": "RS256", "typ": "JWT" }));
        Some(read(claims))
    }

    fn key(pem: &str) -> Result<AppKey, NoRsaKey> {
        AppKey::from_pem(&Credential::from_input(pem.as_bytes()).unwrap())
    }

    #[test]
    fn a_key_in_either_form_signs_what_its_public_key_verifies() {
        for pem in [PKCS1, PKCS8] {
            let jwt = key(pem).unwrap().sign(123, Timestamp::from_millis(1_000_000_500)).unwrap();
            let claims = verified(jwt.expose_secret()).unwrap();
            assert_eq!(claims, json!({ "iat": 999_940, "exp": 1_000_540, "iss": "123" }));
        }
    }

    #[test]
    fn a_changed_token_does_not_verify() {
        let jwt = key(PKCS1).unwrap().sign(123, Timestamp::from_millis(0)).unwrap();
        assert_eq!(verified(&jwt.expose_secret().replacen("eyJ", "eyK", 1)), None);
    }

    #[test]
    fn what_is_no_private_key_is_refused() {
        for text in ["ghp_token", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", &PKCS1[..400]] {
            assert!(key(text).is_err(), "{text}");
        }
    }
}
