//! Pushes of `git push`, and what they prove.

use doorward_git::ObjectFormat;
use doorward_git::ancestry::{Change, changes};
use doorward_git::pack::{Commits, Limits, read_commits};

use crate::support::{Git, read};

fn check(git: &Git, body: &[u8]) -> Vec<(String, Change)> {
    let (push, pack) = read(body);
    let commits = if push.needs_proof() {
        let format = push.capabilities.object_format;
        read_commits(pack.as_slice(), format, Limits::default(), git.folder.path()).unwrap()
    } else {
        Commits::default()
    };
    let changes = changes(&push, &commits);
    changes.into_iter().map(|(command, change)| (command.name.to_string(), change)).collect()
}

fn taken_by_server(git: &Git, body: &[u8]) -> String {
    String::from_utf8_lossy(&git.with(&git.server(), &["receive-pack", "--stateless-rpc", "."], body)).into_owned()
}

fn changes_of(git: &Git, arguments: &[&str]) -> Vec<(String, Change)> {
    let body = git.body_of_push(&git.client(), arguments);
    let changes = check(git, &body);
    let answer = taken_by_server(git, &body);
    assert!(answer.contains("unpack ok") && !answer.contains("ng "), "git takes the very same bytes: {answer}");
    changes
}

fn one(name: &str, change: Change) -> Vec<(String, Change)> {
    vec![(name.to_owned(), change)]
}

/// A server that has `main` with two commits.
fn with_main(format: ObjectFormat) -> Git {
    let git = Git::new(format);
    git.commit(&"a line of a file\n".repeat(50));
    git.commit("two");
    git.push("main");
    git
}

fn check_every_kind(format: ObjectFormat) {
    let git = with_main(format);
    git.commit(&format!("{}and one more", "a line of a file\n".repeat(50)));
    git.commit("four");
    assert_eq!(changes_of(&git, &[".", "main"]), one("refs/heads/main", Change::FastForward), "two more commits");

    git.git(&["checkout", "-q", "-b", "side", "HEAD~3"]);
    let side = git.commit("five");
    git.git(&["checkout", "-q", "main"]);
    git.git(&["merge", "-q", "-s", "ours", "-m", "merge", &side.to_string()]);
    assert_eq!(changes_of(&git, &[".", "main"]), one("refs/heads/main", Change::FastForward), "a merge");

    git.git(&["checkout", "-q", "-b", "other", "HEAD~2"]);
    git.commit("six");
    assert_eq!(changes_of(&git, &[".", "+other:main"]), one("refs/heads/main", Change::Unproven), "a forced push");
    assert_eq!(changes_of(&git, &[".", "side"]), one("refs/heads/side", Change::Create));
    assert_eq!(changes_of(&git, &[".", ":side"]), one("refs/heads/side", Change::Delete));
}

#[test]
fn every_kind_of_change_is_told_apart() {
    check_every_kind(ObjectFormat::Sha1);
}

#[test]
fn every_kind_of_change_is_told_apart_in_a_repository_of_sha256() {
    check_every_kind(ObjectFormat::Sha256);
}

#[test]
fn commits_that_the_server_has_already_prove_nothing() {
    let git = with_main(ObjectFormat::Sha1);
    git.commit("three");
    git.push("main:ahead");
    let (push, pack) = git.read_push(&[".", "main"]);
    assert!(push.needs_proof());
    assert_eq!(pack.len(), 12 + 20, "git sends a pack of no objects");
    assert_eq!(changes_of(&git, &[".", "main"]), one("refs/heads/main", Change::Unproven));
}

#[test]
fn each_ref_of_one_push_is_looked_at_by_itself() {
    let git = with_main(ObjectFormat::Sha1);
    git.push("main:b");
    git.push("main:c");
    git.commit("three");
    git.git(&["checkout", "-q", "-b", "other", "HEAD~2"]);
    git.commit("four");
    let mut changes = changes_of(&git, &[".", "main", "+other:b", "main:new", ":c"]);
    changes.sort_by(|one, other| one.0.cmp(&other.0));
    let expected =
        [("b", Change::Unproven), ("c", Change::Delete), ("main", Change::FastForward), ("new", Change::Create)];
    assert_eq!(changes, expected.map(|(name, change)| (format!("refs/heads/{name}"), change)));
}

