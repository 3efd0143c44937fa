//! pkt-lines: the frames of git's protocols (gitprotocol-common).

use crate::object_id::hex_digit;

/// The longest pkt-line, its four digits included.
pub const LONGEST: usize = 65_520;
/// The most that one pkt-line carries.
pub const LONGEST_PAYLOAD: usize = LONGEST - DIGITS;

const DIGITS: usize = 4;

/// One pkt-line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// `0000`: the end of a message or of a section.
    Flush,
    /// `0001`: the end of a section, in version 2.
    Delimiter,
    /// `0002`: the end of a response, in version 2.
    ResponseEnd,
    /// What a line carries, as it came: a line feed at its end is not cut off.
    Data(&'a [u8]),
}

/// These bytes are no pkt-lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPacket {
    /// Four other bytes.
    #[error("a pkt-line does not begin with four hexadecimal digits")]
    NotDigits,
    /// `0003`, or more than 65,520.
    #[error("no pkt-line has the length {0}")]
    Length(usize),
}

/// Takes pkt-lines out of bytes that come in pieces. Holds one line at most.
#[derive(Debug, Default)]
pub struct Decoder {
    held: Vec<u8>,
    /// `held` is a whole line that was handed out.
    is_spent: bool,
}

impl Decoder {
    /// Takes the bytes of one line from the front of `bytes`; `None` if the line goes on after them.
    pub fn next<'a>(&'a mut self, bytes: &mut &[u8]) -> Result<Option<Packet<'a>>, BadPacket> {
        if std::mem::take(&mut self.is_spent) {
            self.held.clear();
        }
        if !self.fill(DIGITS, bytes) {
            return Ok(None);
        }
        let length = length(&self.held[..DIGITS])?;
        if !self.fill(length, bytes) {
            return Ok(None);
        }
        self.is_spent = true;
        Ok(Some(match length {
            0 => Packet::Flush,
            1 => Packet::Delimiter,
            2 => Packet::ResponseEnd,
            _ => Packet::Data(&self.held[DIGITS..]),
        }))
    }

    /// Whether it stands between two lines, and not within one.
    pub fn is_between_lines(&self) -> bool {
        self.is_spent || self.held.is_empty()
    }

    fn fill(&mut self, length: usize, bytes: &mut &[u8]) -> bool {
        let missing = length.saturating_sub(self.held.len());
        let (taken, rest) = bytes.split_at(missing.min(bytes.len()));
        self.held.extend_from_slice(taken);
        *bytes = rest;
        self.held.len() >= length
    }
}

fn length(digits: &[u8]) -> Result<usize, BadPacket> {
    let add = |sum: usize, digit: &u8| Some(sum << 4 | usize::from(hex_digit(*digit)?));
    match digits.iter().try_fold(0, add).ok_or(BadPacket::NotDigits)? {
        bad if bad == 3 || bad > LONGEST => Err(BadPacket::Length(bad)),
        length => Ok(length),
    }
}

/// Writes `0000`.
pub fn write_flush(out: &mut Vec<u8>) {
    out.extend_from_slice(b"0000");
}

/// Writes one line.
///
/// # Panics
///
/// If the payload is longer than [`LONGEST_PAYLOAD`].
pub fn write_data(out: &mut Vec<u8>, payload: &[u8]) {
    assert!(payload.len() <= LONGEST_PAYLOAD, "a pkt-line carries no more");
    out.extend_from_slice(format!("{:04x}", payload.len() + DIGITS).as_bytes());
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug, PartialEq)]
    enum Owned {
        Flush,
        Delimiter,
        ResponseEnd,
        Data(Vec<u8>),
    }

    impl From<Packet<'_>> for Owned {
        fn from(packet: Packet<'_>) -> Self {
            match packet {
                Packet::Flush => Self::Flush,
                Packet::Delimiter => Self::Delimiter,
                Packet::ResponseEnd => Self::ResponseEnd,
                Packet::Data(data) => Self::Data(data.to_vec()),
            }
        }
    }

    fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Owned>, Option<BadPacket>, bool) {
        let (mut decoder, mut packets) = (Decoder::default(), Vec::new());
        for mut bytes in pieces {
            while !bytes.is_empty() {
                match decoder.next(&mut bytes) {
                    Ok(Some(packet)) => packets.push(packet.into()),
                    Ok(None) => {}
                    Err(bad) => return (packets, Some(bad), false),
                }
                assert!(decoder.held.len() <= LONGEST);
            }
        }
        let is_between_lines = decoder.is_between_lines();
        (packets, None, is_between_lines)
    }

    #[test]
    fn every_kind_of_line_is_told_apart() {
        let (packets, bad, whole) = read([b"0006a\n0000000100020004000bfoobar\n".as_slice()]);
        let expected = vec![
            Owned::Data(b"a\n".to_vec()),
            Owned::Flush,
            Owned::Delimiter,
            Owned::ResponseEnd,
            Owned::Data(Vec::new()),
            Owned::Data(b"foobar\n".to_vec()),
        ];
        assert_eq!((packets, bad, whole), (expected, None, true));
    }

    #[test]
    fn an_impossible_length_is_refused() {
        for (bytes, expected) in [
            ("0003", BadPacket::Length(3)),
            ("fff1", BadPacket::Length(65_521)),
            ("PACK", BadPacket::NotDigits),
            ("+004", BadPacket::NotDigits),
            ("0x04", BadPacket::NotDigits),
        ] {
            assert_eq!(read([bytes.as_bytes()]).1, Some(expected), "{bytes}");
        }
        assert_eq!(read([b"FFF0".as_slice()]), (Vec::new(), None, false));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_wherever_it_is_split(
            payloads in vec(vec(any::<u8>(), 0..300), 0..20),
            step in 1usize..50,
        ) {
            let mut bytes = Vec::new();
            for payload in &payloads {
                write_data(&mut bytes, payload);
            }
            write_flush(&mut bytes);
            let (packets, bad, whole) = read(bytes.chunks(step));
            let mut expected: Vec<_> = payloads.into_iter().map(Owned::Data).collect();
            expected.push(Owned::Flush);
            prop_assert_eq!((packets, bad, whole), (expected, None, true));
        }

        #[test]
        fn any_bytes_give_the_same_wherever_they_are_split(bytes in "[0-9a-f]{0,40}|.{0,40}", step in 1usize..9) {
            let bytes = bytes.as_bytes();
            prop_assert_eq!(read(bytes.chunks(step)), read([bytes]));
        }
    }
}
