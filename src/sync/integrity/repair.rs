//! Repairs: has documents written again by whoever leads, and tells what came of it.

use std::collections::{BTreeSet, HashSet};

use sqlx::{PgExecutor, PgTransaction};
use uuid::Uuid;

use super::verify::{self, Differences};
use super::{compare, wait};
use crate::app::App;
use crate::search::bulk::{self, Bulk, Outcome};
use crate::search::{Collection, Elastic, ElasticError, index};
use crate::sync::store::{backlog, checkpoint};
use crate::sync::stream::batch::Keys;
use crate::values::lsn::{Epoch, Version};

/// What came of a repair.
#[derive(Debug, Default)]
pub struct Mended {
    /// How many documents are what their rows are.
    pub repaired: usize,
    /// What differs still.
    pub left: Differences,
    /// What of that no write can replace, because its version is beyond the change stream.
    pub beyond: HashSet<Uuid>,
}

/// Asks for documents to be written again, with a version above whatever was written before this moment.
///
/// # Errors
/// The database's.
pub async fn mark(
    transaction: &mut PgTransaction<'_>,
    epoch: Epoch,
    collection: &'static Collection,
    ids: &[Uuid],
) -> sqlx::Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let position = checkpoint::heartbeat(&mut **transaction).await?;
    let keys = Keys::from([(collection.name, ids.iter().copied().collect())]);
    backlog::mark_within(transaction, &keys, Version::new(epoch, position)).await
}

/// Returns how many of these documents are still to be written.
///
/// # Errors
/// The database's.
pub async fn waiting(executor: impl PgExecutor<'_>, collection: &Collection, ids: &[Uuid]) -> sqlx::Result<i64> {
    let waiting = sqlx::query_scalar!(
        r#"
        select count(*) as "count!"
        from sync_backlog
        where collection = $1 and key = any($2)
        "#,
        collection.name,
        ids,
    );
    waiting.fetch_one(executor).await
}

/// Compares documents that were written again with their rows.
///
/// # Errors
/// The database's or the index's, or [`wait::Behind`].
pub async fn look(
    app: &App,
    elastic: &Elastic,
    epoch: Epoch,
    collection: &'static Collection,
    index: &str,
    ids: &[Uuid],
) -> anyhow::Result<Mended> {
    let left = verify::again(app, elastic, collection, index, ids).await?;
    let mut mended = Mended { repaired: ids.len().saturating_sub(left.len()), left, beyond: HashSet::new() };
    if mended.left.is_empty() {
        return Ok(mended);
    }
    let highest = Version::new(epoch, wait::now(app, collection).await?);
    let ids: Vec<Uuid> = mended.left.keys().copied().collect();
    let sights = compare::look(app, elastic, collection, index, &ids).await?;
    let beyond = sights.into_iter().filter(|(_, sight)| sight.document > Some(highest));
    mended.beyond = beyond.map(|(id, _)| id).collect();
    Ok(mended)
}

/// Removes documents that somebody else wrote, and returns how many. What is removed can no longer be found.
///
/// # Errors
/// The index's.
pub async fn discard(elastic: &Elastic, index: &str, strays: &BTreeSet<String>) -> Result<usize, ElasticError> {
    if strays.is_empty() {
        return Ok(0);
    }
    let mut bulk = Bulk::default();
    for id in strays {
        bulk.discard(index, id);
    }
    let outcomes = bulk::send(elastic, bulk).await?;
    index::refresh(elastic, index).await?;
    Ok(outcomes.into_iter().filter(|outcome| *outcome == Outcome::Written).count())
}

/// What to do about documents that no write can replace.
#[must_use]
pub fn advice(collection: &Collection) -> String {
    format!("its version is beyond the change stream; run `collections reindex --collection {}`", collection.name)
}
