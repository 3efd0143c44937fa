//! The calls that are being answered, so that a token which stops being good takes its calls with it.

use std::collections::{HashMap, HashSet};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use doorward_base::Timestamp;
use tokio::sync::oneshot;

use crate::consumer::Refusal;
use crate::token::TokenDigest;
use crate::tokens::Consumer;

/// Why a call was cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Cut {
    #[error("this consumer token was revoked or has expired")]
    Token,
    #[error("the gateway is stopping")]
    Stopping,
}

/// All open calls.
#[derive(Clone, Debug, Default)]
pub(crate) struct OpenCalls(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    next: AtomicU64,
    calls: Mutex<HashMap<u64, OpenCall>>,
}

#[derive(Debug)]
struct OpenCall {
    digest: TokenDigest,
    expires_at: Timestamp,
    cut: oneshot::Sender<Cut>,
}

/// One open call's end of it: resolves when the call has to end. Dropping it closes the call.
#[derive(Debug)]
pub(crate) struct Watched {
    calls: OpenCalls,
    number: u64,
    cut: oneshot::Receiver<Cut>,
}

impl Watched {
    /// Ready when the call has to end; not to be asked again after that.
    pub(crate) fn poll_cut(&mut self, context: &mut Context<'_>) -> Poll<Cut> {
        // The sender leaves the table only by sending, so an error would mean that the table is gone.
        Pin::new(&mut self.cut).poll(context).map(|cut| cut.unwrap_or(Cut::Stopping))
    }

    /// Carries out `work`, unless the call has to end first.
    pub(crate) async fn unless_cut<T>(&mut self, work: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refusal> {
        tokio::select! {
            biased;
            cut = std::future::poll_fn(|context| self.poll_cut(context)) => Err(cut.into()),
            done = work => done,
        }
    }
}

impl OpenCalls {
    /// Opens a call of `consumer`.
    pub(crate) fn open(&self, consumer: &Consumer) -> Watched {
        let (sender, cut) = oneshot::channel();
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        let call = OpenCall { digest: consumer.digest, expires_at: consumer.expires_at, cut: sender };
        self.lock().insert(number, call);
        Watched { calls: self.clone(), number, cut }
    }

    /// Cuts the calls whose token has expired or is among `revoked`.
    pub(crate) fn cut_refused(&self, revoked: &HashSet<TokenDigest>, now: Timestamp) {
        self.cut(Cut::Token, |call| call.expires_at <= now || revoked.contains(&call.digest));
    }

    /// Cuts every call.
    pub(crate) fn cut_all(&self, why: Cut) {
        self.cut(why, |_| true);
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    fn cut(&self, why: Cut, which: impl Fn(&OpenCall) -> bool) {
        for (_, call) in self.lock().extract_if(|_, call| which(call)) {
            // A call that has ended meanwhile needs no cutting.
            let _ = call.cut.send(why);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, OpenCall>> {
        self.0.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.calls.lock().remove(&self.number);
    }
}
