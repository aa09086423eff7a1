//! How far the index is: the position up to which every change can be found.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::watch;

use super::status::Status;
use crate::position::Position;

/// The position up to which every change can be found by a search. The sync task moves it; lists wait for it.
#[derive(Debug, Default)]
pub struct Watermark {
    /// What moves it, and what keeps it from moving.
    pub status: Status,
    reached: watch::Sender<Reached>,
    wanted: watch::Sender<Position>,
}

/// How far everything is, and which collections are not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Reached {
    searchable: Position,
    /// Documents of these collections with changes from the position on are still to be written.
    owed: BTreeMap<String, Position>,
}

impl Reached {
    fn includes(&self, collection: &str, wanted: Position) -> bool {
        self.searchable >= wanted && self.owed.get(collection).is_none_or(|since| wanted < *since)
    }
}

impl Watermark {
    /// Returns the position, but for what is owed.
    #[must_use]
    pub fn get(&self) -> Position {
        self.reached.borrow().searchable
    }

    /// Moves the position forward; an older one is ignored. What is owed is replaced.
    pub fn advance(&self, to: Position, owed: BTreeMap<String, Position>) {
        self.reached.send_if_modified(|reached| {
            let next = Reached { searchable: reached.searchable.max(to), owed };
            let is_news = *reached != next;
            *reached = next;
            is_news
        });
    }

    /// Tells of the furthest position that anybody waits for. It may lie behind the last commit, where nothing would ever come.
    #[must_use]
    pub fn wanted(&self) -> watch::Receiver<Position> {
        self.wanted.subscribe()
    }

    /// Waits until the position is reached in a collection, and says whether it was within the deadline.
    pub async fn reached(&self, collection: &str, wanted: Position, deadline: Duration) -> bool {
        let mut reached = self.reached.subscribe();
        if reached.borrow().searchable < wanted {
            self.wanted.send_if_modified(|furthest| {
                let is_further = wanted > *furthest;
                *furthest = wanted.max(*furthest);
                is_further
            });
        }
        let waiting = reached.wait_for(|reached| reached.includes(collection, wanted));
        tokio::time::timeout(deadline, waiting).await.is_ok_and(|seen| seen.is_ok())
    }
}
