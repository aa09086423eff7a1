//! The steps that can happen next, tried in every order or at random.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::Rules;
use super::leader::{Keys, Leader, read};
use super::world::{DOCUMENTS, Database, Index, Mark, NOTHING, PARENT, REQUEST_LIFE, version};
use crate::harness::dice::Dice;

const STEPS: usize = 60;

/// What a commit does: a row, and whether it deletes it.
pub type Kind = (usize, bool);
pub const FIRST: Kind = (0, false);
pub const DELETE: Kind = (0, true);
pub const SECOND: Kind = (1, false);
pub const RENAME: Kind = (PARENT, false);
pub const KINDS: &[Kind] = &[FIRST, DELETE, SECOND, RENAME];

/// One step. Leaders are counted from the oldest; all but the last are zombies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Commit {
        row: usize,
        is_delete: bool,
    },
    Reveal(usize),
    Receive(usize),
    Pass(usize),
    Send(usize, Keys),
    Acknowledge(usize, usize),
    Confirm,
    Deliver(usize),
    Drain(usize, Keys),
    FinishDrain(usize),
    Chunk(usize),
    FinishChunk(usize),
    // Faults, and writes outside the stream:
    Retry(usize, usize),
    AbortDrain(usize),
    AbortChunk(usize),
    StoreBacklog,
    Rebuild(usize),
    Corrupt(usize),
    /// Until every request has expired.
    Wait,
    Crash,
    TakeOver,
    Backup,
    /// The database goes back, and the first leader notices.
    Restore,
    /// The database goes back while the index is away.
    PutBack,
    /// The index is back: the high-water mark is compared.
    Verify,
}

impl Step {
    /// Whether only its leader can observe it.
    fn is_private(self) -> bool {
        matches!(self, Self::Pass(_) | Self::Acknowledge(..) | Self::FinishDrain(_) | Self::FinishChunk(_) | Self::Confirm)
    }
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct World {
    database: Database,
    index: Index,
    leaders: Vec<Leader>,
    backup: Option<Box<Database>>,
    /// The highest epoch of any version in the index.
    epochs: u16,
    /// The high-water mark.
    mark: i64,
    stamps: u32,
}

impl World {
    fn new(rules: Rules) -> Self {
        let database = Database::new();
        let leaders = vec![Leader::start(&database)];
        Self { database, index: Index::new(rules.gc_deletes), leaders, backup: None, epochs: 1, mark: 0, stamps: 0 }
    }

    fn leader(&mut self) -> &mut Leader {
        self.leaders.last_mut().unwrap()
    }

    fn locked(&self) -> Keys {
        let drains = self.leaders.iter().filter_map(|leader| leader.drain.as_ref());
        drains.fold([None; DOCUMENTS], |mut locked, drain| {
            for (lock, key) in locked.iter_mut().zip(drain.keys) {
                *lock = lock.or(key);
            }
            locked
        })
    }

    /// Steps of the product.
    fn steps(&self, rules: Rules) -> Vec<Step> {
        let (database, requests) = (&self.database, &self.index.requests);
        let mut steps = Vec::new();
        steps.extend((0..database.log.len()).filter(|at| !database.log[*at].is_visible).map(Step::Reveal));
        steps.extend((0..requests.len()).filter(|at| !requests[*at].has_arrived && self.index.is_alive(*at)).map(Step::Deliver));
        let leader = self.leaders.last().unwrap();
        steps.extend((leader.received() + 1..=database.log.len()).map(Step::Receive));
        steps.extend((0..leader.at_barrier.len()).filter(|batch| leader.passes(rules, database, *batch)).map(Step::Pass));
        if leader.safe(database) > database.confirmed {
            steps.push(Step::Confirm);
        }
        steps.extend(database.unverified_since.map(|_| Step::Verify));
        for (number, leader) in self.leaders.iter().enumerate() {
            let ready = (1..1 << DOCUMENTS).map(|mask| choose(leader.ready, mask));
            let mut sent: Vec<Keys> = ready.filter(|keys| *keys != [None; DOCUMENTS]).collect();
            sent.dedup();
            if leader.in_flight.len() < 2 {
                steps.extend(sent.into_iter().map(|keys| Step::Send(number, keys)));
            }
            for (at, bulk) in leader.in_flight.iter().enumerate() {
                steps.extend(self.outcome(bulk.request, Step::Acknowledge(number, at), Step::Retry(number, at)));
            }
            match &leader.drain {
                Some(drain) => steps.extend(self.outcome(drain.request, Step::FinishDrain(number), Step::AbortDrain(number))),
                None => {
                    let keys = leader.drainable(rules, database, self.locked());
                    steps.extend((keys != [None; DOCUMENTS]).then_some(Step::Drain(number, keys)));
                }
            }
            match &leader.chunk {
                Some(chunk) => steps.extend(self.outcome(chunk.request, Step::FinishChunk(number), Step::AbortChunk(number))),
                None => steps.extend(leader.next_job(database).map(|_| Step::Chunk(number))),
            }
        }
        steps
    }

