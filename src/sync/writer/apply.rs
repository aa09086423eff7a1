//! Writes a batch: few children of a changed row at once, many as a fan-out in the backlog.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::Context;
use futures_util::future::try_join_all;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::{BatchResult, Target, Writer};
use crate::collections::EDGES;
use crate::failpoint;
use crate::search::index;
use crate::sync::store::backlog;
use crate::sync::stream::barrier;
use crate::sync::stream::batch::Batch;
use crate::values::lsn::Version;

/// Elasticsearch, and the backlog in Postgres.
pub struct IndexTarget {
    pub writer: Arc<Writer>,
    /// More children than this become a fan-out.
    pub fanout_inline: usize,
}

impl Target for IndexTarget {
    async fn wait_visible(&self, transactions: &[u32]) -> anyhow::Result<()> {
        Ok(barrier::wait_visible(&self.writer.pool, transactions).await?)
    }

    async fn write(&self, mut batch: Batch) -> anyhow::Result<BatchResult> {
        let mut result = BatchResult::default();
        // What would delay other changes, or needs the scan of an index, is left to the backlog worker.
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
            // Before the batch is acked, so that a crash does not lose it.
            result.backlogged = backlog::store(&self.writer.pool, &later, self.writer.epoch).await?;
        }
        batch.keys.retain(|_, ids| !ids.is_empty());
        if !batch.keys.is_empty() {
            let written = self.writer.write(&batch.keys, Version::new(self.writer.epoch, batch.newest)).await?;
            result.touched = written.indices;
            result.unwritten.keys = written.unwritten;
        }
        Ok(result)
    }

    async fn store(&self, batch: Batch) -> anyhow::Result<BTreeSet<&'static str>> {
        failpoint::abort_at("sync-before-store");
        let backlogged = backlog::store(&self.writer.pool, &batch, self.writer.epoch).await?;
        failpoint::abort_at("sync-after-store");
        Ok(backlogged)
    }

    async fn refresh(&self, indices: &BTreeSet<String>) -> anyhow::Result<bool> {
        let refreshes = indices.iter().map(|name| async {
            match index::refresh(&self.writer.elastic, name).await {
                // It was replaced and removed meanwhile.
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
