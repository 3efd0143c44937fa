//! What binds an approval to the exact bytes of a request.

use std::fmt;

use sha2::{Digest, Sha256};

/// SHA-256 over method, target (path and query) and body, each preceded by its length as eight bytes, big end first. The lengths
/// keep a byte from wandering from one field into the next. In place of a body that is kept on disk stands its SHA-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RequestDigest([u8; 32]);

impl RequestDigest {
    /// Of a request exactly as it will be forwarded.
    pub(crate) fn of(method: &str, target: &str, body: &[u8]) -> Self {
        let mut hash = Sha256::new();
        for field in [method.as_bytes(), target.as_bytes(), body] {
            hash.update((field.len() as u64).to_be_bytes());
            hash.update(field);
        }
        Self(hash.finalize().into())
    }
}

/// In hex.
impl fmt::Display for RequestDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_fixed_for_whoever_checks_it_outside() {
        // printf '\0\0\0\0\0\0\0\3PUT\0\0\0\0\0\0\0\2/a\0\0\0\0\0\0\0\2{}' | sha256sum
        let digest = RequestDigest::of("PUT", "/a", b"{}").to_string();
        assert_eq!(digest, "134e4e41854798278720f564c91be5db1c26573991c6d8672a563d5f18212ef4");
    }

    #[test]
    fn no_two_requests_that_differ_have_one_digest() {
        let one = RequestDigest::of("PUT", "/a?b", b"{}");
        for (method, target, body) in
            [("PUT", "/a?", &b"b{}"[..]), ("POST", "/a?b", b"{}"), ("PUT", "/a?b", b"{} "), ("PU", "T/a?b", b"{}")]
        {
            assert_ne!(RequestDigest::of(method, target, body), one);
        }
    }
}
