//! Writes a batch: finds the children that follow, now if they are few and in the slow lane if they are many.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::Context;
use futures_util::future::try_join_all;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::{Applied, Target, Writer};
use crate::collections::EDGES;
use crate::failpoint;
use crate::search::index;
use crate::sync::store::backlog;
use crate::sync::stream::barrier;
use crate::sync::stream::batch::Batch;
use crate::values::lsn::Version;

/// The index, and the backlog in Postgres.
pub struct Servers {
    /// Writes documents.
    pub writer: Arc<Writer>,
    /// Children that are written at once with their parent.
    pub fanout_inline: usize,
}

impl Target for Servers {
    async fn gate(&self, transactions: &[u32]) -> anyhow::Result<()> {
        Ok(barrier::pass(&self.writer.pool, transactions).await?)
    }

    async fn write(&self, mut batch: Batch) -> anyhow::Result<Applied> {
        let mut applied = Applied::default();
        // What would hold up others, or is found only by looking through an index, is left to the slow lane.
        let mut later = Batch { newest: batch.newest, emptied: std::mem::take(&mut batch.emptied), ..Batch::default() };
        for (number, parents) in std::mem::take(&mut batch.parents) {
            let edge = EDGES.get(number).context("an unknown edge")?;
            let sql = format!("{} limit $2", edge.children.context("an edge without children")?);
            let children: Vec<Uuid> = sqlx::query_scalar(AssertSqlSafe(sql))
                .bind(parents.iter().copied().collect::<Vec<Uuid>>())
                .bind(i64::try_from(self.fanout_inline + 1)?)
                .fetch_all(&self.writer.pool)
                .await?;
            if children.len() <= self.fanout_inline {
                batch.keys.entry(edge.collection.name).or_default().extend(children);
            } else {
                later.parents.insert(number, parents);
            }
        }
        if !later.is_empty() {
            // Before anything is confirmed, so that a crash does not forget it.
            applied.owed = backlog::store(&self.writer.pool, &later, self.writer.epoch).await?;
        }
        batch.keys.retain(|_, ids| !ids.is_empty());
        if !batch.keys.is_empty() {
            let written = self.writer.write(&batch.keys, Version::new(self.writer.epoch, batch.newest)).await?;
            applied.touched = written.indices;
            applied.unwritten.keys = written.unwritten;
        }
        Ok(applied)
    }

    async fn store(&self, batch: Batch) -> anyhow::Result<BTreeSet<&'static str>> {
        failpoint::point("sync-before-store");
        let owed = backlog::store(&self.writer.pool, &batch, self.writer.epoch).await?;
        failpoint::point("sync-after-store");
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
