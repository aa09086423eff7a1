//! The latest entries, bounded, and the subscriptions that read them.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::watch;

use super::{Entry, Feed};
use crate::values::lsn::{Epoch, Lsn};

/// Announcements are missing. The consumer subscribes again, and then looks at everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the announcements after this LSN are no longer there")]
pub struct Gone;

/// The latest entries in the order of the stream, each continuing the one before.
pub(super) struct History {
    pub(super) epoch: Option<Epoch>,
    /// Everything up to here was announced.
    pub(super) reached: Lsn,
    /// Everything after this LSN is here.
    pub(super) floor: Lsn,
    /// Only those that announce something.
    entries: VecDeque<Arc<Entry>>,
    /// Announcements in all entries.
    size: usize,
    capacity: usize,
}

impl History {
    /// Keeps as many announcements as `capacity` says.
    pub(super) fn new(capacity: usize) -> Self {
        let (reached, floor) = (Lsn::default(), Lsn::default());
        Self { epoch: None, reached, floor, entries: VecDeque::new(), size: 0, capacity }
    }

    /// Prepares for what comes after an LSN. Forgets everything if that does not follow what is here.
    pub(super) fn continue_from(&mut self, epoch: Epoch, from: Lsn) {
        if self.epoch != Some(epoch) || from > self.reached {
            (self.epoch, self.reached, self.floor) = (Some(epoch), from, from);
            self.entries.clear();
            self.size = 0;
        }
    }

    /// Adds an entry, unless everything in it was announced before; returns whether it did.
    pub(super) fn push(&mut self, entry: &Arc<Entry>) -> bool {
        if (Some(entry.epoch), entry.lsn) <= (self.epoch, self.reached) {
            return false;
        }
        self.continue_from(entry.epoch, entry.after);
        self.reached = entry.lsn;
        if !entry.announcements.is_empty() {
            self.size += entry.announcements.len();
            self.entries.push_back(Arc::clone(entry));
        }
        while self.size > self.capacity
            && let Some(oldest) = self.entries.pop_front()
        {
            self.size -= oldest.announcements.len();
            self.floor = oldest.lsn;
        }
        true
    }

    /// The first entry after an LSN, if there is one yet.
    pub(super) fn next(&self, epoch: Option<Epoch>, after: Lsn) -> Result<Option<Arc<Entry>>, Gone> {
        if epoch != self.epoch || after < self.floor {
            return Err(Gone);
        }
        let at = self.entries.partition_point(|entry| entry.lsn <= after);
        Ok(self.entries.get(at).cloned())
    }
}

/// One consumer. It holds nothing but its place, so it may be as slow as it likes.
pub struct Subscription {
    pub(super) feed: Arc<Feed>,
    pub(super) moved: watch::Receiver<()>,
    pub(super) epoch: Option<Epoch>,
    pub(super) after: Lsn,
}

impl Subscription {
    /// Waits for the next entry that announces something; [`Gone`], now and for ever, once announcements are missing.
    ///
    /// May be cancelled without losing an entry.
    pub async fn next(&mut self) -> Result<Arc<Entry>, Gone> {
        loop {
            self.moved.mark_unchanged();
            let next = self.feed.history().next(self.epoch, self.after)?;
            if let Some(entry) = next {
                self.after = entry.lsn;
                return Ok(entry);
            }
            // The feed is held here, so the sender lives.
            self.moved.changed().await.map_err(|_| Gone)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::{Announcement, Operation};

    const EPOCH: Epoch = Epoch(1);

    /// A history of three announcements, the first of them after 10.
    fn with(entries: &[(u64, u64)]) -> History {
        let mut history = History::new(3);
        history.continue_from(EPOCH, Lsn(10));
        for (after, lsn) in entries {
            history.push(&entry(EPOCH, *after, *lsn));
        }
        history
    }

    fn entry(epoch: Epoch, after: u64, lsn: u64) -> Arc<Entry> {
        let announcement = Announcement {
            collection: "customers".into(),
            id: uuid::Uuid::from_u128(lsn.into()),
            first_version: Some(1),
            version: Some(1),
            operation: Operation::Changed,
        };
        Arc::new(Entry { epoch, after: Lsn(after), lsn: Lsn(lsn), announcements: vec![announcement] })
    }

    /// The LSN of the entry that a consumer gets after one.
    fn next(history: &History, after: u64) -> Result<Option<u64>, Gone> {
        Ok(history.next(Some(EPOCH), Lsn(after))?.map(|entry| entry.lsn.0))
    }

    #[test]
    fn a_consumer_gets_every_entry_after_its_lsn_or_learns_of_a_gap() {
        let history = with(&[(10, 20), (20, 30), (30, 40)]);
        assert_eq!(
            [9, 10, 19, 20, 40, 99].map(|after| next(&history, after)),
            [Err(Gone), Ok(Some(20)), Ok(Some(20)), Ok(Some(30)), Ok(None), Ok(None)]
        );
        assert_eq!(history.next(Some(Epoch(2)), Lsn(20)), Err(Gone), "LSNs of another epoch mean nothing");
    }

    #[test]
    fn an_entry_that_does_not_continue_the_one_before_is_a_gap() {
        let history = with(&[(10, 20), (30, 40)]);
        assert_eq!([20, 30].map(|after| next(&history, after)), [Err(Gone), Ok(Some(40))]);
    }

    #[test]
    fn the_oldest_entries_are_dropped_beyond_the_capacity() {
        let history = with(&[(10, 20), (20, 30), (30, 40), (40, 50)]);
        assert_eq!([19, 20].map(|after| next(&history, after)), [Err(Gone), Ok(Some(30))]);
        let mut nothing = History::new(0);
        nothing.push(&entry(EPOCH, 10, 20));
        assert_eq!([19, 20].map(|after| next(&nothing, after)), [Err(Gone), Ok(None)]);
    }

    #[test]
    fn what_an_earlier_leader_has_announced_is_skipped() {
        let mut history = with(&[(10, 20), (20, 30)]);
        // A new leader reads from what was confirmed, in batches of other sizes.
        history.continue_from(EPOCH, Lsn(15));
        assert!(!history.push(&entry(EPOCH, 15, 25)));
        assert!(!history.push(&entry(EPOCH, 25, 30)));
        assert!(history.push(&entry(EPOCH, 25, 40)));
        assert_eq!([10, 20, 30].map(|after| next(&history, after)), [Ok(Some(20)), Ok(Some(30)), Ok(Some(40))]);
    }

    #[test]
    fn a_new_epoch_begins_wherever_its_lsns_are() {
        let mut history = with(&[(10, 20)]);
        assert!(history.push(&entry(Epoch(2), 5, 8)));
        assert_eq!(next(&history, 20), Err(Gone));
        assert!(!history.push(&entry(EPOCH, 20, 30)), "a leader of the epoch before is too late");
        assert_eq!(history.reached, Lsn(8));
    }
}
