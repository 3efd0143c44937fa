//! What a human says to a held request.

use doorward_base::{StoreError, Timestamp};

use super::mask::is_visible;
use super::record::{ApprovalRecord, ApprovalState};

const LONGEST_NAME: usize = 200;
const LONGEST_REASON: usize = 500;

/// Yes or no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Let it through.
    Approve,
    /// Refuse it.
    Deny,
}

/// A verdict and who gave it.
#[derive(Clone, Debug)]
pub struct Answer {
    verdict: Verdict,
    by: String,
    reason: Option<String>,
}

/// This cannot be an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAnswer {
    /// An answer is a person's, whose name is written down.
    #[error("`by` names who answers, in 1 to {LONGEST_NAME} visible characters")]
    By,
    /// The reason goes to the agent and into a room.
    #[error("a reason has at most {LONGEST_REASON} characters, none of them invisible")]
    Reason,
}

impl Answer {
    /// An answer of the human named `by`; an empty reason counts as none.
    pub fn new(verdict: Verdict, by: &str, reason: Option<&str>) -> Result<Self, BadAnswer> {
        let by = by.trim();
        if !(1..=LONGEST_NAME).contains(&by.chars().count()) || !by.chars().all(is_visible) {
            return Err(BadAnswer::By);
        }
        let reason = reason.map(str::trim).filter(|reason| !reason.is_empty());
        if reason.is_some_and(|reason| reason.chars().count() > LONGEST_REASON || !reason.chars().all(is_visible)) {
            return Err(BadAnswer::Reason);
        }
        Ok(Self { verdict, by: by.to_owned(), reason: reason.map(str::to_owned) })
    }

    pub(super) fn state(&self) -> ApprovalState {
        match self.verdict {
            Verdict::Approve => ApprovalState::Approved,
            Verdict::Deny => ApprovalState::Denied,
        }
    }

    pub(super) fn by(&self) -> &str {
        &self.by
    }

    pub(super) fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }
}

/// The answer came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// No such request.
    #[error("there is no request with this id")]
    Unknown,
    /// Someone was faster.
    #[error("the request was {} by {by} at {at} already", state.in_words())]
    AlreadyAnswered {
        /// Approved (sent or not) or denied.
        state: ApprovalState,
        /// By whom.
        by: String,
        /// When.
        at: Timestamp,
    },
    /// Its time was over.
    #[error("the request is no longer waiting: nobody answered until {at}, and it was refused")]
    Expired {
        /// Since when.
        at: Timestamp,
    },
    /// Its client or its gateway has gone.
    #[error("the request is no longer waiting: its client went away, its token was revoked, or the gateway stopped")]
    Withdrawn,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl AnswerError {
    /// Why `record` could not be answered at `now`.
    pub(super) fn of(record: ApprovalRecord, now: Timestamp) -> Self {
        match (record.state_at(now), record.answered_by, record.answered_at) {
            (state, Some(by), Some(at)) => Self::AlreadyAnswered { state, by, at },
            (ApprovalState::Expired, ..) => Self::Expired { at: record.expires_at },
            _ => Self::Withdrawn,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_a_visible_name_and_a_short_reason() {
        let answer = Answer::new(Verdict::Deny, " @you:example.org ", Some("  ")).unwrap();
        assert_eq!((answer.by(), answer.reason()), ("@you:example.org", None));
        for by in ["", "  ", "a\nb", "\u{202e}eve", &"a".repeat(201)] {
            assert_eq!(Answer::new(Verdict::Approve, by, None).unwrap_err(), BadAnswer::By, "{by:?}");
        }
        for reason in ["a\u{1b}[2J", &"a".repeat(501)] {
            assert_eq!(Answer::new(Verdict::Deny, "a", Some(reason)).unwrap_err(), BadAnswer::Reason, "{reason:?}");
        }
    }
}
