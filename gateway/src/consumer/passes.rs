//! What is done to the bytes of an answer on their way to the client.

use bytes::Bytes;
use doorward_redaction::Redactor;

/// One thing that is done. It may hold bytes back, and gives out what it held at the end.
pub(super) trait Pass: Send {
    /// Takes the next bytes and gives those that can go on.
    fn push(&mut self, bytes: Bytes) -> Result<Bytes, BrokenAnswer>;

    /// Gives what was held back.
    fn finish(&mut self) -> Result<Bytes, BrokenAnswer>;

    /// How many credentials it has overwritten so far.
    fn redacted(&self) -> u64 {
        0
    }

    /// How many bytes it takes at a time, so that what comes out stays small.
    fn step(&self) -> usize {
        usize::MAX
    }
}

/// An answer that cannot be passed on to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct BrokenAnswer(pub(super) &'static str);

/// One after the other.
#[derive(Default)]
pub(super) struct Passes {
    passes: Vec<Box<dyn Pass>>,
    /// Credentials that were taken out before the first byte passed.
    redacted: u64,
}

impl Passes {
    pub(super) fn then(&mut self, pass: impl Pass + 'static) {
        self.passes.push(Box::new(pass));
    }

    /// Something that held a credential was taken out of the head of the answer.
    pub(super) fn redacted_the_head(&mut self) {
        self.redacted += 1;
    }

    /// How many credentials were overwritten or taken out so far.
    pub(super) fn redacted(&self) -> u64 {
        self.passes.iter().map(|pass| pass.redacted()).sum::<u64>() + self.redacted
    }

    /// Takes bytes off the front of `waiting` and gives those that can go on.
    pub(super) fn push(&mut self, waiting: &mut Bytes) -> Result<Bytes, BrokenAnswer> {
        let step = self.passes.iter().map(|pass| pass.step()).min().unwrap_or(usize::MAX);
        let bytes = waiting.split_to(step.min(waiting.len()));
        self.passes
            .iter_mut()
            .try_fold(bytes, |bytes, pass| if bytes.is_empty() { Ok(bytes) } else { pass.push(bytes) })
    }

    /// The end: what each pass held back goes through those after it.
    pub(super) fn finish(&mut self) -> Result<Bytes, BrokenAnswer> {
        let mut rest = Bytes::new();
        for pass in &mut self.passes {
            let through = if rest.is_empty() { Bytes::new() } else { pass.push(rest)? };
            let held = pass.finish()?;
            rest = if through.is_empty() { held } else { [through, held].concat().into() };
        }
        Ok(rest)
    }
}

/// Credentials are overwritten.
impl Pass for Redactor {
    fn push(&mut self, bytes: Bytes) -> Result<Bytes, BrokenAnswer> {
        Ok(Self::push(self, bytes))
    }

    fn finish(&mut self) -> Result<Bytes, BrokenAnswer> {
        Ok(Self::finish(self))
    }

    fn redacted(&self) -> u64 {
        self.found()
    }
}
