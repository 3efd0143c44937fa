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
    /// As it stands in metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
            Self::Github => "github",
            Self::Git => "git",
            Self::Mcp => "mcp",
            Self::Http => "http",
        }
    }

    /// The format of whatever begins like this; OpenAI's where nothing is said.
    pub(crate) fn of(path: &str) -> Self {
        let roots = [
            ("/anthropic/", Self::Anthropic),
            ("/api/", Self::Github),
            ("/git/", Self::Git),
            ("/mcp/", Self::Mcp),
            ("/http/", Self::Http),
        ];
        let of_root = roots.into_iter().find(|(root, _)| path.starts_with(root)).map(|(_, wire)| wire);
        let repository = || path.split('/').nth(2).is_some_and(|name| name.as_bytes().ends_with(b".git"));
        of_root.unwrap_or_else(|| if repository() { Self::Git } else { Self::OpenAi })
    }
}
