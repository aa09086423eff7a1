//! How announcements travel between servers: one JSON text to an entry of a Redis stream.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Announcement, Entry, Operation};
use crate::values::lsn::{Epoch, Lsn};

/// What one server tells the others.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Message {
    /// Whose numbers these are: changes whenever the speaker cannot promise that nothing is missing.
    pub(super) term: u64,
    /// Counts the messages of a term. The first says behind which position the others follow.
    pub(super) number: u64,
    pub(super) epoch: u16,
    position: u64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    part: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    rows: Vec<(Cow<'static, str>, Uuid, Option<i64>, Operation)>,
}

impl Message {
    /// The first message of a term.
    pub(super) fn opening(term: u64, epoch: Epoch, from: Lsn) -> Self {
        Self { term, number: 0, epoch: epoch.0, position: from.0, part: false, rows: Vec::new() }
    }

    /// The message that carries an entry.
    pub(super) fn new(term: u64, number: u64, epoch: Epoch, entry: &Entry) -> Self {
        let rows = entry.announcements.iter().map(|one| (one.collection.clone(), one.id, one.version, one.operation)).collect();
        Self { term, number, epoch: epoch.0, position: entry.position.0, part: entry.is_part, rows }
    }

    /// The entry that is carried.
    pub(super) fn into_entry(self) -> Entry {
        let position = Lsn(self.position);
        let announcement = |(collection, id, version, operation)| Announcement { collection, id, version, operation, position };
        Entry { position, is_part: self.part, announcements: self.rows.into_iter().map(announcement).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_arrives_as_it_was_sent() {
        let announcement = |version, operation| Announcement {
            collection: "customers".into(),
            id: Uuid::from_u128(1),
            version,
            operation,
            position: Lsn(u64::MAX),
        };
        let announcements = vec![announcement(Some(i64::MAX), Operation::Deleted), announcement(None, Operation::Changed)];
        let entry = Entry { position: Lsn(u64::MAX), is_part: true, announcements };
        let message = Message::new(7, 3, Epoch(2), &entry);
        let text = serde_json::to_string(&message).unwrap();
        let arrived: Message = serde_json::from_str(&text).unwrap();
        assert_eq!(arrived, message);
        assert_eq!(arrived.into_entry(), entry);
    }
}
