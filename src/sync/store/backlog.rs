//! Documents that are still owed to the index, kept in Postgres: what waits there the replication slot may forget.

use std::collections::{BTreeSet, HashSet};

use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, PgPool, PgTransaction};
use uuid::Uuid;

use crate::collections::EDGES;
use crate::sync::stream::batch::{Batch, Keys};
use crate::values::lsn::{Epoch, Version};

/// In the place of a key: every document of the collection.
const EVERY: Uuid = Uuid::nil();
/// Rows to one insert.
const CHUNK: usize = 10_000;
/// Fan-outs that are worked on together.
const GROUP: i64 = 1_000;

/// Asks the leader to write documents again, with a version that beats whatever was written before that version.
///
/// # Errors
/// The database's.
pub async fn mark(pool: &PgPool, keys: &Keys, version: Version) -> sqlx::Result<()> {
    let mut transaction = begin(pool).await?;
    mark_within(&mut transaction, keys, version).await?;
    transaction.commit().await
}

/// The same as a part of a transaction.
///
/// # Errors
/// The database's.
pub async fn mark_within(transaction: &mut PgTransaction<'_>, keys: &Keys, version: Version) -> sqlx::Result<()> {
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

/// Keeps everything that a batch has marked and returns the collections that are owed something by it.
///
/// # Errors
/// The database's.
pub async fn store(pool: &PgPool, batch: &Batch, epoch: Epoch) -> sqlx::Result<BTreeSet<&'static str>> {
    let version = Version::new(epoch, batch.newest);
    let mut owed = BTreeSet::new();
    let mut transaction = begin(pool).await?;
    let emptied = batch.emptied.iter().map(|collection| (*collection, vec![EVERY]));
    for (collection, ids) in batch.keys.iter().map(|(collection, ids)| (*collection, sorted(ids))).chain(emptied) {
        owed.insert(collection);
        for ids in ids.chunks(CHUNK) {
            // What waits already is read when its turn comes, so the older row speaks for this change too.
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
        owed.insert(edge.collection.name);
        for parents in sorted(parents).chunks(CHUNK) {
            // One that has not begun will show this change too. One that runs has passed some of the children by.
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
    Ok(owed)
}

/// Whoever drains the backlog holds the rows for as long as one bulk takes, so an insert of the same keys may have to wait for that.
async fn begin(pool: &PgPool) -> sqlx::Result<PgTransaction<'static>> {
    let mut transaction = pool.begin().await?;
    sqlx::query!("set local lock_timeout = 0").execute(&mut *transaction).await?;
    Ok(transaction)
}

/// What was taken from the backlog; it is gone from there when the transaction ends well.
#[derive(Debug, Default)]
pub struct Taken {
    /// Documents to write.
    pub keys: Vec<(String, Uuid)>,
    /// Collections of which every document has to be looked at.
    pub emptied: Vec<String>,
    /// Where to go on.
    pub last: Option<(String, Uuid)>,
    /// Whether some were left to whoever holds them: a drain that was interrupted, or one who marks them again.
    pub has_skipped: bool,
}

/// Takes the next documents that were marked before `version`. Does not wait for those that somebody else holds.
///
/// # Errors
/// The database's.
pub async fn take(
    transaction: &mut PgTransaction<'_>,
    after: Option<(String, Uuid)>,
    version: Version,
    size: usize,
) -> sqlx::Result<Taken> {
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
    let mut taken = Taken::default();
    for row in rows {
        taken.last = taken.last.max(Some((row.collection.clone(), row.key)));
        if !row.is_taken {
            taken.has_skipped = true;
        } else if row.key == EVERY {
            taken.emptied.push(row.collection);
        } else {
            taken.keys.push((row.collection, row.key));
        }
    }
    Ok(taken)
}

/// Fan-outs of one edge that are equally far, so that they can go on together.
#[derive(Debug)]
pub struct Fanouts {
    /// The edge's name.
    pub edge: String,
    /// The last child that was written.
    cursor: Uuid,
    ids: Vec<i64>,
    parents: Vec<Uuid>,
}

/// Takes up the fan-outs that are next, if they are of changes up to `version`.
///
/// A leader that has not come to them yet could write their children with no greater a version than they have. From here on a parent
/// that changes again asks for another one.
///
/// # Errors
/// The database's.
pub async fn fanouts(pool: &PgPool, version: Version) -> sqlx::Result<Option<Fanouts>> {
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
    ///
    /// # Errors
    /// The database's.
    pub async fn children(&self, pool: &PgPool, sql: &str, size: usize) -> sqlx::Result<Vec<Uuid>> {
        let sql = format!("select id from ({sql}) as child where id > $2 order by id limit $3");
        sqlx::query_scalar(AssertSqlSafe(sql))
            .bind(&self.parents)
            .bind(self.cursor)
            .bind(i64::try_from(size).unwrap_or(i64::MAX))
            .fetch_all(pool)
            .await
    }

    /// Remembers how far they are.
    ///
    /// # Errors
    /// The database's.
    pub async fn advance(&mut self, pool: &PgPool, cursor: Uuid) -> sqlx::Result<()> {
        self.cursor = cursor;
        sqlx::query!("update sync_fanouts set cursor = $2, updated_at = now() where id = any($1)", &self.ids, cursor)
            .execute(pool)
            .await
            .map(drop)
    }

    /// Forgets them.
    ///
    /// # Errors
    /// The database's.
    pub async fn finish(self, pool: &PgPool) -> sqlx::Result<()> {
        sqlx::query!("delete from sync_fanouts where id = any($1)", &self.ids).execute(pool).await.map(drop)
    }
}

/// What waits of a collection.
#[derive(Debug)]
pub struct Waiting {
    /// The collection's name.
    pub collection: String,
    /// Whether single documents do.
    pub is_spilled: bool,
    /// Since when the oldest fan-out does.
    pub fanout: Option<DateTime<Utc>>,
    /// When that was so.
    pub at: DateTime<Utc>,
}

impl Waiting {
    /// Whether nothing waits.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        !self.is_spilled && self.fanout.is_none()
    }
}

/// Tells of every collection what waits.
///
/// # Errors
/// The database's.
pub async fn waiting(pool: &PgPool) -> sqlx::Result<Vec<Waiting>> {
    // One look into an ordered index for each collection, however many documents there are.
    let collections: Vec<String> = crate::collections::ALL.iter().map(|collection| collection.name.to_owned()).collect();
    sqlx::query_as!(
        Waiting,
        r#"
        select
          name as "collection!",
          exists (select from sync_backlog where collection = name) as "is_spilled!",
          (select min(created_at) from sync_fanouts where split_part(edge, '/', 2) = name) as fanout,
          clock_timestamp() as "at!"
        from unnest($1::text[]) as name
        "#,
        &collections,
    )
    .fetch_all(pool)
    .await
}

/// Whether documents of a collection wait that were marked after `version`. Looks at all of them.
///
/// # Errors
/// The database's.
pub async fn is_ahead(pool: &PgPool, collection: &str, version: Version) -> sqlx::Result<bool> {
    let ahead = sqlx::query_scalar!(
        r#"select exists (select from sync_backlog where collection = $1 and version > $2) as "is_ahead!""#,
        collection,
        version.0,
    );
    ahead.fetch_one(pool).await
}

/// Forgets everything, because every index is built anew.
///
/// # Errors
/// The database's.
pub async fn clear(transaction: &mut PgTransaction<'_>) -> sqlx::Result<()> {
    sqlx::query!("delete from sync_backlog").execute(&mut **transaction).await?;
    sqlx::query!("delete from sync_fanouts").execute(&mut **transaction).await.map(drop)
}

/// In one order everywhere, so that two who insert the same rows wait for each other and never in a circle.
fn sorted(ids: &HashSet<Uuid>) -> Vec<Uuid> {
    let mut ids: Vec<Uuid> = ids.iter().copied().collect();
    ids.sort_unstable();
    ids
}
