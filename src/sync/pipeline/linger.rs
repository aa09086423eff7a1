//! Linger: documents that are rewritten faster than a budget allows wait, so that one write shows many changes.

use std::collections::HashSet;
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use crate::sync::stream::batch::Keys;

/// One rewrite in this time is free: 1,000 a second, over all documents.
const FREE: Duration = Duration::from_millis(1);
/// Beyond that each document lengthens the linger of all of them by this time, up to the longest.
const COST: Duration = Duration::from_millis(4);
/// Short enough that lists are not marked as stale for it.
const LONGEST: Duration = Duration::from_millis(3_500);
/// A change is a rewrite if its document was sent within this time. At most this many documents are remembered.
const WINDOW: Duration = Duration::from_secs(1);
const REMEMBERED: usize = 20_000;

/// Holds documents that were sent a moment ago and have changed since.
pub(crate) struct Linger {
    sent: HashSet<(&'static str, Uuid)>,
    window: Instant,
    waiting: HashSet<(&'static str, Uuid)>,
    /// Changes of the waiting documents since the last release.
    rewrites: u32,
    released: Instant,
}

impl Linger {
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self { sent: HashSet::new(), window: now, waiting: HashSet::new(), rewrites: 0, released: now }
    }

    /// Moves rewrites from `keys` to the waiting documents.
    pub(crate) fn hold(&mut self, keys: &mut Keys) {
        for (collection, ids) in keys.iter_mut() {
            ids.retain(|id| {
                let key = (*collection, *id);
                let is_rewrite = self.sent.contains(&key) || self.waiting.contains(&key);
                if is_rewrite {
                    self.waiting.insert(key);
                    self.rewrites += 1;
                }
                !is_rewrite
            });
        }
        keys.retain(|_, ids| !ids.is_empty());
    }

    /// When the waiting documents may go, if that is not now.
    pub(crate) fn until(&self) -> Option<Instant> {
        let documents = u32::try_from(self.waiting.len()).unwrap_or(u32::MAX);
        let until = self.released + (FREE * self.rewrites).min(COST.saturating_mul(documents)).min(LONGEST);
        (until > Instant::now()).then_some(until)
    }

    /// Returns the waiting documents.
    pub(crate) fn release(&mut self) -> Keys {
        let mut keys = Keys::new();
        if !self.waiting.is_empty() {
            self.released = Instant::now();
            self.rewrites = 0;
        }
        for (collection, id) in self.waiting.drain() {
            keys.entry(collection).or_default().insert(id);
        }
        keys
    }

    pub(crate) fn sent(&mut self, keys: &Keys) {
        if self.window.elapsed() >= WINDOW || self.sent.len() >= REMEMBERED {
            self.sent.clear();
            self.window = Instant::now();
        }
        let documents = keys.iter().flat_map(|(collection, ids)| ids.iter().map(|id| (*collection, *id)));
        self.sent.extend(documents.take(REMEMBERED));
    }
}
