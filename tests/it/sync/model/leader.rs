//! One leader of the sync: its steps between the stream and the index, and the rules it keeps.

use super::Rules;
use super::world::{DOCUMENTS, Database, Fanout, Index, Mark, PARENT, RECORD, Write, floor, version};

/// Documents to write, each with the LSN of the oldest commit that the index may lack.
pub type Keys = [Option<u64>; DOCUMENTS];

/// A request in flight.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Bulk {
    pub keys: Keys,
    pub request: usize,
    /// The visible LSN when it was sent.
    visible: u64,
}

/// The request in flight of a fan-out: one document.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Chunk {
    pub request: usize,
    job: Fanout,
}

/// A leader, or a former one that has not noticed. Nothing of it survives a crash.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Leader {
    epoch: u16,
    received: usize,
    /// Batches of commits, as ranges of the log.
    pub at_barrier: Vec<(usize, usize)>,
    pub ready: Keys,
    newest: u64,
    visible: u64,
    pub in_flight: Vec<Bulk>,
    pub drain: Option<Bulk>,
    pub chunk: Option<Chunk>,
    /// The jobs of a leader that breaks the rule of storing them.
    fanouts: Vec<Fanout>,
}

impl Leader {
    pub fn start(database: &Database) -> Self {
        let received = database.log.iter().take_while(|commit| commit.begins < database.confirmed).count();
        Self {
            epoch: database.epoch,
            received,
            at_barrier: Vec::new(),
            ready: [None; DOCUMENTS],
            // A later commit may begin where the confirmed one ends.
            newest: database.confirmed - RECORD / 2,
            visible: database.confirmed,
            in_flight: Vec::new(),
            drain: None,
            chunk: None,
            fanouts: Vec::new(),
        }
    }

    pub fn has_received(&self, database: &Database) -> bool {
        self.received == database.log.len()
    }

    /// Receives commits from the stream, visible or not.
    pub fn receive(&mut self, until: usize) {
        self.at_barrier.push((self.received, until));
        self.received = until;
    }

    pub fn received(&self) -> usize {
        self.received
    }

    pub fn passes(&self, rules: Rules, database: &Database, batch: usize) -> bool {
        let (from, until) = self.at_barrier[batch];
        let is_next = batch == 0 || !rules.barrier_keeps_stream_order;
        is_next && (!rules.waits_until_visible || database.log[from..until].iter().all(|commit| commit.is_visible))
    }

    /// Lets a batch through the barrier and merges it into the dirty set. A rename is stored as a job before it can be confirmed. It
    /// joins a job that has not begun, not one that runs and may have written some children already.
    pub fn pass(&mut self, rules: Rules, database: &mut Database, batch: usize) {
        let (from, until) = self.at_barrier.remove(batch);
        for commit in database.log[from..until].iter().cloned() {
            if commit.row < DOCUMENTS {
                oldest(&mut self.ready[commit.row], commit.begins);
            } else if commit.row == PARENT {
                let jobs = if rules.stores_fanouts { &mut database.fanouts } else { &mut self.fanouts };
                match jobs.iter_mut().find(|job| job.cursor == 0 || !rules.queues_fanouts) {
                    Some(job) => job.newest = job.newest.max(commit.begins),
                    None => jobs.push(Fanout { since: commit.begins, newest: commit.begins, cursor: 0 }),
                }
            }
            self.newest = self.newest.max(commit.begins);
            self.visible = self.visible.max(commit.begins + RECORD);
        }
    }

    /// Reads the rows of some dirty documents and sends them. Later changes go into another bulk.
    pub fn send(&mut self, rules: Rules, database: &Database, index: &mut Index, keys: Keys) {
        let lsn = if rules.versions_from_commits { self.newest } else { database.log_end };
        let request = index.send(read(database, keys, version(self.epoch, lsn)));
        if rules.swaps_dirty_sets {
            remove(&mut self.ready, keys);
        }
        self.in_flight.push(Bulk { keys, request, visible: self.visible });
    }

    pub fn acknowledge(&mut self, rules: Rules, database: &mut Database, bulk: usize) {
        let bulk = self.in_flight.remove(bulk);
        if !rules.swaps_dirty_sets {
            remove(&mut self.ready, bulk.keys);
        }
        if !rules.confirms_in_order {
            database.confirmed = database.confirmed.max(bulk.visible);
        }
    }

    /// Puts the keys of a request without a response back. The request may still arrive.
    pub fn retry(&mut self, rules: Rules, bulk: usize) {
        let bulk = self.in_flight.remove(bulk);
        for (ready, key) in self.ready.iter_mut().zip(bulk.keys) {
            if let Some(since) = key {
                oldest(ready, if rules.retried_keys_hold_checkpoint { since } else { self.visible });
            }
        }
    }

    /// Moves the dirty set into the backlog, so that its LSNs can be confirmed.
    pub fn store_backlog(&mut self, database: &mut Database) {
        for (mark, ready) in database.backlog.iter_mut().zip(&mut self.ready) {
            if let Some(since) = ready.take() {
                let before = mark.unwrap_or(Mark { since, marked: 0 });
                *mark = Some(Mark { since: before.since.min(since), marked: before.marked.max(self.newest) });
            }
        }
    }