    /// The step after a request that has arrived or has expired.
    fn outcome(&self, request: usize, success: Step, failure: Step) -> Option<Step> {
        if self.index.requests[request].has_arrived { Some(success) } else { (!self.index.is_alive(request)).then_some(failure) }
    }

    fn commits(&self, kinds: &[Kind]) -> Vec<Step> {
        let possible = kinds.iter().filter(|(row, is_delete)| self.database.may_commit(*row, *is_delete));
        possible.map(|(row, is_delete)| Step::Commit { row: *row, is_delete: *is_delete }).collect()
    }

    fn faults(&self, rules: Rules) -> Vec<Step> {
        let index = &self.index;
        let mut steps = vec![Step::Wait, Step::Crash, Step::TakeOver, Step::Backup];
        steps.extend((0..index.requests.len()).filter(|at| index.is_alive(*at)).map(Step::Deliver));
        steps.extend((0..DOCUMENTS).map(Step::Rebuild));
        steps.extend((0..DOCUMENTS).filter(|at| self.locked()[*at].is_none()).map(Step::Corrupt));
        if self.locked() == [None; DOCUMENTS] && rules.swaps_dirty_sets {
            steps.push(Step::StoreBacklog);
        }
        steps.extend(self.backup.as_ref().map(|_| Step::Restore));
        // The mark is raised within seconds; a copy restored sooner is not detected.
        let behind = self.backup.as_ref().filter(|backup| self.mark > version(backup.epoch, backup.confirmed));
        steps.extend(behind.map(|_| Step::PutBack));
        for (number, leader) in self.leaders.iter().enumerate() {
            steps.extend((0..leader.in_flight.len()).map(|bulk| Step::Retry(number, bulk)));
            steps.extend(leader.drain.as_ref().map(|_| Step::AbortDrain(number)));
            steps.extend(leader.chunk.as_ref().map(|_| Step::AbortChunk(number)));
        }
        steps
    }

    fn take(&mut self, rules: Rules, step: Step) {
        let Self { database, index, leaders, .. } = self;
        match step {
            Step::Commit { row, is_delete } => {
                self.stamps += 1;
                database.commit(row, is_delete, self.stamps);
            }
            Step::Reveal(at) => database.log[at].is_visible = true,
            Step::Receive(until) => self.leader().receive(until),
            Step::Pass(batch) => leaders.last_mut().unwrap().pass(rules, database, batch),
            Step::Send(number, keys) => leaders[number].send(rules, database, index, keys),
            Step::Acknowledge(number, bulk) => leaders[number].acknowledge(rules, database, bulk),
            Step::Confirm => {
                database.confirmed = database.confirmed.max(leaders.last().unwrap().safe(database));
                if database.unverified_since.is_none() {
                    self.mark = self.mark.max(version(database.epoch, database.confirmed));
                }
            }
            Step::Deliver(request) => index.deliver(request),
            Step::Drain(number, keys) => leaders[number].drain(rules, database, index, keys),
            Step::FinishDrain(number) => leaders[number].finish_drain(rules, database),
            Step::Chunk(number) => {
                if let Some(job) = leaders[number].next_job(database) {
                    leaders[number].begin_chunk(database, index, job);
                }
            }
            Step::FinishChunk(number) => leaders[number].finish_chunk(rules, database),
            Step::Retry(number, bulk) => leaders[number].retry(rules, bulk),
            Step::AbortDrain(number) => leaders[number].abort_drain(rules, database),
            Step::AbortChunk(number) => leaders[number].chunk = None,
            Step::StoreBacklog => leaders.last_mut().unwrap().store_backlog(database),
            Step::Rebuild(document) => {
                let mut keys = [None; DOCUMENTS];
                keys[document] = Some(0);
                index.send(read(database, keys, leaders.last().unwrap().floor_version(rules)));
            }
            Step::Corrupt(document) => {
                if index.corrupt(document) {
                    database.backlog[document] = Some(Mark { since: 0, marked: database.log_end });
                }
            }
            Step::Wait => index.minute += REQUEST_LIFE,
            Step::Crash => *leaders = vec![Leader::start(database)],
            Step::TakeOver => {
                *leaders = leaders.split_off(leaders.len() - 1);
                leaders.push(Leader::start(database));
            }
            Step::Backup => self.backup = Some(Box::new(database.clone())),
            Step::Restore => {
                self.restore();
                self.database.confirmed = self.database.log_end;
                self.start_epoch(rules);
            }
            Step::PutBack => {
                self.restore();
                let confirmed = self.database.confirmed;
                self.database.unverified_since.get_or_insert(confirmed);
                self.leaders = vec![Leader::start(&self.database)];
            }
            Step::Verify => {
                let since = database.unverified_since.take().filter(|_| rules.compares_where_leaders_began);
                if self.mark > version(database.epoch, since.unwrap_or(database.confirmed)) {
                    self.start_epoch(rules);
                }
            }
        }
    }

