//! What is found, where it is cut, what stays as it is, and how much work it is.

mod found;
mod properties;
mod work;
mod writing;

use std::cell::Cell;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::{Redactor, Secrets};

thread_local! {
    static STEPS: Cell<u64> = const { Cell::new(0) };
}

/// Counts a step of the automaton.
pub(crate) fn count_step() {
    STEPS.set(STEPS.get() + 1);
}

fn secrets(of: &[&str]) -> Arc<Secrets> {
    Arc::new(Secrets::new(of.iter().map(|secret| secret.as_bytes())))
}

/// What comes out of a stream of these chunks.
fn redacted<'a>(secrets: &Arc<Secrets>, chunks: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut redactor = Redactor::new(secrets.clone());
    let mut out = Vec::new();
    for chunk in chunks {
        out.extend_from_slice(&redactor.push(Bytes::copy_from_slice(chunk)));
    }
    out.extend_from_slice(&redactor.finish());
    String::from_utf8_lossy(&out).into_owned()
}

/// The text with the range overwritten.
fn starred(text: &str, range: Range<usize>) -> String {
    let mut bytes = text.as_bytes().to_vec();
    bytes[range].fill(b'*');
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Lines of 64 characters that look like those of a key.
fn pem(lines: usize) -> String {
    let mut number = 12345_u64;
    let mut character = || {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(writing::BASE64[(number >> 58) as usize])
    };
    let lines: Vec<String> = (0..lines).map(|_| (0..64).map(|_| character()).collect()).collect();
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"))
}
