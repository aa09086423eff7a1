//! P10: how many writes the index is spared when few rows change often.

use std::time::Instant;

use anyhow::{Context, ensure};
use futures_util::future::try_join_all;
use uuid::Uuid;

use super::client::Link;
use super::report::{Goal, Measure};
use super::{Scene, backlog, live, truth};
use crate::collections;
use crate::search::index;

/// Rows that change.
const KEYS: i64 = 1_000;
/// Updates to a commit: small transactions, as live traffic makes them.
const TOGETHER: usize = 10;
/// Connections that update, each rows of its own, so that no one waits for another.
const WRITERS: usize = 4;

/// Changes the same payments again and again while the sync runs at its own pace, counts the writes that their index sees, and
/// compares the index with the rows afterwards.
pub(super) async fn measure(scene: &Scene<'_>) -> anyhow::Result<Vec<Measure>> {
    let pool = &scene.stage.pool;
    let ids = live::rows(pool, "payments", KEYS).await?;
    let share = ids.len() / WRITERS;
    ensure!(share >= TOGETHER, "there are too few payments to change");
    let commits = usize::try_from(scene.sizes.hot_updates)? / WRITERS / TOGETHER;
    let updates = (commits * WRITERS * TOGETHER) as f64;

    backlog::caught_up(pool).await?;
    let before = writes(scene).await?;
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
    backlog::caught_up(pool).await?;
    let synced = begin.elapsed().as_secs_f64();
    let writes = writes(scene).await? - before;

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
        customers: scene.customers,
        unit: "updates",
        ours: vec![updates / writes.max(1.0)],
        reference: vec![],
        goal: Goal::AtLeast(50.0),
        how,
    };
    Ok(vec![spared, truth::differences(scene, "P10").await?])
}

/// How many documents the live index of payments has written or deleted so far.
async fn writes(scene: &Scene<'_>) -> anyhow::Result<f64> {
    let collection = collections::find("payments").context("no such collection")?;
    let alias = index::alias(&scene.stage.elastic, collection);
    let path = format!("/{alias}/_stats/indexing?filter_path=_all.primaries.indexing");
    let mut link = Link::open(&scene.stage.raw).await?;
    let answer: serde_json::Value = serde_json::from_slice(&link.read(&scene.stage.raw.get(&path)?).await?)?;
    let indexing = &answer["_all"]["primaries"]["indexing"];
    let count = |name: &str| indexing[name].as_f64().with_context(|| format!("the index does not tell its {name}"));
    Ok(count("index_total")? + count("delete_total")?)
}
