//! Durations (`90s`, `15m`, `1h`, `30d`) and sizes (`64KB`, `32MB`, `2GB`) as people write them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;

/// A whole number and a unit: `s`, `m`, `h` or `d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct HumanDuration(pub Duration);

/// A whole number of bytes and a unit: `B`, `KB`, `MB` or `GB`, in powers of 1024.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct ByteSize(pub u64);

/// A duration or a size that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{written}` is no {kind}: write a whole number and a unit, as in {example}")]
pub struct UnitError {
    written: String,
    kind: &'static str,
    example: &'static str,
}

impl FromStr for HumanDuration {
    type Err = UnitError;

    fn from_str(written: &str) -> Result<Self, UnitError> {
        let seconds = number_and_unit(written).and_then(|(number, unit)| {
            let factor = match unit {
                "s" => 1,
                "m" => 60,
                "h" => 60 * 60,
                "d" => 24 * 60 * 60,
                _ => return None,
            };
            number.checked_mul(factor)
        });
        let error = UnitError { written: written.to_owned(), kind: "duration", example: "90s, 15m, 1h or 30d" };
        seconds.map(|seconds| Self(Duration::from_secs(seconds))).ok_or(error)
    }
}

impl FromStr for ByteSize {
    type Err = UnitError;

    fn from_str(written: &str) -> Result<Self, UnitError> {
        let bytes = number_and_unit(written).and_then(|(number, unit)| {
            let shift = match unit {
                "B" => 0,
                "KB" => 10,
                "MB" => 20,
                "GB" => 30,
                _ => return None,
            };
            number.checked_mul(1 << shift)
        });
        let error = UnitError { written: written.to_owned(), kind: "size", example: "64KB, 32MB or 2GB" };
        bytes.map(Self).ok_or(error)
    }
}

fn number_and_unit(written: &str) -> Option<(u64, &str)> {
    let end = written.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = written.split_at(end);
    Some((number.parse().ok()?, unit))
}

impl TryFrom<String> for HumanDuration {
    type Error = UnitError;

    fn try_from(written: String) -> Result<Self, UnitError> {
        written.parse()
    }
}

impl TryFrom<String> for ByteSize {
    type Error = UnitError;

    fn try_from(written: String) -> Result<Self, UnitError> {
        written.parse()
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, shift) = [("GB", 30), ("MB", 20), ("KB", 10)]
            .into_iter()
            .find(|(_, shift)| self.0 > 0 && self.0.trailing_zeros() >= *shift)
            .unwrap_or(("B", 0));
        write!(f, "{}{unit}", self.0 >> shift)
    }
}
