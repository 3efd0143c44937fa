//! Sending a permitted request, with another credential or to another upstream if the first is in trouble.

use super::Consumers;
use super::ask::{Ask, Subject};
use super::clearance::Clearance;
use super::forward::Answer;
use super::outgoing::{self, Stripped};
use super::payload::Payload;
use super::refusal::Refusal;
use crate::credentials::keys::{TakeError, Taken};
use crate::credentials::pool::Outcome;
use crate::policy::Permit;
use crate::tokens::Consumer;

/// A permitted and cleared request, but for where it goes and with which credential.
pub(super) struct Sending<'a> {
    pub(super) consumer: &'a Consumer,
    pub(super) query: Option<&'a str>,
    pub(super) headers: Stripped,
    pub(super) ask: Ask,
}

/// What became of one attempt.
struct Tried {
    result: Result<Answer, Refusal>,
    taken: Option<Taken>,
    /// Whether another credential might do better.
    trouble: bool,
}

impl Consumers {
    /// Sends the request. What a model is asked is asked again, with each credential and then at the fallback, while there is
    /// trouble; everything else is sent once, because it may have had its effect. Gives the permit under which it was answered.
    pub(super) async fn send(
        &self,
        mut permit: Permit,
        mut clearance: Clearance,
        mut sending: Sending<'_>,
    ) -> Result<(Answer, Permit), Refusal> {
        let repeatable = matches!(sending.ask.subject, Subject::Model(_));
        let mut tries = self.vault.count(&permit.upstream().name).max(1);
        loop {
            tries -= 1;
            let payload = if repeatable { sending.ask.payload.again() } else { sending.ask.payload.take() };
            let tried = self.attempt(&permit, &clearance, &sending, payload).await;
            if !tried.trouble || !repeatable {
                return self.finished(tried, permit, &sending).await;
            }
            if tries > 0 {
                continue;
            }
            let Some(next) = self.policy.fall_back(&permit) else {
                return self.finished(tried, permit, &sending).await;
            };
            tracing::info!(from = permit.upstream().name, to = next.upstream().name, "a request falls back");
            clearance = clearance.moved_to(&next);
            tries = self.vault.count(&next.upstream().name).max(1);
            permit = next;
        }
    }

    async fn attempt(&self, permit: &Permit, clearance: &Clearance, sending: &Sending<'_>, payload: Payload) -> Tried {
        let taken = match self.vault.take(permit, sending.consumer).await {
            Ok(taken) => taken,
            Err(error) => {
                let result = Err(no_credential(&permit.upstream().name, error));
                return Tried { result, taken: None, trouble: true };
            }
        };
        let result = self.attempt_with(permit, clearance, sending, payload, taken.as_ref()).await;
        let outcome = self.outcome(&result);
        if let Some(taken) = &taken {
            taken.report(outcome);
        }
        // What took too long may have been answered all the same: to ask again would be to pay twice.
        let trouble = outcome != Outcome::Fine && !matches!(result, Err(Refusal::TimedOut(_)));
        Tried { result, taken, trouble }
    }

    async fn attempt_with(
        &self,
        permit: &Permit,
        clearance: &Clearance,
        sending: &Sending<'_>,
        payload: Payload,
        taken: Option<&Taken>,
    ) -> Result<Answer, Refusal> {
        let outgoing = outgoing::inject(permit, taken, sending.query, &sending.headers)?;
        let payload = payload.for_model(permit.alias())?;
        self.forwarder.forward(permit, clearance, sending.ask.method.clone(), outgoing, payload).await
    }

    fn outcome(&self, result: &Result<Answer, Refusal>) -> Outcome {
        match result {
            Ok(answer) => Outcome::of(answer.status, &answer.headers, self.clock.now()),
            Err(Refusal::CredentialRefused(_)) => Outcome::Refused,
            Err(Refusal::Unreachable(_) | Refusal::TimedOut(_)) => Outcome::Unreachable,
            Err(_) => Outcome::Fine,
        }
    }

    /// Dresses an answer for the client.
    async fn finished(&self, tried: Tried, permit: Permit, sending: &Sending<'_>) -> Result<(Answer, Permit), Refusal> {
        let name = permit.upstream().name.clone();
        let answer = tried.result?.decompressed(&name)?;
        let answer = self.dressed(answer, sending);
        let secrets = self.vault.secrets(tried.taken.as_ref()).await;
        Ok((answer.redacted(&secrets, &name), permit))
    }
}

pub(super) fn no_credential(upstream: &str, error: TakeError) -> Refusal {
    use crate::credentials::CredentialError;
    let upstream = upstream.to_owned();
    match error {
        TakeError::Credential(CredentialError::Missing(cure)) => Refusal::NoCredential { upstream, cure },
        TakeError::Credential(CredentialError::Secrets(source)) => Refusal::SealedCredential { upstream, source },
        TakeError::NoneReady { .. } | TakeError::App(_) | TakeError::NoRepository => {
            Refusal::NoCredential { upstream, cure: error.to_string() }
        }
    }
}
