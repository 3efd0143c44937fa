//! What a git push does, read from its wire format: pkt-lines, commands, and the commits of a pack.
//!
//! A push over smart HTTP is one request body: commands in pkt-lines, then a pack. [`push::PushReader`] reads the
//! commands; where one of them moves a ref that exists ([`push::Push::needs_proof`]), the body is spooled
//! ([`spool::Spool`]), [`pack::read_commits`] finds the commits that the pack holds, and [`ancestry::changes`] says which
//! updates they prove to be fast-forwards. [`report`] writes a refusal that a git client shows.
//!
//! The pack is all that is looked at: what the server has is not known here, so a fast-forward to commits that the server
//! has already is not proven. The old id of a command is the client's word, which the server checks: a ref that is
//! elsewhere is not moved.

pub mod ancestry;
mod object_id;
pub mod pack;
pub mod pkt_line;
pub mod push;
mod ref_name;
pub mod report;
pub mod spool;

pub use object_id::{BadObjectId, ObjectFormat, ObjectId};
pub use ref_name::{BadRefName, RefName};
