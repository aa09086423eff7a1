//! What is announced of a change.

use uuid::Uuid;

use super::decoder::{Relation, Row, Value};
use crate::collections::{self, Announced, Edge};
use crate::feed::{Changes, Operation};

/// Announces a change of the row itself, of the rows that it is a part of, and of a row that has no document.
pub(super) fn edge(changes: &mut Changes, edge: &Edge, relation: &Relation, ids: [Option<Uuid>; 2], new: Option<&Row>) {
    let [before, after] = ids;
    match edge.children {
        None if edge.table == edge.collection.name && edge.column == "id" => {
            if let Some(gone) = before.filter(|_| before != after) {
                changes.row(edge.table, gone, Operation::Deleted, None);
            }
            if let (Some(id), Some(row)) = (after, new) {
                let version = relation.value(row, "version").number();
                changes.row(edge.table, id, operation(version, relation.value(row, "deleted_at")), version);
            }
        }
        None => ids.into_iter().flatten().for_each(|owner| changes.part(edge.collection.name, owner)),
        Some(_) if edge.column == "id" && collections::find(edge.table).is_none() => {
            after.into_iter().for_each(|id| changes.part(edge.table, id));
        }
        // Announced by another edge, or the children are found by the part but do not show it.
        Some(_) => {}
    }
}

fn operation(version: Option<i64>, deleted_at: Value) -> Operation {
    match version {
        _ if deleted_at != Value::Absent => Operation::Deleted,
        // A row has its first version until something in it changes.
        Some(1) => Operation::Created,
        _ => Operation::Changed,
    }
}

/// Announces a row that no document shows.
pub(super) fn row(changes: &mut Changes, announced: &Announced, relation: &Relation, old: Option<&Row>, new: Option<&Row>) {
    let operation = match (old, new) {
        (None, _) => Operation::Created,
        (_, None) => Operation::Deleted,
        _ if relation.differs(&[announced.counter], old, new) => Operation::Changed,
        _ => return,
    };
    let version = new.and_then(|row| relation.value(row, "version").number());
    if let Some(id) = new.or(old).and_then(|row| relation.value(row, "id").id()) {
        changes.row(announced.table, id, operation, version);
    }
}
