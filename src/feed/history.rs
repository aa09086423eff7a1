//! The latest announcements, bounded, and those who read them.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::watch;

use super::{Entry, Feed};
use crate::values::lsn::{Epoch, Lsn};

/// Announcements are missing: whoever was told so looks at everything anew, and subscribes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the announcements behind this position are no longer there")]
pub struct Gone;

/// The latest announcements, in the order of the stream.
pub(super) struct History {
    /// The epoch of the positions.
    pub(super) epoch: Option<Epoch>,
    /// Everything up to here was announced.
    pub(super) reached: Lsn,
    /// The last message heard from another server: its term and number.
    pub(super) place: Option<(u64, u64)>,
    /// Everything behind this position is here.
    floor: Lsn,
    entries: VecDeque<Arc<Entry>>,
    /// How many entries there were before the oldest one that is here.
    dropped: u64,
    /// Announcements in all entries.
    size: usize,
    capacity: usize,
}

impl Entry {
    /// Where a consumer must have been to miss nothing behind this entry. One that stands at the position of a part may have missed
    /// the parts before.
    pub(super) fn floor(&self) -> Lsn {
        Lsn(self.position.0 + u64::from(self.is_part))
    }

    /// Whether a consumer that has been told everything up to the position may not have been told this.
    fn is_behind(&self, position: Lsn) -> bool {
        self.position > position || (self.position == position && self.is_part)
    }
}

impl History {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            epoch: None,
            reached: Lsn::default(),
            place: None,
            floor: Lsn::default(),
            entries: VecDeque::new(),
            dropped: 0,
            size: 0,
            capacity,
        }
    }

    /// Forgets everything: what comes next does not follow what was here.
    pub(super) fn restart(&mut self, epoch: Epoch, from: Lsn) {
        // One more, so that also who has read everything learns of the gap.
        self.dropped += self.entries.len() as u64 + 1;
        self.entries.clear();
        self.size = 0;
        (self.epoch, self.reached, self.floor) = (Some(epoch), from, from);
    }

    /// Adds what comes next. What was announced before comes again after a change of leader, and is then a part of what is here.
    pub(super) fn push(&mut self, mut entry: Entry) -> Arc<Entry> {
        entry.is_part |= entry.position <= self.reached;
        entry.position = entry.position.max(self.reached);
        for announcement in &mut entry.announcements {
            announcement.position = entry.position;
        }
        self.reached = entry.position;
        let entry = Arc::new(entry);
        // Heartbeats have told their position; nobody is woken to read nothing.
        if !entry.announcements.is_empty() {
            self.size += entry.announcements.len();
            self.entries.push_back(Arc::clone(&entry));
            while self.size > self.capacity {
                let Some(oldest) = self.entries.pop_front() else { break };
                self.size -= oldest.announcements.len();
                self.dropped += 1;
                self.floor = self.floor.max(oldest.floor());
            }
        }
        entry
    }

    /// Whether this is the message that follows the last one.
    pub(super) fn is_next(&self, (term, number): (u64, u64)) -> bool {
        self.place == Some((term, number.wrapping_sub(1)))
    }

    fn end(&self) -> u64 {
        self.dropped + self.entries.len() as u64
    }

    fn get(&self, number: u64) -> Result<Option<Arc<Entry>>, Gone> {
        let at = number.checked_sub(self.dropped).ok_or(Gone)?;
        Ok(usize::try_from(at).ok().and_then(|at| self.entries.get(at)).map(Arc::clone))
    }
}

/// One consumer. It holds nothing but its place, so it may be as slow as it likes.
pub struct Subscription {
    feed: Arc<Feed>,
    moved: watch::Receiver<u64>,
    next: u64,
    after: Lsn,
}

impl Subscription {
    pub(super) fn new(feed: Arc<Feed>, moved: watch::Receiver<u64>) -> Self {
        let next = feed.history().end();
        Self { feed, moved, next, after: Lsn::default() }
    }

    pub(super) fn resume(feed: Arc<Feed>, moved: watch::Receiver<u64>, epoch: Epoch, after: Lsn) -> Result<Self, Gone> {
        let next = {
            let history = feed.history();
            if history.epoch != Some(epoch) || after < history.floor {
                return Err(Gone);
            }
            history.dropped
        };
        Ok(Self { feed, moved, next, after })
    }

    /// Waits for the next entry. May be cancelled without losing one.
    ///
    /// # Errors
    /// [`Gone`], now and for ever, once announcements are missing.
    pub async fn next(&mut self) -> Result<Arc<Entry>, Gone> {
        loop {
            self.moved.borrow_and_update();
            let entry = self.feed.history().get(self.next)?;
            match entry {
                Some(entry) => {
                    self.next += 1;
                    if entry.is_behind(self.after) {
                        return Ok(entry);
                    }
                }
                // The feed is held here, so the sender lives.
                None => self.moved.changed().await.map_err(|_| Gone)?,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(position: u64, is_part: bool) -> Entry {
        let announcement = crate::feed::Announcement {
            collection: "customers".into(),
            id: uuid::Uuid::from_u128(position.into()),
            version: Some(1),
            operation: crate::feed::Operation::Changed,
            position: Lsn(position),
        };
        Entry { position: Lsn(position), is_part, announcements: vec![announcement] }
    }

    fn floor_after(entries: &[(u64, bool)], capacity: usize) -> u64 {
        let mut history = History::new(capacity);
        history.restart(Epoch(1), Lsn(10));
        for (position, is_part) in entries {
            history.push(entry(*position, *is_part));
        }
        assert!(history.size <= capacity);
        history.floor.0
    }

    #[test]
    fn the_floor_rises_with_what_is_dropped() {
        assert_eq!(floor_after(&[(20, false), (30, false)], 2), 10);
        assert_eq!(floor_after(&[(20, false), (30, false), (40, false)], 2), 20);
        assert_eq!(floor_after(&[(20, false)], 0), 20, "an entry that is larger than everything is kept by nobody");
        // Who stands at 20 may have missed the first part of what comes behind it.
        assert_eq!(floor_after(&[(20, false), (20, true), (20, true)], 1), 21);
    }

    #[test]
    fn positions_never_go_back() {
        let mut history = History::new(10);
        history.restart(Epoch(1), Lsn(10));
        history.push(entry(30, false));
        let repeated = history.push(entry(20, false));
        assert_eq!((repeated.position, repeated.is_part), (Lsn(30), true));
        assert!(repeated.is_behind(Lsn(30)), "it may be news to somebody who resumes there");
    }
}
