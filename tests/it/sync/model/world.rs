//! What surrounds the sync: a database that shows commits late, an index that keeps the newest version, a slow network, a clock.

use collections::values::lsn::{Epoch, Lsn, Version};

/// Documents. Each is built from its own row and the parent's.
pub const DOCUMENTS: usize = 2;
/// The row that every document shows.
pub const PARENT: usize = 2;
/// The row of a heartbeat: none.
pub const NOTHING: usize = 3;
/// Length of a commit record. A later commit may begin exactly where an earlier one ends.
pub const RECORD: u64 = 16;
/// Minutes after reading its rows in which a request can be delivered.
pub const REQUEST_LIFE: u32 = 2;

/// The commits that a document shows, of its own row and of the parent's; `None` if it does not exist.
pub type Content = Option<[u32; 2]>;

/// A commit writes or deletes one row.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Commit {
    pub row: usize,
    pub is_delete: bool,
    pub begins: u64,
    pub is_visible: bool,
    /// Unique, also for two commits at one LSN, one of them lost by a restore.
    pub stamp: u32,
}

/// A document in the backlog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mark {
    /// LSN of the oldest commit that the index may lack.
    pub since: u64,
    /// The write needs a version above this LSN.
    pub marked: u64,
}

/// A rename that is written to its children one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fanout {
    /// LSN of the first rename; identifies the job.
    pub since: u64,
    /// LSN of the newest rename.
    pub newest: u64,
    /// The next child; 0 before the job begins.
    pub cursor: usize,
}

/// What survives a crash, and what a backup holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Database {
    pub log: Vec<Commit>,
    pub log_end: u64,
    pub epoch: u16,
    pub confirmed: u64,
    /// Where a leader began without the high-water mark.
    pub unverified_since: Option<u64>,
    pub backlog: [Option<Mark>; DOCUMENTS],
    /// In the order of work.
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

    /// Reads the rows of a document as other sessions see them.
    pub fn read(&self, document: usize) -> Content {
        let last = |row| self.log.iter().rev().find(|commit| commit.row == row && commit.is_visible);
        let own = last(document).filter(|commit| !commit.is_delete)?;
        Some([own.stamp, last(PARENT).map_or(0, |commit| commit.stamp)])
    }

    /// Whether a row can be written: it is locked until its last change is visible.
    pub fn may_commit(&self, row: usize, is_delete: bool) -> bool {
        let is_locked = self.log.iter().any(|commit| commit.row == row && !commit.is_visible);
        !is_locked && (!is_delete || self.read(row).is_some())
    }

    pub fn commit(&mut self, row: usize, is_delete: bool, stamp: u32) {
        self.log.push(Commit { row, is_delete, begins: self.log_end, is_visible: row == NOTHING, stamp });
        self.log_end += RECORD;
    }

    /// Whether the content shows a commit that affects the document.
    fn includes(&self, document: usize, content: Content, at: usize) -> bool {
        let commit = &self.log[at];
        if let Some([own, parent]) = content {
            return if commit.row == PARENT { parent >= commit.stamp } else { own >= commit.stamp };
        }
        let own = |(_, other): &(usize, &Commit)| other.row == document;
        let is_absent_then = self.log.iter().enumerate().take(at + 1).rfind(own).is_none_or(|(_, other)| other.is_delete);
        is_absent_then || self.log.iter().enumerate().skip(at).filter(own).any(|(_, other)| other.is_delete)
    }

    /// Whether the content shows every commit up to an LSN.
    pub fn is_current(&self, document: usize, content: Content, lsn: u64) -> bool {
        let affects = |commit: &Commit| commit.row == document || commit.row == PARENT;
        let mut before = (0..self.log.len()).filter(|at| self.log[*at].begins + RECORD <= lsn);
        before.all(|at| !affects(&self.log[at]) || self.includes(document, content, at))
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

/// The index and the network before it. A request may arrive late, and twice, until it expires.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Index {
    held: [Option<(Write, u32)>; DOCUMENTS],
    pub requests: Vec<Request>,
    pub minute: u32,
    /// Minutes for which the version of a deletion is remembered.
    gc_deletes: u32,
}

impl Index {
    pub fn new(gc_deletes: u32) -> Self {
        Self { held: [const { None }; DOCUMENTS], requests: Vec::new(), minute: 0, gc_deletes }
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
            if held.as_ref().is_some_and(|(last, at)| last.content.is_none() && self.minute - at > self.gc_deletes) {
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

    /// Damages a document behind the product's back.
    pub fn corrupt(&mut self, document: usize) -> bool {
        let Some((write, _)) = &mut self.held[document] else { return false };
        write.content = Some([0, 0]);
        true
    }
}

pub fn version(epoch: u16, lsn: u64) -> i64 {
    Version::new(Epoch(epoch), Lsn(lsn)).0
}

pub fn floor(epoch: u16, lsn: u64) -> i64 {
    Version::floor(Epoch(epoch), Lsn(lsn)).0
}
