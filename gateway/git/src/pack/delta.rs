//! Deltas: a text made of pieces of another (gitformat-pack, "Deltified representation").

use super::BadPack;

/// What a delta makes of its base, or `None` if that would be longer than `longest`.
pub(super) fn apply(base: &[u8], mut delta: &[u8], longest: usize) -> Result<Option<Vec<u8>>, BadPack> {
    if length(&mut delta)? != base.len() {
        return Err(BadPack::Delta);
    }
    let length = length(&mut delta)?;
    if length > longest {
        return Ok(None);
    }
    let mut made = Vec::with_capacity(length);
    while let Some(instruction) = byte(&mut delta) {
        let piece = match instruction {
            0 => None,
            0x80.. => copied(instruction, &mut delta).and_then(|range| base.get(range)),
            _ => delta.split_off(..usize::from(instruction)),
        };
        made.extend_from_slice(piece.filter(|piece| made.len() + piece.len() <= length).ok_or(BadPack::Delta)?);
    }
    if made.len() == length { Ok(Some(made)) } else { Err(BadPack::Delta) }
}

/// Which part of the base an instruction copies: the bits say which bytes of its offset and length follow.
fn copied(instruction: u8, delta: &mut &[u8]) -> Option<std::ops::Range<usize>> {
    let mut number = |bits: u8, count: u8| {
        (0..count).filter(|bit| bits >> bit & 1 == 1).try_fold(0, |sum, bit| {
            let byte = byte(delta)?;
            Some(sum | usize::from(byte) << (8 * bit))
        })
    };
    let offset = number(instruction & 0xf, 4)?;
    let length = match number(instruction >> 4 & 7, 3)? {
        0 => 0x1_0000,
        length => length,
    };
    Some(offset..offset.checked_add(length)?)
}

/// Seven bits a byte, the lowest first.
fn length(delta: &mut &[u8]) -> Result<usize, BadPack> {
    let mut length = 0;
    for shift in (0..=49).step_by(7) {
        let byte = byte(delta).ok_or(BadPack::Delta)?;
        length |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(length);
        }
    }
    Err(BadPack::Delta)
}

fn byte(delta: &mut &[u8]) -> Option<u8> {
    delta.split_off_first().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &[u8] = b"tree and parent";

    #[test]
    fn pieces_are_copied_and_put_in() {
        // From offset 9 the last 6, then three new ones, then from 0 the first 4.
        let delta = [15, 13, 0x91, 9, 6, 3, b'-', b'x', b'-', 0x90, 4];
        assert_eq!(apply(BASE, &delta, 100).unwrap().unwrap(), b"parent-x-tree");
        assert_eq!(apply(BASE, &delta, 12).unwrap(), None);
    }

    #[test]
    fn a_copy_without_a_length_is_64_kib() {
        let base = vec![7; 0x1_0000];
        let delta = [0x80, 0x80, 4, 0x80, 0x80, 4, 0x80];
        assert_eq!(apply(&base, &delta, 1 << 20).unwrap().unwrap(), base);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for delta in [
            [].as_slice(),
            &[15],
            &[14, 1, 1, b'a'],
            &[15, 1],
            &[15, 1, 0],
            &[15, 2, 1, b'a'],
            &[15, 1, 2, b'a', b'b'],
            &[15, 1, 2, b'a'],
            &[15, 6, 0x91, 10, 6],
            &[15, 6, 0x91, 9],
            &[0xff; 20],
        ] {
            assert!(matches!(apply(BASE, delta, 100), Err(BadPack::Delta)), "{delta:?}");
        }
    }
}
