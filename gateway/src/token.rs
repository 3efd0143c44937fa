//! What a consumer token looks like: `dw_`, 36 random characters, and 6 that are a checksum over all before them.
//!
//! The checksum (CRC-32, in base 62, as in GitHub's tokens) lets a scanner recognise a leaked token without asking anyone, and
//! lets the gateway refuse noise before it asks its database.

use std::fmt;

use doorward_base::Random;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

const PREFIX: &str = "dw_";
const RANDOM_LENGTH: usize = 36;
const CHECKSUM_LENGTH: usize = 6;
const LENGTH: usize = PREFIX.len() + RANDOM_LENGTH + CHECKSUM_LENGTH;
const BASE_62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A well-formed consumer token; whether it is one of ours, the database says.
#[derive(Clone, Debug)]
pub struct ConsumerToken(SecretString);

/// This is not the text of a consumer token. The text itself is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is not a consumer token: one is dw_ and 42 letters and digits, the last 6 of them a checksum")]
pub struct MalformedToken;

impl ConsumerToken {
    /// A token that nobody has seen.
    pub fn generate(random: &Random) -> Self {
        let body = format!("{PREFIX}{}", random.text(RANDOM_LENGTH));
        let sum = checksum(&body);
        Self(format!("{body}{sum}").into())
    }

    /// Reads a token. Length, alphabet and checksum are checked, nothing is looked up.
    pub fn parse(text: &str) -> Result<Self, MalformedToken> {
        if text.len() != LENGTH || !text.starts_with(PREFIX) {
            return Err(MalformedToken);
        }
        if !text.bytes().skip(PREFIX.len()).all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(MalformedToken);
        }
        let (body, sum) = text.split_at(LENGTH - CHECKSUM_LENGTH);
        if checksum(body) == sum { Ok(Self(text.into())) } else { Err(MalformedToken) }
    }

    /// Whether a well-formed token stands anywhere in the bytes.
    pub(crate) fn is_in(bytes: &[u8]) -> bool {
        let text = |window| std::str::from_utf8(window).is_ok_and(|text| Self::parse(text).is_ok());
        bytes.windows(LENGTH).any(|window| window.starts_with(PREFIX.as_bytes()) && text(window))
    }

    /// The token itself, to hand to its consumer once.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// What the database keeps of it.
    pub(crate) fn digest(&self) -> TokenDigest {
        TokenDigest(Sha256::digest(self.expose().as_bytes()).into())
    }
}

/// The SHA-256 of a token.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct TokenDigest([u8; 32]);

impl TokenDigest {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// A digest as it was stored.
    pub(crate) fn from_stored(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenDigest")
    }
}

/// CRC-32 over `body` as six digits of base 62.
fn checksum(body: &str) -> String {
    let mut rest = crc32fast::hash(body.as_bytes()) as usize;
    let mut digits = [b'0'; CHECKSUM_LENGTH];
    for digit in digits.iter_mut().rev() {
        *digit = BASE_62[rest % BASE_62.len()];
        rest /= BASE_62.len();
    }
    digits.iter().map(|digit| char::from(*digit)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_generated_token_is_read_back_and_says_nothing_when_printed() {
        let token = ConsumerToken::generate(&Random::seeded(1));
        assert!(ConsumerToken::parse(token.expose()).is_ok());
        assert_eq!(token.expose().len(), 45);
        assert!(!format!("{token:?}").contains(token.expose()));
    }

    #[test]
    fn the_checksum_is_fixed_for_scanners_that_know_it() {
        assert_eq!(checksum("dw_000000000000000000000000000000000000"), "4Wduhm");
    }

    #[test]
    fn a_token_is_seen_between_other_bytes() {
        let token = ConsumerToken::generate(&Random::seeded(1));
        for text in [token.expose().to_owned(), format!("dw_x{}y", token.expose()), format!("\u{e9}{}", token.expose())]
        {
            assert!(ConsumerToken::is_in(text.as_bytes()), "{text}");
        }
        assert!(!ConsumerToken::is_in(&token.expose().as_bytes()[..44]) && !ConsumerToken::is_in(b""));
    }

    proptest! {
        #[test]
        fn one_changed_character_is_always_noticed(seed: u64, at in 0_usize..LENGTH, to in "[0-9A-Za-z_ ]") {
            let token = ConsumerToken::generate(&Random::seeded(seed));
            let mut text = token.expose().to_owned();
            text.replace_range(at..=at, &to);
            prop_assert_eq!(ConsumerToken::parse(&text).is_ok(), text == token.expose());
        }

        #[test]
        fn arbitrary_text_never_panics_and_is_never_a_token(text: String) {
            prop_assert!(ConsumerToken::parse(&text).is_err());
        }

        #[test]
        fn arbitrary_text_of_the_right_shape_is_refused_by_its_checksum(text in "dw_[0-9a-z]{36}[!-~]{6}") {
            let (body, sum) = text.split_at(LENGTH - CHECKSUM_LENGTH);
            prop_assert_eq!(ConsumerToken::parse(&text).is_ok(), checksum(body) == sum);
        }
    }
}
