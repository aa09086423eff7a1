//! What is true in the play: what was committed and who sees it, what the index holds, what is remembered.

use std::collections::BTreeMap;
use std::time::Duration;

use collections::sync::store::checkpoint::Checkpoint;
use collections::sync::stream::batch::Batch;
use collections::values::lsn::{Epoch, Lsn, Version};
use tokio::time::Instant;
use uuid::Uuid;

use crate::harness::dice::Dice;

pub(super) const EPOCH: Epoch = Epoch(1);
pub(super) const NAME: &str = "customers";
pub(super) const INDEX: &str = "the-index";
pub(super) const KEYS: u64 = 12;
pub(super) const COMMITS: u64 = 150;
/// Nothing that was asked of the index happens later than so long after.
pub(super) const LIFE: u64 = 2_000;

/// What may be broken on purpose, to see that it shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Flaw {
    #[default]
    None,
    /// Rows are read before the commit can be seen.
    OpenGate,
    /// What was not written counts as written.
    Forgetful,
    /// What is stored is gone.
    Leaky,
    /// The index takes older versions.
    Unversioned,
}

pub(super) struct Commit {
    pub(super) transaction: u32,
    pub(super) begin: Lsn,
    pub(super) end: Lsn,
    pub(super) keys: Vec<Uuid>,
    pub(super) is_deletion: bool,
    pub(super) is_truncation: bool,
    /// When it is streamed, and when others see it.
    pub(super) at: Instant,
    pub(super) seen: Instant,
}

/// A document, or what is remembered of a deleted one: which commit it shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Document {
    pub(super) version: Version,
    pub(super) shows: Option<usize>,
}

/// Something that the index does at a moment, whether or not anybody waits for it still.
pub(super) struct Pending {
    pub(super) at: Instant,
    pub(super) version: Version,
    pub(super) rows: Vec<(Uuid, Option<usize>)>,
}

pub(super) struct World {
    pub(super) dice: Dice,
    pub(super) flaw: Flaw,
    pub(super) began: Instant,
    pub(super) commits: Vec<Commit>,
    /// When the index is away.
    pub(super) outages: Vec<(Instant, Instant)>,
    pub(super) pending: Vec<Pending>,
    pub(super) index: BTreeMap<Uuid, Document>,
    pub(super) searchable: BTreeMap<Uuid, Document>,
    pub(super) spill: BTreeMap<Uuid, Version>,
    /// What the backlog worker has taken of it, with what was marked meanwhile and waits.
    pub(super) held: BTreeMap<Uuid, Option<Version>>,
    pub(super) saved: Checkpoint,
    pub(super) trace: Vec<String>,
    pub(super) broken: Option<String>,
}

impl World {
    pub(super) fn new(seed: u64, flaw: Flaw) -> Self {
        let mut dice = Dice::new(seed);
        let began = Instant::now();
        let mut commits: Vec<Commit> = Vec::new();
        let (mut at, mut end) = (began, 0x1000);
        for number in 0..COMMITS {
            let is_truncation = dice.roll(40) == 0;
            let size = if dice.roll(12) == 0 { KEYS } else { 1 + dice.roll(3) };
            let mut keys: Vec<Uuid> = (0..size).map(|_| Uuid::from_u128(1 + u128::from(dice.roll(KEYS)))).collect();
            if is_truncation {
                keys = (1..=u128::from(KEYS)).map(Uuid::from_u128).collect();
            }
            keys.sort();
            keys.dedup();
            at += Duration::from_millis(if dice.roll(3) == 0 { dice.roll(400) } else { dice.roll(5) });
            // A row stays locked until its change can be seen.
            let locked = commits.iter().filter(|one| one.keys.iter().any(|key| keys.contains(key))).map(|one| one.seen).max();
            at = at.max(locked.unwrap_or(at));
            let begin = end + 8 * dice.roll(4);
            end = begin + 8 + 8 * dice.roll(40);
            commits.push(Commit {
                transaction: u32::try_from(number).unwrap() + 700,
                begin: Lsn(begin),
                end: Lsn(end),
                keys,
                is_deletion: is_truncation || dice.roll(5) == 0,
                is_truncation,
                at,
                seen: at + Duration::from_millis(if dice.roll(4) == 0 { dice.roll(80) } else { 0 }),
            });
        }
        let outages = (0..dice.roll(4)).map(|_| {
            let from = began + Duration::from_millis(dice.roll(6_000));
            (from, from + Duration::from_millis(dice.roll(8_000)))
        });
        let outages = outages.collect();
        Self {
            dice,
            flaw,
            began,
            commits,
            outages,
            pending: Vec::new(),
            index: BTreeMap::new(),
            searchable: BTreeMap::new(),
            spill: BTreeMap::new(),
            held: BTreeMap::new(),
            saved: Checkpoint { confirmed: Lsn(0x1000), searchable: Lsn(0x1000), ..Checkpoint::default() },
            trace: Vec::new(),
            broken: None,
        }
    }

