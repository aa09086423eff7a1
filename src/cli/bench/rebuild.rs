//! P9: a reindex against the same documents written straight to `_bulk`.

use std::process::Stdio;
use std::time::Instant;

use anyhow::ensure;

use super::raw::{self, Scratch};
use super::report::{Goal, Measure};
use super::server::command;
use super::{ROUNDS, Scene};
use crate::collections;
use crate::search::Collection;

/// Rebuilds every collection while the server runs.
pub(super) async fn measure(scene: &Scene<'_>) -> anyhow::Result<Vec<Measure>> {
    let mut measures = Vec::new();
    for collection in collections::ALL {
        measures.push(one_collection(scene, collection).await?);
    }
    Ok(measures)
}

async fn one_collection(scene: &Scene<'_>, collection: &'static Collection) -> anyhow::Result<Measure> {
    let pool = &scene.stage.pool;
    let documents = raw::documents(pool, collection, &raw::ids(pool, collection).await?).await?;
    let (mut ours, mut reference) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let per_second = |begin: Instant| documents.len() as f64 / begin.elapsed().as_secs_f64();
        if round % 2 == 0 {
            ours.push(per_second(reindex(scene, collection).await?));
        }
        let scratch = Scratch::create(scene.stage, collection).await?;
        scratch.hold_refresh().await?;
        let calls = raw::calls(&scene.stage.raw, scene.sync, &scratch.index, &documents, 1)?;
        let begin = Instant::now();
        raw::send(&scene.stage.raw, scene.sync, &calls).await?;
        scratch.refresh().await?;
        reference.push(per_second(begin));
        scratch.remove().await?;
        if round % 2 == 1 {
            ours.push(per_second(reindex(scene, collection).await?));
        }
    }
    let how = format!(
        "{} documents. Ours: the whole run of `collections reindex` beside a running server, until the new index is behind the alias. \
         Reference: the same documents with external versions over {} connections, {} to a request, then a refresh.",
        documents.len(),
        scene.sync.in_flight,
        scene.sync.batch_size
    );
    Ok(Measure {
        id: "P9",
        what: format!("reindex of {}", collection.name),
        customers: scene.customers,
        unit: "docs/s",
        ours,
        reference,
        goal: Goal::RatioAtLeast(0.95),
        how,
    })
}

/// Runs a reindex to its end and returns when it began.
async fn reindex(scene: &Scene<'_>, collection: &Collection) -> anyhow::Result<Instant> {
    let begin = Instant::now();
    let arguments = ["reindex", "--collection", collection.name];
    let ended = command(scene.stage, &arguments)?.stdout(Stdio::null()).status().await?;
    ensure!(ended.success(), "the reindex of {} failed", collection.name);
    Ok(begin)
}
