//! Waits until the sync has caught up.

use std::time::{Duration, Instant};

use anyhow::ensure;
use collections::collections::ALL;
use collections::search::index;
use collections::search::index::Alias;
use collections::sync::store::checkpoint;
use collections::values::lsn::Lsn;
use sqlx::PgPool;

use super::context::Context;

const TIMEOUT: Duration = Duration::from_secs(900);

/// Waits until every commit so far is searchable.
pub async fn wait(pool: &PgPool) -> anyhow::Result<()> {
    wait_for(pool, checkpoint::request_flush(pool).await?).await
}

/// Waits until everything up to a position is searchable, the stored backlog included.
pub async fn wait_for(pool: &PgPool, wanted: Lsn) -> anyhow::Result<()> {
    let begin = Instant::now();
    loop {
        let checkpoint = checkpoint::read(pool).await?.checkpoint;
        if ALL.iter().all(|collection| checkpoint.includes(collection.name, wanted)) {
            return Ok(());
        }
        ensure!(begin.elapsed() < TIMEOUT, "the sync has not caught up after {TIMEOUT:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until every collection has its first live index.
pub async fn wait_until_loaded(context: &Context<'_>) -> anyhow::Result<()> {
    let begin = Instant::now();
    for collection in ALL {
        while !matches!(index::inspect(&context.sandbox.elastic, collection).await?, Alias::Live(_)) {
            ensure!(begin.elapsed() < TIMEOUT, "{} are not in the index after {TIMEOUT:?}", collection.name);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    wait(&context.sandbox.pool).await
}
