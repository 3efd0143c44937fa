//! What can be wrong with a configuration, each as one sentence that says where and what to do.

use std::fmt;
use std::path::PathBuf;

/// A configuration that Doorward cannot use.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// There is no such file.
    #[error(
        "the configuration file {} does not exist: write one with `doorward init`, name another with --config, or start without one with `doorward up --local`",
        file.display()
    )]
    Missing {
        /// The file that was looked for.
        file: PathBuf,
    },
    /// The file is there but cannot be read.
    #[error("the configuration file {} cannot be read: {source}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{place} is not valid TOML: {reason}")]
    Syntax {
        /// Where it stops being TOML.
        place: Place,
        /// What the parser expected.
        reason: String,
    },
    /// A key that no part of Doorward reads.
    #[error("{place}: unknown key `{key}`{}", nearest.as_ref().map(|near| format!("; did you mean `{near}`?")).unwrap_or_default())]
    UnknownKey {
        /// Where it stands.
        place: Place,
        /// Its dotted path.
        key: String,
        /// The dotted path of the known key that is most like it.
        nearest: Option<String>,
    },
    /// A key that must be there.
    #[error("{place}: the key `{key}` is missing; {cure}")]
    MissingKey {
        /// The file.
        place: Place,
        /// Its dotted path.
        key: String,
        /// How to write it.
        cure: String,
    },
    /// A value that does not fit its key.
    #[error("{place}: `{key}` has a value that does not fit: {reason}")]
    Value {
        /// Where it stands.
        place: Place,
        /// The dotted path of the key.
        key: String,
        /// What is expected instead.
        reason: String,
    },
}

/// Where a setting comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A file, and the line counted from 1 if it is known.
    File(PathBuf, Option<usize>),
    /// An environment variable.
    Variable(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file, Some(line)) => write!(f, "{}, line {line}", file.display()),
            Self::File(file, None) => write!(f, "{}", file.display()),
            Self::Variable(name) => write!(f, "environment variable {name}"),
        }
    }
}
