//! Tokens: what a request may use, and what it has used.

/// Bytes of JSON text for a token: English has about four characters to a token.
const BYTES_PER_TOKEN: u64 = 4;
/// Bytes of an event stream for a token. Each event carries a token or a few in an envelope of 100 to 300 bytes.
const STREAMED_BYTES_PER_TOKEN: u64 = 100;
/// The answer that is charged where nobody knows how long it was.
const USUAL_ANSWER: u64 = 1_000;

/// What a request may use, before it is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Estimate {
    pub(super) prompt: u64,
    /// The most that the caller asked for, if it did.
    pub(super) completion: Option<u64>,
}

/// What a request may use: a token for every four bytes of its body, and as long an answer as it asks for (`max_tokens`,
/// `max_completion_tokens`, `max_output_tokens`, times the number of answers). An endpoint that writes no answer has `Some(0)`.
pub(crate) fn estimate(body_bytes: u64, max_output: Option<u64>) -> Estimate {
    Estimate { prompt: body_bytes.div_ceil(BYTES_PER_TOKEN), completion: max_output }
}

impl Estimate {
    /// What is charged for a request that was sent and of which nothing more is known.
    pub(super) fn if_lost(&self) -> Spent {
        let completion = self.completion.unwrap_or(USUAL_ANSWER).min(USUAL_ANSWER);
        Spent { prompt: self.prompt, completion, ..Spent::default() }
    }
}

/// What a request has used. The four do not overlap: the `prompt_tokens` of `OpenAI` count those of
/// `prompt_tokens_details.cached_tokens` too, which have to be taken off; the `input_tokens` of Anthropic do not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Spent {
    /// Tokens of the prompt that came from no cache and went into none.
    pub(crate) prompt: u64,
    /// Tokens that the provider read from its cache.
    pub(crate) cached: u64,
    /// Tokens that the provider wrote to its cache.
    pub(crate) cache_written: u64,
    /// Tokens of the answer, reasoning included.
    pub(crate) completion: u64,
}

impl Spent {
    /// All tokens: what a budget in tokens counts.
    pub(crate) fn tokens(&self) -> u64 {
        self.input().saturating_add(self.completion)
    }

    /// All tokens of the prompt.
    pub(super) fn input(&self) -> u64 {
        self.prompt.saturating_add(self.cached).saturating_add(self.cache_written)
    }
}

/// How the bytes of an answer carry its tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AnswerForm {
    /// One JSON document.
    Whole,
    /// Server-sent events.
    Events,
}

/// The tokens of an answer that did not report them.
pub(super) fn answer_tokens(bytes: u64, form: AnswerForm) -> u64 {
    bytes.div_ceil(match form {
        AnswerForm::Whole => BYTES_PER_TOKEN,
        AnswerForm::Events => STREAMED_BYTES_PER_TOKEN,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_four_bytes_a_token_and_the_answer_as_long_as_was_asked() {
        assert_eq!(estimate(401, Some(7)), Estimate { prompt: 101, completion: Some(7) });
        assert_eq!(estimate(0, None), Estimate { prompt: 0, completion: None });
    }

    #[test]
    fn an_answer_without_usage_is_charged_by_its_bytes() {
        assert_eq!((answer_tokens(1_001, AnswerForm::Whole), answer_tokens(1_001, AnswerForm::Events)), (251, 11));
        assert_eq!(answer_tokens(0, AnswerForm::Events), 0);
    }

    #[test]
    fn a_lost_request_is_charged_its_prompt_and_a_usual_answer_but_no_more_than_it_asked_for() {
        let lost = |max_output| estimate(400, max_output).if_lost().tokens();
        assert_eq!((lost(None), lost(Some(50)), lost(Some(64_000))), (1_100, 150, 1_100));
    }

    #[test]
    fn no_count_overflows() {
        let all = Spent { prompt: u64::MAX, cached: u64::MAX, cache_written: u64::MAX, completion: u64::MAX };
        assert_eq!(all.tokens(), u64::MAX);
    }
}
