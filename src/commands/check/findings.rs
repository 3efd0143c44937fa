//! The lines of `doorward check`.

use std::fmt::Display;

use serde::Serialize;
use serde_json::json;

use crate::failure::Failure;
use crate::terminal;

/// What was found so far. In text each finding is printed at once, because some take a while.
#[derive(Debug)]
pub(super) struct Findings {
    json: bool,
    all: Vec<Finding>,
}

#[derive(Debug, Serialize)]
struct Finding {
    what: String,
    ok: bool,
    detail: String,
}

impl Findings {
    pub(super) fn new(json: bool) -> Self {
        Self { json, all: Vec::new() }
    }

    /// Something is as it should be.
    pub(super) fn ok(&mut self, what: impl Display, detail: impl Display) {
        self.add(true, &what, &detail);
    }

    /// Something is not; the sentence says how to cure it.
    pub(super) fn failed(&mut self, what: impl Display, sentence: impl Display) {
        self.add(false, &what, &sentence);
    }

    fn add(&mut self, ok: bool, what: &dyn Display, detail: &dyn Display) {
        let finding = Finding { what: what.to_string(), ok, detail: detail.to_string() };
        if !self.json {
            let verdict = if ok { "ok    " } else { "FAILED" };
            terminal::say(format_args!("{verdict}  {}: {}", finding.what, finding.detail));
        }
        self.all.push(finding);
    }

    /// Prints JSON if wanted; a failure if there was one.
    pub(super) fn conclude(self) -> Result<(), Failure> {
        if self.json {
            terminal::say_json(&json!({"findings": self.all}));
        }
        match self.all.iter().filter(|finding| !finding.ok).count() {
            0 => Ok(()),
            failed => Err(Failure::new(format_args!("{failed} of {} checks failed", self.all.len()))),
        }
    }
}
