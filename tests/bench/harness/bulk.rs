//! The reference for writes: documents that were serialised beforehand, straight to `_bulk`, as fast as it takes them.

use std::time::{Duration, Instant};

use anyhow::ensure;
use bytes::Bytes;
use collections::clock::Clock;
use collections::config;
use collections::search::{Collection, Elastic, Loaded, index};
use futures_util::future::try_join_all;
use sqlx::{AssertSqlSafe, PgPool};
use uuid::Uuid;

use super::context::Context;
use super::http::client::{Call, Client, Endpoint};
use super::sandbox::Sandbox;

/// An index like a live one, but that nobody else writes to.
pub struct Scratch<'a> {
    /// Its name.
    pub index: String,
    elastic: &'a Elastic,
}

impl<'a> Scratch<'a> {
    /// Creates it empty, from the collection's own template.
    pub async fn create(sandbox: &'a Sandbox, collection: &Collection) -> anyhow::Result<Self> {
        let elastic = &sandbox.scratch;
        let index = index::name(&elastic.prefix, collection, "scratch", Clock::default().now());
        index::create(elastic, collection, &index, "bench").await?;
        Ok(Self { index, elastic })
    }

    /// Makes everything written so far searchable.
    pub async fn refresh(&self) -> anyhow::Result<()> {
        Ok(index::refresh(self.elastic, &self.index).await?)
    }

    /// Removes it.
    pub async fn remove(self) -> anyhow::Result<()> {
        Ok(index::remove(self.elastic, &self.index).await?)
    }
}

/// Builds the documents of a collection that `ids` selects, by the collection's own builder.
pub async fn documents(pool: &PgPool, collection: &Collection, ids: &[Uuid]) -> anyhow::Result<Vec<Loaded>> {
    let mut connection = pool.acquire().await?;
    let mut documents = Vec::with_capacity(ids.len());
    for chunk in ids.chunks(5_000) {
        documents.append(&mut (collection.load)(&mut connection, chunk).await?);
    }
    Ok(documents)
}

/// Reads the ids of a collection in their order, in which a rebuild goes too; all of them without a limit.
pub async fn ids(pool: &PgPool, collection: &Collection, limit: Option<i64>) -> anyhow::Result<Vec<Uuid>> {
    let sql = format!("select id from {} order by id limit $1", collection.name);
    Ok(sqlx::query_scalar(AssertSqlSafe(sql)).bind(limit).fetch_all(pool).await?)
}

/// Writes every document of a collection, a part at a time: all of them at once need not fit into memory.
pub async fn fill(context: &Context<'_>, collection: &Collection, index: &str) -> anyhow::Result<()> {
    let pool = &context.sandbox.pool;
    for part in ids(pool, collection, None).await?.chunks(100_000) {
        let documents = documents(pool, collection, part).await?;
        send(&context.sandbox.raw, context.sync, &calls(&context.sandbox.raw, context.sync, index, &documents, 1)?).await?;
    }
    Ok(())
}

/// Makes the requests that write the documents with a version, as many to each as the sync writes.
pub fn calls(
    endpoint: &Endpoint,
    sync: &config::Sync,
    index: &str,
    documents: &[Loaded],
    version: i64,
) -> anyhow::Result<Vec<Call>> {
    let path = format!("/{index}/_bulk?filter_path=errors");
    documents.chunks(sync.batch_size).map(|chunk| endpoint.post(&path, bulk_body(chunk, version))).collect()
}

pub fn bulk_body(documents: &[Loaded], version: i64) -> Bytes {
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
pub async fn send(endpoint: &Endpoint, sync: &config::Sync, calls: &[Call]) -> anyhow::Result<Duration> {
    let clients = try_join_all((0..sync.in_flight).map(|_| Client::open(endpoint))).await?;
    let begin = Instant::now();
    let next = std::sync::atomic::AtomicUsize::new(0);
    try_join_all(clients.into_iter().map(async |mut client| {
        while let Some(call) = calls.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
            let answer = client.read(call).await?;
            ensure!(*answer == *br#"{"errors":false}"#, "a reference document was refused");
        }
        anyhow::Ok(())
    }))
    .await?;
    Ok(begin.elapsed())
}
