//! What counts as different: a document and its row are observed twice, and in between the index takes in what was on its way.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;
use serde_json::value::RawValue;
use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

use crate::app::App;
use crate::search::inventory::{self, Detail, Entry, Held};
use crate::search::{Collection, Elastic, rows};
use crate::sync::store::ids as row_ids;
use crate::values::json::Object;
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
    /// Whether every row has a document that shows its version, and every document a row. Values from other rows may be old.
    Versions,
    /// Also everything that the documents say.
    Contents,
}

impl Depth {
    /// The size of a page in documents.
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

/// A document and its row at one moment: the document is read first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Observation {
    /// The version of the document, if there is one.
    pub document: Option<Version>,
    pub difference: Option<Difference>,
}

/// What two observations say of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Equal,
    /// It differs, and nothing is on its way that would change that.
    Different(Difference),
    /// It is being written; another observation may tell.
    InFlight,
}

/// Classifies a document by two observations. In between, the index has taken in everything committed before the end of the first.
///
/// A difference is real if the version of the document stayed. Had the row changed after the document was built, that change would
/// have been written meanwhile with a newer version. So neither does a constantly changing row hide damage, nor does a change look
/// like damage.
#[must_use]
pub fn classify(before: Observation, after: Observation) -> Verdict {
    match (before.difference, after.difference) {
        (None, _) | (_, None) => Verdict::Equal,
        (Some(_), Some(difference)) if before.document == after.document => Verdict::Different(difference),
        _ => Verdict::InFlight,
    }
}

/// A part of a collection, observed once.
#[derive(Debug, Default)]
pub struct Range {
    /// Its last id; `None` if it reaches as far as was asked for.
    pub end: Option<Uuid>,
    /// Number of ids on either side.
    pub ids: usize,
    pub different: HashMap<Uuid, Observation>,
    /// Documents without a row, with ids that are no UUIDs, so that no key leads to them.
    pub strays: BTreeSet<String>,
    /// Whether there are more documents than a page holds that have no place in the order of ids. Those of this page hide them.
    pub is_cut: bool,
}

/// Observes the next page of a collection above one id, up to and including another, on both sides.
pub async fn observe_range(
    app: &App,
    elastic: &Elastic,
    collection: &'static Collection,
    index: &str,
    after: Option<Uuid>,
    last: Option<Uuid>,
    depth: Depth,
) -> anyhow::Result<Range> {
    let size = depth.page();
    // Without a last id the index would look at every document to find the next ones.
    let end = row_ids::end_of_page(&app.db.sync, collection, after, last, size).await?;
    let last = end.or(last);
    let page = inventory::page(elastic, index, after, last, size, depth.detail()).await?;
    let mut snapshot = app.db.sync.begin_with("begin isolation level repeatable read, read only").await?;
    let rows = row_ids::page(&mut *snapshot, collection, after, last, size).await?;
    // Nothing is known behind the last id of a full page.
    let full = rows.last().map(|(id, _)| *id).filter(|_| rows.len() == size);
    let end = [page.end, full, end].into_iter().flatten().min();
    let is_within = |id: &Uuid| end.is_none_or(|end| *id <= end);
    let is_cut = page.end.is_none() && page.entries.len() + page.strays.len() == size;

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
    let ghosts = different.values().filter(|observation| observation.difference == Some(Difference::Ghost)).count();
    Ok(Range { end, ids: ids + ghosts + page.strays.len(), different, strays: page.strays, is_cut })
}

/// Observes documents with their contents. Those that do not differ are left out.
pub async fn observe(
    app: &App,
    elastic: &Elastic,
    collection: &'static Collection,
    index: &str,
    ids: &[Uuid],
) -> anyhow::Result<HashMap<Uuid, Observation>> {
    let document = |held: Held| (held.id, Document { version: held.version, number: None, source: Some(held.source) });
    let mut observations = HashMap::new();
    for ids in ids.chunks(Depth::Contents.page()) {
        let documents = inventory::read(elastic, index, ids).await?.into_iter().map(document).collect();
        let mut snapshot = app.db.sync.begin_with("begin isolation level repeatable read, read only").await?;
        let rows = existing(&mut snapshot, collection, ids).await?;
        let rows = load(&mut snapshot, collection, rows).await?;
        snapshot.commit().await?;
        observations.extend(pair(rows, documents));
    }
    Ok(observations)
}

/// Returns which of the ids have a row.
async fn existing(snapshot: &mut PgConnection, collection: &Collection, ids: &[Uuid]) -> sqlx::Result<Vec<Uuid>> {
    let (id, table) = (collection.id, collection.table);
    let sql = format!("select {id} from {table} where {id} = any($1)");
    sqlx::query_scalar(AssertSqlSafe(sql)).bind(ids).fetch_all(snapshot).await
}

/// What is known of a row: its version, its document, or that none can be built.
enum Row {
    Version(i64),
    Document(Vec<u8>),
    Unreadable,
}

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

/// Pairs rows with documents and returns what differs.
fn pair(rows: HashMap<Uuid, Row>, mut documents: HashMap<Uuid, Document>) -> HashMap<Uuid, Observation> {
    let mut different = HashMap::new();
    let mut differs = |id, document, difference| different.insert(id, Observation { document, difference: Some(difference) });
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

/// Whether a stored document is what would be written; as a rule both are the same bytes.
fn is_same(row: &[u8], stored: &RawValue) -> bool {
    let stored = stored.get().as_bytes();
    row == stored || members(row, stored).is_empty()
}

/// Names the top-level members that differ.
fn members(row: &[u8], stored: &[u8]) -> BTreeSet<String> {
    let parse = |json| serde_json::from_slice::<Object>(json).unwrap_or_default();
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
        let observation = |(version, difference): (Option<i64>, _)| Observation { document: version.map(Version), difference };
        assert_eq!(classify(observation(before), observation(after)), expected, "{before:?}, then {after:?}");
    }

    #[test]
    fn a_difference_is_real_if_the_version_stays() {
        check((Some(1), Some(Stale)), (Some(1), Some(Stale)), Verdict::Different(Stale));
        check((Some(1), Some(Ghost)), (Some(1), Some(Ghost)), Verdict::Different(Ghost));
        check((None, Some(Missing)), (None, Some(Missing)), Verdict::Different(Missing));
        // The row went too, and the deletion loses against the document's version.
        check((Some(9), Some(Stale)), (Some(9), Some(Ghost)), Verdict::Different(Ghost));
    }

    #[test]
    fn a_document_with_a_new_version_is_in_flight() {
        check((Some(1), Some(Stale)), (Some(2), Some(Stale)), Verdict::InFlight);
        check((None, Some(Missing)), (Some(2), Some(Stale)), Verdict::InFlight);
        check((Some(1), Some(Stale)), (None, Some(Missing)), Verdict::InFlight);
        check((Some(1), Some(Ghost)), (Some(2), Some(Ghost)), Verdict::InFlight);
    }

    #[test]
    fn a_document_that_was_equal_once_is_equal() {
        check((Some(1), Some(Stale)), (Some(2), None), Verdict::Equal);
        check((Some(1), Some(Ghost)), (None, None), Verdict::Equal);
        check((None, Some(Missing)), (None, None), Verdict::Equal);
        check((Some(1), None), (Some(1), Some(Stale)), Verdict::Equal);
    }

    #[test]
    fn documents_are_equal_however_their_json_is_spelled() {
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
