//! Which updates a pack proves to lose nothing.

use std::collections::HashSet;

use crate::object_id::ObjectId;
use crate::pack::Commits;
use crate::push::{Command, Push};

/// How many commits are walked for one push. A push of many refs over many commits could otherwise take minutes.
const MOST_STEPS: usize = 10_000_000;

/// What a command does to its ref.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// The ref is made.
    Create,
    /// The pack proves that the new commit has the old one among its ancestors.
    FastForward,
    /// The pack does not prove that: the ref may lose commits, or it is a tag, which is not meant to move.
    Unproven,
    /// The ref is deleted.
    Delete,
}

/// Says of each command of a push what it does, as far as the commits of its pack prove it. A push that
/// [needs no proof](Push::needs_proof) needs no commits.
pub fn changes<'a>(push: &'a Push, commits: &Commits) -> Vec<(&'a Command, Change)> {
    let mut walker = Walker::new(commits, &push.shallow);
    push.commands.iter().map(|command| (command, walker.change(command))).collect()
}

/// Whether `old` is an ancestor of `new` by way of commits that are all in the pack.
pub fn proves_fast_forward(old: &ObjectId, new: &ObjectId, commits: &Commits) -> bool {
    Walker::new(commits, &[]).reaches(old, new)
}

struct Walker<'a> {
    commits: &'a Commits,
    shallow: HashSet<u32>,
    steps_left: usize,
}

impl<'a> Walker<'a> {
    fn new(commits: &'a Commits, shallow: &[ObjectId]) -> Self {
        let shallow = shallow.iter().filter_map(|id| commits.number(id)).collect();
        Self { commits, shallow, steps_left: MOST_STEPS }
    }

    fn change(&mut self, command: &Command) -> Change {
        if command.new.is_zero() {
            Change::Delete
        } else if command.old.is_zero() {
            Change::Create
        } else if !command.name.is_tag() && self.reaches(&command.old, &command.new) {
            Change::FastForward
        } else {
            Change::Unproven
        }
    }

    fn reaches(&mut self, old: &ObjectId, new: &ObjectId) -> bool {
        let (Some(old), Some(new)) = (self.commits.number(old), self.commits.number(new)) else { return false };
        let (mut seen, mut next) = (HashSet::from([new]), vec![new]);
        while let Some(commit) = next.pop() {
            let Some(steps_left) = self.steps_left.checked_sub(1) else { return false };
            self.steps_left = steps_left;
            let parents = if self.shallow.contains(&commit) { None } else { self.commits.parents(commit) };
            for parent in parents.unwrap_or_default() {
                if *parent == old {
                    return true;
                }
                if seen.insert(*parent) {
                    next.push(*parent);
                }
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ObjectFormat;

    fn id(byte: u8) -> ObjectId {
        ObjectId::from_bytes(ObjectFormat::Sha1, &[byte; 20]).unwrap()
    }

    /// 9 → 8 and 7, 8 → 6, 7 → 6, 6 → 5, 4 → 5; 5 is not in the pack.
    fn commits() -> Commits {
        let mut commits = Commits::default();
        for (child, parents) in [(9, [8, 7].as_slice()), (8, &[6]), (7, &[6]), (6, &[5]), (4, &[5])] {
            commits.add(id(child), &parents.iter().map(|byte| id(*byte)).collect::<Vec<_>>());
        }
        commits
    }

    #[test]
    fn every_way_of_parents_is_walked_and_no_other() {
        let commits = commits();
        for old in 5..=8 {
            assert!(proves_fast_forward(&id(old), &id(9), &commits), "{old}");
        }
        for (old, new) in [(4, 9), (9, 9), (9, 8), (7, 8), (5, 5), (6, 5), (1, 9), (5, 1)] {
            assert!(!proves_fast_forward(&id(old), &id(new), &commits), "{old} {new}");
        }
    }

    #[test]
    fn a_shallow_commit_has_no_parents() {
        let commits = commits();
        let reaches = |shallow: &[u8]| {
            let shallow: Vec<_> = shallow.iter().map(|byte| id(*byte)).collect();
            Walker::new(&commits, &shallow).reaches(&id(5), &id(9))
        };
        assert!(reaches(&[]) && reaches(&[5]) && reaches(&[8]) && reaches(&[1]));
        assert!(!reaches(&[6]) && !reaches(&[8, 7]) && !reaches(&[9]));
    }

    #[test]
    fn all_walks_of_a_push_share_their_steps() {
        let commits = commits();
        let mut walker = Walker::new(&commits, &[]);
        walker.steps_left = 6;
        assert!(walker.reaches(&id(5), &id(9)), "takes four steps at most");
        assert!(!walker.reaches(&id(4), &id(9)));
        assert!(!walker.reaches(&id(5), &id(6)), "no step is left");
    }
}
