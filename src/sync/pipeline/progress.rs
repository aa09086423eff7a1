//! How far the sync is, for the tasks that write beside the pipeline, that save it and that wait for it.
//!
//! Every change passes these LSNs, in this order:
//!
//! | LSN | every change up to it | kept in |
//! |---|---|---|
//! | received | has come through the stream | the event loop |
//! | visible | is seen by every new snapshot, so that rows read from now on include it | [`Progress::visible`] |
//! | acked | is acknowledged by Elasticsearch or stored in the backlog | [`Progress::acked`] |
//! | searchable | is found by searches, except for the backlog | [`Checkpoint::searchable`] |
//! | confirmed | survives a crash of the leader: acked, and refreshed or stored; the slot may forget it once it is saved | [`Checkpoint::confirmed`] |

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;

use crate::app::App;
use crate::freshness::Reached;
use crate::sync::store::checkpoint::Checkpoint;
use crate::values::lsn::{Epoch, Lsn};

/// What the tasks of a leader know of one another.
#[derive(Debug, Default)]
pub struct Progress {
    pub visible: watch::Sender<Lsn>,
    pub acked: watch::Sender<Lsn>,
    /// What the leader session saves next.
    pub checkpoint: watch::Sender<Checkpoint>,
    /// How often each collection was marked as backlogged.
    pub backlog_marks: watch::Sender<BTreeMap<&'static str, u64>>,
    /// The live indices, by collection, once they were checked.
    pub live: watch::Sender<BTreeMap<String, Arc<str>>>,
    /// Whether the database is known not to have gone back; until then the leader vouches for no index.
    pub is_certain: watch::Sender<bool>,
}

impl Progress {
    /// Starts at the checkpoint of the previous leader.
    #[must_use]
    pub fn new(checkpoint: Checkpoint) -> Self {
        let progress = Self::default();
        progress.acked.send_replace(checkpoint.confirmed);
        // The next commit may begin exactly where the confirmed one ends, and has to win against what is read before it.
        progress.visible.send_replace(checkpoint.confirmed.before());
        progress.checkpoint.send_replace(checkpoint);
        progress
    }

    /// Notes that changes of a collection from an LSN on are in the backlog.
    pub(crate) fn mark_backlogged(&self, collection: &'static str, since: Lsn) {
        self.backlog_marks.send_modify(|marks| *marks.entry(collection).or_default() += 1);
        self.checkpoint.send_modify(|checkpoint| {
            checkpoint.backlog_since.entry(collection.to_owned()).or_insert(since);
        });
    }

    /// Notes that the backlog of a collection has no changes before an LSN.
    pub fn raise_backlog_since(&self, collection: &str, lsn: Lsn) {
        self.checkpoint
            .send_if_modified(|checkpoint| checkpoint.backlog_since.get_mut(collection).is_some_and(|since| advance(since, lsn)));
    }

    /// Notes that the backlog of a collection is empty.
    pub fn clear_backlog(&self, collection: &str) {
        self.checkpoint.send_if_modified(|checkpoint| checkpoint.backlog_since.remove(collection).is_some());
    }

    /// Moves the watermark that lists wait for.
    pub fn publish(&self, app: &App) {
        let live = self.live.borrow().clone();
        if !live.is_empty() {
            let Checkpoint { searchable, backlog_since, .. } = self.checkpoint.borrow().clone();
            let epoch = Epoch(app.watermark.status.report().epoch);
            app.watermark.advance(epoch, Reached { searchable, backlog_since, live });
        }
    }
}

/// Moves an LSN forward; returns whether it moved.
pub(crate) fn advance(lsn: &mut Lsn, to: Lsn) -> bool {
    let is_ahead = to > *lsn;
    *lsn = to.max(*lsn);
    is_ahead
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::lsn::Version;

    #[test]
    fn a_row_read_before_the_first_commit_loses_against_it() {
        let confirmed = Lsn(0x16_B374_D848);
        let progress = Progress::new(Checkpoint { confirmed, ..Checkpoint::default() });
        let version = |lsn| Version::new(Epoch(1), lsn);
        assert!(version(*progress.visible.borrow()) < version(confirmed));
    }
}
