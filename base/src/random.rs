//! Randomness as a parameter: ids, tokens and jitter come from a [`Random`] that the caller was given.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::rngs::{StdRng, SysRng};
use rand::{Rng, RngExt, SeedableRng, TryRng};

const ID_ALPHABET: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";

/// A shared, cryptographically secure generator.
#[derive(Clone)]
pub struct Random(Arc<Mutex<StdRng>>);

impl Random {
    /// Seeded by the operating system. Call it once, where the program starts.
    ///
    /// # Panics
    /// If the operating system has no randomness to give: no secret made on such a machine could be trusted.
    pub fn from_os() -> Self {
        let mut seed = [0_u8; 32];
        SysRng.try_fill_bytes(&mut seed).expect("the operating system gives random bytes");
        Self(Arc::new(Mutex::new(StdRng::from_seed(seed))))
    }

    /// The same sequence for the same seed: for tests.
    pub fn seeded(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(StdRng::seed_from_u64(seed))))
    }

    /// `N` random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.with(|rng| rng.fill_bytes(&mut bytes));
        bytes
    }

    /// `length` random characters out of `0-9a-z`; 16 of them carry 82 bits.
    pub fn text(&self, length: usize) -> String {
        self.with(|rng| (0..length).map(|_| char::from(ID_ALPHABET[rng.random_range(0..ID_ALPHABET.len())])).collect())
    }

    /// An identifier that no other call gives: 20 characters out of `0-9a-z`.
    pub fn id(&self) -> String {
        self.text(20)
    }

    /// Between half of `around` and one and a half of it, so that retries of many do not come at once.
    pub fn jitter(&self, around: Duration) -> Duration {
        around.mul_f64(self.with(|rng| rng.random_range(0.5..1.5)))
    }

    fn with<T>(&self, draw: impl FnOnce(&mut StdRng) -> T) -> T {
        draw(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Random")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_ids_and_no_id_comes_twice() {
        let (one, two) = (Random::seeded(7), Random::seeded(7));
        let first = one.id();
        assert_eq!(first, two.id());
        assert_ne!(first, one.id());
        assert!(first.bytes().all(|byte| ID_ALPHABET.contains(&byte)));
    }
}
