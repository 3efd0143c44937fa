//! The commits that a pack holds, and whose parents they are.

use std::collections::HashMap;

use crate::object_id::ObjectId;

/// The commits of a pack. Each has a number, and so has each parent, in the pack or not.
#[derive(Debug, Default)]
pub struct Commits {
    numbers: HashMap<ObjectId, u32>,
    /// By number: where the parents stand, if the commit is in the pack.
    ranges: Vec<Option<(u32, u32)>>,
    parents: Vec<u32>,
    count: usize,
}

impl Commits {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether the pack holds this commit.
    pub fn contains(&self, id: &ObjectId) -> bool {
        self.number(id).is_some_and(|number| self.parents(number).is_some())
    }

    /// The number of a commit in the pack, or of the parent of one.
    pub(crate) fn number(&self, id: &ObjectId) -> Option<u32> {
        self.numbers.get(id).copied()
    }

    /// The parents of a commit in the pack; `None` if it is not there, so that they are not known.
    pub(crate) fn parents(&self, number: u32) -> Option<&[u32]> {
        let (start, end) = self.ranges[number as usize]?;
        Some(&self.parents[start as usize..end as usize])
    }

    /// Of all commits together.
    pub(super) fn parent_count(&self) -> usize {
        self.parents.len()
    }

    /// Adds a commit, unless it is there.
    pub(crate) fn add(&mut self, id: ObjectId, parents: &[ObjectId]) -> u32 {
        let number = self.number_or_new(id);
        if self.ranges[number as usize].is_none() {
            let start = self.end_of_parents();
            for parent in parents {
                let parent = self.number_or_new(*parent);
                self.parents.push(parent);
            }
            self.ranges[number as usize] = Some((start, self.end_of_parents()));
            self.count += 1;
        }
        number
    }

    fn number_or_new(&mut self, id: ObjectId) -> u32 {
        let next = u32::try_from(self.ranges.len()).expect("limits are far below");
        let number = *self.numbers.entry(id).or_insert(next);
        if number == next {
            self.ranges.push(None);
        }
        number
    }

    fn end_of_parents(&self) -> u32 {
        u32::try_from(self.parents.len()).expect("limits are far below")
    }
}

/// The parents that a commit names (gitformat-commit: `tree`, then `parent` lines, then `author`). `None` if it
/// begins otherwise: nothing is proven by what git may read otherwise.
pub(super) fn parents_of(mut content: &[u8], format: crate::ObjectFormat) -> Option<Vec<ObjectId>> {
    let mut header = |name: &[u8]| -> Option<Option<ObjectId>> {
        let Some(rest) = content.strip_prefix(name) else { return Some(None) };
        let (digits, rest) = rest.split_at_checked(format.digits())?;
        content = rest.strip_prefix(b"\n")?;
        ObjectId::from_hex(format, digits).ok().map(Some)
    };
    header(b"tree ")??;
    let mut parents = Vec::new();
    while let Some(parent) = header(b"parent ")? {
        parents.push(parent);
    }
    content.starts_with(b"author ").then_some(parents)
}
