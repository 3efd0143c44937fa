//! Effects: what a request does, whether it comes by REST, GraphQL or git.

use std::fmt;
use std::str::FromStr;

/// `OWNER/REPO`, in lower case, because GitHub does not tell the cases apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RepositoryName(String);

/// This is no `OWNER/REPO`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a repository is named OWNER/REPO, in letters, digits, `-`, `_` and `.`")]
pub struct BadRepositoryName;

impl RepositoryName {
    /// Checks both parts. A trailing `.git` is dropped from the repository's, as GitHub does.
    pub fn new(owner: &str, repository: &str) -> Result<Self, BadRepositoryName> {
        let (owner, repository) = (owner.to_ascii_lowercase(), repository.to_ascii_lowercase());
        let bare = repository.strip_suffix(".git").unwrap_or(&repository);
        // A second `.git` would be dropped by some servers and kept by others.
        if is_part(&owner) && is_part(bare) && bare.strip_suffix(".git").is_none() {
            Ok(Self(format!("{owner}/{bare}")))
        } else {
            Err(BadRepositoryName)
        }
    }

    /// `owner/repo`, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RepositoryName {
    type Err = BadRepositoryName;

    fn from_str(text: &str) -> Result<Self, BadRepositoryName> {
        let (owner, repository) = text.split_once('/').ok_or(BadRepositoryName)?;
        Self::new(owner, repository)
    }
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_part(part: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=100).contains(&part.len()) && part.bytes().all(allowed) && !matches!(part, "." | "..")
}

macro_rules! verbs {
    ($($verb:ident $name:literal $what:literal,)*) => {
        /// What a grant allows by name, in the words of GitHub's own permissions.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Verb {
            $(#[doc = $what] $verb,)*
        }

        impl Verb {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$verb,)*];

            /// As it stands in a grant.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$verb => $name,)* }
            }
        }
    };
}

verbs! {
    Read "read" "Reading what anyone with read access to the repository sees.",
    IssuesWrite "issues:write" "Issues, their comments, labels and milestones.",
    PullsWrite "pulls:write" "Pull requests, their reviews and comments; not merging them.",
    PullsMerge "pulls:merge" "Merging a pull request, now or automatically later.",
    ContentsWrite "contents:write" "Files, commits and refs.",
    RefsForce "refs:force" "Moving a ref to a commit that does not contain its old one.",
    RefsDelete "refs:delete" "Deleting a ref.",
    ReleasesWrite "releases:write" "Releases and their assets.",
    StatusesWrite "statuses:write" "Commit statuses.",
    ChecksWrite "checks:write" "Check runs and suites.",
    ActionsWrite "actions:write" "Running, cancelling and changing workflows and their runs.",
    DeploymentsWrite "deployments:write" "Deployments and environments.",
    DiscussionsWrite "discussions:write" "Discussions and their comments.",
    PackagesWrite "packages:write" "Packages.",
    PagesWrite "pages:write" "GitHub Pages.",
    ProjectsWrite "projects:write" "Projects and their items.",
    SecurityRead "security:read" "Code scanning, secret scanning and Dependabot alerts, and advisories.",
    SecurityWrite "security:write" "Changing those.",
    SecretsRead "secrets:read" "Names of secrets and values of variables.",
    SecretsWrite "secrets:write" "Setting secrets and variables.",
    HooksRead "hooks:read" "Webhooks and their deliveries.",
    HooksWrite "hooks:write" "Changing those.",
    AdministrationRead "administration:read" "Settings of the repository that only its administrators see.",
    AdministrationWrite "administration:write" "Settings, collaborators, keys, rules, transfer and deletion of the repository.",
}

/// No verb has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is no effect: there are {}", known())]
pub struct UnknownVerb {
    /// What was written.
    pub name: String,
}

fn known() -> String {
    Verb::ALL.iter().map(|verb| format!("`{}`", verb.as_str())).collect::<Vec<_>>().join(", ")
}

impl FromStr for Verb {
    type Err = UnknownVerb;

    fn from_str(name: &str) -> Result<Self, UnknownVerb> {
        let found = Self::ALL.iter().find(|verb| verb.as_str() == name);
        found.copied().ok_or_else(|| UnknownVerb { name: name.to_owned() })
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One thing that a request does. A request is allowed if all of its effects are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Reads what belongs to no repository and tells of none: who the account is, the rate limit, a licence text.
    ReadsTheService,
    /// Does something in a repository; never [`Verb::RefsForce`] or [`Verb::RefsDelete`], which are [`Effect::MovesRef`].
    Does {
        /// What.
        verb: Verb,
        /// Where.
        repository: RepositoryName,
    },
    /// Stores git objects, to which no ref leads yet: what a push and what moves a ref by REST begin with.
    StoresObjects {
        /// Where.
        repository: RepositoryName,
    },
    /// Moves a ref of a repository.
    MovesRef {
        /// Where.
        repository: RepositoryName,
        /// The full name (`refs/heads/main`), or `None` where the request does not tell which one.
        name: Option<String>,
        /// How.
        change: RefChange,
    },
}

/// How a ref is moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefChange {
    /// It is made, or moved to a descendant: nothing is lost.
    CreateOrFastForward,
    /// It may lose commits, or that it does not is not proven.
    Force,
    /// It is deleted.
    Delete,
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReadsTheService => f.write_str("read"),
            Self::Does { verb, repository } => write!(f, "{verb} on {repository}"),
            Self::StoresObjects { repository } => write!(f, "storing of git objects on {repository}"),
            Self::MovesRef { repository, name, change } => {
                let how = match change {
                    RefChange::CreateOrFastForward => "push to",
                    RefChange::Force => "forced push to",
                    RefChange::Delete => "deletion of",
                };
                write!(f, "{how} {} on {repository}", name.as_deref().unwrap_or("a ref that the request does not name"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_has_one_name_whatever_its_spelling() {
        let name: RepositoryName = "Acme/Widgets.git".parse().unwrap();
        assert_eq!(name.as_str(), "acme/widgets");
        assert_eq!("acme/widgets".parse(), Ok(name));
    }

    #[test]
    fn what_is_no_repository_is_refused() {
        for text in
            ["acme", "acme/", "/widgets", "a/b/c", "acme/..", "acme/.git", "acme/a b", "acme/%61", "a/b.git.git"]
        {
            assert_eq!(text.parse::<RepositoryName>(), Err(BadRepositoryName), "{text}");
        }
    }

    #[test]
    fn a_verb_is_read_as_it_is_written_and_an_unknown_one_names_the_known() {
        for verb in Verb::ALL {
            assert_eq!(verb.as_str().parse(), Ok(*verb));
        }
        let sentence = "issue:write".parse::<Verb>().unwrap_err().to_string();
        assert!(sentence.contains("`issues:write`"), "{sentence}");
    }
}
