//! Keeps every alias on its live index, and removes only indices that belong to this database.

use anyhow::{bail, ensure};
use chrono::TimeDelta;
use tracing::warn;

use crate::app::App;
use crate::search::index::{self, Alias};
use crate::search::{Collection, Elastic};
use crate::sync::store::checkpoint;
use crate::sync::store::generations::{self, Generation};
use crate::sync::writer::Writer;

/// Age at which an index without a row is removed. The row is written before the index, so only a crash leaves one.
const ORPHANED: TimeDelta = TimeDelta::minutes(5);

/// Points the alias of a collection at its live index; returns whether it led elsewhere.
///
/// The lease is checked right before: a process that was suspended during its successor's swap must not undo it.
///
/// # Errors
/// Another process has taken over, or an index has the name of the alias.
pub async fn repoint(
    app: &App,
    writer: &Writer,
    lease: i64,
    collection: &'static Collection,
    live: &Generation,
) -> anyhow::Result<bool> {
    match index::inspect(&writer.elastic, collection).await? {
        Alias::Live(index) if index == live.index => return Ok(false),
        Alias::Occupied => bail!(occupied(&writer.elastic, collection)),
        Alias::Missing | Alias::Live(_) | Alias::Ambiguous(_) => {}
    }
    checkpoint::check_lease(&app.db.sync, lease).await?;
    writer.add_live(&live.index);
    let swapped = async {
        index::refresh(&writer.elastic, &live.index).await?;
        index::swap(&writer.elastic, collection, &live.index).await
    };
    match swapped.await {
        Err(error) if error.is_missing() => writer.forget_index(&live.index).await?,
        swapped => swapped?,
    }
    Ok(true)
}

/// Removes an index that is no longer kept, unless it belongs to another database: a restored copy of the table of generations names
/// the indices of the original.
pub async fn remove(app: &App, writer: &Writer, index: &str) -> anyhow::Result<()> {
    writer.remove_index(index);
    if is_foreign(app, writer, index).await? {
        warn!(index, "index belongs to another database; leaving it alone");
        return Ok(());
    }
    Ok(index::remove(&writer.elastic, index).await?)
}

/// Removes an index and its row.
pub async fn delete(app: &App, writer: &Writer, index: &str) -> anyhow::Result<()> {
    remove(app, writer, index).await?;
    Ok(generations::delete(&app.db.sync, index).await?)
}

/// Whether an index carries the mark of another database.
pub async fn is_foreign(app: &App, writer: &Writer, index: &str) -> anyhow::Result<bool> {
    let owner = generations::owner(&app.db.sync).await?;
    Ok(index::owner(&writer.elastic, index).await?.is_some_and(|other| other != owner))
}

/// Removes indices of this database that have no row.
///
/// # Errors
/// The alias leads to an index of another database, which would answer our lists.
pub async fn remove_orphans(app: &App, writer: &Writer, collection: &'static Collection) -> anyhow::Result<()> {
    let elastic = &writer.elastic;
    let owner = generations::owner(&app.db.sync).await?;
    let behind = match index::inspect(elastic, collection).await? {
        Alias::Live(index) => vec![index],
        Alias::Ambiguous(indices) => indices,
        Alias::Missing => Vec::new(),
        Alias::Occupied => bail!(occupied(elastic, collection)),
    };
    let found = index::generations(elastic, collection).await?;
    let generations = generations::all(&app.db.sync).await?;
    let is_known = |index: &str| generations.iter().any(|generation| generation.index == index);
    for index in behind.iter().filter(|index| !is_known(index)) {
        ensure!(
            index::owner(elastic, index).await?.as_deref() == Some(&owner),
            "the alias {} leads to the index {index} of another database: delete that index if it is not needed, or set another INDEX_PREFIX",
            index::alias(elastic, collection)
        );
        warn!(index, "the alias leads to an index without a row; removing it");
        index::remove(elastic, index).await?;
    }
    let now = app.clock.now();
    let is_orphan = |one: &&index::Found| {
        one.owner.as_deref() == Some(&owner)
            && !is_known(&one.index)
            && !behind.contains(&one.index)
            && now - one.created > ORPHANED
    };
    for orphan in found.iter().filter(is_orphan) {
        warn!(index = orphan.index, "removing an index without a row");
        index::remove(elastic, &orphan.index).await?;
    }
    Ok(())
}

fn occupied(elastic: &Elastic, collection: &Collection) -> String {
    let alias = index::alias(elastic, collection);
    format!("an index has the name {alias}, which the alias needs: remove it or set another INDEX_PREFIX")
}