    pub(super) fn note(&mut self, what: String) {
        self.trace.push(format!("{:>6} {what}", self.began.elapsed().as_millis()));
    }

    pub(super) fn expect(&mut self, is_so: bool, what: impl FnOnce() -> String) {
        if !is_so && self.broken.is_none() {
            let what = what();
            self.note(what.clone());
            self.broken = Some(what);
        }
    }

    pub(super) fn is_away(&self) -> bool {
        let now = Instant::now();
        self.outages.iter().any(|(from, to)| *from <= now && now < *to)
    }

    /// The commit whose row anybody reads now; none if there never was one.
    pub(super) fn read(&self, key: Uuid) -> Option<usize> {
        let now = Instant::now();
        self.commits.iter().rposition(|commit| commit.seen <= now && commit.keys.contains(&key))
    }

    /// Lets the index do what it was asked to do until now.
    pub(super) fn proceed(&mut self) {
        let now = Instant::now();
        let (mut due, later): (Vec<_>, Vec<_>) = std::mem::take(&mut self.pending).into_iter().partition(|one| one.at <= now);
        self.pending = later;
        due.sort_by_key(|one| one.at);
        for Pending { version, rows, .. } in due {
            for (key, shows) in rows {
                let is_newer = self.index.get(&key).is_none_or(|held| held.version < version);
                if is_newer || self.flaw == Flaw::Unversioned {
                    self.index.insert(key, Document { version, shows });
                }
            }
        }
    }

    /// Puts what a batch has marked into the backlog.
    pub(super) fn keep(&mut self, batch: &Batch) {
        let version = Version::new(EPOCH, batch.newest);
        let mut keys: Vec<Uuid> = batch.keys.get(NAME).into_iter().flatten().copied().collect();
        if batch.emptied.contains(NAME) {
            keys = (1..=u128::from(KEYS)).map(Uuid::from_u128).collect();
        }
        keys.sort();
        self.note(format!("store {:?}", shorts(&keys)));
        if self.flaw != Flaw::Leaky {
            for key in keys {
                self.mark(key, version);
            }
        }
    }

    pub(super) fn mark(&mut self, key: Uuid, version: Version) {
        match self.held.get_mut(&key) {
            Some(waiting) => *waiting = Some(version),
            None => drop(self.spill.entry(key).or_insert(version)),
        }
    }

    /// Lets everything that is written be found, unless the index is away.
    pub(super) fn show(&mut self) -> bool {
        if self.is_away() {
            return false;
        }
        self.proceed();
        self.searchable = self.index.clone();
        true
    }

    /// What every commit before a position comes to, by the given documents.
    pub(super) fn missing(&self, documents: &BTreeMap<Uuid, Document>, upto: impl Fn(Lsn) -> bool) -> Option<String> {
        for (number, commit) in self.commits.iter().enumerate().filter(|(_, commit)| upto(commit.end)) {
            for key in &commit.keys {
                let shows = documents.get(key).and_then(|document| document.shows);
                if shows.is_none_or(|shown| shown < number) {
                    return Some(format!("{key} shows {shows:?} and not commit {number}, which ends at {}", commit.end));
                }
            }
        }
        None
    }

    /// Everything up to the position can be found, but for what is owed.
    pub(super) fn check_searchable(&mut self, checkpoint: &Checkpoint) {
        let missing = self.missing(&self.searchable, |end| checkpoint.includes(NAME, end));
        self.expect(missing.is_none(), || {
            format!("not searchable at {}: {}", checkpoint.searchable, missing.unwrap_or_default())
        });
    }

    /// Everything up to the position is in the index or in the backlog.
    pub(super) fn check_confirmed(&mut self, position: Lsn) {
        self.proceed();
        let kept: BTreeMap<_, _> = self
            .index
            .iter()
            .map(|(key, document)| (*key, *document))
            .chain(self.spill.keys().map(|key| (*key, Document { version: Version(0), shows: Some(usize::MAX) })))
            .collect();
        let missing = self.missing(&kept, |end| end <= position);
        self.expect(missing.is_none(), || format!("confirmed {position}: {}", missing.unwrap_or_default()));
        let saved = self.saved.confirmed;
        self.expect(position <= saved, || format!("confirmed {position} before it was saved: {saved}"));
    }

    pub(super) fn is_over(&self) -> bool {
        let end = self.commits.last().unwrap().end;
        self.saved.searchable >= end && self.saved.backlog_since.is_empty() && self.pending.is_empty()
    }
}

pub(super) fn shorts(keys: &[Uuid]) -> Vec<u128> {
    keys.iter().map(Uuid::as_u128).collect()
}
