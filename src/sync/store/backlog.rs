//! The backlog in Postgres: documents and fan-outs that are still to be written. The slot may forget their changes.

use std::collections::{BTreeSet, HashSet};

use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, PgPool, PgTransaction};
use uuid::Uuid;

use crate::collections::EDGES;
use crate::sync::stream::batch::{Batch, Keys};
use crate::values::lsn::{Epoch, Version};

/// In place of a key: every document of the collection.
const EVERY: Uuid = Uuid::nil();
/// Rows in one insert.
const CHUNK: usize = 10_000;
/// Fan-outs that run together.
const GROUP: i64 = 1_000;

/// Enqueues documents to be written again, with a version above everything written before `version`.
pub async fn enqueue(pool: &PgPool, keys: &Keys, version: Version) -> sqlx::Result<()> {
    let mut transaction = begin(pool).await?;
    enqueue_within(&mut transaction, keys, version).await?;
    transaction.commit().await
}

/// The same as part of a transaction.
pub async fn enqueue_within(transaction: &mut PgTransaction<'_>, keys: &Keys, version: Version) -> sqlx::Result<()> {
    for (collection, ids) in keys {
        for ids in sorted(ids).chunks(CHUNK) {
            sqlx::query!(
                r#"
                insert into sync_backlog (collection, key, version)
                select $1, key, $3 from unnest($2::uuid[]) as key
                on conflict (collection, key) do update
                set version = excluded.version
                where sync_backlog.version < excluded.version
                "#,
                collection,
                ids,
                version.0,
            )
            .execute(&mut **transaction)
            .await?;
        }
    }
    Ok(())
}

/// Stores a batch; returns its collections.
pub async fn store(pool: &PgPool, batch: &Batch, epoch: Epoch) -> sqlx::Result<BTreeSet<&'static str>> {
    let version = Version::new(epoch, batch.newest);
    let mut backlogged = BTreeSet::new();
    let mut transaction = begin(pool).await?;
    let emptied = batch.emptied.iter().map(|collection| (*collection, vec![EVERY]));
    for (collection, ids) in batch.keys.iter().map(|(collection, ids)| (*collection, sorted(ids))).chain(emptied) {
        backlogged.insert(collection);
        for ids in ids.chunks(CHUNK) {
            // A waiting document is read when it is claimed, so the older entry covers this change too.
            sqlx::query!(
                r#"
                insert into sync_backlog (collection, key, version)
                select $1, key, $3 from unnest($2::uuid[]) as key
                on conflict do nothing
                "#,
                collection,
                ids,
                version.0,
            )
            .execute(&mut *transaction)
            .await?;
        }
    }
    for (number, parents) in &batch.parents {
        let edge = &EDGES[*number];
        backlogged.insert(edge.collection.name);
        for parents in sorted(parents).chunks(CHUNK) {
            // A fan-out that has not begun covers this change too. A running one has already passed some of the children.
            sqlx::query!(
                r#"
                insert into sync_fanouts (edge, parent, version)
                select $1, parent, $3 from unnest($2::uuid[]) as parent
                on conflict (edge, parent) where cursor is null do update
                set version = excluded.version, updated_at = now()
                where sync_fanouts.version < excluded.version
                "#,
                edge.name(),
                parents,
                version.0,
            )
            .execute(&mut *transaction)
            .await?;
        }
    }
    transaction.commit().await?;
    Ok(backlogged)
}

/// The backlog worker locks rows for as long as a bulk request takes, so an insert of the same keys may have to wait that long.
async fn begin(pool: &PgPool) -> sqlx::Result<PgTransaction<'static>> {
    let mut transaction = pool.begin().await?;
    sqlx::query!("set local lock_timeout = 0").execute(&mut *transaction).await?;
    Ok(transaction)
}

/// Entries claimed from the backlog; the commit of the transaction removes them.
#[derive(Debug, Default)]
pub struct Claimed {
    pub keys: Vec<(String, Uuid)>,
    /// Collections whose documents all have to be written again.
    pub emptied: Vec<String>,
    /// Where the next claim continues.
    pub last: Option<(String, Uuid)>,
    /// Whether some are locked by another transaction: an interrupted worker, or an insert of the same keys.
    pub has_skipped: bool,
}

/// Claims the next entries up to `version`, except those that another transaction has locked.
pub async fn claim(
    transaction: &mut PgTransaction<'_>,
    after: Option<(String, Uuid)>,
    version: Version,
    size: usize,
) -> sqlx::Result<Claimed> {
    let (collection, key) = after.unwrap_or_default();
    let rows = sqlx::query!(
        r#"
        with next as materialized (
          select collection, key
          from sync_backlog
          where (collection, key) > ($1, $2) and version <= $3
          order by collection, key
          limit $4
        ), free as (
          select collection, key
          from sync_backlog
          join next using (collection, key)
          where version <= $3
          for update of sync_backlog skip locked
        ), taken as (
          delete from sync_backlog
          using free
          where sync_backlog.collection = free.collection and sync_backlog.key = free.key
          returning sync_backlog.collection, sync_backlog.key
        )
        select next.collection as "collection!", next.key as "key!", taken.key is not null as "is_taken!"
        from next
        left join taken using (collection, key)
        "#,
        collection,
        key,
        version.0,
        i64::try_from(size).unwrap_or(i64::MAX),
    )
    .fetch_all(&mut **transaction)
    .await?;
    let mut claimed = Claimed::default();
    for row in rows {
        claimed.last = claimed.last.max(Some((row.collection.clone(), row.key)));
        if !row.is_taken {
            claimed.has_skipped = true;
        } else if row.key == EVERY {
            claimed.emptied.push(row.collection);
        } else {
            claimed.keys.push((row.collection, row.key));
        }
    }
    Ok(claimed)
}

