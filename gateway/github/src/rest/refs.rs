//! Names of refs, read in one way. See git-check-ref-format(1).

use crate::rest::refused::RestRefused;

/// `refs/heads/NAME` for the name of a branch.
pub(super) fn branch(name: &str) -> Result<String, RestRefused> {
    short(name, "refs/heads/")
}

/// `refs/tags/NAME` for the name of a tag.
pub(super) fn tag(name: &str) -> Result<String, RestRefused> {
    short(name, "refs/tags/")
}

/// A branch by its short or its whole name.
pub(super) fn branch_or_whole(name: &str) -> Result<String, RestRefused> {
    if name.starts_with("refs/") { whole(name) } else { branch(name) }
}

/// A whole name, such as `refs/heads/main`.
pub(super) fn whole(name: &str) -> Result<String, RestRefused> {
    let below = name.strip_prefix("refs/").ok_or(RestRefused::Ref("a whole name begins with `refs/`"))?;
    let (kind, _) = below.split_once('/').ok_or(RestRefused::Ref("a whole name has a part after `refs/heads/`"))?;
    if kind == "refs" {
        return Err(RestRefused::Ref("it begins with `refs/` twice"));
    }
    check(name)?;
    Ok(name.to_owned())
}

fn short(name: &str, prefix: &str) -> Result<String, RestRefused> {
    if ["refs/", "heads/", "tags/", "remotes/"].iter().any(|start| name.starts_with(start)) || name == "HEAD" {
        return Err(RestRefused::Ref("a branch or tag is named without `refs/heads/` or `refs/tags/`"));
    }
    let whole = format!("{prefix}{name}");
    check(&whole)?;
    Ok(whole)
}

fn check(name: &str) -> Result<(), RestRefused> {
    let forbidden = |c: char| c.is_control() || matches!(c, ' ' | '~' | '^' | ':' | '?' | '*' | '[' | '\\');
    let bad_part = |part: &str| {
        let ends_in_lock = part.as_bytes().ends_with(b".lock");
        part.is_empty() || part.starts_with('.') || part.ends_with('.') || ends_in_lock
    };
    let good = !name.contains(forbidden) && !name.contains("..") && !name.contains("@{");
    if good && !name.split('/').any(bad_part) && !name.ends_with("/@") && name.len() <= 1024 {
        Ok(())
    } else {
        Err(RestRefused::Ref("git allows no ref of this name"))
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
            assert!(matches!(branch(name), Err(RestRefused::Ref(_))), "{name}");
        }
        for name in ["main", "refs/heads", "refs/heads/", "refs/refs/heads/main", "refs/heads/a*", "refs/heads/@"] {
            assert!(matches!(whole(name), Err(RestRefused::Ref(_))), "{name}");
        }
    }
}
