//! What real git writes is read as real git means it, and what is answered is shown by real git.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic; clippy exempts only functions marked as tests")]

mod packs;
mod pushes;
mod refusals;
mod support;
