//! Repairs documents: the leader writes them again, and the result is compared.

use std::collections::{BTreeSet, HashSet};

use sqlx::{PgExecutor, PgTransaction};
use uuid::Uuid;

use super::compare::{self, Observation};
use super::verify::{self, Difference, Differences};
use super::wait;
use crate::app::App;
use crate::search::bulk::{self, Bulk, Outcome};
use crate::search::{Collection, Elastic, ElasticError, index};
use crate::sync::store::{backlog, checkpoint, dead_letters};
use crate::sync::stream::batch::Keys;
use crate::values::lsn::{Epoch, Version};

/// What a repair has achieved.
#[derive(Debug, Default)]
pub struct Repaired {
    /// Documents that equal their rows now.
    pub repaired: usize,
    /// What differs still.
    pub left: Differences,
    /// What of that no write can replace, because its version is beyond the change stream.
    pub beyond: HashSet<Uuid>,
}

/// Enqueues documents to be written again, with a version above whatever was written before this moment.
pub async fn enqueue(
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
    backlog::enqueue_within(transaction, &keys, Version::new(epoch, position)).await
}

/// Counts those of the documents that are still to be written.
pub async fn pending(executor: impl PgExecutor<'_>, collection: &Collection, ids: &[Uuid]) -> sqlx::Result<i64> {
    let pending = sqlx::query_scalar!(
        r#"
        select count(*) as "count!"
        from sync_backlog
        where collection = $1 and key = any($2)
        "#,
        collection.name,
        ids,
    );
    pending.fetch_one(executor).await
}

/// Compares documents that were written again with their rows.
///
/// # Errors
/// [`wait::Behind`].
pub async fn check(
    app: &App,
    elastic: &Elastic,
    epoch: Epoch,
    collection: &'static Collection,
    index: &str,
    ids: &[Uuid],
) -> anyhow::Result<Repaired> {
    let left = verify::documents(app, elastic, collection, index, ids).await?;
    let mut result = Repaired { repaired: ids.len().saturating_sub(left.len()), left, beyond: HashSet::new() };
    if result.left.is_empty() {
        return Ok(result);
    }
    let highest = Version::new(epoch, wait::until_searchable(app, collection).await?);
    let ids: Vec<Uuid> = result.left.keys().copied().collect();
    let observations = compare::observe(app, elastic, collection, index, &ids).await?;
    let refused = dead_letters::quarantined_of(&app.db.sync, collection.name, Some(&ids)).await?;
    let is_beyond = |id: &Uuid, observation: &Observation| match observation.document {
        Some(version) => version > highest,
        // It was written and is not there: a deletion of another program won.
        None => !refused.contains(id),
    };
    result.beyond = observations.iter().filter(|(id, observation)| is_beyond(id, observation)).map(|(id, _)| *id).collect();
    Ok(result)
}

/// Removes documents that another program wrote, and returns how many.
pub async fn remove_strays(elastic: &Elastic, index: &str, strays: &BTreeSet<String>) -> Result<usize, ElasticError> {
    if strays.is_empty() {
        return Ok(0);
    }
    let mut bulk = Bulk::default();
    for id in strays {
        bulk.delete_any_version(index, id);
    }
    let outcomes = bulk::send(elastic, bulk).await?;
    index::refresh(elastic, index).await?;
    Ok(outcomes.into_iter().filter(|outcome| *outcome == Outcome::Written).count())
}

/// Says what to do about a document that no write can replace.
#[must_use]
pub fn advice(collection: &Collection, difference: Difference) -> String {
    let what = match difference {
        Difference::Missing => "it was deleted with a version beyond the change stream",
        Difference::Stale | Difference::Ghost => "its version is beyond the change stream",
    };
    format!("{what}; run `collections reindex --collection {}`", collection.name)
}
