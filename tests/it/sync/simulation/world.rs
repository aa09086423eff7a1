//! The state of the simulation: commits and when they are visible, the index, the backlog, the saved checkpoint.

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
/// Milliseconds after which the index handles no request.
pub(super) const REQUEST_LIFE: u64 = 2_000;

/// A rule to break, which the simulation has to detect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Mutant {
    #[default]
    None,
    /// Reads rows before their commit is visible.
    OpenBarrier,
    /// Treats failed writes as written.
    DropsUnwritten,
    /// Stores no backlog.
    LosesBacklog,
    /// Lets older versions win in the index.
    Unversioned,
}

pub(super) struct Commit {
    pub(super) transaction: u32,
    pub(super) begin: Lsn,
    pub(super) end: Lsn,
    pub(super) keys: Vec<Uuid>,
    pub(super) is_deletion: bool,
    pub(super) is_truncation: bool,
    /// When it is streamed.
    pub(super) at: Instant,
    /// When other sessions see it.
    pub(super) visible_at: Instant,
}

/// A document, or the tombstone of a deleted one, and the commit that it shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Document {
    pub(super) version: Version,
    pub(super) shows: Option<usize>,
}

/// A write that the index does at a moment, even if nothing waits for it any more.
pub(super) struct Pending {
    pub(super) at: Instant,
    pub(super) version: Version,
    pub(super) rows: Vec<(Uuid, Option<usize>)>,
}

pub(super) struct World {
    pub(super) dice: Dice,
    pub(super) mutant: Mutant,
    pub(super) began: Instant,
    pub(super) commits: Vec<Commit>,
    /// When the index is away.
    pub(super) outages: Vec<(Instant, Instant)>,
    pub(super) pending: Vec<Pending>,
    pub(super) index: BTreeMap<Uuid, Document>,
    pub(super) searchable: BTreeMap<Uuid, Document>,
    pub(super) backlog: BTreeMap<Uuid, Version>,
    /// Entries that the backlog worker has claimed, with the marks set meanwhile.
    pub(super) claimed: BTreeMap<Uuid, Option<Version>>,
    pub(super) saved: Checkpoint,
    pub(super) trace: Vec<String>,
    pub(super) failure: Option<String>,
}

impl World {
    pub(super) fn new(seed: u64, mutant: Mutant) -> Self {
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
            // A row is locked until its change is visible.
            let locked =
                commits.iter().filter(|one| one.keys.iter().any(|key| keys.contains(key))).map(|one| one.visible_at).max();
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
                visible_at: at + Duration::from_millis(if dice.roll(4) == 0 { dice.roll(80) } else { 0 }),
            });
        }
        let outages = (0..dice.roll(4)).map(|_| {
            let from = began + Duration::from_millis(dice.roll(6_000));
            (from, from + Duration::from_millis(dice.roll(8_000)))
        });
        let outages = outages.collect();
        Self {
            dice,
            mutant,
            began,
            commits,
            outages,
            pending: Vec::new(),
            index: BTreeMap::new(),
            searchable: BTreeMap::new(),
            backlog: BTreeMap::new(),
            claimed: BTreeMap::new(),
            saved: Checkpoint { confirmed: Lsn(0x1000), searchable: Lsn(0x1000), ..Checkpoint::default() },
            trace: Vec::new(),
            failure: None,
        }
    }

    pub(super) fn note(&mut self, what: String) {
        self.trace.push(format!("{:>6} {what}", self.began.elapsed().as_millis()));
    }

    pub(super) fn check(&mut self, is_so: bool, what: impl FnOnce() -> String) {
        if !is_so && self.failure.is_none() {
            let what = what();
            self.note(what.clone());
            self.failure = Some(what);
        }
    }

    pub(super) fn is_away(&self) -> bool {
        let now = Instant::now();
        self.outages.iter().any(|(from, to)| *from <= now && now < *to)
    }

    /// The last visible commit of a row.
    pub(super) fn read(&self, key: Uuid) -> Option<usize> {
        let now = Instant::now();
        self.commits.iter().rposition(|commit| commit.visible_at <= now && commit.keys.contains(&key))
    }

    /// Lets the index do the writes that are due.
    pub(super) fn deliver_due(&mut self) {
        let now = Instant::now();
        let (mut due, later): (Vec<_>, Vec<_>) = std::mem::take(&mut self.pending).into_iter().partition(|one| one.at <= now);
        self.pending = later;
        due.sort_by_key(|one| one.at);
        for Pending { version, rows, .. } in due {
            for (key, shows) in rows {
                let is_newer = self.index.get(&key).is_none_or(|held| held.version < version);
                if is_newer || self.mutant == Mutant::Unversioned {
                    self.index.insert(key, Document { version, shows });
                }
            }
        }
    }

    /// Stores the keys of a batch in the backlog.
    pub(super) fn store(&mut self, batch: &Batch) {
        let version = Version::new(EPOCH, batch.newest);
        let mut keys: Vec<Uuid> = batch.keys.get(NAME).into_iter().flatten().copied().collect();
        if batch.emptied.contains(NAME) {
            keys = (1..=u128::from(KEYS)).map(Uuid::from_u128).collect();
        }
        keys.sort();
        self.note(format!("store {:?}", shorts(&keys)));
        if self.mutant != Mutant::LosesBacklog {
            for key in keys {
                self.mark(key, version);
            }
        }
    }

    pub(super) fn mark(&mut self, key: Uuid, version: Version) {
        match self.claimed.get_mut(&key) {
            Some(waiting) => *waiting = Some(version),
            None => drop(self.backlog.entry(key).or_insert(version)),
        }
    }

    /// Makes all writes searchable. Returns false if the index is away.
    pub(super) fn refresh(&mut self) -> bool {
        if self.is_away() {
            return false;
        }
        self.deliver_due();
        self.searchable = self.index.clone();
        true
    }

    /// The first of these commits that the documents do not show.
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

    /// Checks that every commit that the checkpoint includes can be found.
    pub(super) fn check_searchable(&mut self, checkpoint: &Checkpoint) {
        let missing = self.missing(&self.searchable, |end| checkpoint.includes(NAME, end));
        self.check(missing.is_none(), || format!("not searchable at {}: {}", checkpoint.searchable, missing.unwrap_or_default()));
    }

    /// Checks that every commit up to the LSN is in the index or in the backlog.
    pub(super) fn check_confirmed(&mut self, lsn: Lsn) {
        self.deliver_due();
        let kept: BTreeMap<_, _> = self
            .index
            .iter()
            .map(|(key, document)| (*key, *document))
            .chain(self.backlog.keys().map(|key| (*key, Document { version: Version(0), shows: Some(usize::MAX) })))
            .collect();
        let missing = self.missing(&kept, |end| end <= lsn);
        self.check(missing.is_none(), || format!("confirmed {lsn}: {}", missing.unwrap_or_default()));
        let saved = self.saved.confirmed;
        self.check(lsn <= saved, || format!("confirmed {lsn} before it was saved: {saved}"));
    }

    pub(super) fn is_over(&self) -> bool {
        let end = self.commits.last().unwrap().end;
        self.saved.searchable >= end && self.saved.backlog_since.is_empty() && self.pending.is_empty()
    }
}

pub(super) fn shorts(keys: &[Uuid]) -> Vec<u128> {
    keys.iter().map(Uuid::as_u128).collect()
}
