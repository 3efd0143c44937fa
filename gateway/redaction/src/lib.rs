//! Finds secrets in streams of bytes, whatever they are written as, and overwrites them.
//!
//! A [`Redactor`] reads one stream. Most of it is only skimmed, far faster than a network delivers it: a table of four-byte pieces
//! (`anchors`) tells where the first eight characters of a rendering may stand, and an escape sequence matters (`relevance`) only if it
//! stands for one of these characters. From such a place on the stream is read closely (`scanner`): as it is and with one, two and three
//! layers of escapes taken off, each of these views through one Aho-Corasick automaton of all renderings, until no view is inside of a
//! rendering any more that would not be found again. What is kept back at the end of a chunk is what is read closely then, and no more.
//!
//! The renderings that are found: the secret itself, base64 and URL-safe base64 at any alignment, hexadecimal of one case, UTF-16;
//! each also with any of its characters written as a percent-encoding, an escape of JSON or an HTML entity, in up to three layers;
//! with `\n`, `\r\n` or nothing between its lines; with line breaks after the first eight characters.
//!
//! Each layer takes off escapes of all kinds at once. So where escapes of one kind lie over several `\`, `%` or `&` of another kind, a secret
//! can be missed if only some of these characters were escaped, and others that belong to the same escapes were not. An encoder that
//! escapes a character wherever it stands writes nothing of the sort.
//!
//! ```
//! use std::sync::Arc;
//! use bytes::Bytes;
//! use doorward_redaction::{Redactor, Secrets};
//!
//! let secrets = Arc::new(Secrets::new([b"sk-hunter2".as_slice()]));
//! let mut redactor = Redactor::new(secrets);
//! assert_eq!(redactor.push(Bytes::from_static(b"{\"key\":\"sk\\u002dhun")), "{\"key\":\"");
//! assert_eq!(redactor.push(Bytes::from_static(b"ter2\"}")), "***************\"}");
//! assert_eq!((redactor.finish(), redactor.found()), (Bytes::new(), 1));
//! ```

mod anchors;
mod automaton;
mod escapes;
mod layer;
mod redactor;
mod relevance;
mod renderings;
mod scanner;
mod secrets;
#[cfg(test)]
mod tests;

pub use redactor::Redactor;
pub use secrets::Secrets;
