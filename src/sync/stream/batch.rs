//! Coalesces changes into the set of documents that have to be written again.

use std::collections::{BTreeMap, HashSet};

use uuid::Uuid;

use super::announce;
use super::decoder::{Change, Relation, Relations, Row};
use crate::collections::{ANNOUNCED, EDGES, Edge, When};
use crate::config::Analytics;
use crate::feed::Changes;
use crate::values::lsn::Lsn;

/// Ids of documents by collection.
pub type Keys = BTreeMap<&'static str, HashSet<Uuid>>;

/// Changes since the last batch was taken.
///
/// All documents of a batch are written with one version, that of its newest commit. This is right for each of them: behind the
/// visibility barrier every read includes all commits of the batch and all before.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Whether the collections for analysts follow changes too.
    pub analytics: Analytics,
    /// Documents whose own row changed, or a part of it.
    pub keys: Keys,
    /// Rows that the documents of their children show, by index into [`EDGES`].
    pub parents: BTreeMap<usize, HashSet<Uuid>>,
    /// Collections whose documents all have to be written again, because a table was truncated.
    pub emptied: HashSet<&'static str>,
    /// Changes of complete transactions, to be announced once they are visible.
    pub announcements: Changes,
    /// Changes of the transaction that is still arriving, announced with its end: only there a consumer can resume.
    pub open: Changes,
    /// Transactions that must be visible before anything is read.
    pub transactions: Vec<u32>,
    /// Start of the newest commit, from which the version follows.
    pub newest: Lsn,
    /// End of the last complete transaction, which is acked once all of this is written.
    pub end: Lsn,
}

impl Batch {
    /// Begins a transaction. The stream sends it only after its commit, whose LSN is known therefore.
    pub fn begin(&mut self, transaction: u32, commit: Lsn) {
        self.transactions.push(transaction);
        self.newest = self.newest.max(commit);
    }

    pub fn commit(&mut self, end: Lsn) {
        self.end = self.end.max(end);
        self.announcements.absorb(std::mem::take(&mut self.open));
    }

    /// Adds the documents, parents and announcements that follow from a change.
    pub fn mark(&mut self, relations: &Relations, change: &Change) {
        let (relation, old, new) = match change {
            Change::Insert { relation, new } => (relation, None, Some(new)),
            // The old row is sent only if its replica identity changed.
            Change::Update { relation, old, new } => (relation, old.as_ref().or(Some(new)), Some(new)),
            Change::Delete { relation, old } => (relation, Some(old), None),
            Change::Truncate { relations: numbers } => {
                for relation in numbers.iter().filter_map(|number| relations.get(*number)) {
                    self.emptied.extend(edges(&relation.table, self.analytics).map(|(_, edge)| edge.collection.name));
                    self.open.everything();
                }
                return;
            }
        };
        let Some(relation) = relations.get(*relation) else { return };
        for (number, edge) in edges(&relation.table, self.analytics).filter(|(_, edge)| follows(edge, relation, old, new)) {
            let ids = [old, new].map(|row| row.and_then(|row| relation.value(row, edge.column).id()));
            match edge.children {
                None => self.keys.entry(edge.collection.name).or_default().extend(ids.iter().flatten()),
                Some(_) => self.parents.entry(number).or_default().extend(ids.iter().flatten()),
            }
            if edge.collection.is_listed() {
                announce::edge(&mut self.open, edge, relation, ids, new);
            }
        }
        if let Some(announced) = ANNOUNCED.iter().find(|announced| announced.table == relation.table) {
            announce::row(&mut self.open, announced, relation, old, new);
        }
    }

    /// Counts documents and parents.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.values().chain(self.parents.values()).map(HashSet::len).sum()
    }

    /// Whether there is nothing to write. There may still be an end to confirm.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.parents.is_empty() && self.emptied.is_empty()
    }

    /// Takes everything and leaves an empty batch, in which a transaction that is still arriving goes on.
    #[must_use]
    pub fn take(&mut self) -> Self {
        let open = std::mem::take(&mut self.open);
        let next = Self { analytics: self.analytics, newest: self.newest, end: self.end, open, ..Self::default() };
        std::mem::replace(self, next)
    }

    /// Adds another batch. Its documents may get a higher version, which is right if both have passed the barrier, or neither.
    pub fn absorb(&mut self, other: Self) {
        for (collection, ids) in other.keys {
            self.keys.entry(collection).or_default().extend(ids);
        }
        for (number, parents) in other.parents {
            self.parents.entry(number).or_default().extend(parents);
        }
        self.emptied.extend(other.emptied);
        self.transactions.extend(other.transactions);
        self.newest = self.newest.max(other.newest);
        self.end = self.end.max(other.end);
    }

    /// Splits into chunks of one request each, at least one. Only the last has an end, because only then all of it is written.
    #[must_use]
    pub fn into_chunks(self, size: usize) -> Vec<Self> {
        let newest = self.newest;
        let chunk = |keys| Self { keys, newest, ..Self::default() };
        let mut chunks: Vec<Self> = split(self.keys, size).into_iter().map(chunk).collect();
        if let Some(first) = chunks.first_mut() {
            first.parents = self.parents;
            first.emptied = self.emptied;
        }
        if let Some(last) = chunks.last_mut() {
            last.end = self.end;
        }
        chunks
    }
}