/// Fan-outs of one edge with the same cursor, so that they run together.
#[derive(Debug)]
pub struct Fanouts {
    pub edge: String,
    /// The last child that was written.
    cursor: Uuid,
    ids: Vec<i64>,
    parents: Vec<Uuid>,
}

/// Starts or continues the oldest fan-outs of changes up to `version`.
///
/// Later ones wait until the leader has reached their LSN again, because it would write their children with too low a version. From
/// now on a parent that changes again gets another fan-out.
pub async fn claim_fanouts(pool: &PgPool, version: Version) -> sqlx::Result<Option<Fanouts>> {
    let rows = sqlx::query!(
        r#"
        with first as (
          select edge, cursor from sync_fanouts where version <= $2 order by created_at, edge, parent limit 1
        ), next as (
          select f.id
          from sync_fanouts f
          join first on f.edge = first.edge and f.cursor is not distinct from first.cursor
          where f.version <= $2
          order by f.created_at, f.parent
          limit $1
        )
        update sync_fanouts f
        set cursor = coalesce(f.cursor, $3)
        from next
        where f.id = next.id and f.version <= $2
        returning f.id, f.edge, f.cursor as "cursor!", f.parent
        "#,
        GROUP,
        version.0,
        Uuid::nil(),
    )
    .fetch_all(pool)
    .await?;
    let Some(first) = rows.first() else { return Ok(None) };
    let (edge, cursor) = (first.edge.clone(), first.cursor);
    let (ids, parents) = rows.into_iter().map(|row| (row.id, row.parent)).unzip();
    Ok(Some(Fanouts { edge, cursor, ids, parents }))
}

impl Fanouts {
    /// Reads the next children, in the order of their ids.
    pub async fn children(&self, pool: &PgPool, sql: &str, size: usize) -> sqlx::Result<Vec<Uuid>> {
        let sql = format!("select id from ({sql}) as child where id > $2 order by id limit $3");
        sqlx::query_scalar(AssertSqlSafe(sql))
            .bind(&self.parents)
            .bind(self.cursor)
            .bind(i64::try_from(size).unwrap_or(i64::MAX))
            .fetch_all(pool)
            .await
    }

    /// Saves the cursor.
    pub async fn advance(&mut self, pool: &PgPool, cursor: Uuid) -> sqlx::Result<()> {
        self.cursor = cursor;
        sqlx::query!("update sync_fanouts set cursor = $2, updated_at = now() where id = any($1)", &self.ids, cursor)
            .execute(pool)
            .await
            .map(drop)
    }

    pub async fn finish(self, pool: &PgPool) -> sqlx::Result<()> {
        sqlx::query!("delete from sync_fanouts where id = any($1)", &self.ids).execute(pool).await.map(drop)
    }
}

/// What a collection's backlog holds at a moment.
#[derive(Debug)]
pub struct Pending {
    pub collection: String,
    pub has_documents: bool,
    /// When the oldest fan-out was requested.
    pub oldest_fanout: Option<DateTime<Utc>>,
    pub at: DateTime<Utc>,
}

impl Pending {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.has_documents && self.oldest_fanout.is_none()
    }
}

/// Returns the state of every collection's backlog.
pub async fn pending(pool: &PgPool) -> sqlx::Result<Vec<Pending>> {
    // One index lookup for each collection, however many documents wait.
    let collections: Vec<String> = crate::collections::every().map(|collection| collection.name.to_owned()).collect();
    sqlx::query_as!(
        Pending,
        r#"
        select
          name as "collection!",
          exists (select from sync_backlog where collection = name) as "has_documents!",
          (select min(created_at) from sync_fanouts where split_part(edge, '/', 2) = name) as oldest_fanout,
          clock_timestamp() as "at!"
        from unnest($1::text[]) as name
        "#,
        &collections,
    )
    .fetch_all(pool)
    .await
}

/// Whether a collection's backlog has documents beyond `version`. Scans all of them.
pub async fn has_newer(pool: &PgPool, collection: &str, version: Version) -> sqlx::Result<bool> {
    let has_newer = sqlx::query_scalar!(
        r#"select exists (select from sync_backlog where collection = $1 and version > $2) as "has_newer!""#,
        collection,
        version.0,
    );
    has_newer.fetch_one(pool).await
}

/// Empties the backlog, because every index is rebuilt.
pub async fn clear(transaction: &mut PgTransaction<'_>) -> sqlx::Result<()> {
    sqlx::query!("delete from sync_backlog").execute(&mut **transaction).await?;
    sqlx::query!("delete from sync_fanouts").execute(&mut **transaction).await.map(drop)
}

/// Sorts, so that two transactions that insert the same keys cannot deadlock.
fn sorted(ids: &HashSet<Uuid>) -> Vec<Uuid> {
    let mut ids: Vec<Uuid> = ids.iter().copied().collect();
    ids.sort_unstable();
    ids
}
