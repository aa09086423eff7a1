//! P10: index writes saved by coalescing when few rows change often.

use std::time::Instant;

use anyhow::{Context as _, ensure};
use collections::collections::find;
use collections::search::index;
use futures_util::future::try_join_all;
use uuid::Uuid;

use crate::harness::context::Context;
use crate::harness::http::client::Client;
use crate::harness::report::measure::{Goal, Measure};
use crate::harness::{catch_up, rows, verify};

const KEYS: i64 = 1_000;
/// Small transactions, like live traffic.
const ROWS_PER_COMMIT: usize = 10;
/// Connections that update, each its own rows, so that none waits for a lock.
const WRITERS: usize = 4;

/// Updates the same payments again and again, counts the writes to their index, and compares the index with the rows.
pub async fn measure(context: &Context<'_>) -> anyhow::Result<Vec<Measure>> {
    let pool = &context.sandbox.pool;
    let ids = rows::random(pool, "payments", KEYS).await?;
    let share = ids.len() / WRITERS;
    ensure!(share >= ROWS_PER_COMMIT, "there are too few payments to change");
    let commits = usize::try_from(context.sizes.hot_updates)? / WRITERS / ROWS_PER_COMMIT;
    let updates = (commits * WRITERS * ROWS_PER_COMMIT) as f64;

    catch_up::wait(pool).await?;
    let before = writes(context).await?;
    let begin = Instant::now();
    try_join_all(ids.chunks_exact(share).take(WRITERS).map(async |own| {
        let mut connection = pool.acquire().await?;
        // Without waiting for the disk: a faster stream is harder for the sync.
        sqlx::query("set synchronous_commit = off").execute(&mut *connection).await?;
        for commit in 0..commits {
            let some: Vec<Uuid> =
                (0..ROWS_PER_COMMIT).map(|number| own[(commit * ROWS_PER_COMMIT + number) % own.len()]).collect();
            sqlx::query("update payments set description = 'bench ' || $2 where id = any($1)")
                .bind(&some)
                .bind(commit.to_string())
                .execute(&mut *connection)
                .await?;
        }
        sqlx::query("reset synchronous_commit").execute(&mut *connection).await?;
        anyhow::Ok(())
    }))
    .await?;
    let written = begin.elapsed().as_secs_f64();
    catch_up::wait(pool).await?;
    let synced = begin.elapsed().as_secs_f64();
    let writes = writes(context).await? - before;

    let how = format!(
        "{updates} updates of {} payments by SQL, {ROWS_PER_COMMIT} per commit over {WRITERS} connections, in {written:.1} s \
         ({:.0} per second); everything was searchable {:.1} s later. The live index of payments counted {writes} writes.",
        ids.len(),
        updates / written,
        synced - written
    );
    let saved = Measure {
        id: "P10",
        what: "hot keys, updates per index write".into(),
        unit: "updates",
        ours: vec![updates / writes.max(1.0)],
        goal: Goal::AtLeast(20.0),
        how,
        ..context.measure()
    };
    Ok(vec![saved, verify::differences(context, "P10").await?])
}

/// Counts the documents written to or deleted from the live index of payments so far.
async fn writes(context: &Context<'_>) -> anyhow::Result<f64> {
    let collection = find("payments").context("no such collection")?;
    let alias = index::alias(&context.sandbox.elastic, collection);
    let path = format!("/{alias}/_stats/indexing?filter_path=_all.primaries.indexing");
    let mut client = Client::open(&context.sandbox.raw).await?;
    let answer: serde_json::Value = serde_json::from_slice(&client.read(&context.sandbox.raw.get(&path)?).await?)?;
    let indexing = &answer["_all"]["primaries"]["indexing"];
    let count = |name: &str| indexing[name].as_f64().with_context(|| format!("the index reports no {name}"));
    Ok(count("index_total")? + count("delete_total")?)
}
