//! Names of refs, read in one way. See git-check-ref-format(1).

/// Why a text is no name of a ref.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadRef(&'static str);

/// `refs/heads/NAME` for the name of a branch.
pub(crate) fn branch(name: &str) -> Result<String, BadRef> {
    short(name, "refs/heads/")
}

/// `refs/tags/NAME` for the name of a tag.
pub(crate) fn tag(name: &str) -> Result<String, BadRef> {
    short(name, "refs/tags/")
}

/// A branch by its short or its whole name.
pub(crate) fn branch_or_whole(name: &str) -> Result<String, BadRef> {
    if name.starts_with("refs/") { whole(name) } else { branch(name) }
}

/// A whole name, such as `refs/heads/main`.
pub(crate) fn whole(name: &str) -> Result<String, BadRef> {
    let below = name.strip_prefix("refs/").ok_or(BadRef("a whole name begins with `refs/`"))?;
    let (kind, _) = below.split_once('/').ok_or(BadRef("a whole name has a part after `refs/heads/`"))?;
    if kind == "refs" {
        return Err(BadRef("it begins with `refs/` twice"));
    }
    check(name)?;
    Ok(name.to_owned())
}

fn short(name: &str, prefix: &str) -> Result<String, BadRef> {
    if ["refs/", "heads/", "tags/", "remotes/"].iter().any(|start| name.starts_with(start)) || name == "HEAD" {
        return Err(BadRef("a branch or tag is named without `refs/heads/` or `refs/tags/`"));
    }
    let whole = format!("{prefix}{name}");
    check(&whole)?;
    Ok(whole)
}

fn check(name: &str) -> Result<(), BadRef> {
    let forbidden =
        |c: char| c.is_control() || c.is_whitespace() || matches!(c, '~' | '^' | ':' | '?' | '*' | '[' | '\\');
    let bad_part = |part: &str| {
        let ends_in_lock = part.as_bytes().ends_with(b".lock");
        part.is_empty() || part.starts_with('.') || part.ends_with('.') || ends_in_lock
    };
    let good = !name.contains(forbidden) && !name.contains("..") && !name.contains("@{");
    if good && !name.split('/').any(bad_part) && !name.ends_with("/@") && name.len() <= 1024 {
        Ok(())
    } else {
        Err(BadRef("git allows no ref of this name"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ref_has_one_whole_name() {
        assert_eq!(branch("agent/x").as_deref(), Ok("refs/heads/agent/x"));
        assert_eq!(tag("v1.0").as_deref(), Ok("refs/tags/v1.0"));
        assert_eq!(branch_or_whole("refs/heads/x").as_deref(), Ok("refs/heads/x"));
        assert_eq!(branch_or_whole("x").as_deref(), Ok("refs/heads/x"));
    }

    #[test]
    fn a_name_that_could_be_read_as_another_is_refused() {
        for name in ["refs/heads/main", "heads/main", "tags/v1", "HEAD", "", "a//b", "a/../b", ".a", "a.lock", "a b"] {
            assert!(branch(name).is_err(), "{name}");
        }
        for name in ["main", "refs/heads", "refs/heads/", "refs/refs/heads/main", "refs/heads/a*", "refs/heads/@"] {
            assert!(whole(name).is_err(), "{name}");
        }
    }
}
