//! The changes of a batch, before they are announced.

use std::collections::HashMap;

use uuid::Uuid;

use super::{Announcement, Operation};

/// Changed rows beyond which they are not listed: following each would cost a consumer more than looking at everything again, and
/// they would push everything else out of the history.
const CAPACITY: usize = 10_000;

/// Changed rows, each once, with its latest change.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    rows: HashMap<(&'static str, Uuid), Note>,
    /// Counts the notes, so that the rows can be put in order.
    count: usize,
    is_unlisted: bool,
}

#[derive(Clone, Copy, Debug)]
struct Note {
    /// None if only something changed that belongs to the row.
    operation: Option<Operation>,
    /// The first and the last of its versions.
    versions: Option<(i64, i64)>,
    /// The place of the latest change among all.
    order: usize,
}

impl Changes {
    /// Notes a change of a row itself.
    pub fn row(&mut self, collection: &'static str, id: Uuid, operation: Operation, version: Option<i64>) {
        self.note(collection, id, Some(operation), version.map(|version| (version, version)));
    }

    /// Notes a change of something that belongs to a row.
    pub fn part(&mut self, collection: &'static str, id: Uuid) {
        self.note(collection, id, None, None);
    }

    /// Notes that any row may have changed.
    pub fn everything(&mut self) {
        self.is_unlisted = true;
        self.rows.clear();
    }

    /// Adds later changes.
    pub fn absorb(&mut self, later: Self) {
        if later.is_unlisted {
            self.everything();
        }
        for ((collection, id), note) in later.in_order() {
            self.note(collection, id, note.operation, note.versions);
        }
    }

    /// The announcements, in the order of the stream; none if the changes cannot be listed.
    #[must_use]
    pub fn list(&self) -> Option<Vec<Announcement>> {
        let announcement = |((collection, id), note): (_, Note)| {
            let operation = note.operation.unwrap_or(Operation::Changed);
            let (first_version, version) = note.versions.unzip();
            Announcement { collection: std::borrow::Cow::Borrowed(collection), id, first_version, version, operation }
        };
        (!self.is_unlisted).then(|| self.in_order().into_iter().map(announcement).collect())
    }

    fn in_order(&self) -> Vec<((&'static str, Uuid), Note)> {
        let mut rows: Vec<_> = self.rows.iter().map(|(row, note)| (*row, *note)).collect();
        rows.sort_unstable_by_key(|(_, note)| note.order);
        rows
    }

    fn note(&mut self, collection: &'static str, id: Uuid, operation: Option<Operation>, versions: Option<(i64, i64)>) {
        if self.is_unlisted {
            return;
        }
        if self.rows.len() >= CAPACITY {
            return self.everything();
        }
        self.count += 1;
        let order = self.count;
        self.rows
            .entry((collection, id))
            .and_modify(|known| {
                known.operation = match (known.operation, operation) {
                    (known, None) | (known @ Some(Operation::Created), Some(Operation::Changed)) => known,
                    (_, operation) => operation,
                };
                known.versions = match (known.versions, versions) {
                    (Some((first, _)), Some((_, last))) => Some((first, last)),
                    (known, later) => later.or(known),
                };
                known.order = order;
            })
            .or_insert(Note { operation, versions, order });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: Uuid = Uuid::from_u128(1);

    #[track_caller]
    fn check(notes: &[(Option<Operation>, Option<i64>)], expected: (Operation, Option<(i64, i64)>)) {
        let (mut together, mut apart) = (Changes::default(), Changes::default());
        for (operation, version) in notes {
            let versions = version.map(|version| (version, version));
            together.note("customers", ID, *operation, versions);
            let mut one = Changes::default();
            one.note("customers", ID, *operation, versions);
            apart.absorb(one);
        }
        for changes in [together, apart] {
            let [announcement] = &changes.list().unwrap()[..] else { panic!("one row, once") };
            let versions = announcement.first_version.zip(announcement.version);
            assert_eq!((announcement.operation, versions), expected);
        }
    }

    #[test]
    fn a_row_that_changed_often_is_announced_once_with_its_latest_change() {
        use Operation::{Changed, Created, Deleted};
        check(&[(Some(Created), Some(1)), (Some(Changed), Some(2))], (Created, Some((1, 2))));
        check(&[(Some(Created), Some(1)), (None, None)], (Created, Some((1, 1))));
        check(&[(Some(Changed), Some(2)), (Some(Deleted), Some(3))], (Deleted, Some((2, 3))));
        check(&[(Some(Deleted), Some(3)), (None, None)], (Deleted, Some((3, 3))));
        check(&[(Some(Deleted), Some(3)), (Some(Changed), Some(4))], (Changed, Some((3, 4))));
        check(&[(None, None)], (Changed, None));
    }

    #[test]
    fn rows_are_in_the_order_of_their_latest_changes() {
        let mut changes = Changes::default();
        for id in [3, 1, 2, 3] {
            changes.part("payments", Uuid::from_u128(id));
        }
        let mut later = Changes::default();
        for id in [4, 1] {
            later.part("payments", Uuid::from_u128(id));
        }
        changes.absorb(later);
        let ids: Vec<_> = changes.list().unwrap().iter().map(|announcement| announcement.id.as_u128()).collect();
        assert_eq!(ids, [2, 3, 4, 1]);
    }

    #[test]
    fn more_rows_than_a_consumer_can_follow_are_not_listed() {
        let mut changes = Changes::default();
        for id in 0..=CAPACITY as u128 {
            changes.row("payments", Uuid::from_u128(id), Operation::Created, Some(1));
        }
        assert!(changes.rows.is_empty() && changes.list().is_none());
        let mut earlier = Changes::default();
        earlier.part("payments", ID);
        earlier.absorb(changes);
        assert!(earlier.rows.is_empty() && earlier.list().is_none());
    }
}
