//! A model of the sync without servers: commits that become visible late, reads, delayed and repeated writes, a rebuild, a crash.
//! Whatever the schedule, the index ends up equal to the rows. Each rule that is broken on purpose must make some schedule fail.

use std::collections::BTreeSet;

use collections::position::{Epoch, Position, Version};

const EPOCH: Epoch = Epoch(1);
/// A commit record's length: a later commit may begin exactly where an earlier one ends.
const RECORD: u64 = 8;
const SCHEDULES: u64 = 20_000;

/// The rules that keep the index right. The product's are all true.
#[derive(Clone, Copy)]
struct Rules {
    waits_until_visible: bool,
    gates_in_stream_order: bool,
    versions_from_commits: bool,
    floors_below_commits: bool,
    confirms_in_order: bool,
}

const RULES: Rules = Rules {
    waits_until_visible: true,
    gates_in_stream_order: true,
    versions_from_commits: true,
    floors_below_commits: true,
    confirms_in_order: true,
};

/// The rows that each document is made of: two payments, each of its own row and of one customer's.
const DOCUMENTS: [[usize; 2]; 2] = [[0, 2], [1, 2]];

/// A commit writes one row.
#[derive(Clone, Copy)]
struct Commit {
    row: usize,
    begins: u64,
    is_visible: bool,
}

type Content = [u64; 2];

#[derive(Clone, Copy)]
struct Write {
    document: usize,
    version: Version,
    content: Content,
}

/// What is under way: the commits of a batch by their place in the log, and its writes once the rows are read.
struct Batch {
    commits: BTreeSet<usize>,
    writes: Option<Vec<Write>>,
    is_acknowledged: bool,
}

struct World {
    rules: Rules,
    dice: u64,
    log: Vec<Commit>,
    log_end: u64,
    received: usize,
    batches: Vec<Batch>,
    applied: u64,
    confirmed: usize,
    index: [Option<Write>; 2],
    delayed: Vec<Write>,
}

impl World {
    fn new(rules: Rules, seed: u64) -> Self {
        let dice = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        Self {
            rules,
            dice,
            log: Vec::new(),
            log_end: 800,
            received: 0,
            batches: Vec::new(),
            applied: 800,
            confirmed: 0,
            index: [None; 2],
            delayed: Vec::new(),
        }
    }

