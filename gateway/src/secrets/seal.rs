//! Sealing: XChaCha20-Poly1305 under the master key, bound to table, row and column.
//!
//! A sealed value is one byte of format (1), 24 bytes of nonce, and the ciphertext with its tag.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use doorward_base::Random;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};

use crate::credential::Credential;
use crate::private_file::{self, PrivateFileError};

const FORMAT: u8 = 1;
const NONCE_LENGTH: usize = 24;
const KEY_LENGTH: usize = 32;

/// The place in the database that a sealed value belongs to; anywhere else it does not open.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) table: &'a str,
    pub(super) row: &'a str,
    pub(super) column: &'a str,
}

impl Place<'_> {
    /// Lengths stand before the parts, so that no two places give the same bytes.
    fn bound(self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for part in [self.table, self.row, self.column] {
            bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bytes.extend_from_slice(part.as_bytes());
        }
        bytes
    }
}

/// A sealed value does not open: another master key, another place, or changed bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DoesNotOpen;

/// The key that seals.
pub(super) struct MasterKey(XChaCha20Poly1305);

impl MasterKey {
    /// The key in the file, or `None` if there is no file yet.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, PrivateFileError> {
        private_file::read(path)?.map(|text| Self::from_text(path, &text)).transpose()
    }

    /// The key in the file, created at first need.
    pub(super) fn read_or_create(path: &Path, random: &Random) -> Result<Self, PrivateFileError> {
        let make = || SecretString::from(STANDARD.encode(Zeroizing::new(random.bytes::<KEY_LENGTH>())));
        Self::from_text(path, &private_file::read_or_create(path, random, make)?)
    }

    fn from_text(path: &Path, text: &SecretString) -> Result<Self, PrivateFileError> {
        let bytes = STANDARD.decode(text.expose_secret()).map(Zeroizing::new).ok();
        let key = bytes.as_deref().and_then(|bytes| Key::try_from(bytes.as_slice()).ok());
        let expected = "a master key (32 bytes in base64)";
        let key = key.ok_or_else(|| PrivateFileError::Content { path: path.to_owned(), expected })?;
        Ok(Self(XChaCha20Poly1305::new(&key)))
    }

    pub(super) fn seal(&self, place: Place<'_>, value: &Credential, random: &Random) -> Vec<u8> {
        let nonce = random.bytes::<NONCE_LENGTH>();
        let payload = Payload { msg: value.expose().as_bytes(), aad: &place.bound() };
        let ciphertext = self.0.encrypt(&XNonce::from(nonce), payload).expect("64KB are not too long for the cipher");
        [&[FORMAT], nonce.as_slice(), &ciphertext].concat()
    }

    pub(super) fn open(&self, place: Place<'_>, sealed: &[u8]) -> Result<Credential, DoesNotOpen> {
        let (format, rest) = sealed.split_first().ok_or(DoesNotOpen)?;
        let (nonce, ciphertext) = rest.split_first_chunk::<NONCE_LENGTH>().ok_or(DoesNotOpen)?;
        if *format != FORMAT {
            return Err(DoesNotOpen);
        }
        let payload = Payload { msg: ciphertext, aad: &place.bound() };
        let value = self.0.decrypt(&XNonce::from(*nonce), payload).map_err(|_| DoesNotOpen)?;
        Credential::from_sealed(&Zeroizing::new(value)).ok_or(DoesNotOpen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place<'_> = Place { table: "secret", row: "openai", column: "sealed" };

    fn key(random: &Random) -> (tempfile::TempDir, MasterKey) {
        let folder = tempfile::tempdir().unwrap();
        let key = MasterKey::read_or_create(&folder.path().join("master.key"), random).unwrap();
        (folder, key)
    }

    #[test]
    fn a_sealed_value_opens_in_its_place_alone() {
        let random = Random::seeded(1);
        let (_folder, key) = key(&random);
        let sealed = key.seal(PLACE, &Credential::from_input(b"hunter2").unwrap(), &random);
        assert_eq!(key.open(PLACE, &sealed).unwrap().expose(), "hunter2");
        for place in [
            Place { table: "other", ..PLACE },
            Place { row: "other", ..PLACE },
            Place { column: "other", ..PLACE },
            Place { table: "secretopenai", row: "", ..PLACE },
        ] {
            assert!(key.open(place, &sealed).is_err(), "{place:?}");
        }
    }

    #[test]
    fn every_changed_byte_and_every_shorter_value_is_noticed() {
        let random = Random::seeded(2);
        let (_folder, key) = key(&random);
        let sealed = key.seal(PLACE, &Credential::from_input(b"hunter2").unwrap(), &random);
        assert!(!sealed.windows(7).any(|window| window == b"hunter2"));
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(key.open(PLACE, &changed).is_err(), "byte {at}");
            assert!(key.open(PLACE, &sealed[..at]).is_err(), "length {at}");
        }
    }

    #[test]
    fn another_key_opens_nothing() {
        let random = Random::seeded(3);
        let ((_one, ours), (_two, other)) = (key(&random), key(&random));
        let sealed = ours.seal(PLACE, &Credential::from_input(b"hunter2").unwrap(), &random);
        assert!(other.open(PLACE, &sealed).is_err());
    }

    #[test]
    fn a_file_with_something_else_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        let random = Random::seeded(4);
        private_file::read_or_create(&path, &random, || "not a key".into()).unwrap();
        let error = MasterKey::read_or_create(&path, &random).err().unwrap().to_string();
        assert!(error.contains("master key"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "not a key\n");
    }
}
