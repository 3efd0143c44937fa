//! Money: what a grant may spend, and `[gateway.prices]`.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

const PICODOLLARS: f64 = 1e12;
/// An amount in 64 bits ends at 9.2 million dollars.
const LARGEST: f64 = 9_000_000.0;

/// US dollars, counted in picodollars (10⁻¹² $): the finest unit in which a budget of some millions still fits 64 bits, and one in
/// which a token of every model costs a whole number. A price of 1.25 $ per million tokens is 1,250,000 of them per token. Never
/// negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "f64")]
pub struct Usd(i64);

/// What a token costs, written in US dollars per million tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "f64")]
pub struct PerMillion(Usd);

/// An amount that cannot be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAmount {
    /// Negative, no number, or too large.
    #[error("an amount of money is a number of US dollars between 0 and 9000000")]
    OutOfRange,
    /// It would count as nothing.
    #[error("a price is 0, or at least 0.000001 US dollars per million tokens")]
    TooSmall,
}

/// The `[gateway.prices]` table: by the name of a model or a pattern of names (`*` matches any characters). The longest pattern that
/// matches wins over shorter ones, and each over the prices that Doorward brings along.
pub type PriceTable = BTreeMap<String, PriceConfig>;

/// `[gateway.prices."NAME"]`, in US dollars per million tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceConfig {
    /// Tokens of the prompt. 0 is a model that costs nothing.
    pub input: PerMillion,
    /// Tokens of the answer.
    pub output: PerMillion,
    /// Tokens of the prompt that the provider had in its cache; as `input` if not given.
    pub cached_input: Option<PerMillion>,
    /// Tokens of the prompt that the provider put into its cache; as `input` if not given.
    pub cache_write: Option<PerMillion>,
}

impl Usd {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// So many picodollars; nothing if negative.
    pub const fn from_picodollars(picodollars: i64) -> Self {
        Self(if picodollars < 0 { 0 } else { picodollars })
    }

    /// In picodollars.
    pub const fn picodollars(self) -> i64 {
        self.0
    }

    /// The sum; the largest amount rather than an overflow.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The difference; nothing rather than less than nothing.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self::from_picodollars(self.0.saturating_sub(other.0))
    }

    /// So many times this amount.
    #[must_use]
    pub fn times(self, count: u64) -> Self {
        Self(self.0.saturating_mul(i64::try_from(count).unwrap_or(i64::MAX)))
    }

    /// How often `price` goes into this amount; as often as one likes if it is nothing.
    pub fn pays_for(self, price: Self) -> u64 {
        self.0.checked_div(price.0).map_or(u64::MAX, |count| u64::try_from(count).unwrap_or(0))
    }
}

impl TryFrom<f64> for Usd {
    type Error = BadAmount;

    #[expect(
        clippy::cast_possible_truncation,
        reason = "the range was checked, and a fraction of a picodollar is rounded off"
    )]
    fn try_from(dollars: f64) -> Result<Self, BadAmount> {
        // NaN is in no range.
        if !(0.0..=LARGEST).contains(&dollars) {
            return Err(BadAmount::OutOfRange);
        }
        Ok(Self((dollars * PICODOLLARS).round() as i64))
    }
}

/// In dollars, with as many decimals as it takes.
impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (dollars, rest) = (self.0 / 1_000_000_000_000, self.0 % 1_000_000_000_000);
        let decimals = format!("{rest:012}");
        match decimals.trim_end_matches('0') {
            "" => write!(f, "${dollars}"),
            decimals => write!(f, "${dollars}.{decimals}"),
        }
    }
}

/// A JSON number of dollars.
impl Serialize for Usd {
    #[expect(clippy::cast_precision_loss, reason = "for people and scripts to read; nothing counts on with it")]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0 as f64 / PICODOLLARS)
    }
}

impl PerMillion {
    /// What one token costs.
    pub const fn per_token(self) -> Usd {
        self.0
    }
}

impl TryFrom<f64> for PerMillion {
    type Error = BadAmount;

    fn try_from(dollars: f64) -> Result<Self, BadAmount> {
        Usd::try_from(dollars)?;
        let price = Usd::try_from(dollars / 1e6)?;
        // A price that rounds to nothing would let everything through.
        if price == Usd::ZERO && dollars > 0.0 { Err(BadAmount::TooSmall) } else { Ok(Self(price)) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_amount_is_counted_in_whole_picodollars() {
        for (written, picodollars, printed) in [
            (json!(5.0), 5_000_000_000_000, "$5"),
            (json!(5), 5_000_000_000_000, "$5"),
            (json!(0.1), 100_000_000_000, "$0.1"),
            (json!(0.000_000_000_001), 1, "$0.000000000001"),
            (json!(0), 0, "$0"),
        ] {
            let usd: Usd = serde_json::from_value(written).unwrap();
            assert_eq!((usd.picodollars(), usd.to_string().as_str()), (picodollars, printed));
        }
        assert_eq!(serde_json::to_value(Usd(12_500_000_000)).unwrap(), json!(0.0125));
    }

    #[test]
    fn a_price_per_million_is_a_whole_number_per_token() {
        for (per_million, per_token) in
            [(1.25, 1_250_000), (0.0375, 37_500), (0.005, 5_000), (600.0, 600_000_000), (0.0, 0)]
        {
            assert_eq!(PerMillion::try_from(per_million).unwrap().per_token().picodollars(), per_token);
        }
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for bad in [f64::NAN, -0.01, f64::INFINITY, f64::NEG_INFINITY, 9_000_001.0] {
            assert_eq!(Usd::try_from(bad), Err(BadAmount::OutOfRange));
            assert_eq!(PerMillion::try_from(bad), Err(BadAmount::OutOfRange));
        }
        assert_eq!(PerMillion::try_from(0.000_000_1), Err(BadAmount::TooSmall));
        assert!(serde_json::from_value::<Usd>(json!("5")).is_err());
    }

    #[test]
    fn a_price_needs_both_directions_and_takes_no_other_keys() {
        let read = |value| serde_json::from_value::<PriceConfig>(value).map_err(|error| error.to_string());
        let price = read(json!({ "input": 1.25, "cached_input": 0.125, "cache_write": 2, "output": 10 })).unwrap();
        assert_eq!(price.output.per_token(), Usd(10_000_000));
        assert!(read(json!({ "input": 1 })).unwrap_err().contains("output"));
        assert!(read(json!({ "input": 1, "output": 1, "ouput": 1 })).unwrap_err().contains("unknown field"));
        assert!(read(json!({ "input": -1, "output": 1 })).unwrap_err().contains("between 0 and 9000000"));
    }

    #[test]
    fn no_sum_overflows_and_nothing_is_negative() {
        let most = Usd(i64::MAX);
        assert_eq!((most.plus(most), most.times(u64::MAX), Usd(1).minus(most)), (most, most, Usd::ZERO));
        assert_eq!((Usd(7).pays_for(Usd(2)), Usd(7).pays_for(Usd::ZERO)), (3, u64::MAX));
    }
}