    fn roll(&mut self, sides: u64) -> u64 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        self.dice % sides
    }

    fn pick(&mut self, length: usize) -> usize {
        usize::try_from(self.roll(length as u64)).unwrap()
    }

    /// A row that is being changed is locked until the change is visible.
    fn commit(&mut self) {
        let row = self.pick(3);
        if self.log.iter().all(|commit| commit.row != row || commit.is_visible) {
            self.log.push(Commit { row, begins: self.log_end, is_visible: false });
            self.log_end += RECORD;
        }
    }

    fn reveal(&mut self) {
        let hidden: Vec<usize> = (0..self.log.len()).filter(|at| !self.log[*at].is_visible).collect();
        if !hidden.is_empty() {
            let at = hidden[self.pick(hidden.len())];
            self.log[at].is_visible = true;
        }
    }

    /// Takes what the stream has sent, which may be more than others can see.
    fn receive(&mut self) {
        if self.received < self.log.len() {
            let until = self.received + 1 + self.pick(self.log.len() - self.received);
            self.batches.push(Batch { commits: (self.received..until).collect(), writes: None, is_acknowledged: false });
            self.received = until;
        }
    }

    fn snapshot(&self, document: usize) -> Content {
        let mut rows = [0; 3];
        for commit in self.log.iter().filter(|commit| commit.is_visible) {
            rows[commit.row] = commit.begins;
        }
        DOCUMENTS[document].map(|row| rows[row])
    }

    fn passes(&self, at: usize) -> bool {
        let visible = |batch: &Batch| batch.commits.iter().all(|commit| self.log[*commit].is_visible);
        let is_next = !self.rules.gates_in_stream_order || self.batches[..at].iter().all(|batch| batch.writes.is_some());
        is_next && (!self.rules.waits_until_visible || visible(&self.batches[at]))
    }

    fn read(&mut self) {
        let waiting: Vec<usize> =
            (0..self.batches.len()).filter(|at| self.batches[*at].writes.is_none() && self.passes(*at)).collect();
        if waiting.is_empty() {
            return;
        }
        let at = waiting[self.pick(waiting.len())];
        let newest = self.batches[at].commits.iter().map(|commit| self.log[*commit].begins).max().unwrap();
        let position = if self.rules.versions_from_commits { newest } else { self.log_end };
        let version = Version::new(EPOCH, Position(position));
        let rows: BTreeSet<usize> = self.batches[at].commits.iter().map(|commit| self.log[*commit].row).collect();
        let dirty = (0..DOCUMENTS.len()).filter(|document| DOCUMENTS[*document].iter().any(|row| rows.contains(row)));
        let writes = dirty.map(|document| Write { document, version, content: self.snapshot(document) }).collect();
        self.batches[at].writes = Some(writes);
    }

    /// The index takes a write; a copy of it may arrive again later.
    fn deliver(&mut self) {
        let ready: Vec<usize> = (0..self.batches.len())
            .filter(|at| self.batches[*at].writes.is_some() && !self.batches[*at].is_acknowledged)
            .collect();
        if ready.is_empty() {
            return;
        }
        let at = ready[self.pick(ready.len())];
        let writes = self.batches[at].writes.clone().unwrap();
        for write in &writes {
            self.store(*write);
        }
        self.delayed.extend(writes);
        self.batches[at].is_acknowledged = true;
        if self.rules.confirms_in_order {
            while self.batches.first().is_some_and(|batch| batch.is_acknowledged) {
                let batch = self.batches.remove(0);
                self.confirm(&batch);
            }
        } else {
            let batch = self.batches.remove(at);
            self.confirm(&batch);
        }
    }

    fn confirm(&mut self, batch: &Batch) {
        let last = *batch.commits.last().unwrap();
        self.confirmed = self.confirmed.max(last + 1);
        self.applied = self.applied.max(self.log[last].begins + RECORD);
    }

    fn store(&mut self, write: Write) {
        let held = &mut self.index[write.document];
        if held.is_none_or(|held| write.version > held.version) {
            *held = Some(write);
        }
    }

    fn repeat(&mut self) {
        if !self.delayed.is_empty() {
            let at = self.pick(self.delayed.len());
            self.store(self.delayed[at]);
        }
    }

    /// A rebuild or repair reads the rows beside the stream, and its write may take long.
    fn rebuild(&mut self) {
        let applied = Position(self.applied);
        let version = if self.rules.floors_below_commits { Version::floor(EPOCH, applied) } else { Version::new(EPOCH, applied) };
        let document = self.pick(DOCUMENTS.len());
        let write = Write { document, version, content: self.snapshot(document) };
        self.delayed.push(write);
    }

    fn crash(&mut self) {
        self.batches.clear();
        self.received = self.confirmed;
    }

    /// Lets everything come to rest and says whether the index is right.
    fn settle(mut self) -> bool {
        for commit in &mut self.log {
            commit.is_visible = true;
        }
        self.receive_all();
        for _ in 0..self.batches.len() {
            self.read();
        }
        for at in 0..self.delayed.len() {
            self.store(self.delayed[at]);
        }
        while !self.batches.is_empty() {
            self.deliver();
        }
        (0..DOCUMENTS.len()).all(|document| {
            let content = self.snapshot(document);
            // A document whose rows were never written is not expected.
            content == [0; 2] || self.index[document].is_some_and(|held| held.content == content)
        })
    }

    fn receive_all(&mut self) {
        while self.received < self.log.len() {
            self.receive();
        }
    }
}

fn is_right(rules: Rules, seed: u64) -> bool {
    let mut world = World::new(rules, seed);
    for _ in 0..40 {
        match world.roll(16) {
            0..=2 => world.commit(),
            3..=4 => world.reveal(),
            5..=7 => world.receive(),
            8..=10 => world.read(),
            11..=12 => world.deliver(),
            13 => world.repeat(),
            14 => world.rebuild(),
            _ => world.crash(),
        }
    }
    world.settle()
}

/// Returns a schedule after which the index is wrong; it can be replayed by its seed.
fn wrong_schedule(rules: Rules) -> Option<u64> {
    (0..SCHEDULES).find(|seed| !is_right(rules, *seed))
}

#[test]
fn the_index_equals_the_rows_after_every_schedule() {
    assert_eq!(wrong_schedule(RULES), None);
}

#[test]
fn every_rule_that_is_broken_loses_something() {
    let broken = [
        ("no gate", Rules { waits_until_visible: false, ..RULES }),
        ("a gate that can be overtaken", Rules { gates_in_stream_order: false, ..RULES }),
        ("versions from the position of the read", Rules { versions_from_commits: false, ..RULES }),
        ("floors at the end of what is applied", Rules { floors_below_commits: false, ..RULES }),
        ("confirming out of order", Rules { confirms_in_order: false, ..RULES }),
    ];
    for (name, rules) in broken {
        assert!(wrong_schedule(rules).is_some(), "{name} goes unnoticed");
    }
}
