//! What the sync still has to do: a mark in the stream, and waiting until the index has passed it.

use std::time::{Duration, Instant};

use anyhow::ensure;
use sqlx::{PgExecutor, PgPool};

use super::Scene;
use crate::collections;
use crate::search::index::{self, Alias};
use crate::sync::state;

/// A backlog that is not worked off by then never will be.
const PATIENCE: Duration = Duration::from_secs(900);

/// Puts a mark behind everything that has been committed so far, for which somebody waits.
pub(super) async fn mark(executor: impl PgExecutor<'_>) -> sqlx::Result<i64> {
    Ok(i64::try_from(state::want(executor).await?.0).unwrap_or(i64::MAX))
}

/// Waits until everything before the mark can be found, what was stored for the index included.
pub(super) async fn passed(pool: &PgPool, mark: i64) -> anyhow::Result<()> {
    let begin = Instant::now();
    let is_passed = "select applied >= $1 and not exists (select from jsonb_each_text(owed) where value::bigint <= $1)
                     from sync_state";
    while !sqlx::query_scalar::<_, bool>(is_passed).bind(mark).fetch_one(pool).await? {
        ensure!(begin.elapsed() < PATIENCE, "the sync has not caught up after {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// Waits until every collection has been loaded for the first time.
pub(super) async fn loaded(scene: &Scene<'_>) -> anyhow::Result<()> {
    let begin = Instant::now();
    for collection in collections::ALL {
        while !matches!(index::inspect(&scene.stage.elastic, collection).await?, Alias::Live { .. }) {
            ensure!(begin.elapsed() < PATIENCE, "{} are not in the index after {PATIENCE:?}", collection.name);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    passed(&scene.stage.pool, mark(&scene.stage.pool).await?).await
}
