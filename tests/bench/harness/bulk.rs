//! The reference for writes: documents serialised in advance and sent straight to `_bulk`.

use std::time::{Duration, Instant};

use anyhow::ensure;
use bytes::Bytes;
use collections::config;
use collections::search::{Collection, Elastic, Loaded, index};
use collections::values::clock::Clock;
use futures_util::future::try_join_all;
use sqlx::{AssertSqlSafe, PgPool};
use uuid::Uuid;

use super::context::Context;
use super::http::client::{Client, Endpoint, Request};
use super::sandbox::Sandbox;

/// An index with a collection's template that the server does not know.
pub struct Scratch<'a> {
    pub index: String,
    elastic: &'a Elastic,
}

impl<'a> Scratch<'a> {
    pub async fn create(sandbox: &'a Sandbox, collection: &Collection) -> anyhow::Result<Self> {
        let elastic = &sandbox.scratch;
        let index = index::name(&elastic.prefix, collection, "scratch", Clock::default().now());
        index::create(elastic, collection, &index, "bench").await?;
        Ok(Self { index, elastic })
    }

    pub async fn refresh(&self) -> anyhow::Result<()> {
        Ok(index::refresh(self.elastic, &self.index).await?)
    }

    pub async fn remove(self) -> anyhow::Result<()> {
        Ok(index::remove(self.elastic, &self.index).await?)
    }
}

/// Builds documents by the collection's own loader.
pub async fn documents(pool: &PgPool, collection: &Collection, ids: &[Uuid]) -> anyhow::Result<Vec<Loaded>> {
    let mut connection = pool.acquire().await?;
    let mut documents = Vec::with_capacity(ids.len());
    for chunk in ids.chunks(5_000) {
        documents.append(&mut (collection.load)(&mut connection, chunk).await?);
    }
    Ok(documents)
}

/// Reads ids in ascending order, like a rebuild; all of them without a limit.
pub async fn ids(pool: &PgPool, collection: &Collection, limit: Option<i64>) -> anyhow::Result<Vec<Uuid>> {
    let sql = format!("select id from {} order by id limit $1", collection.name);
    Ok(sqlx::query_scalar(AssertSqlSafe(sql)).bind(limit).fetch_all(pool).await?)
}

/// Writes all documents of a collection, in parts that fit into memory.
pub async fn fill(context: &Context<'_>, collection: &Collection, index: &str) -> anyhow::Result<()> {
    let pool = &context.sandbox.pool;
    for part in ids(pool, collection, None).await?.chunks(100_000) {
        let documents = documents(pool, collection, part).await?;
        send(&context.sandbox.raw, context.sync, &requests(&context.sandbox.raw, context.sync, index, &documents, 1)?).await?;
    }
    Ok(())
}

/// Builds the requests that write the documents, in batches of the sync's size.
pub fn requests(
    endpoint: &Endpoint,
    sync: &config::Sync,
    index: &str,
    documents: &[Loaded],
    version: i64,
) -> anyhow::Result<Vec<Request>> {
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

/// Sends the requests over as many connections as the sync uses, and returns the time taken. Fails if a document is rejected.
pub async fn send(endpoint: &Endpoint, sync: &config::Sync, requests: &[Request]) -> anyhow::Result<Duration> {
    let clients = try_join_all((0..sync.in_flight).map(|_| Client::open(endpoint))).await?;
    let begin = Instant::now();
    let next = std::sync::atomic::AtomicUsize::new(0);
    try_join_all(clients.into_iter().map(async |mut client| {
        while let Some(request) = requests.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
            let answer = client.read(request).await?;
            ensure!(*answer == *br#"{"errors":false}"#, "Elasticsearch rejected a reference document");
        }
        anyhow::Ok(())
    }))
    .await?;
    Ok(begin.elapsed())
}
