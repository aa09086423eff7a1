//! P10: how many writes the index is spared when few rows change often.

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

/// Rows that change.
const KEYS: i64 = 1_000;
/// Updates to a commit: small transactions, as live traffic makes them.
const TOGETHER: usize = 10;
/// Connections that update, each rows of its own, so that no one waits for another.
const WRITERS: usize = 4;

/// Changes the same payments again and again while the sync runs at its own pace, counts the writes that their index sees, and
/// compares the index with the rows afterwards.
pub async fn measure(context: &Context<'_>) -> anyhow::Result<Vec<Measure>> {
    let pool = &context.sandbox.pool;
    let ids = rows::random(pool, "payments", KEYS).await?;
    let share = ids.len() / WRITERS;
    ensure!(share >= TOGETHER, "there are too few payments to change");
    let commits = usize::try_from(context.sizes.hot_updates)? / WRITERS / TOGETHER;
    let updates = (commits * WRITERS * TOGETHER) as f64;

    catch_up::caught_up(pool).await?;
    let before = writes(context).await?;
    let begin = Instant::now();
    try_join_all(ids.chunks_exact(share).take(WRITERS).map(async |own| {
        let mut connection = pool.acquire().await?;
        // The disk's pace is not what is measured; a faster stream is the harder case.
        sqlx::query("set synchronous_commit = off").execute(&mut *connection).await?;
        for commit in 0..commits {
            let some: Vec<Uuid> = (0..TOGETHER).map(|number| own[(commit * TOGETHER + number) % own.len()]).collect();
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
    catch_up::caught_up(pool).await?;
    let synced = begin.elapsed().as_secs_f64();
    let writes = writes(context).await? - before;

    let how = format!(
        "{updates} updates of {} payments by SQL, {TOGETHER} to a commit over {WRITERS} connections, in {written:.1} s \
         ({:.0} per second); everything could be found {:.1} s later. The live index of payments counted {writes} writes.",
        ids.len(),
        updates / written,
        synced - written
    );
    let spared = Measure {
        id: "P10",
        what: "hot keys, updates to one index write".into(),
        customers: context.customers,
        unit: "updates",
        ours: vec![updates / writes.max(1.0)],
        reference: vec![],
        goal: Goal::AtLeast(50.0),
        how,
    };
    Ok(vec![spared, verify::differences(context, "P10").await?])
}

/// How many documents the live index of payments has written or deleted so far.
async fn writes(context: &Context<'_>) -> anyhow::Result<f64> {
    let collection = find("payments").context("no such collection")?;
    let alias = index::alias(&context.sandbox.elastic, collection);
    let path = format!("/{alias}/_stats/indexing?filter_path=_all.primaries.indexing");
    let mut client = Client::open(&context.sandbox.raw).await?;
    let answer: serde_json::Value = serde_json::from_slice(&client.read(&context.sandbox.raw.get(&path)?).await?)?;
    let indexing = &answer["_all"]["primaries"]["indexing"];
    let count = |name: &str| indexing[name].as_f64().with_context(|| format!("the index does not tell its {name}"));
    Ok(count("index_total")? + count("delete_total")?)
}
