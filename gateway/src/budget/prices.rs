//! What a request costs.

use globset::{Glob, GlobMatcher};

use super::estimate::Spent;
use super::shipped::{Row, SHIPPED};
use crate::config::{ConfigError, PriceConfig, PriceTable, Usd};

/// What a token costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rates {
    input: Usd,
    cached: Usd,
    cache_write: Usd,
    output: Usd,
}

/// What a model costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Price {
    rates: Rates,
    /// Some models cost more from so many tokens of input on, the whole request.
    long: Option<(u64, Rates)>,
}

impl Price {
    /// What `spent` costs.
    pub(crate) fn of(&self, spent: &Spent) -> Usd {
        let rates = self.rates(spent.input());
        let cached = rates.cached.times(spent.cached).plus(rates.cache_write.times(spent.cache_written));
        rates.input.times(spent.prompt).plus(cached).plus(rates.output.times(spent.completion))
    }

    /// A price that is never below either of the two.
    pub(super) fn or_dearer(self, other: Self) -> Self {
        let long = match (self.long, other.long) {
            (Some((one, a)), Some((two, b))) => Some((one.min(two), a.or_dearer(b))),
            (one, two) => one.or(two).map(|(above, rates)| (above, rates.or_dearer(self.rates).or_dearer(other.rates))),
        };
        Self { rates: self.rates.or_dearer(other.rates), long }
    }

    /// The most that a prompt can cost.
    pub(super) fn of_prompt(&self, tokens: u64) -> Usd {
        let rates = self.rates(tokens);
        rates.input.max(rates.cache_write).times(tokens)
    }

    /// What a token of the answer costs after a prompt of so many tokens.
    pub(super) fn of_answer_token(&self, prompt: u64) -> Usd {
        self.rates(prompt).output
    }

    fn rates(&self, input: u64) -> Rates {
        self.long.filter(|(above, _)| input > *above).map_or(self.rates, |(_, rates)| rates)
    }
}

impl Rates {
    fn or_dearer(self, other: Self) -> Self {
        Self {
            input: self.input.max(other.input),
            cached: self.cached.max(other.cached),
            cache_write: self.cache_write.max(other.cache_write),
            output: self.output.max(other.output),
        }
    }
}

impl From<PriceConfig> for Price {
    fn from(config: PriceConfig) -> Self {
        let or_input = |price: Option<crate::config::PerMillion>| price.unwrap_or(config.input).per_token();
        let (cached, cache_write) = (or_input(config.cached_input), or_input(config.cache_write));
        let (input, output) = (config.input.per_token(), config.output.per_token());
        Self { rates: Rates { input, cached, cache_write, output }, long: None }
    }
}

impl From<Row> for Rates {
    fn from(row: Row) -> Self {
        let [input, cached, cache_write, output] = row.map(Usd::from_picodollars);
        Self { input, cached, cache_write, output }
    }
}

/// What every model costs: as configured, else as shipped.
#[derive(Clone, Debug, Default)]
pub(crate) struct Prices(Vec<(GlobMatcher, Price)>);

impl Prices {
    /// Refuses a pattern that is no glob.
    pub(crate) fn compile(table: &PriceTable) -> Result<Self, ConfigError> {
        let mut patterns: Vec<_> = table.iter().collect();
        patterns.sort_by_key(|(pattern, _)| std::cmp::Reverse(pattern.len()));
        let compiled = patterns.into_iter().map(|(pattern, price)| Ok((matcher(pattern)?, (*price).into())));
        compiled.collect::<Result<_, _>>().map(Self)
    }

    /// What a model costs, if it is known.
    pub(crate) fn of(&self, model: &str) -> Option<Price> {
        let configured = self.0.iter().find(|(pattern, _)| pattern.is_match(model)).map(|(_, price)| *price);
        configured.or_else(|| shipped(model)).or_else(|| shipped(undated(model)?))
    }
}

fn matcher(pattern: &str) -> Result<GlobMatcher, ConfigError> {
    let error = |error: &globset::Error| ConfigError::Glob {
        place: "gateway.prices".to_owned(),
        pattern: pattern.to_owned(),
        detail: error.kind().to_string(),
    };
    Ok(Glob::new(pattern).map_err(|reason| error(&reason))?.compile_matcher())
}

fn shipped(model: &str) -> Option<Price> {
    let (_, rates, long) = SHIPPED.iter().find(|(name, ..)| *name == model)?;
    Some(Price { rates: (*rates).into(), long: long.map(|(above, rates)| (above, rates.into())) })
}

