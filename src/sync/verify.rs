//! Compares an index with the rows, document by document, and repairs what differs.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use serde_json::Value;
use tracing::warn;
use uuid::Uuid;

use super::batch::Keys;
use super::catalog;
use super::rebuild;
use super::state;
use super::write::Writer;
use crate::app::App;
use crate::collections;
use crate::position::{Position, Version};
use crate::search::{Collection, Elastic, index, inventory};

/// Ids to one look at both sides, and documents to one comparison of contents.
const PAGE: usize = 10_000;
const CHUNK: usize = 1_000;
/// Longest wait for the sync to reach a moment; then what differs counts as different.
const WAIT: Duration = Duration::from_secs(20);
/// Looks at a document that keeps changing.
const LOOKS: usize = 10;

/// How a document differs from its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// The row has no document.
    Missing,
    /// The document says something else than the row.
    Stale,
    /// The document has no row.
    Ghost,
}

/// What differs, by document.
pub type Differences = HashMap<Uuid, Difference>;

/// Compares which documents there are. Changes that are still on their way are waited for.
///
/// # Errors
/// The database's or the index's.
pub async fn ids(app: &App, elastic: &Elastic, collection: &'static Collection, index: &str) -> anyhow::Result<Differences> {
    let found = merge(app, elastic, collection, index, |_| false).await?;
    settle(app, elastic, collection, index, found).await
}

/// Compares every document with what would be written now. Changes that are still on their way are waited for.
///
/// # Errors
/// The database's or the index's.
pub async fn contents(app: &App, elastic: &Elastic, collection: &'static Collection, index: &str) -> anyhow::Result<Differences> {
    let found = merge(app, elastic, collection, index, |_| true).await?;
    settle(app, elastic, collection, index, found).await
}

/// Writes what differs again and returns what differs still.
///
/// # Errors
/// The database's or the index's.
pub async fn repair(
    app: &App,
    writer: &Writer,
    collection: &'static Collection,
    index: &str,
    differences: &Differences,
) -> anyhow::Result<Differences> {
    if differences.is_empty() {
        return Ok(Differences::new());
    }
    // Beyond everything that was written so far, also by a hand that knew no versions, and below whatever comes.
    let applied = reach(app, state::beat(&app.db.sync).await?).await?;
    let keys = Keys::from([(collection.name, differences.keys().copied().collect())]);
    writer.add(collection, index);
    writer.write(keys, Version::floor(writer.epoch, applied)).await?;
    settle(app, &writer.elastic, collection, index, differences.clone()).await
}

/// Counts the accounts whose balance is not the sum of their ledger.
///
/// # Errors
/// The database's.
pub async fn ledger(app: &App) -> anyhow::Result<i64> {
    let wrong = sqlx::query_scalar!(
        r#"
        select count(*) as "count!"
        from accounts a
        left join (select account_id, sum(amount) as amount from ledger_entries group by account_id) l on l.account_id = a.id
        where a.balance <> coalesce(l.amount, 0)
        "#
    );
    Ok(wrong.fetch_one(&app.db.sync).await?)
}

