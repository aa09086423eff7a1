//! How far the sync is, for those who write beside it, who remember it and who wait for it.

use std::collections::BTreeMap;

use tokio::sync::watch;

use crate::app::App;
use crate::position::{Epoch, Position};
use crate::search::Watermark;

/// Where a collection stopped being true: documents with changes from there on wait in the backlog.
pub type Owed = BTreeMap<String, Position>;

/// How far the index is, as it is remembered and told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Everything up to here is in the index or in the backlog, and the slot may forget it.
    pub confirmed: Position,
    /// Everything up to here can be found, but for what is owed.
    pub searchable: Position,
    /// What is in the backlog.
    pub owed: Owed,
}

impl Standing {
    /// Whether everything of a collection up to a position can be found.
    #[must_use]
    pub fn includes(&self, collection: &str, wanted: Position) -> bool {
        Watermark::includes(self.searchable, &self.owed, collection, wanted)
    }
}

/// How far the pipeline is, for those who write beside it.
#[derive(Debug, Default)]
pub struct Progress {
    /// The newest commit that has passed the gate: whatever is read now includes it and all before.
    pub passed: watch::Sender<Position>,
    /// Everything up to here is acknowledged by the index or stored in the backlog.
    pub applied: watch::Sender<Position>,
    /// What is remembered.
    pub standing: watch::Sender<Standing>,
    /// How often something of a collection went into the backlog.
    pub debts: watch::Sender<BTreeMap<&'static str, u64>>,
    /// Whether every collection has an index that lists read; before, nothing can be found.
    pub is_live: watch::Sender<bool>,
}

impl Progress {
    /// Starts where an earlier leader has stopped.
    #[must_use]
    pub fn new(standing: Standing) -> Self {
        let progress = Self::default();
        progress.applied.send_replace(standing.confirmed);
        // The next commit may begin exactly where the confirmed one ends, and has to win against what is read before it.
        progress.passed.send_replace(standing.confirmed.before());
        progress.standing.send_replace(standing);
        progress
    }

    /// Notes that documents of a collection with changes from a position on wait in the backlog.
    pub(super) fn owe(&self, collection: &'static str, since: Position) {
        self.debts.send_modify(|debts| *debts.entry(collection).or_default() += 1);
        self.standing.send_modify(|standing| {
            standing.owed.entry(collection.to_owned()).or_insert(since);
        });
    }

    /// Notes that of a collection nothing waits in the backlog but for changes from a position on.
    pub fn owe_less(&self, collection: &str, since: Position) {
        self.standing.send_if_modified(|standing| standing.owed.get_mut(collection).is_some_and(|owed| raise(owed, since)));
    }

    /// Notes that of a collection nothing waits in the backlog.
    pub fn forgive(&self, collection: &str) {
        self.standing.send_if_modified(|standing| standing.owed.remove(collection).is_some());
    }

    /// Lets lists know how far the index is, if there is one for each of them.
    pub fn tell(&self, app: &App) {
        if *self.is_live.borrow() {
            let standing = self.standing.borrow();
            let epoch = Epoch(app.watermark.status.report().epoch);
            app.watermark.advance(epoch, standing.searchable, standing.owed.clone());
        }
    }
}

/// Moves a position forward and says whether it did.
pub(super) fn raise(position: &mut Position, to: Position) -> bool {
    let further = to > *position;
    *position = to.max(*position);
    further
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::position::Version;

    #[test]
    fn what_is_read_before_the_first_commit_loses_against_it() {
        let confirmed = Position(0x16_B374_D848);
        let progress = Progress::new(Standing { confirmed, ..Standing::default() });
        let version = |position| Version::new(Epoch(1), position);
        assert!(version(*progress.passed.borrow()) < version(confirmed));
    }
}
