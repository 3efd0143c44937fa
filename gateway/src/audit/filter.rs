//! Which rows of the audit log are wanted.

use std::fmt;
use std::str::FromStr;

use doorward_base::Timestamp;

use crate::config::HumanDuration;

/// What is wanted of the audit log; everything by default.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// Of this consumer.
    pub consumer: Option<String>,
    /// Not before.
    pub since: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
    /// Decided like this.
    pub decision: Option<super::Decision>,
    /// Answered like this.
    pub status: Option<StatusFilter>,
    /// With a model of this name.
    pub model: Option<Pattern>,
    /// At this upstream.
    pub upstream: Option<String>,
    /// With such a path.
    pub path: Option<PathPattern>,
}

/// A word of a filter that says nothing. Each is a sentence that names what can be said.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the sentences say it")]
pub enum BadFilter {
    #[error(
        "`{0}` is no time: write one such as 2026-01-31T00:00:00Z, or a duration before now such as 15m, 24h or 30d"
    )]
    Moment(String),
    #[error("`{0}` is no status: write one such as 403, or a class such as 4xx")]
    Status(String),
    #[error("`{0}` is no decision: there are `allowed` and `refused`")]
    Decision(String),
    #[error("`{0}` is nothing to sum by: write some of `consumer`, `model` and `day`, with commas between them")]
    Dimension(String),
}

/// A point in time, as people write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// A time in RFC 3339.
    At(Timestamp),
    /// So long before now.
    Ago(HumanDuration),
}

impl Moment {
    /// When that is.
    pub fn at(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(time) => time,
            Self::Ago(HumanDuration(duration)) => {
                let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
                Timestamp::from_millis(now.as_millis().saturating_sub(millis))
            }
        }
    }
}

impl FromStr for Moment {
    type Err = BadFilter;

    fn from_str(text: &str) -> Result<Self, BadFilter> {
        if let Ok(duration) = text.parse() {
            return Ok(Self::Ago(duration));
        }
        let time: jiff::Timestamp = text.parse().map_err(|_| BadFilter::Moment(text.to_owned()))?;
        Ok(Self::At(Timestamp::from_millis(time.as_millisecond())))
    }
}

/// One HTTP status, or a class of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusFilter {
    pub(super) first: u16,
    pub(super) last: u16,
}

impl FromStr for StatusFilter {
    type Err = BadFilter;

    fn from_str(text: &str) -> Result<Self, BadFilter> {
        let bad = || BadFilter::Status(text.to_owned());
        if let Some(class) = text.strip_suffix("xx") {
            let class: u16 = class.parse().ok().filter(|class| (1..=5).contains(class)).ok_or_else(bad)?;
            return Ok(Self { first: class * 100, last: class * 100 + 99 });
        }
        let status = text.parse().ok().filter(|status| (100..=599).contains(status)).ok_or_else(bad)?;
        Ok(Self { first: status, last: status })
    }
}

/// Text in which `*` stands for any characters and `?` for one, without regard to case, as a `LIKE` pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(String);

/// The same for paths; without `*` and `?`, what the path begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern(Pattern);

impl Pattern {
    pub(super) fn as_like(&self) -> &str {
        &self.0
    }
}

impl PathPattern {
    pub(super) fn as_like(&self) -> &str {
        self.0.as_like()
    }
}

impl From<&str> for Pattern {
    fn from(text: &str) -> Self {
        let mut like = String::with_capacity(text.len());
        for c in text.to_lowercase().chars() {
            match c {
                '*' => like.push('%'),
                '?' => like.push('_'),
                '%' | '_' | '\\' => like.extend(['\\', c]),
                c => like.push(c),
            }
        }
        Self(like)
    }
}

impl From<&str> for PathPattern {
    fn from(text: &str) -> Self {
        let Pattern(mut like) = text.into();
        if !text.contains(['*', '?']) {
            like.push('%');
        }
        Self(Pattern(like))
    }
}

impl FromStr for super::Decision {
    type Err = BadFilter;

    fn from_str(text: &str) -> Result<Self, BadFilter> {
        Self::from_stored(text).ok_or_else(|| BadFilter::Decision(text.to_owned()))
    }
}

/// What usage is summed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsageBy {
    /// One row for each consumer.
    pub consumer: bool,
    /// One row for each model.
    pub model: bool,
    /// One row for each day, in UTC.
    pub day: bool,
}

/// By consumer and model.
impl Default for UsageBy {
    fn default() -> Self {
        Self { consumer: true, model: true, day: false }
    }
}

impl FromStr for UsageBy {
    type Err = BadFilter;

    fn from_str(text: &str) -> Result<Self, BadFilter> {
        let mut by = Self { consumer: false, model: false, day: false };
        for word in text.split(',').map(str::trim) {
            match word {
                "consumer" => by.consumer = true,
                "model" => by.model = true,
                "day" => by.day = true,
                other => return Err(BadFilter::Dimension(other.to_owned())),
            }
        }
        Ok(by)
    }
}

impl fmt::Display for UsageBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = [(self.consumer, "consumer"), (self.model, "model"), (self.day, "day")];
        let words: Vec<&str> = words.into_iter().filter_map(|(given, word)| given.then_some(word)).collect();
        f.write_str(&words.join(","))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_moment_is_a_time_or_a_duration_before_now() {
        let now = Timestamp::from_millis(1_700_000_000_000);
        let at = |text: &str| text.parse().map(|moment: Moment| moment.at(now).as_millis());
        assert_eq!(at("1h"), Ok(1_700_000_000_000 - 3_600_000));
        assert_eq!(at("2023-11-14T22:13:20Z"), Ok(1_700_000_000_000));
        assert_eq!(Moment::Ago(HumanDuration(Duration::MAX)).at(now).as_millis(), 1_700_000_000_000 - i64::MAX);
        assert!(at("yesterday").unwrap_err().to_string().contains("`yesterday` is no time"));
    }

    #[test]
    fn a_status_is_one_or_a_class() {
        let range = |text: &str| text.parse().map(|status: StatusFilter| (status.first, status.last));
        assert_eq!(range("403"), Ok((403, 403)));
        assert_eq!(range("4xx"), Ok((400, 499)));
        for wrong in ["", "xx", "6xx", "4x", "99", "four"] {
            assert!(range(wrong).unwrap_err().to_string().contains("no status"), "{wrong}");
        }
    }

    #[test]
    fn what_like_would_take_for_a_wildcard_is_taken_as_it_is() {
        assert_eq!(Pattern::from("GPT-*_5%?").as_like(), "gpt-%\\_5\\%_");
        assert_eq!(PathPattern::from("/v1/").as_like(), "/v1/%");
        assert_eq!(PathPattern::from("/v1/*/x").as_like(), "/v1/%/x");
    }

    #[test]
    fn what_usage_is_summed_by_is_read_as_it_is_written() {
        for text in ["consumer,model", "consumer,model,day", "day"] {
            assert_eq!(text.parse::<UsageBy>().unwrap().to_string(), text);
        }
        assert_eq!("month".parse::<UsageBy>(), Err(BadFilter::Dimension("month".to_owned())));
    }
}
