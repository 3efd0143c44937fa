//! Packs of `git pack-objects`, and what `git rev-list` says of the same commits.

use std::fmt::Write as _;

use doorward_git::ancestry::proves_fast_forward;
use doorward_git::pack::{Commits, Limits, read_commits};
use doorward_git::spool::Spool;
use doorward_git::{ObjectFormat, ObjectId};

use crate::support::Git;

/// As `git fast-import` takes it: 2,000 commits, of which every hundredth merges another that was made beside them. Each message is long
/// and nearly that of its neighbours, but not like those further away, so that a delta fits no base but its own.
fn history() -> String {
    let mut stream = String::new();
    let mut commit = |branch: &str, number: u32, parents: String| {
        let lines: String =
            (number..number + 30).map(|line| format!("{line}: {}\n", u64::from(line).pow(2) * 7919)).collect();
        let message = format!("Change\n\n{lines}");
        let time = 1_700_000_000 + number;
        write!(
            stream,
            "commit refs/heads/{branch}\nmark :{number}\ncommitter Ada <ada@example.org> {time} +0000\n\
             data {}\n{message}\n{parents}M 644 inline file\ndata {}\n{number}\n\n",
            message.len(),
            number.to_string().len(),
        )
        .unwrap();
    };
    for number in 1..=2000 {
        let mut parents = if number == 1 { String::new() } else { format!("from :{}\n", number - 1) };
        if number % 100 == 0 {
            commit("side", 10_000 + number, format!("from :{}\n", number - 50));
            parents += &format!("merge :{}\n", 10_000 + number);
        }
        commit("main", number, parents);
    }
    stream
}

fn repository(format: ObjectFormat) -> Git {
    let git = Git::new(format);
    git.with(&git.client(), &["fast-import", "--quiet"], history().as_bytes());
    git
}

fn pack(git: &Git, revisions: &str, arguments: &[&str]) -> Vec<u8> {
    let fixed = [
        "-c",
        "pack.threads=1",
        "pack-objects",
        "--stdout",
        "--revs",
        "-q",
        "--depth=50",
        "--window=50",
        "--no-reuse-delta",
    ];
    git.with(&git.client(), &[&fixed, arguments].concat(), revisions.as_bytes())
}

/// As the gateway does it.
fn read(git: &Git, pack: &[u8]) -> Commits {
    let mut spool = Spool::create(git.folder.path(), u64::MAX).unwrap();
    for piece in pack.chunks(10_000) {
        spool.write(piece).unwrap();
    }
    read_commits(spool.read_from(0).unwrap(), git.format, Limits::default(), git.folder.path()).unwrap()
}

/// Ids of a child and its parents.
fn families(git: &Git, revisions: &[&str]) -> Vec<Vec<ObjectId>> {
    let list = git.git(&[&["rev-list", "--parents"], revisions].concat());
    list.lines().map(|line| line.split(' ').map(|digits| git.id(digits)).collect()).collect()
}

fn deltified_commits(git: &Git, pack: &[u8]) -> usize {
    let file = git.folder.path().join("checked.pack");
    std::fs::write(&file, pack).unwrap();
    git.git(&["index-pack", file.to_str().unwrap()]);
    let list = git.git(&["verify-pack", "-v", file.to_str().unwrap()]);
    // ID KIND LENGTH PACKED-LENGTH OFFSET [DEPTH BASE]
    list.lines().filter(|line| line.contains(" commit ") && line.split_whitespace().count() == 7).count()
}

fn check_history(format: ObjectFormat, arguments: &[&str]) {
    let git = repository(format);
    let pack = pack(&git, "main\n", arguments);
    assert!(deltified_commits(&git, &pack) > 100, "commits that are stored as deltas are what this is about");
    let commits = read(&git, &pack);
    let families = families(&git, &["main"]);
    assert_eq!((commits.len(), families.len()), (2020, 2020));
    for family in &families {
        assert!(commits.contains(&family[0]), "{}", family[0]);
        for parent in &family[1..] {
            assert!(proves_fast_forward(parent, &family[0], &commits), "{} {parent}", family[0]);
        }
    }
    for family in families.iter().step_by(97) {
        for parent in &family[1..] {
            assert!(!proves_fast_forward(&family[0], parent, &commits), "{} {parent}", family[0]);
        }
    }
}

#[test]
fn every_commit_of_a_long_history_is_found_with_deltas_to_offsets() {
    check_history(ObjectFormat::Sha1, &["--delta-base-offset"]);
}

#[test]
fn every_commit_of_a_long_history_is_found_with_deltas_to_ids() {
    check_history(ObjectFormat::Sha1, &[]);
}

#[test]
fn every_commit_of_a_long_history_is_found_in_a_repository_of_sha256() {
    check_history(ObjectFormat::Sha256, &["--delta-base-offset"]);
}

#[test]
fn what_a_part_of_the_history_proves_is_what_git_says_and_no_more() {
    let git = repository(ObjectFormat::Sha1);
    let commits = read(&git, &pack(&git, "main\n^main~200\n", &["--thin", "--delta-base-offset"]));
    let ids = families(&git, &["--first-parent", "main"]).into_iter().map(|family| family[0]).collect::<Vec<_>>();
    let within = |number: usize| number <= 200;
    for (old, new) in [(1, 0), (200, 0), (200, 199), (150, 20), (201, 0), (300, 0), (0, 1), (20, 150), (202, 201)] {
        let is_ancestor = git.try_with(
            &git.client(),
            &["merge-base", "--is-ancestor", &ids[old].to_string(), &ids[new].to_string()],
            b"",
        );
        let expected = is_ancestor.status.success() && within(old) && new < 200;
        assert_eq!(proves_fast_forward(&ids[old], &ids[new], &commits), expected, "{old} {new}");
    }
}