/// Splits keys into chunks of at most `size`, at least one.
#[must_use]
pub fn split(keys: Keys, size: usize) -> Vec<Keys> {
    let mut chunks = vec![Keys::new()];
    let mut room = size;
    for (collection, ids) in keys {
        // Neighbouring ids are read and written together.
        let mut ids: Vec<Uuid> = ids.into_iter().collect();
        ids.sort_unstable();
        for id in ids {
            if room == 0 {
                chunks.push(Keys::new());
                room = size;
            }
            room -= 1;
            if let Some(chunk) = chunks.last_mut() {
                chunk.entry(collection).or_default().insert(id);
            }
        }
    }
    chunks
}

fn edges(table: &str, analytics: Analytics) -> impl Iterator<Item = (usize, &'static Edge)> {
    let is_followed = move |edge: &Edge| edge.collection.is_listed() || analytics != Analytics::Off;
    EDGES.iter().enumerate().filter(move |(_, edge)| edge.table == table && is_followed(edge))
}

/// Whether the documents of an edge show what changed.
fn follows(edge: &Edge, relation: &Relation, old: Option<&Row>, new: Option<&Row>) -> bool {
    let is_counted = |count| relation.differs(&[edge.column, count], old, new);
    match edge.when {
        When::Always => true,
        When::Shown(count) => is_counted(count),
        When::Renamed(count) => old.is_some() && new.is_some() && is_counted(count),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::stream::decoder::Value;

    const ID: Uuid = Uuid::from_u128(1);
    const OWNER: Uuid = Uuid::from_u128(2);
    const FORMER: Uuid = Uuid::from_u128(3);

    fn relations(table: &str, columns: &[&str]) -> Relations {
        let mut message = b"R\0\0\0\x01public\0".to_vec();
        message.extend(table.bytes());
        message.extend(b"\0i");
        message.extend(u16::try_from(columns.len()).unwrap().to_be_bytes());
        for column in columns {
            message.push(1);
            message.extend(column.bytes());
            message.extend([0; 9]);
        }
        let mut relations = Relations::default();
        relations.read(&message).unwrap();
        relations
    }

    fn change(old: Option<Row>, new: Option<Row>) -> Change {
        match (old, new) {
            (None, Some(new)) => Change::Insert { relation: 1, new },
            (old, Some(new)) => Change::Update { relation: 1, old, new },
            (old, None) => Change::Delete { relation: 1, old: old.unwrap() },
        }
    }

    /// Compares, in words, what follows from one change of a table with these columns.
    #[track_caller]
    fn check_change(table: &str, columns: &[&str], change: &Change, expected: &[(&str, Uuid)]) {
        let mut batch = Batch::default();
        batch.mark(&relations(table, columns), change);
        let documents = batch.keys.iter().flat_map(|(name, ids)| ids.iter().map(move |id| ((*name).to_owned(), *id)));
        let children = batch.parents.iter().flat_map(|(number, ids)| {
            let edge = &EDGES[*number];
            ids.iter().map(move |id| (format!("{} of {}", edge.collection.name, edge.table), *id))
        });
        let mut found: Vec<_> = documents.chain(children).collect();
        found.sort();
        let mut expected: Vec<_> = expected.iter().map(|(name, id)| ((*name).to_owned(), *id)).collect();
        expected.sort();
        assert_eq!(found, expected);
    }

    /// The same for rows from before the counters: `id` and, if the table has a parent, `customer_id`.
    #[track_caller]
    fn check(table: &str, old: Option<Vec<Uuid>>, new: Option<Vec<Uuid>>, expected: &[(&str, Uuid)]) {
        let [old, new] = [old, new].map(|row| row.map(|ids| ids.into_iter().map(Value::Id).collect()));
        let columns: &[&str] =
            if ["customers", "payments", "activities", "users"].contains(&table) { &["id"] } else { &["id", "customer_id"] };
        check_change(table, columns, &change(old, new), expected);
    }

    #[test]
    fn an_update_marks_only_documents_that_show_the_change() {
        let row = |owner, embedded, summary| {
            Some(vec![Value::Id(ID), Value::Id(owner), Value::Number(embedded), Value::Number(summary), Value::Other])
        };
        let check = |old, new, expected: &[(&str, Uuid)]| {
            check_change(
                "accounts",
                &["id", "customer_id", "embedded_changes", "summary_changes", "deleted_at"],
                &change(old, new),
                expected,
            );
        };
        let (account, customer) = (("accounts", ID), ("customers", OWNER));
        let (payments, activities) = (("payments of accounts", ID), ("activities of accounts", ID));
        check(None, row(OWNER, 0, 0), &[account, customer]);
        check(row(OWNER, 3, 4), None, &[account, customer]);
        check_change(
            "accounts",
            &["id", "customer_id", "embedded_changes", "summary_changes", "deleted_at"],
            &Change::Update { relation: 1, old: None, new: row(OWNER, 3, 4).unwrap() },
            &[account],
        );
        check(row(OWNER, 3, 4), row(OWNER, 4, 4), &[account, payments, activities]);
        check(row(OWNER, 3, 4), row(OWNER, 3, 5), &[account, customer]);
        check(row(FORMER, 3, 4), row(OWNER, 4, 5), &[account, customer, ("customers", FORMER), payments, activities]);
    }

    #[test]
    fn every_edge_marks_the_documents_that_show_the_row() {
        let row = |ids: &[Uuid]| Some(ids.to_vec());
        check("customers", None, row(&[ID]), &[("customers", ID)]);
        let renamed = ["accounts of customers", "payments of customers", "activities of customers"].map(|name| (name, ID));
        let renamed = [vec![("customers", ID)], renamed.to_vec()].concat();
        check("customers", row(&[ID]), row(&[ID]), &renamed);
        check("customers", row(&[ID]), None, &[("customers", ID)]);
        let contact = [("customers", OWNER), ("accounts of contact_points", OWNER)];
        check("contact_points", None, row(&[ID, OWNER]), &contact);
        check("contact_points", row(&[ID, OWNER]), None, &contact);
        check("addresses", row(&[ID, FORMER]), row(&[ID, OWNER]), &[("customers", OWNER), ("customers", FORMER)]);
        check("accounts", None, row(&[ID, OWNER]), &[("accounts", ID), ("customers", OWNER)]);
        let moved = [("accounts", ID), ("customers", OWNER), ("customers", FORMER), ("payments of accounts", ID)];
        let moved = [moved.to_vec(), vec![("activities of accounts", ID)]].concat();
        check("accounts", row(&[ID, FORMER]), row(&[ID, OWNER]), &moved);
        check("payments", None, row(&[ID]), &[("payments", ID)]);
        check("users", None, row(&[ID]), &[]);
        check("users", row(&[ID]), row(&[ID]), &[("accounts of users", ID), ("activities of users", ID)]);
        check("activities", None, row(&[ID]), &[("activities", ID)]);
        check("sessions", None, row(&[ID, OWNER]), &[]);
        check("unknown", None, row(&[ID, OWNER]), &[]);
    }

    #[test]
    fn a_changed_primary_key_marks_the_old_document_too() {
        let row = |id: Uuid| Some(vec![id]);
        check("payments", row(ID), row(OWNER), &[("payments", ID), ("payments", OWNER)]);
    }

    /// Returns, in words, what is announced of one change of a table with these columns.
    fn announced(table: &str, columns: &[&str], old: Option<Row>, new: Option<Row>) -> Vec<String> {
        let mut batch = Batch::default();
        batch.mark(&relations(table, columns), &change(old, new));
        batch.commit(Lsn(8));
        batch.announcements.list().unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn rows_are_announced_with_version_and_operation() {
        let columns = ["id", "embedded_changes", "version", "deleted_at"];
        let row = |version, deleted| Some(vec![Value::Id(ID), Value::Number(0), Value::Number(version), deleted]);
        let check = |old: Option<Row>, new: Option<Row>, expected: &str| {
            assert_eq!(announced("customers", &columns, old, new), [format!("customers {ID} {expected}")]);
        };
        let key = || Some(vec![Value::Id(ID), Value::Number(0), Value::Absent, Value::Absent]);
        check(None, row(1, Value::Absent), "Created 1");
        check(None, row(2, Value::Absent), "Changed 2");
        check(key(), row(2, Value::Absent), "Changed 2");
        check(None, row(3, Value::Other), "Deleted 3");
        check(key(), None, "Deleted");
    }

    #[test]
    fn a_change_of_a_part_is_announced_as_a_change_of_its_owners() {
        let columns = ["id", "customer_id"];
        let row = |owner| Some(vec![Value::Id(ID), Value::Id(owner)]);
        let changed = |owner| format!("customers {owner} Changed");
        assert_eq!(announced("contact_points", &columns, None, row(OWNER)), [changed(OWNER)]);
        assert_eq!(announced("addresses", &columns, row(FORMER), row(OWNER)), [changed(FORMER), changed(OWNER)]);
        let account = format!("accounts {ID} Changed");
        assert_eq!(announced("accounts", &columns, row(FORMER), row(OWNER)), [account, changed(FORMER), changed(OWNER)]);
        assert_eq!(announced("unknown", &columns, None, row(OWNER)), Vec::<String>::new());
    }

    #[test]
    fn a_user_is_announced_when_it_is_made_and_when_it_changes() {
        let announced = |old, new| announced("users", &["id", "summary_changes", "version"], old, new);
        let row = |count, version| Some(vec![Value::Id(ID), Value::Number(count), Value::Number(version)]);
        assert_eq!(announced(None, row(0, 1)), [format!("users {ID} Created 1")]);
        // Records show its name.
        assert_eq!(announced(row(0, 1), row(0, 2)), [format!("users {ID} Changed")]);
        assert_eq!(announced(row(0, 2), row(1, 3)), [format!("users {ID} Changed 3")]);
    }

    #[test]
    fn a_session_is_announced_when_it_begins_and_ends_and_not_when_it_is_seen() {
        let announced = |old, new| announced("sessions", &["id", "embedded_changes"], old, new);
        let row = |count| Some(vec![Value::Id(ID), Value::Number(count)]);
        assert_eq!(announced(None, row(0)), [format!("sessions {ID} Created")]);
        assert_eq!(announced(row(0), row(0)), Vec::<String>::new());
        assert_eq!(announced(row(0), row(1)), [format!("sessions {ID} Changed")]);
        assert_eq!(announced(row(1), None), [format!("sessions {ID} Deleted")]);
    }

    #[test]
    fn a_truncated_table_marks_every_collection_that_shows_it() {
        let mut batch = Batch::default();
        batch.mark(&relations("contact_points", &["id", "customer_id"]), &Change::Truncate { relations: vec![1] });
        assert_eq!(batch.emptied, HashSet::from(["customers", "accounts"]));
    }

    #[test]
    fn a_batch_ends_with_the_last_complete_transaction() {
        let payments = relations("payments", &["id"]);
        let mut batch = Batch::default();
        batch.begin(10, Lsn(100));
        batch.commit(Lsn(150));
        batch.begin(11, Lsn(200));
        batch.mark(&payments, &Change::Insert { relation: 1, new: vec![Value::Id(ID)] });
        let first = batch.take();
        assert_eq!((first.newest, first.end, first.len()), (Lsn(200), Lsn(150), 1));
        assert_eq!(first.transactions, [10, 11]);
        assert!(first.announcements.list().unwrap().is_empty(), "there is no LSN to resume after the part of a transaction");
        batch.mark(&payments, &Change::Insert { relation: 1, new: vec![Value::Id(OWNER)] });
        batch.commit(Lsn(250));
        let second = batch.take();
        assert_eq!((second.newest, second.end, second.len()), (Lsn(200), Lsn(250), 1));
        assert_eq!(second.announcements.list().unwrap().len(), 2);
        assert!(batch.is_empty());
    }

    #[test]
    fn only_the_last_chunk_has_an_end() {
        let ids: HashSet<Uuid> = (0..5).map(Uuid::from_u128).collect();
        let keys = Keys::from([("customers", ids.clone()), ("payments", ids)]);
        let batch = Batch { keys, newest: Lsn(200), end: Lsn(250), ..Batch::default() };
        let chunks = batch.clone().into_chunks(4);
        assert_eq!(chunks.iter().map(Batch::len).collect::<Vec<_>>(), [4, 4, 2]);
        assert_eq!(chunks.iter().map(|chunk| chunk.end.0).collect::<Vec<_>>(), [0, 0, 250]);
        let mut whole = Batch::default();
        chunks.into_iter().for_each(|chunk| whole.absorb(chunk));
        assert_eq!((whole.keys, whole.newest, whole.end), (batch.keys, batch.newest, batch.end));
    }
}
