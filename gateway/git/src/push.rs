//! The head of a `git-receive-pack` request: which refs a push moves (gitprotocol-pack, "Reference Update Request").
//!
//! Read more strictly than git does, so that no server can read it otherwise: capabilities stand on the first command alone,
//! and nothing stands between the commands and the pack.

mod reader;
#[cfg(test)]
mod tests;

pub use reader::PushReader;

use crate::object_id::{BadObjectId, ObjectFormat, ObjectId};
use crate::pkt_line::BadPacket;
use crate::ref_name::{BadRefName, RefName};

/// The most that a head may take, in bytes.
pub const LONGEST_HEAD: usize = 1 << 20;

/// One ref that is moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Where the client believes the ref to be; zero if it is to be created. The server refuses where it is elsewhere.
    pub old: ObjectId,
    /// Where it is to be; zero if it is to be deleted. Never the same as `old`.
    pub new: ObjectId,
    /// Which.
    pub name: RefName,
}

impl Command {
    /// Whether a ref that exists is moved to another object.
    pub fn is_update(&self) -> bool {
        !self.old.is_zero() && !self.new.is_zero()
    }
}

/// What the client wants, as far as a refusal and the reading of ids need it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// `report-status` or `report-status-v2`: the answer says what became of each ref.
    pub report_status: bool,
    /// `side-band-64k`: the answer is wrapped, and can carry lines for a human.
    pub side_band_64k: bool,
    /// `push-options`: a list of options follows the commands.
    pub push_options: bool,
    /// `object-format`: how ids are made.
    pub object_format: ObjectFormat,
}

/// What a push asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Push {
    /// At least one; no ref twice.
    pub commands: Vec<Command>,
    /// Of the client.
    pub capabilities: Capabilities,
    /// What `git push --push-option` said. They can start things at a server (skip its tests, open a merge request): a
    /// grant of refs alone does not cover them.
    pub options: Vec<String>,
    /// Commits whose parents the client does not have. A server may come to take them for commits without parents, so no
    /// proof goes through them.
    pub shallow: Vec<ObjectId>,
    /// Where in the body the pack begins, in bytes; `None` if refs are only deleted, which takes no pack.
    pub pack_offset: Option<u64>,
}

impl Push {
    /// Whether a ref is moved that exists. If not, the pack need not be looked at.
    pub fn needs_proof(&self) -> bool {
        self.commands.iter().any(Command::is_update)
    }
}

/// A whole `git-receive-pack` request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// `0000` alone: the client finds out whether it may talk to the server, before it sends a large pack.
    Probe,
    /// Anything else.
    Push(Push),
}

/// A push that is refused because it cannot be read, or not with certainty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPush {
    /// These are no pkt-lines.
    #[error("the push cannot be read: {0}")]
    Packet(#[from] BadPacket),
    /// The commands take more than [`LONGEST_HEAD`].
    #[error("the list of refs is longer than 1 MiB")]
    TooLong,
    /// The body ended too early.
    #[error("the push was cut off")]
    Truncated,
    /// The commands stand in a push certificate.
    #[error("signed pushes are not supported: push with --no-signed")]
    Signed,
    /// No command at all, or one that is not `OLD NEW REF`.
    #[error("the push has a command that cannot be read")]
    Command,
    /// An id in a command or a `shallow` line has a wrong length or digit.
    #[error("the push cannot be read: {0}")]
    Id(#[from] BadObjectId),
    /// A name is none.
    #[error("the ref \"{}\" cannot be pushed: {reason}", name.escape_debug())]
    Name {
        /// As far as it is text.
        name: String,
        /// Why.
        reason: BadRefName,
    },
    /// Two commands move one ref.
    #[error("the push names {0} twice")]
    Duplicate(RefName),
    /// The old id is the new one.
    #[error("the push moves {0} to where it is")]
    NoChange(RefName),
    /// They stand on a later command, are not printable, or contradict each other.
    #[error("the push has capabilities that cannot be read")]
    Capabilities,
    /// Neither `sha1` nor `sha256`.
    #[error("the push uses an object format that is not known here")]
    ObjectFormat,
    /// A push option is not text.
    #[error("the push has an option that is not text")]
    Option,
    /// A second list of commands, say.
    #[error("something other than a pack follows the commands")]
    NotAPack,
    /// Refs are only deleted, or it was a probe.
    #[error("bytes follow where the push has to end")]
    TrailingBytes,
}
