//! How much of requests is kept at a time: bodies in memory, pushes on disk. Without bounds one consumer could take all memory, or
//! every thread that may block, from the others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::refusal::Refusal;
use crate::config::ByteSize;
use crate::tokens::ConsumerName;

/// Pushes that are read at a time; each holds a thread that may block.
const PUSHES: usize = 16;
/// Those of one consumer.
const PUSHES_OF_ONE: usize = 4;

/// The room for all requests. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Room(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    bytes: u64,
    taken: Mutex<HashMap<ConsumerName, Taken>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Taken {
    bytes: u64,
    pushes: usize,
}

/// What one request keeps; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    room: Room,
    consumer: ConsumerName,
    taken: Mutex<Taken>,
}

impl Room {
    /// For so many bytes in memory; one consumer may have half of them.
    pub(crate) fn new(bytes: ByteSize) -> Self {
        Self(Arc::new(Inner { bytes: bytes.0, taken: Mutex::default() }))
    }

    pub(super) fn share(&self, consumer: &ConsumerName) -> Arc<Share> {
        Arc::new(Share { room: self.clone(), consumer: consumer.clone(), taken: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ConsumerName, Taken>> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Share {
    /// Room for more bytes of a body.
    pub(super) fn take_bytes(&self, bytes: u64) -> Result<(), Refusal> {
        self.take(Taken { bytes, pushes: 0 })
    }

    /// Room for reading a push.
    pub(super) fn take_push(&self) -> Result<(), Refusal> {
        self.take(Taken { bytes: 0, pushes: 1 })
    }

    fn take(&self, more: Taken) -> Result<(), Refusal> {
        let mut all = self.room.lock();
        let total = all.values().fold(more, |sum, taken| sum.plus(*taken));
        let own = all.get(&self.consumer).copied().unwrap_or_default().plus(more);
        let most = self.room.0.bytes;
        let fits =
            total.bytes <= most && own.bytes <= most / 2 && total.pushes <= PUSHES && own.pushes <= PUSHES_OF_ONE;
        if !fits {
            return Err(Refusal::NoRoom);
        }
        all.insert(self.consumer.clone(), own);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        *taken = taken.plus(more);
        Ok(())
    }
}

impl Taken {
    fn plus(self, other: Self) -> Self {
        Self { bytes: self.bytes.saturating_add(other.bytes), pushes: self.pushes + other.pushes }
    }

    fn minus(self, other: Self) -> Self {
        Self { bytes: self.bytes.saturating_sub(other.bytes), pushes: self.pushes.saturating_sub(other.pushes) }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let taken = *self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = self.room.lock();
        let left = all.get(&self.consumer).copied().unwrap_or_default().minus(taken);
        if left == Taken::default() {
            all.remove(&self.consumer);
        } else {
            all.insert(self.consumer.clone(), left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(room: &Room, consumer: &str) -> Arc<Share> {
        room.share(&ConsumerName::new(consumer).unwrap())
    }

    #[test]
    fn one_consumer_has_half_and_all_together_have_the_whole() {
        let room = Room::new(ByteSize(100));
        let (alice, bob, carol) = (share(&room, "alice"), share(&room, "bob"), share(&room, "carol"));
        alice.take_bytes(50).unwrap();
        assert!(share(&room, "alice").take_bytes(1).is_err());
        bob.take_bytes(40).unwrap();
        assert!(carol.take_bytes(11).is_err());
        carol.take_bytes(10).unwrap();
        drop(alice);
        bob.take_bytes(10).unwrap();
    }

    #[test]
    fn what_is_given_back_leaves_nothing_behind() {
        let room = Room::new(ByteSize(100));
        for _ in 0..10 {
            let shares: Vec<_> = (0..PUSHES_OF_ONE).map(|_| share(&room, "alice")).collect();
            for share in &shares {
                share.take_push().unwrap();
            }
            assert!(share(&room, "alice").take_push().is_err());
            share(&room, "bob").take_push().unwrap();
        }
        assert!(room.lock().is_empty());
    }
}
