//! What an installation token may do: the verbs of a grant, in GitHub's own words for the permissions of apps.

use std::collections::BTreeMap;

use doorward_github::Verb;

/// Permissions by name, each `read` or `write`.
pub(crate) type Permissions = BTreeMap<&'static str, &'static str>;

/// The least permissions that let an app do what the verbs say. `metadata: read` always is among them; GitHub demands it.
pub(crate) fn permissions(verbs: impl Iterator<Item = Verb>) -> Permissions {
    let mut all = Permissions::from([("metadata", "read")]);
    for (name, level) in verbs.flat_map(of).copied() {
        let held = all.entry(name).or_insert(level);
        if level == "write" {
            *held = level;
        }
    }
    all
}

fn of(verb: Verb) -> &'static [(&'static str, &'static str)] {
    match verb {
        Verb::Read => &[
            ("contents", "read"),
            ("issues", "read"),
            ("pull_requests", "read"),
            ("statuses", "read"),
            ("checks", "read"),
            ("actions", "read"),
            ("deployments", "read"),
            ("discussions", "read"),
            ("packages", "read"),
            ("pages", "read"),
            ("repository_projects", "read"),
        ],
        Verb::IssuesWrite => &[("issues", "write")],
        Verb::PullsWrite => &[("pull_requests", "write")],
        Verb::PullsMerge => &[("contents", "write"), ("pull_requests", "write")],
        // Not `workflows`: a file that runs with the repository's secrets is more than contents.
        Verb::ContentsWrite | Verb::RefsForce | Verb::RefsDelete | Verb::ReleasesWrite => &[("contents", "write")],
        Verb::StatusesWrite => &[("statuses", "write")],
        Verb::ChecksWrite => &[("checks", "write")],
        Verb::ActionsWrite => &[("actions", "write"), ("workflows", "write")],
        Verb::DeploymentsWrite => &[("deployments", "write"), ("environments", "write")],
        Verb::DiscussionsWrite => &[("discussions", "write")],
        Verb::PackagesWrite => &[("packages", "write")],
        Verb::PagesWrite => &[("pages", "write")],
        Verb::ProjectsWrite => &[("repository_projects", "write")],
        Verb::SecurityRead => &[
            ("security_events", "read"),
            ("secret_scanning_alerts", "read"),
            ("vulnerability_alerts", "read"),
            ("repository_advisories", "read"),
        ],
        Verb::SecurityWrite => &[
            ("security_events", "write"),
            ("secret_scanning_alerts", "write"),
            ("vulnerability_alerts", "write"),
            ("repository_advisories", "write"),
        ],
        Verb::SecretsRead => &[
            ("secrets", "read"),
            ("actions_variables", "read"),
            ("dependabot_secrets", "read"),
            ("environments", "read"),
        ],
        Verb::SecretsWrite => &[
            ("secrets", "write"),
            ("actions_variables", "write"),
            ("dependabot_secrets", "write"),
            ("environments", "write"),
        ],
        Verb::HooksRead => &[("repository_hooks", "read")],
        Verb::HooksWrite => &[("repository_hooks", "write")],
        Verb::AdministrationRead => &[("administration", "read")],
        Verb::AdministrationWrite => &[("administration", "write")],
    }
}

/// What of `wanted` an installation has, at most at its level. GitHub refuses a token that asks for more than that; a request
/// that needs what is missing is then refused by GitHub itself, which says so.
pub(super) fn within(wanted: &Permissions, held: &BTreeMap<String, String>) -> Permissions {
    let at_most = |(name, level): (&&'static str, &&'static str)| match held.get(*name)?.as_str() {
        "write" | "admin" => Some((*name, *level)),
        "read" => Some((*name, "read")),
        _ => None,
    };
    wanted.iter().filter_map(at_most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_can_always_be_read() {
        assert_eq!(permissions(std::iter::empty()), Permissions::from([("metadata", "read")]));
    }

    #[test]
    fn the_higher_level_wins_in_either_order() {
        for verbs in [[Verb::Read, Verb::IssuesWrite], [Verb::IssuesWrite, Verb::Read]] {
            let all = permissions(verbs.into_iter());
            assert_eq!((all["issues"], all["pull_requests"], all["contents"]), ("write", "read", "read"));
        }
    }

    #[test]
    fn merging_takes_contents_and_pull_requests() {
        let all = permissions([Verb::PullsMerge].into_iter());
        assert_eq!(all, [("contents", "write"), ("metadata", "read"), ("pull_requests", "write")].into());
    }

    #[test]
    fn no_verb_gives_what_only_another_one_names() {
        for verb in Verb::ALL {
            let all = permissions([*verb].into_iter());
            let administers = matches!(verb, Verb::AdministrationRead | Verb::AdministrationWrite);
            assert_eq!(all.contains_key("administration"), administers, "{verb}");
            let hooks = matches!(verb, Verb::HooksRead | Verb::HooksWrite);
            assert_eq!(all.contains_key("repository_hooks"), hooks, "{verb}");
            let secrets = matches!(verb, Verb::SecretsRead | Verb::SecretsWrite);
            assert_eq!(all.contains_key("secrets"), secrets, "{verb}");
            assert_eq!(all.contains_key("workflows"), *verb == Verb::ActionsWrite, "{verb}");
            let writes = all.values().any(|level| *level == "write");
            let reads = matches!(verb, Verb::Read) || verb.as_str().ends_with(":read");
            assert_eq!(writes, !reads, "{verb}");
        }
    }

    #[test]
    fn no_more_is_asked_for_than_the_installation_has() {
        let wanted = permissions([Verb::IssuesWrite, Verb::PullsWrite, Verb::PagesWrite].into_iter());
        let held = [("metadata", "read"), ("issues", "read"), ("pull_requests", "write"), ("contents", "write")];
        let held = held.map(|(name, level)| (name.to_owned(), level.to_owned())).into();
        assert_eq!(
            within(&wanted, &held),
            [("issues", "read"), ("metadata", "read"), ("pull_requests", "write")].into()
        );
    }
}
