//! Applies one batch: finds the children that follow, and writes every document with the version of the batch.

use std::collections::BTreeSet;

use anyhow::Context;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::batch::{Batch, Keys};
use super::write::Writer;
use crate::collections::{self, EDGES};
use crate::position::{Position, Version};
use crate::search::inventory;

/// Ids of an emptied collection that are looked at in one go.
const SCAN_SIZE: usize = 5_000;

/// A batch that the index has acknowledged.
#[derive(Debug)]
pub struct Applied {
    /// Everything up to here is in the index, if the same is true of all batches before.
    pub end: Position,
    /// The indices that have to be refreshed before it can be found.
    pub touched: BTreeSet<String>,
}

/// Writes what a batch has marked. The batch has passed the gate.
///
/// # Errors
/// The database's. What the index refuses is set aside, and while it is away this waits.
pub async fn apply(writer: &Writer, batch: Batch) -> anyhow::Result<Applied> {
    let version = Version::new(writer.epoch, batch.newest);
    let mut touched = BTreeSet::new();
    let mut keys = batch.keys;
    for (number, parents) in batch.parents {
        let edge = EDGES.get(number).context("an unknown edge")?;
        let parents: Vec<Uuid> = parents.into_iter().collect();
        let children = edge.children.context("an edge without children")?;
        let found: Vec<Uuid> = sqlx::query_scalar(AssertSqlSafe(children)).bind(&parents).fetch_all(&writer.pool).await?;
        keys.entry(edge.collection.name).or_default().extend(found);
    }
    keys.retain(|_, ids| !ids.is_empty());
    if !keys.is_empty() {
        touched.extend(writer.write(keys, version).await?);
    }
    for name in batch.emptied {
        touched.extend(look_through(writer, name, version).await?);
    }
    Ok(Applied { end: batch.end, touched })
}

/// Writes every document of a collection again: of those whose row is gone a deletion.
async fn look_through(writer: &Writer, name: &'static str, version: Version) -> anyhow::Result<BTreeSet<String>> {
    let collection = collections::find(name).context("an unknown collection")?;
    let mut touched = BTreeSet::new();
    for index in writer.indices(collection.name) {
        // The scan sees only what is searchable.
        crate::search::index::refresh(&writer.elastic, &index).await?;
        let mut after = None;
        loop {
            let page = inventory::scan(&writer.elastic, &index, after, SCAN_SIZE).await?;
            after = page.last().map(|(id, _)| *id);
            if page.is_empty() {
                break;
            }
            let ids = page.into_iter().map(|(id, _)| id).collect();
            touched.extend(writer.write(Keys::from([(name, ids)]), version).await?);
        }
    }
    Ok(touched)
}
