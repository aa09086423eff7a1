//! Writes a batch: finds the children that follow, now if they are few and in the slow lane if they are many.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::Context;
use futures_util::future::try_join_all;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::backlog;
use super::batch::{Batch, Keys};
use super::ends::{Applied, Target};
use super::gate;
use super::kill;
use super::write::{Writer, Written, is_outage};
use crate::collections::{self, EDGES};
use crate::position::Version;
use crate::search::{index, inventory};

/// The index, and the backlog in Postgres.
pub struct Servers {
    /// Writes documents.
    pub writer: Arc<Writer>,
    /// Children that are written at once with their parent.
    pub fanout_inline: usize,
}

impl Target for Servers {
    async fn gate(&self, transactions: &[u32]) -> anyhow::Result<()> {
        Ok(gate::pass(&self.writer.pool, transactions).await?)
    }

    async fn write(&self, mut batch: Batch) -> anyhow::Result<Applied> {
        let version = Version::new(self.writer.epoch, batch.newest);
        let mut applied = Applied::default();
        for (number, parents) in std::mem::take(&mut batch.parents) {
            let edge = EDGES.get(number).context("an unknown edge")?;
            let parents: Vec<Uuid> = parents.into_iter().collect();
            let sql = format!("{} limit $2", edge.children.context("an edge without children")?);
            let children: Vec<Uuid> = sqlx::query_scalar(AssertSqlSafe(sql))
                .bind(&parents)
                .bind(i64::try_from(self.fanout_inline + 1)?)
                .fetch_all(&self.writer.pool)
                .await?;
            if children.len() <= self.fanout_inline {
                batch.keys.entry(edge.collection.name).or_default().extend(children);
            } else {
                // Before anything is confirmed, so that a crash does not forget them.
                backlog::fan_out(&self.writer.pool, edge, &parents.into_iter().collect(), version).await?;
                applied.owed.insert(edge.collection.name);
            }
        }
        batch.keys.retain(|_, ids| !ids.is_empty());
        if !batch.keys.is_empty() {
            let written = self.writer.write(&batch.keys, version).await?;
            applied.touched = written.indices;
            applied.unwritten.keys = written.unwritten;
        }
        for name in batch.emptied {
            let written = look_through(&self.writer, name, version).await?;
            applied.touched.extend(written.indices);
            if !written.unwritten.is_empty() {
                applied.unwritten.emptied.insert(name);
            }
        }
        Ok(applied)
    }

    async fn store(&self, batch: Batch) -> anyhow::Result<BTreeSet<&'static str>> {
        kill::point("sync-before-store");
        let owed = backlog::store(&self.writer.pool, &batch, self.writer.epoch).await?;
        kill::point("sync-after-store");
        Ok(owed)
    }

    async fn refresh(&self, indices: &BTreeSet<String>) -> anyhow::Result<bool> {
        let refreshes = indices.iter().map(|name| async {
            match index::refresh(&self.writer.elastic, name).await {
                // A generation that was replaced meanwhile.
                Err(error) if error.is_missing() => Ok(()),
                refreshed => refreshed,
            }
        });
        match try_join_all(refreshes).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_outage() => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    async fn answers(&self) -> bool {
        index::answers(&self.writer.elastic).await
    }
}

/// Writes every document of a collection again: of those whose row is gone a deletion. If the index is away, all of the collection is
/// returned as unwritten.
///
/// # Errors
/// The database's. The index's only if it does not understand a request as a whole.
pub async fn look_through(writer: &Writer, name: &'static str, version: Version) -> anyhow::Result<Written> {
    let mut written = Written::default();
    let collection = collections::find(name).context("an unknown collection")?;
    for index in writer.indices(collection.name) {
        match look_through_index(writer, name, &index, version).await {
            Err(error) if is_outage(&error) => {
                written.unwritten.entry(name).or_default();
            }
            looked => {
                let looked = looked?;
                written.indices.extend(looked.indices);
                written.unwritten.extend(looked.unwritten);
            }
        }
    }
    Ok(written)
}

async fn look_through_index(writer: &Writer, name: &'static str, index: &str, version: Version) -> anyhow::Result<Written> {
    let mut all = Written::default();
    // The scan sees only what is searchable.
    index::refresh(&writer.elastic, index).await?;
    let mut after = None;
    loop {
        let page = inventory::scan(&writer.elastic, index, after, writer.batch_size).await?;
        let Some((last, _)) = page.last() else { return Ok(all) };
        after = Some(*last);
        let keys = Keys::from([(name, page.into_iter().map(|(id, _)| id).collect())]);
        let written = writer.write(&keys, version).await?;
        all.indices.extend(written.indices);
        if !written.unwritten.is_empty() {
            all.unwritten = written.unwritten;
            return Ok(all);
        }
    }
}
