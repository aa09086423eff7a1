//! The leader's side: whoever holds this may announce.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Feed;

/// The right to announce. There is one in a process, while its sync leads.
pub struct Leading {
    feed: Arc<Feed>,
    number: u64,
}

impl Leading {
    pub(super) fn begin(feed: Arc<Feed>) -> Self {
        let number = rand::random::<u64>().max(1);
        feed.leading.store(number, Ordering::Release);
        feed.open_term();
        Self { feed, number }
    }
}

impl Drop for Leading {
    fn drop(&mut self) {
        // Unless another one has begun meanwhile.
        if self.feed.leading.compare_exchange(self.number, 0, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            self.feed.fall_silent();
        }
    }
}
