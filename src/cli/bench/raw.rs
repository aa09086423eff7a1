//! The reference for writes: documents that were serialised beforehand, straight to `_bulk`, as fast as it takes them.

use std::time::{Duration, Instant};

use anyhow::ensure;
use bytes::Bytes;
use futures_util::future::try_join_all;
use sqlx::{AssertSqlSafe, PgPool};
use uuid::Uuid;

use super::Scene;
use super::client::{Call, Link, Site};
use super::stage::Stage;
use crate::config;
use crate::search::{Collection, Elastic, Loaded, index};
use crate::values::clock::Clock;

/// An index like a live one, but that nobody else writes to.
pub(super) struct Scratch<'a> {
    /// Its name.
    pub(super) index: String,
    elastic: &'a Elastic,
}

impl<'a> Scratch<'a> {
    /// Creates it empty, from the collection's own template.
    pub(super) async fn create(stage: &'a Stage, collection: &Collection) -> anyhow::Result<Self> {
        let elastic = &stage.scratch;
        let index = index::name(&elastic.prefix, collection, "scratch", Clock::default().now());
        index::create(elastic, collection, &index, "bench").await?;
        Ok(Self { index, elastic })
    }

    /// Makes everything written so far searchable.
    pub(super) async fn refresh(&self) -> anyhow::Result<()> {
        Ok(index::refresh(self.elastic, &self.index).await?)
    }

    /// Removes it.
    pub(super) async fn remove(self) -> anyhow::Result<()> {
        Ok(index::remove(self.elastic, &self.index).await?)
    }
}

/// Builds the documents of a collection that `ids` selects, by the collection's own builder.
pub(super) async fn documents(pool: &PgPool, collection: &Collection, ids: &[Uuid]) -> anyhow::Result<Vec<Loaded>> {
    let mut connection = pool.acquire().await?;
    let mut documents = Vec::with_capacity(ids.len());
    for chunk in ids.chunks(5_000) {
        documents.append(&mut (collection.load)(&mut connection, chunk).await?);
    }
    Ok(documents)
}

/// Reads the ids of a collection in their order, in which a rebuild goes too; all of them without a limit.
pub(super) async fn ids(pool: &PgPool, collection: &Collection, limit: Option<i64>) -> anyhow::Result<Vec<Uuid>> {
    let sql = format!("select id from {} order by id limit $1", collection.name);
    Ok(sqlx::query_scalar(AssertSqlSafe(sql)).bind(limit).fetch_all(pool).await?)
}

/// Writes every document of a collection, a part at a time: all of them at once need not fit into memory.
pub(super) async fn fill(scene: &Scene<'_>, collection: &Collection, index: &str) -> anyhow::Result<()> {
    let pool = &scene.stage.pool;
    for part in ids(pool, collection, None).await?.chunks(100_000) {
        let documents = documents(pool, collection, part).await?;
        send(&scene.stage.raw, scene.sync, &calls(&scene.stage.raw, scene.sync, index, &documents, 1)?).await?;
    }
    Ok(())
}

/// Makes the requests that write the documents with a version, as many to each as the sync writes.
pub(super) fn calls(
    site: &Site,
    sync: &config::Sync,
    index: &str,
    documents: &[Loaded],
    version: i64,
) -> anyhow::Result<Vec<Call>> {
    let path = format!("/{index}/_bulk?filter_path=errors");
    documents.chunks(sync.batch_size).map(|chunk| site.post(&path, body(chunk, version))).collect()
}

fn body(documents: &[Loaded], version: i64) -> Bytes {
    let mut lines = Vec::new();
    for Loaded { id, source } in documents {
        let action = format!(r#"{{"index":{{"_id":"{id}","version":{version},"version_type":"external"}}}}"#);
        lines.extend_from_slice(action.as_bytes());
        lines.push(b'\n');
        lines.extend_from_slice(source);
        lines.push(b'\n');
    }
    lines.into()
}

/// Sends the requests over as many connections as the sync has writes under way, and returns how long it took. Every document has
/// to be written.
pub(super) async fn send(site: &Site, sync: &config::Sync, calls: &[Call]) -> anyhow::Result<Duration> {
    let links = try_join_all((0..sync.in_flight).map(|_| Link::open(site))).await?;
    let begin = Instant::now();
    let next = std::sync::atomic::AtomicUsize::new(0);
    try_join_all(links.into_iter().map(async |mut link| {
        while let Some(call) = calls.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
            let answer = link.read(call).await?;
            ensure!(*answer == *br#"{"errors":false}"#, "a reference document was refused");
        }
        anyhow::Ok(())
    }))
    .await?;
    Ok(begin.elapsed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reference_documents_carry_the_version_as_the_sync_writes_it() {
        let documents = [Loaded { id: Uuid::nil(), source: br#"{"a":1}"#.to_vec() }];
        assert_eq!(
            body(&documents, 7),
            "{\"index\":{\"_id\":\"00000000-0000-0000-0000-000000000000\",\"version\":7,\"version_type\":\"external\"}}\n{\"a\":1}\n"
        );
    }
}