    /// The documents of the backlog that can be written: an LSN after the mark must be visible, else an older write could win.
    pub fn drainable(&self, rules: Rules, database: &Database, locked: Keys) -> Keys {
        let reached = |mark: &Mark| !rules.drains_after_marks || self.visible - RECORD / 2 >= mark.marked;
        let mut keys = [None; DOCUMENTS];
        for (key, mark) in keys.iter_mut().zip(database.backlog) {
            *key = mark.filter(reached).map(|mark| mark.since);
        }
        remove(&mut keys, locked);
        keys
    }

    pub fn drain(&mut self, rules: Rules, database: &mut Database, index: &mut Index, keys: Keys) {
        let request = index.send(read(database, keys, self.floor_version(rules)));
        if !rules.acknowledges_before_deleting {
            remove(&mut database.backlog, keys);
        }
        self.drain = Some(Bulk { keys, request, visible: self.visible });
    }

    pub fn finish_drain(&mut self, rules: Rules, database: &mut Database) {
        if let Some(bulk) = self.drain.take()
            && rules.acknowledges_before_deleting
        {
            remove(&mut database.backlog, bulk.keys);
        }
    }

    pub fn abort_drain(&mut self, rules: Rules, database: &mut Database) {
        let Some(bulk) = self.drain.take() else { return };
        for (mark, key) in database.backlog.iter_mut().zip(bulk.keys) {
            if !rules.acknowledges_before_deleting
                && let Some(since) = key
            {
                *mark = Some(mark.unwrap_or(Mark { since, marked: 0 }));
            }
        }
    }

    fn jobs<'a>(&'a self, database: &'a Database) -> impl Iterator<Item = Fanout> + 'a {
        database.fanouts.iter().chain(&self.fanouts).copied()
    }

    /// The oldest job whose renames this leader has received.
    pub fn next_job(&self, database: &Database) -> Option<Fanout> {
        self.jobs(database).find(|job| job.newest <= self.newest)
    }

    /// Sends the next child with the version of the newest visible commit.
    pub fn begin_chunk(&mut self, database: &Database, index: &mut Index, job: Fanout) {
        let mut keys = [None; DOCUMENTS];
        keys[job.cursor] = Some(job.since);
        let request = index.send(read(database, keys, version(self.epoch, self.newest)));
        self.chunk = Some(Chunk { request, job });
    }

    pub fn finish_chunk(&mut self, rules: Rules, database: &mut Database) {
        let Some(chunk) = self.chunk.take() else { return };
        let jobs = if rules.stores_fanouts { &mut database.fanouts } else { &mut self.fanouts };
        // A job that was requested again during its first chunk starts over.
        let is_requested = |job: &Fanout| job.newest != chunk.job.newest && rules.keeps_requested_fanouts;
        let Some(at) = jobs.iter().position(|job| job.since == chunk.job.since && !is_requested(job)) else { return };
        jobs[at].cursor = chunk.job.cursor + 1;
        if jobs[at].cursor == DOCUMENTS {
            jobs.remove(at);
        }
    }

    /// The version of rows read outside the stream: above every visible commit, below all later ones.
    pub fn floor_version(&self, rules: Rules) -> i64 {
        if rules.floors_below_commits { floor(self.epoch, self.visible) } else { version(self.epoch, self.visible) }
    }

    /// The LSN up to which every commit is in the index, in the backlog or in a job.
    pub fn safe(&self, database: &Database) -> u64 {
        let waiting = self.ready.iter().chain(self.in_flight.iter().flat_map(|bulk| &bulk.keys)).flatten().copied();
        let held = self.at_barrier.iter().map(|(from, _)| database.log[*from].begins);
        waiting.chain(held).min().unwrap_or(self.visible).min(self.visible)
    }

    /// The LSN up to which every commit can be found.
    pub fn searchable(&self, database: &Database) -> u64 {
        let backlog = database.backlog.iter().flatten().map(|mark| mark.since);
        backlog.chain(self.jobs(database).map(|job| job.since)).min().unwrap_or(u64::MAX).min(self.safe(database))
    }

    pub fn is_idle(&self, database: &Database) -> bool {
        let is_empty =
            self.ready == [None; DOCUMENTS] && database.backlog == [None; DOCUMENTS] && self.jobs(database).next().is_none();
        let is_quiet = self.at_barrier.is_empty() && self.in_flight.is_empty() && self.drain.is_none() && self.chunk.is_none();
        is_empty && is_quiet && self.has_received(database)
    }
}

pub fn read(database: &Database, keys: Keys, version: i64) -> Vec<Write> {
    let wanted = (0..DOCUMENTS).filter(|document| keys[*document].is_some());
    wanted.map(|document| Write { document, version, content: database.read(document) }).collect()
}

fn oldest(key: &mut Option<u64>, since: u64) {
    *key = Some(key.map_or(since, |before| before.min(since)));
}

fn remove<T>(set: &mut [Option<T>; DOCUMENTS], keys: Keys) {
    for (held, _) in set.iter_mut().zip(keys).filter(|(_, key)| key.is_some()) {
        *held = None;
    }
}
