//! The changes of a batch, before they are announced.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Announcement, ENTRY_SIZE, Entry};
use crate::values::lsn::Lsn;

/// Rows of one batch beyond which nobody is told of each: it would push everything else out of the history.
const MOST: usize = 50_000;

/// What happened to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operation {
    /// It is new.
    #[serde(rename = "c")]
    Created,
    /// It changed, or something that belongs to it.
    #[serde(rename = "u")]
    Changed,
    /// It is gone, or marked as deleted.
    #[serde(rename = "d")]
    Deleted,
}

/// The rows that changed in a batch, each once, with its latest change.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    rows: HashMap<(&'static str, Uuid), Note>,
    count: usize,
    is_unbounded: bool,
    goes_on: bool,
}

#[derive(Clone, Copy, Debug)]
struct Note {
    operation: Operation,
    version: Option<i64>,
    /// The place of the latest change among all.
    order: usize,
}

impl Changes {
    /// Notes a change of a row itself.
    pub fn row(&mut self, collection: &'static str, id: Uuid, operation: Operation, version: Option<i64>) {
        self.note(collection, id, Some(operation), version);
    }

    /// Notes that something changed that belongs to a row.
    pub fn part(&mut self, collection: &'static str, id: Uuid) {
        self.note(collection, id, None, None);
    }

    /// Notes that nobody can say which rows changed.
    pub fn everything(&mut self) {
        self.is_unbounded = true;
        self.rows.clear();
    }

    /// Notes that some of this is of a transaction that ends later: behind the position of these changes more of it will come.
    pub fn go_on(&mut self) {
        self.goes_on = true;
    }

    /// Whether nothing has changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty() && !self.is_unbounded
    }

    /// What would be announced now, in the order of the stream.
    #[must_use]
    pub fn list(&self) -> Vec<Announcement> {
        let entries = self.entries(Lsn::default(), Lsn::default()).unwrap_or_default();
        entries.into_iter().flat_map(|entry| entry.announcements).collect()
    }

    fn note(&mut self, collection: &'static str, id: Uuid, operation: Option<Operation>, version: Option<i64>) {
        if self.is_unbounded {
            return;
        }
        if self.rows.len() >= MOST {
            return self.everything();
        }
        self.count += 1;
        let order = self.count;
        let fresh = Note { operation: operation.unwrap_or(Operation::Changed), version, order };
        self.rows
            .entry((collection, id))
            .and_modify(|known| {
                known.operation = match (known.operation, operation) {
                    (known, None) | (known @ Operation::Created, Some(Operation::Changed)) => known,
                    (_, Some(operation)) => operation,
                };
                known.version = version.or(known.version);
                known.order = order;
            })
            .or_insert(fresh);
    }

    /// The entries that announce these changes, up to a position; none if they cannot be listed.
    pub(super) fn entries(&self, upto: Lsn, reached: Lsn) -> Option<Vec<Entry>> {
        if self.is_unbounded {
            return None;
        }
        let mut rows: Vec<_> = self.rows.iter().collect();
        rows.sort_unstable_by_key(|(_, note)| note.order);
        let mut announcements = rows.into_iter().map(|((collection, id), note)| Announcement {
            collection: (*collection).into(),
            id: *id,
            version: note.version,
            operation: note.operation,
            position: upto,
        });
        let mut entries = Vec::new();
        loop {
            let some: Vec<_> = announcements.by_ref().take(ENTRY_SIZE).collect();
            let is_last = announcements.len() == 0;
            let is_part = !is_last || (self.goes_on && !some.is_empty());
            entries.push(Entry { position: if is_last { upto } else { reached }, is_part, announcements: some });
            if is_last {
                return Some(entries);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: Uuid = Uuid::from_u128(1);

    #[track_caller]
    fn check(notes: &[(Option<Operation>, Option<i64>)], expected: (Operation, Option<i64>)) {
        let mut changes = Changes::default();
        for (operation, version) in notes {
            changes.note("customers", ID, *operation, *version);
        }
        let entries = changes.entries(Lsn(20), Lsn(10)).unwrap();
        let [announcement] = &entries[0].announcements[..] else { panic!("one row, once") };
        assert_eq!((announcement.operation, announcement.version), expected);
    }

    #[test]
    fn a_row_that_changed_often_is_announced_once_with_its_latest_change() {
        use Operation::{Changed, Created, Deleted};
        check(&[(Some(Created), Some(1)), (Some(Changed), Some(2))], (Created, Some(2)));
        check(&[(Some(Created), Some(1)), (None, None)], (Created, Some(1)));
        check(&[(Some(Changed), Some(2)), (Some(Deleted), Some(3))], (Deleted, Some(3)));
        check(&[(Some(Deleted), Some(3)), (None, None)], (Deleted, Some(3)));
        check(&[(Some(Deleted), Some(3)), (Some(Changed), Some(4))], (Changed, Some(4)));
        check(&[(None, None)], (Changed, None));
    }

    #[test]
    fn large_batches_are_announced_in_parts_that_move_no_position_before_the_last() {
        let mut changes = Changes::default();
        for id in 0..2_500 {
            changes.row("payments", Uuid::from_u128(id), Operation::Created, Some(1));
        }
        let entries = changes.entries(Lsn(20), Lsn(10)).unwrap();
        let shape: Vec<_> = entries.iter().map(|entry| (entry.position.0, entry.is_part, entry.announcements.len())).collect();
        assert_eq!(shape, [(10, true, 1_000), (10, true, 1_000), (20, false, 500)]);
        let ids = entries.iter().flat_map(|entry| &entry.announcements).map(|announcement| announcement.id);
        assert!(ids.eq((0..2_500).map(Uuid::from_u128)), "in the order of the stream");
    }

    #[test]
    fn the_beginning_of_a_transaction_that_ends_later_is_a_part() {
        let mut changes = Changes::default();
        changes.go_on();
        let shape = |changes: &Changes| {
            let entries = changes.entries(Lsn(20), Lsn(10)).unwrap();
            entries.iter().map(|entry| (entry.position.0, entry.is_part)).collect::<Vec<_>>()
        };
        assert_eq!(shape(&changes), [(20, false)], "nothing of it is told here");
        for id in 0..1_500 {
            changes.row("payments", Uuid::from_u128(id), Operation::Created, Some(1));
        }
        assert_eq!(shape(&changes), [(10, true), (20, true)]);
    }

    #[test]
    fn more_rows_than_anybody_could_follow_are_not_listed() {
        let mut changes = Changes::default();
        for id in 0..=MOST as u128 {
            changes.row("payments", Uuid::from_u128(id), Operation::Created, Some(1));
        }
        assert!(changes.rows.is_empty() && changes.entries(Lsn(20), Lsn(10)).is_none());
    }
}
