//! Waiting until the sync has done what it still has to do.

use std::time::{Duration, Instant};

use anyhow::ensure;
use collections::collections::ALL;
use collections::position::Position;
use collections::search::index::{self, Alias};
use collections::sync::state;
use sqlx::PgPool;

use super::context::Context;

/// A backlog that is not worked off by then never will be.
const PATIENCE: Duration = Duration::from_secs(900);

/// Waits until everything that was committed before can be found.
pub async fn caught_up(pool: &PgPool) -> anyhow::Result<()> {
    passed(pool, state::want(pool).await?).await
}

/// Waits until everything up to a position can be found, what was stored for the index included.
pub async fn passed(pool: &PgPool, wanted: Position) -> anyhow::Result<()> {
    let begin = Instant::now();
    loop {
        let standing = state::read(pool).await?.standing;
        if ALL.iter().all(|collection| standing.includes(collection.name, wanted)) {
            return Ok(());
        }
        ensure!(begin.elapsed() < PATIENCE, "the sync has not caught up after {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until every collection has been loaded for the first time.
pub async fn loaded(context: &Context<'_>) -> anyhow::Result<()> {
    let begin = Instant::now();
    for collection in ALL {
        while !matches!(index::inspect(&context.sandbox.elastic, collection).await?, Alias::Live(_)) {
            ensure!(begin.elapsed() < PATIENCE, "{} are not in the index after {PATIENCE:?}", collection.name);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    caught_up(&context.sandbox.pool).await
}
