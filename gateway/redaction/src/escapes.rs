//! The escape sequences of JSON (and of scripts: `\x41`), of URLs and of HTML.

/// No escape sequence is longer: a pair of surrogates in JSON, `\ud83d\ude00`.
pub(crate) const LONGEST: usize = 12;

/// The entities of HTML that stand for what secrets and their renderings are made of.
const NAMED: [(&[u8], u8); 23] = [
    (b"amp;", b'&'),
    (b"lt;", b'<'),
    (b"gt;", b'>'),
    (b"quot;", b'"'),
    (b"apos;", b'\''),
    (b"sol;", b'/'),
    (b"bsol;", b'\\'),
    (b"plus;", b'+'),
    (b"equals;", b'='),
    (b"lowbar;", b'_'),
    (b"period;", b'.'),
    (b"colon;", b':'),
    (b"comma;", b','),
    (b"semi;", b';'),
    (b"num;", b'#'),
    (b"excl;", b'!'),
    (b"quest;", b'?'),
    (b"commat;", b'@'),
    (b"dollar;", b'$'),
    (b"percnt;", b'%'),
    (b"ast;", b'*'),
    (b"NewLine;", b'\n'),
    (b"Tab;", b'\t'),
];

/// What some bytes are as an escape sequence.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Sequence {
    /// The beginning of one.
    Begun,
    /// One that stands for a byte.
    Byte(u8),
    /// One that stands for a character of Unicode.
    Character(char),
    /// None.
    No,
}

/// Whether escape sequences begin with this byte.
pub(crate) fn begins(byte: u8) -> bool {
    matches!(byte, b'\\' | b'%' | b'&')
}

/// Reads the bytes, at most [`LONGEST`], as exactly one escape sequence.
pub(crate) fn read(bytes: &[u8]) -> Sequence {
    match bytes {
        [b'\\' | b'%' | b'&'] => Sequence::Begun,
        [b'%', digits @ ..] | [b'\\', b'x', digits @ ..] => hex_byte(digits),
        [b'\\', b'u', digits @ ..] => utf16(digits),
        [b'\\', letter] => short(*letter).map_or(Sequence::No, Sequence::Byte),
        [b'&', b'#', number @ ..] => numbered(number),
        [b'&', name @ ..] => named(name),
        _ => Sequence::No,
    }
}

pub(crate) fn short(letter: u8) -> Option<u8> {
    Some(match letter {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 8,
        b'f' => 12,
        b'"' | b'\'' | b'\\' | b'/' => letter,
        _ => return None,
    })
}

pub(crate) fn number(digits: &[u8], radix: u32) -> Option<u32> {
    digits
        .iter()
        .try_fold(0_u32, |number, &digit| number.checked_mul(radix)?.checked_add(char::from(digit).to_digit(radix)?))
}

fn hex_byte(digits: &[u8]) -> Sequence {
    match number(digits, 16) {
        Some(value) if digits.len() == 2 => Sequence::Byte(value.to_le_bytes()[0]),
        Some(_) if digits.len() < 2 => Sequence::Begun,
        _ => Sequence::No,
    }
}

/// What follows a `\u`.
fn utf16(digits: &[u8]) -> Sequence {
    let (first, rest) = digits.split_at(digits.len().min(4));
    let Some(high) = number(first, 16) else { return Sequence::No };
    if first.len() < 4 {
        return Sequence::Begun;
    }
    if !(0xd800..0xdc00).contains(&high) {
        return char::from_u32(high).filter(|_| rest.is_empty()).map_or(Sequence::No, Sequence::Character);
    }
    let (prefix, second) = rest.split_at(rest.len().min(2));
    match number(second, 16) {
        Some(low) if prefix == b"\\u" && second.len() == 4 => surrogates(high, low),
        Some(_) if b"\\u".starts_with(prefix) => Sequence::Begun,
        _ => Sequence::No,
    }
}

fn surrogates(high: u32, low: u32) -> Sequence {
    let value = low.checked_sub(0xdc00).map(|low| 0x1_0000 + ((high - 0xd800) << 10) + low);
    value.and_then(char::from_u32).map_or(Sequence::No, Sequence::Character)
}

/// What follows a `&#`.
pub(crate) fn numbered(bytes: &[u8]) -> Sequence {
    let (digits, radix) = match bytes {
        [b'x' | b'X', digits @ ..] => (digits, 16),
        digits => (digits, 10),
    };
    match digits.split_last() {
        Some((b';', digits)) if !digits.is_empty() => {
            number(digits, radix).and_then(char::from_u32).map_or(Sequence::No, Sequence::Character)
        }
        _ if number(digits, radix).is_some() && bytes.len() + 2 < LONGEST => Sequence::Begun,
        _ => Sequence::No,
    }
}

/// What follows a `&`.
pub(crate) fn named(bytes: &[u8]) -> Sequence {
    match NAMED.iter().find(|(name, _)| name.starts_with(bytes)) {
        Some((name, byte)) if name.len() == bytes.len() => Sequence::Byte(*byte),
        Some(_) => Sequence::Begun,
        None => Sequence::No,
    }
}