/// Waits until the index has reached the position, within a limit, and returns where it is.
async fn reach(app: &App, wanted: Position) -> anyhow::Result<Position> {
    let waiting = async {
        loop {
            let applied = state::applied(&app.db.sync).await?;
            if applied >= wanted {
                return Ok(applied);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    match tokio::time::timeout(WAIT, waiting).await {
        Ok(applied) => applied,
        Err(_) => {
            warn!("the sync does not advance; comparing with what the index holds now");
            Ok(state::applied(&app.db.sync).await?)
        }
    }
}

/// Walks through both in the order of ids.
async fn merge(
    app: &App,
    elastic: &Elastic,
    collection: &'static Collection,
    index: &str,
    compares: impl Fn(Uuid) -> bool,
) -> anyhow::Result<Differences> {
    index::refresh(elastic, index).await?;
    let mut differences = Differences::new();
    let (mut rows, mut documents): (VecDeque<Uuid>, VecDeque<Uuid>) = Default::default();
    let (mut last_row, mut last_document) = (None, None);
    let (mut rows_left, mut documents_left) = (true, true);
    let mut common = Vec::new();
    loop {
        if rows.is_empty() && rows_left {
            rows.extend(rebuild::scan(app, collection, last_row, PAGE).await?);
            last_row = rows.back().copied();
            rows_left = last_row.is_some();
        }
        if documents.is_empty() && documents_left {
            let page = inventory::scan(elastic, index, last_document, PAGE).await?;
            documents.extend(page.into_iter().map(|(id, _)| id));
            last_document = documents.back().copied();
            documents_left = last_document.is_some();
        }
        match (rows.front().copied(), documents.front().copied()) {
            (Some(row), Some(document)) if row == document => {
                rows.pop_front();
                documents.pop_front();
                if compares(row) {
                    common.push(row);
                }
            }
            (Some(row), document) if document.is_none_or(|document| row < document) => {
                rows.pop_front();
                differences.insert(row, Difference::Missing);
            }
            (_, Some(document)) => {
                documents.pop_front();
                differences.insert(document, Difference::Ghost);
            }
            _ => break,
        }
        if common.len() == CHUNK {
            differences.extend(compare(app, elastic, collection, index, &std::mem::take(&mut common)).await?);
        }
    }
    differences.extend(compare(app, elastic, collection, index, &common).await?);
    Ok(differences)
}

/// Looks again at what seemed different, after everything until now has arrived.
async fn settle(
    app: &App,
    elastic: &Elastic,
    collection: &'static Collection,
    index: &str,
    mut differences: Differences,
) -> anyhow::Result<Differences> {
    for _ in 0..LOOKS {
        if differences.is_empty() {
            break;
        }
        let wanted = state::beat(&app.db.sync).await?;
        let is_reached = reach(app, wanted).await? >= wanted;
        let ids: Vec<Uuid> = differences.keys().copied().collect();
        let mut still = Differences::new();
        for ids in ids.chunks(CHUNK) {
            still.extend(compare(app, elastic, collection, index, ids).await?);
        }
        // What is unchanged after the sync went by is no change on its way.
        let is_settled = still == differences;
        differences = still;
        if is_settled || !is_reached {
            break;
        }
    }
    Ok(differences)
}

async fn compare(
    app: &App,
    elastic: &Elastic,
    collection: &'static Collection,
    index: &str,
    ids: &[Uuid],
) -> anyhow::Result<Differences> {
    let mut snapshot = app.db.sync.begin_with("begin isolation level repeatable read, read only").await?;
    let loaded = (collection.load)(&mut snapshot, ids).await?;
    snapshot.commit().await?;
    let mut held: HashMap<Uuid, Value> = HashMap::new();
    for document in inventory::read(elastic, index, ids).await? {
        held.insert(document.id, serde_json::from_str(document.source.get())?);
    }
    let mut differences = Differences::new();
    for document in loaded {
        let mut row: Value = serde_json::from_slice(&document.source)?;
        if let Some(members) = row.as_object_mut() {
            // The searchable forms are indexed and not stored.
            members.remove("search");
        }
        match held.remove(&document.id) {
            None => differences.insert(document.id, Difference::Missing),
            Some(found) if found != row => differences.insert(document.id, Difference::Stale),
            Some(_) => None,
        };
    }
    differences.extend(held.into_keys().map(|id| (id, Difference::Ghost)));
    Ok(differences)
}

/// Returns the index that lists of a collection read, if there is one.
///
/// # Errors
/// The database's.
pub async fn live(app: &App, collection: &Collection) -> anyhow::Result<Option<String>> {
    let generations = catalog::all(&app.db.sync).await?;
    let live = generations.into_iter().find(|one| one.collection == collection.name && one.state == "live");
    Ok(live.map(|generation| generation.index))
}

/// Returns the documents that the index refused before, by collection.
///
/// # Errors
/// The database's.
pub async fn refused(app: &App) -> anyhow::Result<Keys> {
    let mut keys = Keys::new();
    for (name, id) in state::buried(&app.db.sync).await? {
        if let Some(collection) = collections::find(&name) {
            keys.entry(collection.name).or_default().insert(id);
        }
    }
    Ok(keys)
}
