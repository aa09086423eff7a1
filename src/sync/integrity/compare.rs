//! What counts as different: a document and its row, seen twice while the index takes in everything that was on its way.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

use crate::app::App;
use crate::search::inventory::{self, Detail, Entry, Held};
use crate::search::{Collection, Elastic};
use crate::sync::store::ids as row_ids;
use crate::sync::writer::rows;
use crate::values::lsn::Version;

/// How a document differs from its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Difference {
    /// The row has no document.
    Missing,
    /// The document says something else than the row.
    Stale,
    /// The document has no row.
    Ghost,
}

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Whether every row has a document that shows its version, and every document a row. What it shows of other rows may be old.
    Versions,
    /// Also all that the documents say.
    Contents,
}

impl Depth {
    /// The most documents to a page.
    #[must_use]
    pub fn page(self) -> usize {
        match self {
            Self::Versions => 10_000,
            Self::Contents => 1_000,
        }
    }

    fn detail(self) -> Detail {
        match self {
            Self::Versions => Detail::Ids,
            Self::Contents => Detail::Sources,
        }
    }
}

/// A key at one moment: its document first, then its row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sight {
    /// The version of the document, if there is one.
    pub document: Option<Version>,
    /// How it differed from the row.
    pub difference: Option<Difference>,
}

/// What two sights say of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The document was what its row was.
    Equal,
    /// It differs, and nothing is on its way that would change that.
    Different(Difference),
    /// It is being written; another sight may tell.
    Moving,
}

/// Judges a key by two sights. In between, the index has taken in everything that was committed before the end of the first.
///
/// A difference is real if the document held still. Had the row changed after the document was built, that change would have
/// gone by meanwhile and left a newer version. A row under constant change is no obstacle, and no change is mistaken for damage.
#[must_use]
pub fn judge(before: Sight, after: Sight) -> Verdict {
    match (before.difference, after.difference) {
        (None, _) | (_, None) => Verdict::Equal,
        (Some(_), Some(difference)) if before.document == after.document => Verdict::Different(difference),
        _ => Verdict::Moving,
    }
}

/// A part of a collection, seen once.
#[derive(Debug, Default)]
pub struct Range {
    /// Its last id; absent if it reaches as far as was asked for.
    pub end: Option<Uuid>,
    /// How many ids it has, on either side.
    pub ids: usize,
    /// The keys that differ, as they were seen.
    pub different: HashMap<Uuid, Sight>,
    /// Documents that have no row and no id of ours, so that no key leads to them.
    pub strays: BTreeSet<String>,
}

/// Looks at the next page of a collection after one id, up to and with another, on both sides.
///
/// # Errors
/// The database's or the index's.
pub async fn range(
    app: &App,
    elastic: &Elastic,
    collection: &'static Collection,
    index: &str,
    after: Option<Uuid>,
    last: Option<Uuid>,
    depth: Depth,
) -> anyhow::Result<Range> {
    let size = depth.page();
    // Without a last id the index looks at every document that it has to find the next ones.
    let end = row_ids::end_of_page(&app.db.sync, collection, after, last, size).await?;
    let last = end.or(last);
    let page = inventory::page(elastic, index, after, last, size, depth.detail()).await?;
    let mut snapshot = app.db.sync.begin_with("begin isolation level repeatable read, read only").await?;
    let rows = row_ids::page(&mut *snapshot, collection, after, last, size).await?;
    // Of a full page nothing is known behind its last id.
    let full = rows.last().map(|(id, _)| *id).filter(|_| rows.len() == size);
    let end = [page.end, full, end].into_iter().flatten().min();
    let is_within = |id: &Uuid| end.is_none_or(|end| *id <= end);

    let rows = rows.into_iter().filter(|(id, _)| is_within(id));
    let rows = match depth {
        Depth::Versions => rows.map(|(id, version)| (id, Row::Version(version))).collect(),
        Depth::Contents => load(&mut snapshot, collection, rows.map(|(id, _)| id).collect()).await?,
    };
    snapshot.commit().await?;
    let documents = page.entries.into_iter().filter(|entry| entry.place.as_ref().is_none_or(is_within));
    let document =
        |entry: Entry| (entry.id, Document { version: entry.version, number: Some(entry.number), source: entry.source });
    let ids = rows.len();
    let different = pair(rows, documents.map(document).collect());
    let ghosts = different.values().filter(|sight| sight.difference == Some(Difference::Ghost)).count();
    Ok(Range { end, ids: ids + ghosts + page.strays.len(), different, strays: page.strays })
}

