//! An upstream that repeats its credential: in a header of its answer, or in an error.

use axum::http::HeaderMap;
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use secrecy::zeroize::Zeroizing;

use crate::credential::Credential;

/// What is shorter is no secret but a word such as `none`, and stands in honest answers too.
const SHORTEST: usize = 8;

/// The forms in which a credential could come back: raw, and in base64 at each of its three alignments. Empty if there is nothing to
/// hide. It holds the credential, so it has no `Debug`.
#[derive(Default)]
pub(super) struct Echoes(Vec<Zeroizing<Vec<u8>>>);

impl Echoes {
    pub(super) fn of(credential: &Credential) -> Self {
        let raw = credential.expose().as_bytes();
        if raw.len() < SHORTEST {
            return Self::default();
        }
        let encoded = (0..3).map(|before| in_base64(raw, before));
        Self([Zeroizing::new(raw.to_vec())].into_iter().chain(encoded).collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the credential stands in the bytes.
    pub(super) fn are_in(&self, bytes: &[u8]) -> bool {
        self.0.iter().any(|form| bytes.windows(form.len()).any(|window| window == form.as_slice()))
    }

    /// Removes the header values that hold the credential. True if there were any.
    pub(super) fn remove_from(&self, headers: &mut HeaderMap) -> bool {
        let all = std::mem::take(headers);
        let count = all.len();
        let mut last = None;
        for (name, value) in all {
            // A map gives the name with the first of its values alone.
            last = name.or(last);
            if let Some(name) = last.as_ref().filter(|_| !self.are_in(value.as_bytes())) {
                headers.append(name, value);
            }
        }
        headers.len() < count
    }
}

/// The characters that stand for `raw` alone where it follows `before` other bytes (modulo 3), as in `user:password`.
fn in_base64(raw: &[u8], before: usize) -> Zeroizing<Vec<u8>> {
    let padded = Zeroizing::new([&[0; 2][..before], raw].concat());
    let encoded = Zeroizing::new(STANDARD_NO_PAD.encode(padded.as_slice()));
    let shared_before = (before * 8).div_ceil(6);
    let shared_after = usize::from(padded.len() % 3 != 0);
    Zeroizing::new(encoded.as_bytes()[shared_before..encoded.len() - shared_after].to_vec())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    fn echoes(credential: &str) -> Echoes {
        Echoes::of(&Credential::from_input(credential.as_bytes()).unwrap())
    }

    #[test]
    fn a_credential_is_found_raw_and_in_base64_whatever_stands_around_it() {
        for credential in ["hunter2-abc", "hunter2-abcd", "hunter2-abcde"] {
            let echoes = echoes(credential);
            for (before, after) in [("", ""), ("a", "z"), ("ab", "zz"), ("abc", ""), ("user:", "\n")] {
                let text = format!("{before}{credential}{after}");
                assert!(echoes.are_in(text.as_bytes()), "{text}");
                assert!(echoes.are_in(format!("Basic {}.", STANDARD.encode(&text)).as_bytes()), "{text}");
            }
            assert!(!echoes.are_in(STANDARD.encode("me:hunter3-abc").as_bytes()));
            assert!(!echoes.are_in(b"hunter2"));
        }
    }

    #[test]
    fn a_word_is_no_secret() {
        assert!(echoes("ollama").is_empty() && !echoes("ollama").are_in(b"ollama"));
    }

    #[test]
    fn of_a_header_with_two_values_only_the_one_that_holds_the_credential_goes() {
        let mut headers = HeaderMap::new();
        for value in ["one", "key=hunter2-abc", "two"] {
            headers.append("x-note", HeaderValue::from_static(value));
        }
        assert!(echoes("hunter2-abc").remove_from(&mut headers));
        assert_eq!(headers.get_all("x-note").iter().collect::<Vec<_>>(), ["one", "two"]);
        assert!(!echoes("hunter2-abc").remove_from(&mut headers));
    }
}
