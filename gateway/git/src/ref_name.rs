//! Names of refs, by the rules of git-check-ref-format.

use std::fmt;

/// What no file system of a server takes as one path. A limit of ours, so that a report fits in a pkt-line.
const LONGEST: usize = 4096;

/// The full name of a ref, such as `refs/heads/main`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RefName(String);

/// A name that no ref can have, or that a push must not name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRefName {
    /// `HEAD`, or a name that is not written out.
    #[error("the name of a ref begins with refs/")]
    NotBelowRefs,
    /// git-check-ref-format says no.
    #[error("git allows no such name of a ref")]
    Malformed,
    /// Patterns of refs are text, and match text alone.
    #[error("the name of a ref is not UTF-8")]
    NotUtf8,
    /// More than 4,096 bytes.
    #[error("the name of a ref is longer than 4,096 bytes")]
    TooLong,
}

impl RefName {
    /// Checks the name.
    pub fn new(name: &[u8]) -> Result<Self, BadRefName> {
        if name.len() > LONGEST {
            return Err(BadRefName::TooLong);
        }
        let name = std::str::from_utf8(name).map_err(|_| BadRefName::NotUtf8)?;
        if !name.starts_with("refs/") {
            return Err(BadRefName::NotBelowRefs);
        }
        if is_well_formed(name) { Ok(Self(name.to_owned())) } else { Err(BadRefName::Malformed) }
    }

    /// The whole name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is a tag, which is not meant to move.
    pub fn is_tag(&self) -> bool {
        self.0.starts_with("refs/tags/")
    }
}

impl fmt::Display for RefName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The rules in git-check-ref-format, for a name that has a slash.
fn is_well_formed(name: &str) -> bool {
    let never = |byte: u8| byte <= b' ' || byte == 0x7f || b"~^:?*[\\".contains(&byte);
    let component = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.as_bytes().ends_with(b".lock");
    !name.bytes().any(never)
        && name.split('/').all(component)
        && !name.contains("..")
        && !name.contains("@{")
        && !name.ends_with('.')
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_full_name_is_taken_as_it_is() {
        for name in ["refs/heads/main", "refs/heads/agent/7.x", "refs/tags/v1.0", "refs/heads/@", "refs/heads/日本"] {
            assert_eq!(RefName::new(name.as_bytes()).unwrap().as_str(), name);
        }
    }

    #[test]
    fn a_name_that_git_or_a_pattern_cannot_read_is_refused() {
        for name in
            ["refs/heads/a..b", "refs/heads/.a", "refs/heads/a.lock", "refs//a", "refs/heads/", "refs/heads/a\n"]
        {
            assert_eq!(RefName::new(name.as_bytes()), Err(BadRefName::Malformed), "{name:?}");
        }
        for name in ["", "HEAD", "main", "/refs/heads/main", "Refs/heads/main"] {
            assert_eq!(RefName::new(name.as_bytes()), Err(BadRefName::NotBelowRefs), "{name}");
        }
        assert_eq!(RefName::new(b"refs/heads/\xff"), Err(BadRefName::NotUtf8));
        assert_eq!(RefName::new(format!("refs/heads/{}", "a".repeat(4086)).as_bytes()), Err(BadRefName::TooLong));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn git_agrees_about_every_name(rest in r"[a.@/{~^:?*\[\\\-_ \t\x7fé]{0,6}(\.lock)?") {
            let name = format!("refs/{rest}");
            let git = Command::new("git").args(["check-ref-format", &name]).status().unwrap();
            prop_assert_eq!(RefName::new(name.as_bytes()).is_ok(), git.success(), "{:?}", name);
        }
    }
}