/// Looks at keys, and at all that they say. Those that do not differ are left out.
///
/// # Errors
/// The database's or the index's.
pub async fn look(
    app: &App,
    elastic: &Elastic,
    collection: &'static Collection,
    index: &str,
    ids: &[Uuid],
) -> anyhow::Result<HashMap<Uuid, Sight>> {
    let document = |held: Held| (held.id, Document { version: held.version, number: None, source: Some(held.source) });
    let mut sights = HashMap::new();
    for ids in ids.chunks(Depth::Contents.page()) {
        let documents = inventory::read(elastic, index, ids).await?.into_iter().map(document).collect();
        let mut snapshot = app.db.sync.begin_with("begin isolation level repeatable read, read only").await?;
        let rows = existing(&mut snapshot, collection, ids).await?;
        let rows = load(&mut snapshot, collection, rows).await?;
        snapshot.commit().await?;
        sights.extend(pair(rows, documents));
    }
    Ok(sights)
}

/// Returns which of the ids have a row.
async fn existing(snapshot: &mut PgConnection, collection: &Collection, ids: &[Uuid]) -> sqlx::Result<Vec<Uuid>> {
    let (id, from) = (collection.id, collection.from);
    let sql = format!("select {id} from {from} where {id} = any($1)");
    sqlx::query_scalar(AssertSqlSafe(sql)).bind(ids).fetch_all(snapshot).await
}

/// What is known of a row.
enum Row {
    /// Its version.
    Version(i64),
    /// Its document.
    Document(Vec<u8>),
    /// No document can be made of it.
    Unreadable,
}

/// What is known of a document.
struct Document {
    version: Version,
    number: Option<i64>,
    source: Option<Box<RawValue>>,
}

async fn load(snapshot: &mut PgConnection, collection: &Collection, ids: Vec<Uuid>) -> sqlx::Result<HashMap<Uuid, Row>> {
    let rows = rows::read(snapshot, collection, &ids).await?;
    let unreadable = rows.unreadable.into_keys().map(|id| (id, Row::Unreadable));
    Ok(rows.documents.into_iter().map(|(id, source)| (id, Row::Document(source))).chain(unreadable).collect())
}

/// Puts rows and documents side by side and returns what differs.
fn pair(rows: HashMap<Uuid, Row>, mut documents: HashMap<Uuid, Document>) -> HashMap<Uuid, Sight> {
    let mut different = HashMap::new();
    let mut differs = |id, document, difference| different.insert(id, Sight { document, difference: Some(difference) });
    for (id, row) in rows {
        let Some(document) = documents.remove(&id) else {
            differs(id, None, Difference::Missing);
            continue;
        };
        let is_same = match row {
            Row::Version(version) => document.number == Some(version),
            Row::Document(row) => document.source.is_some_and(|stored| is_same(&row, &stored)),
            Row::Unreadable => false,
        };
        if !is_same {
            differs(id, Some(document.version), Difference::Stale);
        }
    }
    for (id, document) in documents {
        differs(id, Some(document.version), Difference::Ghost);
    }
    different
}

