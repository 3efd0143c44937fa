//! The Aho-Corasick automaton over all renderings of all secrets: one state says which prefix of a rendering has just been read.

use std::ops::Range;

use secrecy::zeroize::Zeroizing;

/// The prefix of a rendering that the bytes read last are: the longest there is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct State(u32);

impl State {
    /// No prefix at all.
    pub(crate) const ROOT: Self = Self(0);

    fn index(self) -> usize {
        self.0 as usize
    }
}

#[derive(Clone, Copy, Default)]
struct Node {
    /// The longest proper suffix of this prefix that is a prefix too.
    fallback: u32,
    /// The length of this prefix.
    depth: u32,
    /// The length of the longest rendering that ends here; 0 if none does.
    ends: u32,
    /// Whether the next node is a child of this one.
    chained: bool,
    /// Whether it has children that are not the next node.
    branched: bool,
}

/// A trie whose nodes stand in the order in which they were made, so that nearly every node's only child is the next one.
pub(crate) struct Automaton {
    /// The byte that leads to each node.
    bytes: Zeroizing<Vec<u8>>,
    nodes: Vec<Node>,
    /// All other children, sorted: see [`branch`].
    branches: Zeroizing<Vec<u64>>,
    /// The children of the root.
    root: Box<[u32; 256]>,
}

const CHILD_BITS: u32 = 28;

/// A parent, a byte and a child in one number that sorts by them.
fn branch(parent: u32, byte: u8, child: u32) -> u64 {
    (u64::from(parent) << 8 | u64::from(byte)) << CHILD_BITS | u64::from(child)
}

/// The child of a [`branch`].
fn child_of(branch: u64) -> u32 {
    (branch & ((1 << CHILD_BITS) - 1)) as u32
}

impl Automaton {
    pub(crate) fn new(patterns: &[Zeroizing<Vec<u8>>]) -> Self {
        // All room at once: a vector that grows leaves a copy of its contents behind.
        let room = 1 + patterns.iter().map(|pattern| pattern.len()).sum::<usize>();
        assert!(room < 1 << CHILD_BITS, "the secrets are megabytes long");
        let mut automaton = Self {
            bytes: Zeroizing::new(Vec::with_capacity(room)),
            nodes: Vec::with_capacity(room),
            branches: Zeroizing::new(Vec::with_capacity(patterns.len())),
            root: Box::new([0; 256]),
        };
        automaton.append(0, 0);
        for pattern in patterns {
            automaton.insert(pattern);
        }
        automaton.link();
        automaton
    }

    fn append(&mut self, byte: u8, depth: u32) -> u32 {
        self.bytes.push(byte);
        self.nodes.push(Node { depth, ..Node::default() });
        u32::try_from(self.nodes.len() - 1).expect("the room was checked")
    }

    fn insert(&mut self, pattern: &[u8]) {
        let mut state = State::ROOT;
        for &byte in pattern {
            state = self.child(state, byte).unwrap_or_else(|| self.add_child(state, byte));
        }
        let node = &mut self.nodes[state.index()];
        node.ends = node.depth;
    }

    fn add_child(&mut self, parent: State, byte: u8) -> State {
        let depth = self.nodes[parent.index()].depth + 1;
        let child = self.append(byte, depth);
        if parent == State::ROOT {
            self.root[usize::from(byte)] = child;
        } else if child == parent.0 + 1 {
            self.nodes[parent.index()].chained = true;
        } else {
            self.nodes[parent.index()].branched = true;
            let entry = branch(parent.0, byte, child);
            let place = self.branches.partition_point(|&other| other < entry);
            self.branches.insert(place, entry);
        }
        State(child)
    }

    /// Gives each node its fallback, the shortest prefixes first.
    fn link(&mut self) {
        let mut queue: Vec<u32> = self.root.iter().copied().filter(|&child| child != 0).collect();
        queue.reserve_exact(self.nodes.len() - queue.len());
        let mut next = 0;
        while let Some(&parent) = queue.get(next) {
            next += 1;
            if self.nodes[parent as usize].chained {
                queue.push(parent + 1);
                self.link_child(parent, parent + 1);
            }
            for place in self.branches_of(parent) {
                let child = child_of(self.branches[place]);
                queue.push(child);
                self.link_child(parent, child);
            }
        }
    }

    fn link_child(&mut self, parent: u32, child: u32) {
        let fallback = self.step(State(self.nodes[parent as usize].fallback), self.bytes[child as usize]);
        let ends = self.nodes[fallback.index()].ends;
        let node = &mut self.nodes[child as usize];
        node.fallback = fallback.0;
        if node.ends == 0 {
            node.ends = ends;
        }
    }

    fn branches_of(&self, parent: u32) -> Range<usize> {
        if !self.nodes[parent as usize].branched {
            return 0..0;
        }
        let first = self.branches.partition_point(|&other| other < branch(parent, 0, 0));
        let end = self.branches.partition_point(|&other| other < branch(parent + 1, 0, 0));
        first..end
    }

    /// The prefix longer by this byte, if there is one.
    pub(crate) fn child(&self, state: State, byte: u8) -> Option<State> {
        if state == State::ROOT {
            return Some(self.root[usize::from(byte)]).filter(|&child| child != 0).map(State);
        }
        let node = self.nodes[state.index()];
        if node.chained && self.bytes[state.index() + 1] == byte {
            return Some(State(state.0 + 1));
        }
        if !node.branched {
            return None;
        }
        let place = self.branches.partition_point(|&other| other < branch(state.0, byte, 0));
        let entry = *self.branches.get(place)?;
        (entry >> CHILD_BITS == branch(state.0, byte, 0) >> CHILD_BITS).then(|| State(child_of(entry)))
    }

    /// The state after one more byte. The steps of a whole stream take no longer than twice its length together.
    pub(crate) fn step(&self, mut state: State, byte: u8) -> State {
        loop {
            #[cfg(test)]
            crate::tests::count_step();
            match self.child(state, byte) {
                Some(child) => return child,
                None if state == State::ROOT => return State::ROOT,
                None => state = State(self.nodes[state.index()].fallback),
            }
        }
    }

    /// How many bytes the prefix has.
    pub(crate) fn depth(&self, state: State) -> usize {
        self.nodes[state.index()].depth as usize
    }

    /// The length of the longest rendering that ends at this state, if one does.
    pub(crate) fn match_length(&self, state: State) -> Option<usize> {
        Some(self.nodes[state.index()].ends as usize).filter(|&length| length > 0)
    }

    /// Whether a rendering begins with this byte.
    pub(crate) fn begins(&self, byte: u8) -> bool {
        self.root[usize::from(byte)] != 0
    }
}
