//! Names of objects, and the hash that they are made with.

use std::fmt;

use sha1::Sha1;
use sha2::{Digest, Sha256};

const LONGEST: usize = ObjectFormat::Sha256.bytes();

/// The hash that a repository names its objects with (`object-format` in gitprotocol-capabilities).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ObjectFormat {
    /// What is used where nothing else is said.
    #[default]
    Sha1,
    /// `object-format=sha256`.
    Sha256,
}

impl ObjectFormat {
    /// The length of an id in bytes.
    pub const fn bytes(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }

    /// The length of an id in hexadecimal digits.
    pub const fn digits(self) -> usize {
        self.bytes() * 2
    }
}

/// The id of an object: the hash of its kind, length and content. All zero where there is no object.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ObjectId {
    format: ObjectFormat,
    bytes: [u8; LONGEST],
}

/// This is no id of the repository's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an object id has {} hexadecimal digits here", .0.digits())]
pub struct BadObjectId(pub ObjectFormat);

impl ObjectId {
    /// From as many bytes as the format has.
    pub fn from_bytes(format: ObjectFormat, from: &[u8]) -> Result<Self, BadObjectId> {
        if from.len() != format.bytes() {
            return Err(BadObjectId(format));
        }
        let mut bytes = [0; LONGEST];
        bytes[..from.len()].copy_from_slice(from);
        Ok(Self { format, bytes })
    }

    /// From hexadecimal digits of either case, as git reads them in commands.
    pub fn from_hex(format: ObjectFormat, digits: &[u8]) -> Result<Self, BadObjectId> {
        let read = || {
            let mut bytes = [0; LONGEST];
            for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
                *byte = hex_digit(pair[0])? << 4 | hex_digit(pair[1])?;
            }
            (digits.len() == format.digits()).then_some(Self { format, bytes })
        };
        read().ok_or(BadObjectId(format))
    }

    /// The hash that made it.
    pub fn format(&self) -> ObjectFormat {
        self.format
    }

    /// 20 or 32 bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.format.bytes()]
    }

    /// Whether it stands for no object: what is created has this as its old id, what is deleted as its new one.
    pub fn is_zero(&self) -> bool {
        self.bytes == [0; LONGEST]
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The value of one hexadecimal digit of either case.
pub(crate) fn hex_digit(digit: u8) -> Option<u8> {
    // A digit is below 16, so that nothing is cut off.
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// The hash of a repository, at work.
#[derive(Clone)]
pub(crate) enum Hasher {
    Sha1(Sha1),
    Sha256(Sha256),
}

impl Hasher {
    pub(crate) fn new(format: ObjectFormat) -> Self {
        match format {
            ObjectFormat::Sha1 => Self::Sha1(Sha1::new()),
            ObjectFormat::Sha256 => Self::Sha256(Sha256::new()),
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha1(hash) => hash.update(bytes),
            Self::Sha256(hash) => hash.update(bytes),
        }
    }

    pub(crate) fn finish(self) -> ObjectId {
        let mut bytes = [0; LONGEST];
        let format = match self {
            Self::Sha1(hash) => {
                bytes[..20].copy_from_slice(&hash.finalize());
                ObjectFormat::Sha1
            }
            Self::Sha256(hash) => {
                bytes.copy_from_slice(&hash.finalize());
                ObjectFormat::Sha256
            }
        };
        ObjectId { format, bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_written_as_it_was_read() {
        let digits = "ce013625030ba8dba906f756967f9e9ca394464a";
        let id = ObjectId::from_hex(ObjectFormat::Sha1, digits.as_bytes()).unwrap();
        assert_eq!(id.to_string(), digits);
        assert_eq!(ObjectId::from_hex(ObjectFormat::Sha1, digits.to_ascii_uppercase().as_bytes()), Ok(id));
        assert_eq!(ObjectId::from_bytes(ObjectFormat::Sha1, id.as_bytes()), Ok(id));
    }

    #[test]
    fn what_is_no_id_of_the_format_is_refused() {
        for digits in ["", "0", &"0".repeat(39), &"0".repeat(41), &"0".repeat(64), &"g".repeat(40), &"+1".repeat(20)] {
            let refused = ObjectId::from_hex(ObjectFormat::Sha1, digits.as_bytes());
            assert_eq!(refused, Err(BadObjectId(ObjectFormat::Sha1)), "{digits}");
        }
        assert!(ObjectId::from_hex(ObjectFormat::Sha256, "0".repeat(40).as_bytes()).is_err());
        assert!(ObjectId::from_hex(ObjectFormat::Sha256, "0".repeat(64).as_bytes()).unwrap().is_zero());
    }

    #[test]
    fn the_hash_is_that_of_git() {
        let mut hash = Hasher::new(ObjectFormat::Sha1);
        hash.update(b"blob 6\0hello\n");
        assert_eq!(hash.finish().to_string(), "ce013625030ba8dba906f756967f9e9ca394464a");
    }
}
