//! Waiting until the sync has done what it still has to do.

use std::time::{Duration, Instant};

use anyhow::ensure;
use sqlx::PgPool;

use super::Scene;
use crate::collections;
use crate::search::index::{self, Alias};
use crate::sync::store::checkpoint;
use crate::values::lsn::Lsn;

/// A backlog that is not worked off by then never will be.
const PATIENCE: Duration = Duration::from_secs(900);

/// Waits until everything that was committed before can be found.
pub(super) async fn caught_up(pool: &PgPool) -> anyhow::Result<()> {
    passed(pool, checkpoint::request_flush(pool).await?).await
}

/// Waits until everything up to a position can be found, what was stored for the index included.
pub(super) async fn passed(pool: &PgPool, wanted: Lsn) -> anyhow::Result<()> {
    let begin = Instant::now();
    loop {
        let standing = checkpoint::read(pool).await?.standing;
        if collections::ALL.iter().all(|collection| standing.includes(collection.name, wanted)) {
            return Ok(());
        }
        ensure!(begin.elapsed() < PATIENCE, "the sync has not caught up after {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until every collection has been loaded for the first time.
pub(super) async fn loaded(scene: &Scene<'_>) -> anyhow::Result<()> {
    let begin = Instant::now();
    for collection in collections::ALL {
        while !matches!(index::inspect(&scene.stage.elastic, collection).await?, Alias::Live(_)) {
            ensure!(begin.elapsed() < PATIENCE, "{} are not in the index after {PATIENCE:?}", collection.name);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    caught_up(&scene.stage.pool).await
}
