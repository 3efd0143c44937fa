//! An answer that may quote a credential: `\u{1}` in the input stands for it. The first byte says how the rest is cut.
#![no_main]

use std::sync::Arc;

use bytes::Bytes;
use doorward_redaction::{Redactor, Secrets};
use libfuzzer_sys::fuzz_target;

const SECRET: &[u8] = b"sk-Hunter2/+=x";

fn redacted(secrets: &Arc<Secrets>, text: &[u8], size: usize) -> Vec<u8> {
    let mut redactor = Redactor::new(secrets.clone());
    let mut out: Vec<u8> = Vec::new();
    for piece in text.chunks(size) {
        out.extend_from_slice(&redactor.push(Bytes::copy_from_slice(piece)));
    }
    out.extend_from_slice(&redactor.finish());
    out
}

fuzz_target!(|data: &[u8]| {
    let Some((size, template)) = data.split_first() else { return };
    let text: Vec<u8> = template.iter().flat_map(|byte| if *byte == 1 { SECRET.to_vec() } else { vec![*byte] }).collect();
    let secrets = Arc::new(Secrets::new([SECRET]));
    let whole = redacted(&secrets, &text, text.len().max(1));
    assert_eq!(whole.len(), text.len());
    assert!(!whole.windows(SECRET.len()).any(|window| window == SECRET));
    assert_eq!(whole, redacted(&secrets, &text, usize::from(*size).max(1)));
});
