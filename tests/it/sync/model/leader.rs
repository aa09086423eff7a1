//! One leader of the sync: the steps it takes between the stream and the index, and the rules it keeps in them.

use super::Rules;
use super::world::{DOCUMENTS, Database, Fanout, Index, Mark, PARENT, RECORD, Write, floor, version};

/// Documents with the oldest commit each of them owes to the index.
pub type Keys = [Option<u64>; DOCUMENTS];

/// A request that is waited for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Bulk {
    pub keys: Keys,
    pub request: usize,
    /// What had passed the barrier when it was sent.
    passed: u64,
}

/// One document of a fan-out that is waited for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Chunk {
    pub request: usize,
    job: Fanout,
}

/// A leader, or one that was and does not know yet. A crash forgets all of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Leader {
    epoch: u16,
    received: usize,
    /// Batches of commits, by where each ends in the log.
    pub at_barrier: Vec<(usize, usize)>,
    pub ready: Keys,
    newest: u64,
    passed: u64,
    pub in_flight: Vec<Bulk>,
    pub drain: Option<Bulk>,
    pub chunk: Option<Chunk>,
    /// The jobs of a leader that does not store them.
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
            passed: database.confirmed,
            in_flight: Vec::new(),
            drain: None,
            chunk: None,
            fanouts: Vec::new(),
        }
    }

    pub fn has_received(&self, database: &Database) -> bool {
        self.received == database.log.len()
    }

    /// Takes what the stream has sent, which may be more than others can see.
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

    /// Merges a batch into what is ready. A rename is stored as a job before anything of it can be confirmed: one that has not begun
    /// shows this rename too, one that runs has passed some of the children by.
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
            self.passed = self.passed.max(commit.begins + RECORD);
        }
    }

    /// Reads the rows of what is ready and sends them; what comes meanwhile is another bulk's.
    pub fn send(&mut self, rules: Rules, database: &Database, index: &mut Index, keys: Keys) {
        let position = if rules.versions_from_commits { self.newest } else { database.log_end };
        let request = index.send(read(database, keys, version(self.epoch, position)));
        if rules.swaps_dirty_sets {
            forget(&mut self.ready, keys);
        }
        self.in_flight.push(Bulk { keys, request, passed: self.passed });
    }

    pub fn acknowledge(&mut self, rules: Rules, database: &mut Database, bulk: usize) {
        let bulk = self.in_flight.remove(bulk);
        if !rules.swaps_dirty_sets {
            forget(&mut self.ready, bulk.keys);
        }
        if !rules.confirms_in_order {
            database.confirmed = database.confirmed.max(bulk.passed);
        }
    }

    /// The answer is lost. The request may still arrive.
    pub fn give_back(&mut self, rules: Rules, bulk: usize) {
        let bulk = self.in_flight.remove(bulk);
        for (ready, key) in self.ready.iter_mut().zip(bulk.keys) {
            if let Some(since) = key {
                oldest(ready, if rules.returned_keys_hold_back { since } else { self.passed });
            }
        }
    }

    /// Stores what is ready, so that the slot can forget it.
    pub fn spill(&mut self, database: &mut Database) {
        for (mark, ready) in database.backlog.iter_mut().zip(&mut self.ready) {
            if let Some(since) = ready.take() {
                let before = mark.unwrap_or(Mark { since, position: 0 });
                *mark = Some(Mark { since: before.since.min(since), position: before.position.max(self.newest) });
            }
        }
    }

    /// What of the backlog a write would win with: the barrier must have passed a position behind the mark.
    pub fn drainable(&self, rules: Rules, database: &Database, locked: Keys) -> Keys {
        let reached = |mark: &Mark| !rules.drains_behind_marks || self.passed - RECORD / 2 >= mark.position;
        let mut keys = [None; DOCUMENTS];
        for (key, mark) in keys.iter_mut().zip(database.backlog) {
            *key = mark.filter(reached).map(|mark| mark.since);
        }
        forget(&mut keys, locked);
        keys
    }

    pub fn drain(&mut self, rules: Rules, database: &mut Database, index: &mut Index, keys: Keys) {
        let request = index.send(read(database, keys, self.beside(rules)));
        if !rules.acknowledges_before_forgetting {
            forget(&mut database.backlog, keys);
        }
        self.drain = Some(Bulk { keys, request, passed: self.passed });
    }

    pub fn finish_drain(&mut self, rules: Rules, database: &mut Database) {
        if let Some(bulk) = self.drain.take()
            && rules.acknowledges_before_forgetting
        {
            forget(&mut database.backlog, bulk.keys);
        }
    }

    pub fn abort_drain(&mut self, rules: Rules, database: &mut Database) {
        let Some(bulk) = self.drain.take() else { return };
        for (mark, key) in database.backlog.iter_mut().zip(bulk.keys) {
            if !rules.acknowledges_before_forgetting
                && let Some(since) = key
            {
                *mark = Some(mark.unwrap_or(Mark { since, position: 0 }));
            }
        }
    }

    fn jobs<'a>(&'a self, database: &'a Database) -> impl Iterator<Item = Fanout> + 'a {
        database.fanouts.iter().chain(&self.fanouts).copied()
    }

    /// The oldest job of a rename that this leader has come to.
    pub fn next_job(&self, database: &Database) -> Option<Fanout> {
        self.jobs(database).find(|job| job.newest <= self.newest)
    }

    /// Writes the next child with the version of the newest commit that has passed.
    pub fn begin_chunk(&mut self, database: &Database, index: &mut Index, job: Fanout) {
        let mut keys = [None; DOCUMENTS];
        keys[job.cursor] = Some(job.since);
        let request = index.send(read(database, keys, version(self.epoch, self.newest)));
        self.chunk = Some(Chunk { request, job });
    }

    pub fn finish_chunk(&mut self, rules: Rules, database: &mut Database) {
        let Some(chunk) = self.chunk.take() else { return };
        let jobs = if rules.stores_fanouts { &mut database.fanouts } else { &mut self.fanouts };
        // One that was asked for again before it had begun goes on waiting.
        let is_asked_for = |job: &Fanout| job.newest != chunk.job.newest && rules.keeps_fanouts_asked_for;
        let Some(at) = jobs.iter().position(|job| job.since == chunk.job.since && !is_asked_for(job)) else { return };
        jobs[at].cursor = chunk.job.cursor + 1;
        if jobs[at].cursor == DOCUMENTS {
            jobs.remove(at);
        }
    }

    /// The version of what is read apart from the stream, which is true for everything that has passed.
    pub fn beside(&self, rules: Rules) -> i64 {
        if rules.floors_below_commits { floor(self.epoch, self.passed) } else { version(self.epoch, self.passed) }
    }

    /// Up to here everything is in the index, in the backlog or in a job.
    pub fn settled(&self, database: &Database) -> u64 {
        let waiting = self.ready.iter().chain(self.in_flight.iter().flat_map(|bulk| &bulk.keys)).flatten().copied();
        let held = self.at_barrier.iter().map(|(from, _)| database.log[*from].begins);
        waiting.chain(held).min().unwrap_or(self.passed).min(self.passed)
    }

    /// Up to here everything can be found.
    pub fn applied(&self, database: &Database) -> u64 {
        let owed = database.backlog.iter().flatten().map(|mark| mark.since);
        owed.chain(self.jobs(database).map(|job| job.since)).min().unwrap_or(u64::MAX).min(self.settled(database))
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

fn forget<T>(set: &mut [Option<T>; DOCUMENTS], keys: Keys) {
    for (held, _) in set.iter_mut().zip(keys).filter(|(_, key)| key.is_some()) {
        *held = None;
    }
}
