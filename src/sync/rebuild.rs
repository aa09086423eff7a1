//! Fills a new index from the rows while the live path writes to it as well.

use std::time::Duration;

use anyhow::{Context, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use sqlx::{AssertSqlSafe, PgExecutor};
use tracing::warn;
use uuid::Uuid;

use super::catalog::{self, Generation};
use super::pipeline::Progress;
use super::verify::{self, Difference, Differences};
use super::write::Writer;
use crate::app::App;
use crate::position::Version;
use crate::search::{Collection, index};

/// Times that what differs in a new index is written again.
const REPAIRS: usize = 3;

/// Fills the index and checks that nothing is missing. Goes on after the cursor if it was interrupted before.
///
/// Every write carries the floor of the moment before its rows were read: below any later commit, so a live write wins, and above
/// whatever was applied before, which the rows include.
///
/// # Errors
/// The index's or the database's, or the index does not hold what it should.
pub async fn run(
    app: &App,
    writer: &Writer,
    progress: &Progress,
    collection: &'static Collection,
    generation: &Generation,
) -> anyhow::Result<()> {
    let tune = async |settings| index::tune(&writer.elastic, &generation.index, &settings).await;
    // Nobody searches it yet, and refreshes cost a good part of the throughput.
    tune(serde_json::json!({ "refresh_interval": "-1" })).await?;
    writer.add(collection, &generation.index);
    // Batches that are under way may not know of the new index. They have passed the gate, so what is read from here on includes them.

    let chunk = writer.batch_size;
    let chunks = stream::try_unfold(generation.cursor, |cursor| async move {
        let ids = scan(&app.db.sync, collection, cursor, chunk).await?;
        let last = ids.last().copied();
        anyhow::Ok(last.map(|_| (ids, last)))
    });
    let mut written = chunks
        .map_ok(|ids| async move {
            fill(writer, progress, collection, &generation.index, &ids).await?;
            anyhow::Ok(ids)
        })
        .try_buffered(app.config.sync.in_flight.max(1))
        .boxed();
    while let Some(ids) = written.try_next().await? {
        let cursor = ids.last().context("an empty chunk")?;
        catalog::progress(&app.db.sync, &generation.index, *cursor, i64::try_from(ids.len())?).await?;
    }
    drop(written);

    check(app, writer, collection, &generation.index).await?;
    tune(serde_json::json!({ "refresh_interval": null, "auto_expand_replicas": "0-1" })).await?;
    Ok(())
}

/// Makes sure that there is a document for each row and no other. What differs is written again, a few times at most.
async fn check(app: &App, writer: &Writer, collection: &'static Collection, index: &str) -> anyhow::Result<()> {
    let mut wrong = verify::ids(app, &writer.elastic, collection, index).await?.differences;
    for _ in 0..REPAIRS {
        if wrong.is_empty() {
            return Ok(());
        }
        warn!(index, documents = wrong.len(), "the new index differs from the rows; writing what differs again");
        wrong = existing(verify::repair(app, writer, collection, index, &wrong).await?);
    }
    let count = |kind| wrong.values().filter(|difference| **difference == kind).count();
    let (missing, ghosts) = (count(Difference::Missing), count(Difference::Ghost));
    ensure!(
        wrong.is_empty(),
        "the new index lacks {missing} documents and has {ghosts} without a row, also after {REPAIRS} repairs"
    );
    Ok(())
}

/// A document that is changing now differs from its row at most looks, and is there all the same.
fn existing(mut differences: Differences) -> Differences {
    differences.retain(|_, difference| *difference != Difference::Stale);
    differences
}

async fn fill(
    writer: &Writer,
    progress: &Progress,
    collection: &'static Collection,
    index: &str,
    ids: &[Uuid],
) -> anyhow::Result<()> {
    let mut ids = ids.to_vec();
    while !ids.is_empty() {
        let floor = Version::floor(writer.epoch, *progress.applied.borrow());
        let mut rejected = writer.fill(collection.name, index, &ids, floor).await?;
        ids = rejected.remove(collection.name).into_iter().flatten().collect();
        if !ids.is_empty() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    Ok(())
}

/// Reads the next ids of the rows of a collection, in order.
///
/// # Errors
/// The database's.
pub async fn scan(
    executor: impl PgExecutor<'_>,
    collection: &Collection,
    after: Option<Uuid>,
    size: usize,
) -> sqlx::Result<Vec<Uuid>> {
    let (id, from) = (collection.id, collection.from);
    let sql = format!("select {id} from {from} where {id} > $1 order by {id} limit $2");
    sqlx::query_scalar(AssertSqlSafe(sql))
        .bind(after.unwrap_or(Uuid::nil()))
        .bind(i64::try_from(size).unwrap_or(i64::MAX))
        .fetch_all(executor)
        .await
}
