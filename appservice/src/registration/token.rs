//! The two secrets of a registration: printed by no `Debug`, compared in constant time.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

/// What we show to the homeserver.
#[derive(Clone)]
pub struct AsToken(SecretString);

/// What the homeserver shows to us.
#[derive(Clone)]
pub struct HsToken(SecretString);

impl AsToken {
    /// The secret itself: for the header of a request and for the registration's file.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.expose().is_empty()
    }
}

impl HsToken {
    /// The secret itself: for the registration's file.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Whether `shown` is this token, in a time that does not tell how much of it is right.
    pub fn matches(&self, shown: &str) -> bool {
        bool::from(self.expose().as_bytes().ct_eq(shown.as_bytes()))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.expose().is_empty()
    }
}

impl From<String> for AsToken {
    fn from(token: String) -> Self {
        Self(token.into())
    }
}

impl From<String> for HsToken {
    fn from(token: String) -> Self {
        Self(token.into())
    }
}

impl fmt::Debug for AsToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AsToken(…)")
    }
}

impl fmt::Debug for HsToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HsToken(…)")
    }
}
