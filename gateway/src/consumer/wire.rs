//! The formats that clients speak, as far as refusals differ in them.

/// What the client of a path expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    OpenAi,
    Anthropic,
    Github,
    Git,
    Mcp,
    Http,
}

impl Wire {
    /// The format of whatever begins like this; OpenAI's where nothing is said.
    pub(crate) fn of(path: &str) -> Self {
        let roots = [
            ("/anthropic/", Self::Anthropic),
            ("/api/", Self::Github),
            ("/git/", Self::Git),
            ("/mcp/", Self::Mcp),
            ("/http/", Self::Http),
        ];
        roots.into_iter().find(|(root, _)| path.starts_with(root)).map_or(Self::OpenAi, |(_, wire)| wire)
    }
}
