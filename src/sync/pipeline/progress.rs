//! How far the sync is, for those who write beside it, who remember it and who wait for it.

use std::collections::BTreeMap;

use tokio::sync::watch;

use crate::app::App;
use crate::sync::store::checkpoint::Checkpoint;
use crate::values::lsn::{Epoch, Lsn};

/// How far the pipeline is, for those who write beside it.
#[derive(Debug, Default)]
pub struct Progress {
    /// The newest commit that has passed the gate: whatever is read now includes it and all before.
    pub passed: watch::Sender<Lsn>,
    /// Everything up to here is acknowledged by the index or stored in the backlog.
    pub applied: watch::Sender<Lsn>,
    /// What is remembered.
    pub standing: watch::Sender<Checkpoint>,
    /// How often something of a collection went into the backlog.
    pub debts: watch::Sender<BTreeMap<&'static str, u64>>,
    /// Whether every collection has an index that lists read; before, nothing can be found.
    pub is_live: watch::Sender<bool>,
}

impl Progress {
    /// Starts where an earlier leader has stopped.
    #[must_use]
    pub fn new(standing: Checkpoint) -> Self {
        let progress = Self::default();
        progress.applied.send_replace(standing.confirmed);
        // The next commit may begin exactly where the confirmed one ends, and has to win against what is read before it.
        progress.passed.send_replace(standing.confirmed.before());
        progress.standing.send_replace(standing);
        progress
    }

    /// Notes that documents of a collection with changes from a position on wait in the backlog.
    pub(crate) fn owe(&self, collection: &'static str, since: Lsn) {
        self.debts.send_modify(|debts| *debts.entry(collection).or_default() += 1);
        self.standing.send_modify(|standing| {
            standing.owed.entry(collection.to_owned()).or_insert(since);
        });
    }

    /// Notes that of a collection nothing waits in the backlog but for changes from a position on.
    pub fn owe_less(&self, collection: &str, since: Lsn) {
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
pub(crate) fn raise(position: &mut Lsn, to: Lsn) -> bool {
    let further = to > *position;
    *position = to.max(*position);
    further
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::lsn::Version;

    #[test]
    fn what_is_read_before_the_first_commit_loses_against_it() {
        let confirmed = Lsn(0x16_B374_D848);
        let progress = Progress::new(Checkpoint { confirmed, ..Checkpoint::default() });
        let version = |position| Version::new(Epoch(1), position);
        assert!(version(*progress.passed.borrow()) < version(confirmed));
    }
}
