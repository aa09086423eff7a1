//! How far the index is: the position up to which every change can be found.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::watch;

use super::status::Status;
use crate::values::lsn::{Epoch, Lsn};

/// The position up to which every change can be found by a search. The sync task moves it; lists wait for it.
#[derive(Debug, Default)]
pub struct Watermark {
    /// What moves it, and what keeps it from moving.
    pub status: Status,
    reached: watch::Sender<Reached>,
    wanted: watch::Sender<Lsn>,
}

/// How far everything is, and which collections are not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Reached {
    /// Counts the times that positions may have gone back.
    epoch: u16,
    searchable: Lsn,
    /// Documents of these collections with changes from the position on are still to be written.
    backlog_since: BTreeMap<String, Lsn>,
}

impl Watermark {
    /// Whether everything of a collection up to a position can be found: the index is there, and nothing before it is owed.
    #[must_use]
    pub fn includes(searchable: Lsn, backlog_since: &BTreeMap<String, Lsn>, collection: &str, wanted: Lsn) -> bool {
        searchable >= wanted && backlog_since.get(collection).is_none_or(|since| wanted < *since)
    }

    /// Returns the position, but for what is owed.
    #[must_use]
    pub fn get(&self) -> Lsn {
        self.reached.borrow().searchable
    }

    /// Moves the position forward and replaces what is owed; what comes with an older position is ignored. In a new epoch all
    /// starts anew: positions of the one before mean nothing there, nor does anybody wait for them.
    pub fn advance(&self, epoch: Epoch, to: Lsn, backlog_since: BTreeMap<String, Lsn>) {
        self.reached.send_if_modified(|reached| {
            if (epoch.0, to) < (reached.epoch, reached.searchable) {
                return false;
            }
            if epoch.0 > reached.epoch {
                self.wanted.send_replace(Lsn::default());
            }
            let next = Reached { epoch: epoch.0, searchable: to, backlog_since };
            let is_news = *reached != next;
            *reached = next;
            is_news
        });
    }

    /// Tells of the furthest position that anybody waits for. It may lie behind the last commit, where nothing would ever come.
    #[must_use]
    pub fn wanted(&self) -> watch::Receiver<Lsn> {
        self.wanted.subscribe()
    }

    /// Waits until the position is reached in a collection, and says whether it was within the deadline.
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
    fn positions_go_back_only_with_a_new_epoch() {
        let watermark = Watermark::default();
        let advance = |epoch, position| watermark.advance(Epoch(epoch), Lsn(position), BTreeMap::new());
        for (epoch, position, expected) in [(1, 80, 80), (1, 40, 80), (2, 40, 40), (1, 90, 40), (2, 48, 48)] {
            advance(epoch, position);
            assert_eq!(watermark.get(), Lsn(expected));
        }
    }

    #[tokio::test]
    async fn what_is_owed_is_never_that_of_an_older_position() {
        let watermark = Watermark::default();
        let backlog_since = BTreeMap::from([("accounts".to_owned(), Lsn(121))]);
        watermark.advance(Epoch(1), Lsn(150), backlog_since);
        watermark.advance(Epoch(1), Lsn(100), BTreeMap::new());
        assert!(!watermark.reached("accounts", Lsn(130), Duration::ZERO).await);
        watermark.advance(Epoch(1), Lsn(150), BTreeMap::new());
        assert!(watermark.reached("accounts", Lsn(130), Duration::ZERO).await);
    }

    #[tokio::test]
    async fn nobody_waits_in_a_new_epoch_for_a_position_of_the_one_before() {
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
