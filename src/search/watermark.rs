//! How far the index is: the position up to which every change can be found.

use std::time::Duration;

use tokio::sync::watch;

use super::status::Status;
use crate::position::Position;

/// The position up to which every change can be found by a search. The sync task moves it; lists wait for it.
#[derive(Debug, Default)]
pub struct Watermark {
    /// What moves it, and what keeps it from moving.
    pub status: Status,
    searchable: watch::Sender<Position>,
    wanted: watch::Sender<Position>,
}

impl Watermark {
    /// Returns the position.
    #[must_use]
    pub fn get(&self) -> Position {
        *self.searchable.borrow()
    }

    /// Moves the position forward; an older one is ignored.
    pub fn advance(&self, to: Position) {
        raise(&self.searchable, to);
    }

    /// Tells of the furthest position that anybody waits for. It may lie behind the last commit, where nothing would ever come.
    #[must_use]
    pub fn wanted(&self) -> watch::Receiver<Position> {
        self.wanted.subscribe()
    }

    /// Waits until the position is reached, and says whether it was within the deadline.
    pub async fn reached(&self, wanted: Position, deadline: Duration) -> bool {
        let mut searchable = self.searchable.subscribe();
        if *searchable.borrow() < wanted {
            raise(&self.wanted, wanted);
        }
        tokio::time::timeout(deadline, searchable.wait_for(|position| *position >= wanted)).await.is_ok_and(|seen| seen.is_ok())
    }
}

fn raise(position: &watch::Sender<Position>, to: Position) {
    position.send_if_modified(|current| {
        let further = to > *current;
        if further {
            *current = to;
        }
        further
    });
}
