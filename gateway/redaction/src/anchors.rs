//! Where the first characters of a rendering stand, found with one look at every fifth byte.

use secrecy::zeroize::Zeroizing;

/// How many bytes at the start of a rendering are looked for. No rendering is shorter.
pub(crate) const ANCHOR: usize = 8;
/// The bytes of one look.
const PIECE: usize = 4;
/// With this distance between two looks, exactly one of them lies within any eight bytes, wherever these begin.
const STRIDE: usize = ANCHOR - PIECE + 1;
/// The looks taken before the first is judged.
const LOOKS: usize = 8;
/// The table has at least as many slots, and for each anchor [`SLOTS_EACH`]; so few of them are taken that most looks end there.
const FEWEST_SLOTS: usize = 1 << 15;
const MOST_SLOTS: usize = 1 << 20;
const SLOTS_EACH: usize = 64;

/// The first eight bytes of each rendering.
pub(crate) struct Anchors {
    /// For the hash of a piece the places in anchors at which it stands, one bit each.
    places: Zeroizing<Vec<u8>>,
    /// How much of a hash is no part of a slot's number.
    shift: u32,
    /// The anchors themselves.
    sorted: Zeroizing<Vec<u64>>,
}

fn piece_at(bytes: &[u8], at: usize) -> Option<[u8; PIECE]> {
    bytes.get(at..)?.first_chunk().copied()
}

impl Anchors {
    pub(crate) fn new(patterns: &[Zeroizing<Vec<u8>>]) -> Self {
        let slots = (patterns.len() * SLOTS_EACH).next_power_of_two().clamp(FEWEST_SLOTS, MOST_SLOTS);
        let sorted = Zeroizing::new(Vec::with_capacity(patterns.len()));
        let shift = u32::BITS - slots.trailing_zeros();
        let mut made = Self { places: Zeroizing::new(vec![0; slots]), shift, sorted };
        for anchor in patterns.iter().filter_map(|pattern| pattern.first_chunk::<ANCHOR>()) {
            made.sorted.push(u64::from_le_bytes(*anchor));
            for (place, piece) in anchor.array_windows::<PIECE>().enumerate() {
                let slot = made.slot(*piece);
                made.places[slot] |= 1 << place;
            }
        }
        made.sorted.sort_unstable();
        made.sorted.dedup();
        made
    }

    fn slot(&self, piece: [u8; PIECE]) -> usize {
        (u32::from_le_bytes(piece).wrapping_mul(0x9E37_79B1) >> self.shift) as usize
    }

    /// Where the first anchor begins that stands whole in the bytes, at `from` or after it.
    pub(crate) fn find(&self, bytes: &[u8], from: usize) -> Option<usize> {
        let mut at = from;
        while let Some(block) = bytes.get(at..).and_then(|rest| rest.first_chunk::<{ LOOKS * STRIDE }>()) {
            if self.any_place(block) {
                let found = (at..at + block.len()).step_by(STRIDE).find_map(|look| self.around(bytes, from, look));
                if found.is_some() {
                    return found;
                }
            }
            at += block.len();
        }
        (at..bytes.len()).step_by(STRIDE).find_map(|look| self.around(bytes, from, look))
    }

    fn any_place(&self, block: &[u8; LOOKS * STRIDE]) -> bool {
        let place = |look: usize| {
            let at = look * STRIDE;
            self.places[self.slot([block[at], block[at + 1], block[at + 2], block[at + 3]])]
        };
        (0..LOOKS).fold(0, |any, look| any | place(look)) != 0
    }

    /// The first anchor with the piece at `look` in it.
    fn around(&self, bytes: &[u8], from: usize, look: usize) -> Option<usize> {
        let places = self.places[self.slot(piece_at(bytes, look)?)];
        if places == 0 {
            return None;
        }
        (0..STRIDE).rev().filter(|place| places & 1 << place != 0).find_map(|place| {
            let start = look.checked_sub(place).filter(|&start| start >= from)?;
            let anchor = u64::from_le_bytes(*bytes.get(start..)?.first_chunk()?);
            self.sorted.binary_search(&anchor).is_ok().then_some(start)
        })
    }
}