/// The name without a date at its end. Other suffixes stay: `gpt-5-pro` costs twelve times what `gpt-5` does.
fn undated(model: &str) -> Option<&str> {
    let dated = |length: usize, dashes: &[usize]| {
        let (name, date) = model.split_at_checked(model.len().checked_sub(length)?)?;
        let fits = |(at, byte): (usize, u8)| if dashes.contains(&at) { byte == b'-' } else { byte.is_ascii_digit() };
        date.bytes().enumerate().all(fits).then_some(name)
    };
    dated("-2025-08-07".len(), &[0, 5, 8]).or_else(|| dated("-20250514".len(), &[0]))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn prices(value: serde_json::Value) -> Prices {
        Prices::compile(&serde_json::from_value(value).unwrap()).unwrap()
    }

    fn input(prices: &Prices, model: &str) -> Option<i64> {
        Some(prices.of(model)?.rates.input.picodollars())
    }

    #[test]
    fn the_longest_pattern_wins_and_each_wins_over_what_is_shipped() {
        let prices = prices(json!({
            "gpt-*": { "input": 1, "output": 1 },
            "gpt-5*": { "input": 2, "output": 1 },
            "gpt-5-mini": { "input": 3, "output": 1 },
            "llama-*": { "input": 0, "output": 0 },
        }));
        for (model, expected) in [
            ("gpt-4o", Some(1_000_000)),
            ("gpt-5", Some(2_000_000)),
            ("gpt-5-mini", Some(3_000_000)),
            ("llama-70b", Some(0)),
            ("claude-opus-4-5", Some(5_000_000)),
            ("unheard-of", None),
        ] {
            assert_eq!(input(&prices, model), expected, "{model}");
        }
    }

    #[test]
    fn a_dated_version_costs_what_its_model_does_and_a_variant_does_not() {
        let prices = Prices::default();
        for model in ["gpt-5-2025-08-07", "gpt-5"] {
            assert_eq!(input(&prices, model), Some(1_250_000), "{model}");
        }
        assert_eq!(input(&prices, "claude-sonnet-4-5-20250929"), Some(3_000_000));
        assert_eq!(input(&prices, "gpt-5-pro"), Some(15_000_000));
        for model in ["gpt-5-turbo", "gpt-5-2025-08", "gpt-5é2025-08-07", "openai/gpt-5", "-20250929", ""] {
            assert_eq!(input(&prices, model), None, "{model}");
        }
    }

    #[test]
    fn each_kind_of_token_has_its_price() {
        let prices = prices(json!({ "m": { "input": 1, "cached_input": 0.1, "cache_write": 1.25, "output": 5 } }));
        let spent = Spent { prompt: 1_000, cached: 10_000, cache_written: 100, completion: 10 };
        assert_eq!(prices.of("m").unwrap().of(&spent).to_string(), "$0.002175");
    }

    #[test]
    fn cached_tokens_cost_as_much_as_others_where_no_price_says_otherwise() {
        let price = prices(json!({ "m": { "input": 2, "output": 5 } })).of("m").unwrap();
        let spent = Spent { prompt: 1, cached: 1, cache_written: 1, completion: 0 };
        assert_eq!(price.of(&spent).picodollars(), 6_000_000);
    }

    #[test]
    fn a_long_prompt_makes_the_whole_request_dearer_where_the_provider_says_so() {
        let price = Prices::default().of("gemini-2.5-pro").unwrap();
        let cost = |prompt| price.of(&Spent { prompt, completion: 1, ..Spent::default() }).picodollars();
        assert_eq!(cost(200_000), 200_000 * 1_250_000 + 10_000_000);
        assert_eq!(cost(200_001), 200_001 * 2_500_000 + 15_000_000);
    }

    #[test]
    fn the_shipped_table_names_every_model_once_and_costs_what_a_table_can() {
        for (name, rates, long) in SHIPPED {
            assert_eq!(SHIPPED.iter().filter(|(other, ..)| other == name).count(), 1, "{name}");
            let [input, cached, cache_write, _] = *rates;
            assert!(0 < cached && cached <= input && input <= cache_write, "{name}");
            assert!(long.is_none_or(|(above, long)| above > 0 && long[0] > input), "{name}");
        }
    }

    #[test]
    fn a_pattern_that_is_no_glob_is_refused() {
        let table = serde_json::from_value(json!({ "gpt-[": { "input": 1, "output": 1 } })).unwrap();
        assert!(Prices::compile(&table).unwrap_err().to_string().contains("gateway.prices has the pattern `gpt-[`"));
    }
}
