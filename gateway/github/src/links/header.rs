//! Links in the headers of answers.

use super::{Base, Links, may_follow};

impl Links {
    /// A value that is one link (`Location`, `Content-Location`), or `None` if it stays as it is.
    pub fn location(&self, value: &str) -> Option<String> {
        let (base, rest) = self.split(value)?;
        Some(format!("{}{rest}", base.to))
    }

    /// The value of `Link` (RFC 8288), or `None` if it stays as it is.
    ///
    /// `asked` is the path of this request below `/api/v3`. GitHub names the further pages of a list by the number of the
    /// repository (`/repositories/7/issues?page=2`), for which no grant can be asked: they get the name that was asked for.
    pub fn link(&self, value: &str, asked: &str) -> Option<String> {
        let mut rewritten = String::with_capacity(value.len());
        let mut changed = false;
        let mut rest = value;
        while let Some((before, target, after)) = next_target(rest) {
            let new = self.target(target, asked);
            changed |= new.is_some();
            rewritten.push_str(before);
            rewritten.push_str(new.as_deref().unwrap_or(target));
            rest = after;
        }
        rewritten.push_str(rest);
        changed.then_some(rewritten)
    }

    fn target(&self, target: &str, asked: &str) -> Option<String> {
        let (base, rest) = self.split(target)?;
        let named = by_name(rest, asked);
        Some(format!("{}{}", base.to, named.as_deref().unwrap_or(rest)))
    }

    /// The longest beginning that fits, and what follows it.
    fn split<'a>(&self, link: &'a str) -> Option<(&Base, &'a str)> {
        let fitting = self.api.iter().filter_map(|base| Some((base, link.strip_prefix(&base.from)?)));
        let whole = fitting.filter(|(_, rest)| rest.bytes().next().is_none_or(may_follow));
        whole.max_by_key(|(base, _)| base.from.len())
    }
}

/// `/repos/OWNER/REPO/…` for `/repositories/NUMBER/…`, if the rest is what was asked for.
fn by_name(link: &str, asked: &str) -> Option<String> {
    let (number, below) = match link.strip_prefix("/repositories/")?.find(['/', '?']) {
        Some(end) => link["/repositories/".len()..].split_at(end),
        None => return None,
    };
    let repository = asked.strip_prefix("/repos/")?;
    let (owner, after_owner) = repository.split_once('/')?;
    let (name, asked_below) = after_owner.split_at(after_owner.find('/').unwrap_or(after_owner.len()));
    let path = below.split('?').next().unwrap_or_default();
    let same = number.bytes().all(|byte| byte.is_ascii_digit()) && path == asked_below;
    same.then(|| format!("/repos/{owner}/{name}{below}"))
}

/// What stands before a `<`, what up to the next `>`, and the rest.
fn next_target(value: &str) -> Option<(&str, &str, &str)> {
    let start = value.find('<')? + 1;
    let end = start + value[start..].find('>')?;
    Some((&value[..start], &value[start..end], &value[end..]))
}
