//! The watermark: the LSN up to which searches find every change.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::watch;

use super::status::Status;
use crate::values::lsn::{Epoch, Lsn};

/// The LSN up to which searches find every change. The sync moves it; lists with a sync token wait for it.
#[derive(Debug, Default)]
pub struct Watermark {
    pub status: Status,
    reached: watch::Sender<Reached>,
    wanted: watch::Sender<Lsn>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Reached {
    epoch: Option<Epoch>,
    searchable: Lsn,
    /// Collections of which some documents with changes from an LSN on are still in the backlog.
    backlog_since: BTreeMap<String, Lsn>,
}

impl Watermark {
    /// Whether searches of a collection find every change up to an LSN: none of them is in the backlog.
    #[must_use]
    pub fn includes(searchable: Lsn, backlog_since: &BTreeMap<String, Lsn>, collection: &str, wanted: Lsn) -> bool {
        searchable >= wanted && backlog_since.get(collection).is_none_or(|since| wanted < *since)
    }

    /// The LSN, whatever the backlog.
    #[must_use]
    pub fn get(&self) -> Lsn {
        self.reached.borrow().searchable
    }

    /// Moves the LSN forward and replaces the backlog; ignores an older LSN of the same epoch. In a new epoch all starts again: LSNs
    /// of the one before mean nothing there, and nothing waits for them.
    pub fn advance(&self, epoch: Epoch, to: Lsn, backlog_since: BTreeMap<String, Lsn>) {
        self.reached.send_if_modified(|reached| {
            let epoch = Some(epoch);
            if (epoch, to) < (reached.epoch, reached.searchable) {
                return false;
            }
            if epoch > reached.epoch {
                self.wanted.send_replace(Lsn::default());
            }
            let next = Reached { epoch, searchable: to, backlog_since };
            let is_news = *reached != next;
            *reached = next;
            is_news
        });
    }

    /// The highest LSN that a list waits for. It may lie behind the last commit, where no change would ever come.
    #[must_use]
    pub fn wanted(&self) -> watch::Receiver<Lsn> {
        self.wanted.subscribe()
    }

    /// Waits until searches of a collection find every change up to an LSN; false if that takes longer than the deadline.
    pub async fn reached(&self, collection: &str, wanted: Lsn, deadline: Duration) -> bool {
        let mut reached = self.reached.subscribe();
        if reached.borrow().searchable < wanted {
            self.wanted.send_if_modified(|furthest| {
                let is_further = wanted > *furthest;
                *furthest = wanted.max(*furthest);
                is_further
            });
        }
        let waiting = reached.wait_for(|reached| Self::includes(reached.searchable, &reached.backlog_since, collection, wanted));
        tokio::time::timeout(deadline, waiting).await.is_ok_and(|seen| seen.is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lsn_goes_back_only_with_a_new_epoch() {
        let watermark = Watermark::default();
        let advance = |epoch, lsn| watermark.advance(Epoch(epoch), Lsn(lsn), BTreeMap::new());
        for (epoch, lsn, expected) in [(1, 80, 80), (1, 40, 80), (2, 40, 40), (1, 90, 40), (2, 48, 48)] {
            advance(epoch, lsn);
            assert_eq!(watermark.get(), Lsn(expected));
        }
    }

    #[tokio::test]
    async fn the_backlog_of_an_older_lsn_is_ignored() {
        let watermark = Watermark::default();
        let backlog_since = BTreeMap::from([("accounts".to_owned(), Lsn(121))]);
        watermark.advance(Epoch(1), Lsn(150), backlog_since);
        watermark.advance(Epoch(1), Lsn(100), BTreeMap::new());
        assert!(!watermark.reached("accounts", Lsn(130), Duration::ZERO).await);
        watermark.advance(Epoch(1), Lsn(150), BTreeMap::new());
        assert!(watermark.reached("accounts", Lsn(130), Duration::ZERO).await);
    }

    #[tokio::test]
    async fn a_new_epoch_forgets_which_lsn_is_wanted() {
        let watermark = Watermark::default();
        watermark.advance(Epoch(1), Lsn(80), BTreeMap::new());
        watermark.reached("accounts", Lsn(90), Duration::ZERO).await;
        assert_eq!(*watermark.wanted().borrow(), Lsn(90));
        watermark.advance(Epoch(2), Lsn(0), BTreeMap::new());
        assert_eq!(*watermark.wanted().borrow(), Lsn(0));
        assert!(!watermark.reached("accounts", Lsn(60), Duration::ZERO).await);
        assert_eq!(*watermark.wanted().borrow(), Lsn(60));
    }
}