#[test]
fn a_tag_that_is_moved_is_never_a_fast_forward() {
    let git = with_main(ObjectFormat::Sha1);
    git.git(&["tag", "light"]);
    git.git(&["tag", "-a", "-m", "heavy", "heavy"]);
    assert_eq!(changes_of(&git, &[".", "light"]), one("refs/tags/light", Change::Create));
    assert_eq!(changes_of(&git, &[".", "heavy"]), one("refs/tags/heavy", Change::Create));
    git.commit("three");
    git.git(&["tag", "-f", "light"]);
    git.git(&["tag", "-f", "-a", "-m", "heavy", "heavy"]);
    assert_eq!(changes_of(&git, &["--force", ".", "light"]), one("refs/tags/light", Change::Unproven));
    assert_eq!(changes_of(&git, &["--force", ".", "heavy"]), one("refs/tags/heavy", Change::Unproven));
}

#[test]
fn a_push_from_a_shallow_clone_is_proven_by_what_it_adds() {
    let git = with_main(ObjectFormat::Sha1);
    let url = format!("file://{}", git.server().display());
    git.run(git.folder.path(), &["clone", "-q", "--depth=1", &url, "shallow"]);
    let folder = git.folder.path().join("shallow");
    git.run(&folder, &["commit", "-q", "--allow-empty", "-m", "three"]);
    let body = git.body_of_push(&folder, &["../server", "main"]);
    let (push, _) = read(&body);
    assert_eq!(push.shallow, [push.commands[0].old]);
    assert_eq!(check(&git, &body), one("refs/heads/main", Change::FastForward));

    git.run(&folder, &["commit", "-q", "--allow-empty", "-m", "four"]);
    let cut_off = git.run(&folder, &["rev-parse", "HEAD~1"]);
    let body = git.body_of_push(&folder, &["../server", "main"]);
    let moved = String::from_utf8_lossy(&body).find("shallow ").unwrap() + 8;
    let body = [&body[..moved], cut_off.as_bytes(), &body[moved + 40..]].concat();
    assert_eq!(check(&git, &body), one("refs/heads/main", Change::Unproven), "no proof goes through a shallow commit");
}

#[test]
fn push_options_are_seen() {
    let git = with_main(ObjectFormat::Sha1);
    git.run(&git.server(), &["config", "receive.advertisePushOptions", "true"]);
    git.commit("three");
    let (push, pack) = git.read_push(&["--push-option=ci.skip", ".", "main"]);
    assert_eq!(push.options, ["ci.skip"]);
    assert!(pack.starts_with(b"PACK"));
}

/// What is proven here starts from where the client says the ref is, so this is what all of it stands on.
#[test]
fn a_server_refuses_a_push_that_says_wrongly_where_a_ref_is() {
    let git = with_main(ObjectFormat::Sha1);
    git.commit("three");
    let forward = git.body_of_push(&git.client(), &[".", "main"]);
    let create = git.body_of_push(&git.client(), &[".", "main:new"]);
    git.git(&["checkout", "-q", "-b", "other", "HEAD~1"]);
    git.commit("kept");
    git.push("other:main");
    git.push("other:new");
    assert_eq!(check(&git, &forward), one("refs/heads/main", Change::FastForward));
    assert_eq!(check(&git, &create), one("refs/heads/new", Change::Create));
    for (name, body) in [("main", forward), ("new", create)] {
        let answer = taken_by_server(&git, &body);
        assert!(answer.contains(&format!("ng refs/heads/{name}")), "{answer}");
        let kept = git.run(&git.server(), &["rev-parse", name]);
        assert_eq!(kept, git.git(&["rev-parse", "other"]));
    }
}