/// Names the members in which documents differ from their rows. Names only: values are personal data.
///
/// # Errors
/// The database's or the index's.
pub async fn differing(
    app: &App,
    elastic: &Elastic,
    collection: &'static Collection,
    index: &str,
    ids: &[Uuid],
) -> anyhow::Result<BTreeMap<Uuid, BTreeSet<String>>> {
    let documents = inventory::read(elastic, index, ids).await?;
    let documents: HashMap<Uuid, Held> = documents.into_iter().map(|held| (held.id, held)).collect();
    let mut connection = app.db.sync.acquire().await?;
    let rows = rows::read(&mut connection, collection, ids).await?;
    let names = |(id, source): (Uuid, Vec<u8>)| Some((id, members(&source, documents.get(&id)?.source.get().as_bytes())));
    Ok(rows.documents.into_iter().filter_map(names).collect())
}

/// Says whether what is stored is what would be written; as a rule both are the same bytes.
fn is_same(row: &[u8], stored: &RawValue) -> bool {
    let stored = stored.get().as_bytes();
    row == stored || members(row, stored).is_empty()
}

/// Names the members that differ.
fn members(row: &[u8], stored: &[u8]) -> BTreeSet<String> {
    let parse = |json| serde_json::from_slice::<Map<String, Value>>(json).unwrap_or_default();
    let (mut row, mut stored) = (parse(row), parse(stored));
    row.retain(|name, value| stored.remove(name).as_ref() != Some(value));
    row.into_iter().chain(stored).map(|(name, _)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::Difference::{Ghost, Missing, Stale};
    use super::*;

    #[track_caller]
    fn check(before: (Option<i64>, Option<Difference>), after: (Option<i64>, Option<Difference>), expected: Verdict) {
        let sight = |(version, difference): (Option<i64>, _)| Sight { document: version.map(Version), difference };
        assert_eq!(judge(sight(before), sight(after)), expected, "{before:?}, then {after:?}");
    }

    #[test]
    fn a_difference_is_real_if_the_document_held_still() {
        check((Some(1), Some(Stale)), (Some(1), Some(Stale)), Verdict::Different(Stale));
        check((Some(1), Some(Ghost)), (Some(1), Some(Ghost)), Verdict::Different(Ghost));
        check((None, Some(Missing)), (None, Some(Missing)), Verdict::Different(Missing));
        // The row went too, and the deletion loses against the document's version.
        check((Some(9), Some(Stale)), (Some(9), Some(Ghost)), Verdict::Different(Ghost));
    }

    #[test]
    fn a_document_that_moves_is_looked_at_again() {
        check((Some(1), Some(Stale)), (Some(2), Some(Stale)), Verdict::Moving);
        check((None, Some(Missing)), (Some(2), Some(Stale)), Verdict::Moving);
        check((Some(1), Some(Stale)), (None, Some(Missing)), Verdict::Moving);
        check((Some(1), Some(Ghost)), (Some(2), Some(Ghost)), Verdict::Moving);
    }

    #[test]
    fn what_was_the_same_once_is_fine() {
        check((Some(1), Some(Stale)), (Some(2), None), Verdict::Equal);
        check((Some(1), Some(Ghost)), (None, None), Verdict::Equal);
        check((None, Some(Missing)), (None, None), Verdict::Equal);
        check((Some(1), None), (Some(1), Some(Stale)), Verdict::Equal);
    }

    #[test]
    fn documents_are_the_same_whatever_the_spelling_of_their_json() {
        let differ = |row: &str, stored: &str| {
            let same = is_same(row.as_bytes(), &RawValue::from_string(stored.to_owned()).unwrap());
            assert_eq!(same, members(row.as_bytes(), stored.as_bytes()).is_empty());
            members(row.as_bytes(), stored.as_bytes()).into_iter().collect::<Vec<_>>()
        };
        let row = r#"{"a":1,"b":{"c":"é"}}"#;
        assert_eq!(differ(row, row), [""; 0]);
        assert_eq!(differ(row, r#"{ "b": {"c":"\u00e9"}, "a": 1 }"#), [""; 0]);
        assert_eq!(differ(row, r#"{"a":1}"#), ["b"]);
        assert_eq!(differ(row, r#"{"a":2,"b":{"c":"e"},"z":0}"#), ["a", "b", "z"]);
        assert_eq!(differ(row, "{}"), ["a", "b"]);
    }
}
