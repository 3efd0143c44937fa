//! Links to GitHub in its answers, turned into links to the gateway.
//!
//! Clients follow the links that they are given: `PyGithub` the `url` of an object, everyone the pages in `Link`. Without
//! the gateway in them they would go past it, without a key.
//!
//! In a body only the value of a name that is `url`, `href` or ends in `_url` is changed, and only if it begins with a
//! link: what people write in titles and comments stays. Of the links that are not of the API only `clone_url` becomes
//! the gateway's, since whoever clones needs its key; `html_url` stays for people, `ssh_url` and `git_url` of a
//! repository are of other protocols. The elements of lists stay: GitHub has no links there.

mod candidate;
mod header;
mod rewriter;

pub use rewriter::LinkRewriter;

/// What is replaced by what.
#[derive(Clone, Debug, Default)]
pub struct Links {
    api: Vec<Base>,
    clone: Vec<Base>,
}

/// How links begin there and here, without a slash at the end.
#[derive(Clone, Debug)]
struct Base {
    from: String,
    to: String,
}

/// The beginning of a link is empty or has a character that no URL has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a link begins with a URL in printable ASCII, without quotes, backslashes, spaces and angle brackets")]
pub struct BadBase;

impl Links {
    /// Pairs of beginnings, there and here: of links of the API (`https://api.github.com` and
    /// `https://gateway.example/api/v3`, the same for uploads and GraphQL), and of links to clone from
    /// (`https://github.com` and `https://gateway.example/git`). The longest that fits is taken.
    pub fn new<A, B>(
        api: impl IntoIterator<Item = (A, B)>,
        clone: impl IntoIterator<Item = (A, B)>,
    ) -> Result<Self, BadBase>
    where
        A: AsRef<str>,
        B: AsRef<str>,
    {
        let base = |(from, to): (A, B)| Base::new(from.as_ref(), to.as_ref());
        let api = api.into_iter().map(base).collect::<Result<_, _>>()?;
        let clone = clone.into_iter().map(base).collect::<Result<_, _>>()?;
        Ok(Self { api, clone })
    }

    fn of(&self, kind: Kind) -> &[Base] {
        match kind {
            Kind::Api => &self.api,
            Kind::Clone => &self.clone,
        }
    }
}

impl Base {
    fn new(from: &str, to: &str) -> Result<Self, BadBase> {
        let (from, to) = (from.trim_end_matches('/'), to.trim_end_matches('/'));
        let good = |text: &str| {
            let allowed = |byte: u8| byte.is_ascii_graphic() && !b"\"\\<>".contains(&byte);
            !text.is_empty() && text.bytes().all(allowed)
        };
        if good(from) && good(to) { Ok(Self { from: from.to_owned(), to: to.to_owned() }) } else { Err(BadBase) }
    }
}

/// Which links a name may have as its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Api,
    Clone,
}

/// Whether a link goes on behind its beginning: `https://api.github.com.example` is another host.
fn may_follow(byte: u8) -> bool {
    matches!(byte, b'/' | b'?' | b'#' | b'{')
}

#[cfg(test)]
mod tests;
