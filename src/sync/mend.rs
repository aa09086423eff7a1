//! Repairs: has documents written again by whoever leads, and tells what came of it.

use std::collections::HashSet;

use sqlx::{PgExecutor, PgTransaction};
use uuid::Uuid;

use super::batch::Keys;
use super::compare;
use super::verify::{self, Differences};
use super::{backlog, reach, state};
use crate::app::App;
use crate::position::{Epoch, Version};
use crate::search::{Collection, Elastic};

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
    let position = state::beat(&mut **transaction).await?;
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
        from sync_spill
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
/// The database's or the index's, or [`reach::Behind`].
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
    let highest = Version::new(epoch, reach::now(app, collection).await?);
    let ids: Vec<Uuid> = mended.left.keys().copied().collect();
    let sights = compare::look(app, elastic, collection, index, &ids).await?;
    let beyond = sights.into_iter().filter(|(_, sight)| sight.document > Some(highest));
    mended.beyond = beyond.map(|(id, _)| id).collect();
    Ok(mended)
}

/// What to do about documents that no write can replace.
#[must_use]
pub fn advice(collection: &Collection) -> String {
    format!("its version is beyond the change stream; run `collections reindex --collection {}`", collection.name)
}
