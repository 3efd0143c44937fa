//! A real secret, from the moment it is known until the request it stood in is answered. Nothing else in the gateway can read one.

use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};

const LONGEST: usize = 64 << 10;

/// A real credential. It prints nothing and is wiped when dropped.
#[derive(Clone, Debug)]
pub struct Credential(SecretString);

/// A value that cannot be a credential. The value is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCredential {
    /// Nothing was given.
    #[error("the value is empty")]
    Empty,
    /// More than 64 KB were given.
    #[error("the value is longer than 64KB")]
    TooLong,
    /// The bytes are not text.
    #[error("the value is not UTF-8 text")]
    NotText,
}

impl Credential {
    /// A credential as someone gave it, on standard input or in a file: one trailing newline is dropped.
    pub fn from_input(input: &[u8]) -> Result<Self, BadCredential> {
        let text = std::str::from_utf8(input).map_err(|_| BadCredential::NotText)?;
        let text = text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
        match text.len() {
            0 => Err(BadCredential::Empty),
            length if length > LONGEST => Err(BadCredential::TooLong),
            _ => Ok(Self(text.into())),
        }
    }

    /// A credential that was sealed, as it comes out of the cipher.
    pub(crate) fn from_sealed(bytes: &Zeroizing<Vec<u8>>) -> Option<Self> {
        std::str::from_utf8(bytes).ok().map(|text| Self(text.into()))
    }

    /// The one place that exposes a credential: for sealing it, for putting it into a request, and for finding it in the answer.
    pub(crate) fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_trailing_newline_is_dropped_and_no_more() {
        assert_eq!(Credential::from_input(b"key\n").unwrap().expose(), "key");
        assert_eq!(Credential::from_input(b"key\r\n").unwrap().expose(), "key");
        assert_eq!(Credential::from_input(b" key\n\n").unwrap().expose(), " key\n");
    }

    #[test]
    fn nothing_too_much_and_bytes_that_are_no_text_are_refused() {
        assert_eq!(Credential::from_input(b"\n").unwrap_err(), BadCredential::Empty);
        assert_eq!(Credential::from_input(&vec![b'a'; LONGEST + 1]).unwrap_err(), BadCredential::TooLong);
        assert_eq!(Credential::from_input(&[0xff]).unwrap_err(), BadCredential::NotText);
    }

    #[test]
    fn a_printed_credential_says_nothing() {
        assert!(!format!("{:?}", Credential::from_input(b"hunter2").unwrap()).contains("hunter2"));
    }
}
