//! The world around the sync: a database that shows commits late, an index that keeps the newest version, a slow network, a clock.

use collections::values::lsn::{Epoch, Lsn, Version};

/// Two documents, each made of its own row and of the parent's.
pub const DOCUMENTS: usize = 2;
/// The row that both documents show.
pub const PARENT: usize = 2;
/// What a heartbeat writes: no row.
pub const NOTHING: usize = 3;
/// A commit record's length: a later commit may begin exactly where an earlier one ends.
pub const RECORD: u64 = 16;
/// No request is taken any more so many minutes after its rows were read.
pub const REQUEST_LIFE: u32 = 2;

/// Where a write came from, of the own row and of the parent's; none if there is no such document.
pub type Content = Option<[u32; 2]>;

/// A commit writes or deletes one row.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Commit {
    pub row: usize,
    pub is_delete: bool,
    pub begins: u64,
    pub is_visible: bool,
    /// Tells commits apart that are at one position, of which one was lost by a restore.
    pub stamp: u32,
}

/// A document that is still to be written again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mark {
    /// The oldest commit that the index may lack.
    pub since: u64,
    /// The write must carry a version above this.
    pub position: u64,
}

/// A rename that is written to the children one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fanout {
    /// The rename that it was made for, which tells jobs apart.
    pub since: u64,
    /// The newest rename that it was asked for.
    pub newest: u64,
    /// The next child; at the first it has not begun.
    pub cursor: usize,
}

/// What a crash leaves and a backup holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Database {
    pub log: Vec<Commit>,
    pub log_end: u64,
    pub epoch: u16,
    pub confirmed: u64,
    /// Where a leader began without the high-water mark.
    pub unverified_since: Option<u64>,
    pub backlog: [Option<Mark>; DOCUMENTS],
    /// In the order in which they are worked on.
    pub fanouts: Vec<Fanout>,
}

impl Database {
    pub fn new() -> Self {
        Self {
            log: Vec::new(),
            log_end: 800,
            epoch: 1,
            confirmed: 800,
            unverified_since: None,
            backlog: [None; DOCUMENTS],
            fanouts: Vec::new(),
        }
    }

    /// What a document is made of, as other sessions see it.
    pub fn read(&self, document: usize) -> Content {
        let last = |row| self.log.iter().rev().find(|commit| commit.row == row && commit.is_visible);
        let own = last(document).filter(|commit| !commit.is_delete)?;
        Some([own.stamp, last(PARENT).map_or(0, |commit| commit.stamp)])
    }

    /// Whether a row may be written: one that is being changed is locked until the change is visible.
    pub fn may_commit(&self, row: usize, is_delete: bool) -> bool {
        let is_locked = self.log.iter().any(|commit| commit.row == row && !commit.is_visible);
        !is_locked && (!is_delete || self.read(row).is_some())
    }

    pub fn commit(&mut self, row: usize, is_delete: bool, stamp: u32) {
        self.log.push(Commit { row, is_delete, begins: self.log_end, is_visible: row == NOTHING, stamp });
        self.log_end += RECORD;
    }

    /// Whether content is as new as the commit, for a document that the commit affects.
    fn includes(&self, document: usize, content: Content, at: usize) -> bool {
        let commit = &self.log[at];
        if let Some([own, parent]) = content {
            return if commit.row == PARENT { parent >= commit.stamp } else { own >= commit.stamp };
        }
        let own = |(_, other): &(usize, &Commit)| other.row == document;
        let is_absent_then = self.log.iter().enumerate().take(at + 1).rfind(own).is_none_or(|(_, other)| other.is_delete);
        is_absent_then || self.log.iter().enumerate().skip(at).filter(own).any(|(_, other)| other.is_delete)
    }

    /// Whether content includes every commit that ends at or before a position.
    pub fn is_current(&self, document: usize, content: Content, applied: u64) -> bool {
        let affects = |commit: &Commit| commit.row == document || commit.row == PARENT;
        let mut settled = (0..self.log.len()).filter(|at| self.log[*at].begins + RECORD <= applied);
        settled.all(|at| !affects(&self.log[at]) || self.includes(document, content, at))
    }
}

/// One document of a bulk request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Write {
    pub document: usize,
    pub version: i64,
    pub content: Content,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Request {
    pub writes: Vec<Write>,
    pub read_at: u32,
    pub has_arrived: bool,
}

/// The index and the way to it. Whatever was sent may arrive late, and again, as long as it lives.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Index {
    held: [Option<(Write, u32)>; DOCUMENTS],
    pub requests: Vec<Request>,
    pub minute: u32,
    /// For so many minutes a deletion's version is remembered.
    tombstones: u32,
}

impl Index {
    pub fn new(tombstones: u32) -> Self {
        Self { held: [const { None }; DOCUMENTS], requests: Vec::new(), minute: 0, tombstones }
    }

    pub fn send(&mut self, writes: Vec<Write>) -> usize {
        self.requests.push(Request { writes, read_at: self.minute, has_arrived: false });
        self.requests.len() - 1
    }

    pub fn is_alive(&self, request: usize) -> bool {
        self.minute - self.requests[request].read_at <= REQUEST_LIFE
    }

    pub fn deliver(&mut self, request: usize) {
        self.requests[request].has_arrived = true;
        for write in self.requests[request].writes.clone() {
            let held = &mut self.held[write.document];
            if held.as_ref().is_some_and(|(last, at)| last.content.is_none() && self.minute - at > self.tombstones) {
                *held = None;
            }
            if held.as_ref().is_none_or(|(last, _)| write.version > last.version) {
                *held = Some((write, self.minute));
            }
        }
    }

    pub fn forget_arrived(&mut self) {
        for request in self.requests.iter_mut().filter(|request| request.has_arrived) {
            *request = Request { writes: Vec::new(), read_at: 0, has_arrived: true };
        }
    }

    pub fn content(&self, document: usize) -> Content {
        self.held[document].as_ref().and_then(|(write, _)| write.content)
    }

    /// Changes a document behind the product's back.
    pub fn corrupt(&mut self, document: usize) -> bool {
        let Some((write, _)) = &mut self.held[document] else { return false };
        write.content = Some([0, 0]);
        true
    }
}

pub fn version(epoch: u16, position: u64) -> i64 {
    Version::new(Epoch(epoch), Lsn(position)).0
}

pub fn floor(epoch: u16, position: u64) -> i64 {
    Version::floor(Epoch(epoch), Lsn(position)).0
}
