//! The watermark: which index lists may read, and the LSN up to which it shows every change.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{timeout, timeout_at};

use super::index::{Facts, Identity, IndexState, LiveIndex, Reached, Statement};
use super::status::Status;
use super::written::Written;
use crate::values::lsn::{Epoch, Lsn};

/// What lists read and wait for. The sync moves it; lists with a sync token wait for it.
#[derive(Debug, Default)]
pub struct Watermark {
    pub status: Status,
    pub written: Written,
    facts: watch::Sender<Facts>,
    wanted: watch::Sender<Lsn>,
}

impl Watermark {
    /// Whether searches of a collection find every change up to an LSN: none of them is in the backlog.
    #[must_use]
    pub fn includes(searchable: Lsn, backlog_since: &BTreeMap<String, Lsn>, collection: &str, wanted: Lsn) -> bool {
        searchable >= wanted && backlog_since.get(collection).is_none_or(|since| wanted < *since)
    }

    /// The LSN, whatever the backlog; zero while there is no live index.
    #[must_use]
    pub fn get(&self) -> Lsn {
        let reached = &self.facts.borrow().reached;
        if reached.live.is_empty() { Lsn::default() } else { reached.searchable }
    }

    /// Moves the LSN forward with its backlog and live indices; ignores an older LSN of the same epoch. In a new epoch all starts
    /// again: LSNs of the one before mean nothing there, and nothing waits for them.
    pub fn advance(&self, epoch: Epoch, reached: Reached) {
        self.facts.send_if_modified(|facts| {
            self.forget_wanted(facts, epoch);
            facts.advance(epoch, reached)
        });
    }

    /// Takes over what the leader has stored.
    pub fn observe(&self, statement: Statement) {
        self.facts.send_modify(|facts| {
            self.forget_wanted(facts, statement.epoch);
            facts.observe(statement);
        });
    }

    /// Records that the connection broke through which statements came: Postgres may come back as another one.
    pub fn lose_contact(&self) {
        self.facts.send_modify(Facts::lose_contact);
    }

    /// Records what was seen of every live index.
    pub fn identify(&self, seen: BTreeMap<Arc<str>, Identity>) {
        self.facts.send_modify(|facts| facts.identify(seen));
    }

    /// Keeps lists from every index until it is seen again.
    pub fn doubt(&self) {
        self.facts.send_modify(Facts::doubt);
    }

    /// Waits until an index is live that was never looked at.
    pub async fn unseen(&self) {
        // The sender lives as long as this.
        self.facts.subscribe().wait_for(Facts::has_unseen).await.ok();
    }

    /// The live indices.
    #[must_use]
    pub fn live_indices(&self) -> Vec<Arc<str>> {
        self.facts.borrow().reached.live.values().cloned().collect()
    }

    /// Waits until lists may have to wait for the next statement.
    pub async fn unknown(&self) {
        self.facts.subscribe().wait_for(Facts::is_unknown).await.ok();
    }

    /// Whether lists may have to wait for the next statement.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        self.facts.borrow().is_unknown()
    }

    /// Whether lists may read the index of a collection now.
    #[must_use]
    pub fn index(&self, collection: &str) -> IndexState {
        self.facts.borrow().index(collection)
    }

    /// Waits while it is not known whether lists may read the index of a collection; returns it if they may.
    pub async fn live_index(&self, collection: &str) -> Option<LiveIndex> {
        let mut facts = self.facts.subscribe();
        loop {
            let state = facts.borrow_and_update().index(collection);
            match state {
                IndexState::Usable(index) => return Some(index),
                IndexState::Unusable(_) => return None,
                IndexState::Unknown { until } => timeout_at(until, facts.changed()).await.ok(),
            };
        }
    }

    /// The highest LSN that a list waits for. It may lie behind the last commit, where no change would ever come.
    #[must_use]
    pub fn wanted(&self) -> watch::Receiver<Lsn> {
        self.wanted.subscribe()
    }

    /// Waits until searches of a collection find every change up to an LSN; false if that takes longer than the deadline.
    pub async fn reached(&self, collection: &str, wanted: Lsn, deadline: Duration) -> bool {
        let mut facts = self.facts.subscribe();
        if facts.borrow().reached.searchable < wanted {
            self.wanted.send_if_modified(|furthest| {
                let is_further = wanted > *furthest;
                *furthest = wanted.max(*furthest);
                is_further
            });
        }
        let waiting = facts.wait_for(|Facts { reached, .. }| {
            reached.live.contains_key(collection)
                && Self::includes(reached.searchable, &reached.backlog_since, collection, wanted)
        });
        timeout(deadline, waiting).await.is_ok_and(|seen| seen.is_ok())
    }

    fn forget_wanted(&self, facts: &Facts, epoch: Epoch) {
        if facts.is_new(epoch) {
            self.wanted.send_replace(Lsn::default());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reached(searchable: u64, backlog_since: &[(&str, u64)]) -> Reached {
        Reached {
            searchable: Lsn(searchable),
            backlog_since: backlog_since.iter().map(|(name, since)| ((*name).to_owned(), Lsn(*since))).collect(),
            live: BTreeMap::from([("accounts".to_owned(), Arc::from("accounts-1"))]),
        }
    }

    #[tokio::test]
    async fn the_backlog_of_an_older_lsn_is_ignored() {
        let watermark = Watermark::default();
        watermark.advance(Epoch(1), reached(150, &[("accounts", 121)]));
        watermark.advance(Epoch(1), reached(100, &[]));
        assert!(!watermark.reached("accounts", Lsn(130), Duration::ZERO).await);
        watermark.advance(Epoch(1), reached(150, &[]));
        assert!(watermark.reached("accounts", Lsn(130), Duration::ZERO).await);
    }

    #[tokio::test]
    async fn a_collection_without_a_live_index_reaches_nothing() {
        let watermark = Watermark::default();
        watermark.advance(Epoch(1), reached(150, &[]));
        assert!(!watermark.reached("payments", Lsn(130), Duration::ZERO).await);
        watermark.advance(Epoch(1), Reached { live: BTreeMap::new(), ..reached(160, &[]) });
        assert!(!watermark.reached("accounts", Lsn(130), Duration::ZERO).await);
        assert_eq!(watermark.get(), Lsn::default());
    }

    #[tokio::test]
    async fn a_new_epoch_forgets_which_lsn_is_wanted() {
        let watermark = Watermark::default();
        watermark.advance(Epoch(1), reached(80, &[]));
        watermark.reached("accounts", Lsn(90), Duration::ZERO).await;
        assert_eq!(*watermark.wanted().borrow(), Lsn(90));
        watermark.advance(Epoch(2), reached(0, &[]));
        assert_eq!(*watermark.wanted().borrow(), Lsn(0));
        assert!(!watermark.reached("accounts", Lsn(60), Duration::ZERO).await);
        assert_eq!(*watermark.wanted().borrow(), Lsn(60));
    }
}