    /// Restores the backup.
    fn restore(&mut self) {
        let Some(backup) = self.backup.clone() else { return };
        self.database = *backup;
        for commit in &mut self.database.log {
            commit.is_visible = true;
        }
    }

    /// Every document has to be written again.
    fn start_epoch(&mut self, rules: Rules) {
        let database = &mut self.database;
        if rules.raises_epochs {
            self.epochs += 1;
            database.epoch = self.epochs;
        }
        database.backlog = [Some(Mark { since: 0, marked: 0 }); DOCUMENTS];
        database.fanouts.clear();
        database.unverified_since = None;
        self.leaders = vec![Leader::start(database)];
    }

    /// Whether the index shows every commit up to the searchable LSN and, at rest, equals the rows.
    fn is_consistent(&self) -> bool {
        if self.database.unverified_since.is_some() {
            // Nothing counts as live.
            return true;
        }
        let leader = self.leaders.last().unwrap();
        let searchable = leader.searchable(&self.database);
        let is_at_rest = leader.is_idle(&self.database) && self.database.log.iter().all(|commit| commit.is_visible);
        (0..DOCUMENTS).all(|document| {
            let content = self.index.content(document);
            let is_equal = content == self.database.read(document);
            self.database.is_current(document, content, searchable) && (is_equal || !is_at_rest)
        })
    }

    /// Whether a batch would pass the barrier as soon as it is received.
    fn can_pass(&self, until: usize) -> bool {
        let leader = &self.leaders[self.leaders.len() - 1];
        leader.at_barrier.is_empty() && self.database.log[leader.received()..until].iter().all(|commit| commit.is_visible)
    }

    /// Runs until nothing is left to do; requests in flight arrive last. Returns whether the index is right.
    fn quiesces(&mut self, rules: Rules) -> bool {
        self.leaders = self.leaders.split_off(self.leaders.len() - 1);
        self.take(rules, Step::Commit { row: NOTHING, is_delete: false });
        for _ in 0..200 {
            let Some(step) = self.steps(rules).into_iter().next() else { break };
            self.take(rules, step);
            if !self.is_consistent() {
                return false;
            }
        }
        let is_idle = self.leader().clone().is_idle(&self.database);
        for request in (0..self.index.requests.len()).filter(|at| self.index.is_alive(*at)).collect::<Vec<_>>() {
            self.index.deliver(request);
        }
        is_idle && self.is_consistent()
    }
}

fn choose(keys: Keys, mask: usize) -> Keys {
    let mut chosen = keys;
    for (at, key) in chosen.iter_mut().enumerate() {
        *key = key.filter(|_| mask >> at & 1 == 1);
    }
    chosen
}

/// Tries every order of steps with at most so many commits and faults; returns the number of states.
pub fn every_schedule(rules: Rules, kinds: &[Kind], commits: usize, faults: usize) -> Result<usize, String> {
    let mut seen = HashSet::new();
    let mut open = vec![(World::new(rules), commits, faults)];
    while let Some((mut world, commits, faults)) = open.pop() {
        if faults == 0 {
            // Without faults nothing arrives twice.
            world.index.forget_arrived();
        }
        if !seen.insert(hash((&world, commits, faults))) {
            continue;
        }
        if !world.is_consistent() {
            return Err(format!("wrong: {:?}\n{:?}\n{:?}", world.database, world.index, world.leaders));
        }
        let mut next = |steps: Vec<Step>, commits, faults| {
            for step in steps {
                let mut world = world.clone();
                world.take(rules, step);
                open.push((world, commits, faults));
            }
        };
        let mut steps = world.steps(rules);
        // Without faults to come their order does not matter; taking them at once prunes most schedules.
        if faults == 0 {
            steps.retain(|step| !matches!(step, Step::Receive(until) if !world.can_pass(*until)));
        }
        if faults == 0
            && let Some(step) = steps.iter().find(|step| step.is_private())
        {
            next(vec![*step], commits, faults);
            continue;
        }
        next(steps, commits, faults);
        if commits > 0 {
            next(world.commits(kinds), commits - 1, faults);
        }
        if faults > 0 {
            next(world.faults(rules), commits, faults - 1);
        }
    }
    Ok(seen.len())
}

fn hash(state: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    state.hash(&mut hasher);
    hasher.finish()
}

fn holds(rules: Rules, seed: u64) -> bool {
    let mut dice = Dice::new(seed);
    let mut world = World::new(rules);
    for _ in 0..STEPS {
        let steps = match dice.roll(8) {
            0..=1 => world.commits(KINDS),
            2 => world.faults(rules),
            _ => world.steps(rules),
        };
        if !steps.is_empty() {
            world.take(rules, dice.pick(&steps));
        }
        if !world.is_consistent() {
            return false;
        }
    }
    world.quiesces(rules)
}

/// Returns the first seed whose schedule breaks the index.
pub fn failing_seed(rules: Rules, seeds: u64) -> Option<u64> {
    (0..seeds).find(|seed| !holds(rules, *seed))
}
