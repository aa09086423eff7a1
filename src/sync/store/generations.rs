//! The table of generations: each index, what it is for, how far its rebuild is, and what an operator asks of the leader.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use sqlx::types::Json;
use sqlx::{PgExecutor, PgPool};
use uuid::Uuid;

use super::checkpoint::require_lease;
use crate::search::shard_checkpoints::ShardCheckpoints;

/// A retired index is kept for at least this time: servers learn within two seconds that another one is live.
const HANDOVER: Duration = Duration::from_secs(5);

/// What an index is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, sqlx::Type)]
#[schemars(inline)]
#[serde(rename_all = "camelCase")]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub enum State {
    /// A rebuild fills it.
    Building,
    /// Lists read it.
    Live,
    /// The previous generation: receives every write until it expires, as the rollback target.
    Retired,
    /// Its rebuild failed; kept for its reason until the next rebuild.
    Failed,
}

/// What an operator asks of the leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, sqlx::Type)]
#[schemars(inline)]
#[serde(rename_all = "camelCase")]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub enum Wanted {
    /// To make a retired index live again.
    Live,
    /// To cancel a rebuild.
    Gone,
}

/// A physical index that is, was or will be behind the alias of a collection.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Generation {
    pub index: String,
    pub collection: String,
    /// Of its mapping and settings.
    pub hash: String,
    pub state: State,
    pub wanted: Option<Wanted>,
    /// Documents that the rebuild has written.
    pub documents: i64,
    /// Rows when the rebuild began.
    pub total: i64,
    /// Documents per second since the rebuild began, or since this leader resumed it.
    pub rate: f64,
    pub eta_seconds: Option<f64>,
    /// Why the rebuild failed.
    pub reason: Option<String>,
    pub created_at: DateTime<Utc>,
    pub expires_at: Option<DateTime<Utc>>,
    #[serde(skip)]
    pub is_expired: bool,
    /// Since its state or its progress last changed.
    #[serde(skip)]
    pub age_seconds: f64,
    /// Every id up to here is in the index; `None` until the rebuild has created the index.
    #[serde(skip)]
    pub cursor: Option<Uuid>,
    #[serde(skip)]
    pub shard_checkpoints: Option<Json<ShardCheckpoints>>,
}

/// Lists the generations, oldest first.
pub async fn all(executor: impl PgExecutor<'_>) -> sqlx::Result<Vec<Generation>> {
    sqlx::query_as!(
        Generation,
        r#"
        select index_name as index, collection, hash, state as "state: State", wanted as "wanted: Wanted", documents, total, rate,
          case when state = 'building' and rate > 0 then greatest(total - documents, 0) / rate end as eta_seconds,
          reason, created_at, expires_at,
          coalesce(expires_at <= now(), true) as "is_expired!",
          extract(epoch from now() - updated_at)::double precision as "age_seconds!",
          cursor, shard_checkpoints as "shard_checkpoints: Json<ShardCheckpoints>"
        from index_generations
        order by created_at, index_name
        "#
    )
    .fetch_all(executor)
    .await
}

/// Returns the name of a collection's live index.
pub async fn live(executor: impl PgExecutor<'_>, collection: &str) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!("select index_name from index_generations where collection = $1 and state = 'live'", collection)
        .fetch_optional(executor)
        .await
}

/// Returns the live indices with the shard checkpoints that the leader has recorded, if any.
pub async fn written(executor: impl PgExecutor<'_>) -> sqlx::Result<BTreeMap<String, Option<ShardCheckpoints>>> {
    let rows = sqlx::query!(
        r#"
        select index_name, shard_checkpoints as "shard_checkpoints: Json<ShardCheckpoints>"
        from index_generations
        where state = 'live'
        "#
    );
    let rows = rows.fetch_all(executor).await?;
    Ok(rows.into_iter().map(|row| (row.index_name, row.shard_checkpoints.map(|Json(checkpoints)| checkpoints))).collect())
}

/// Returns the mark that every index of this database carries.
pub async fn owner(executor: impl PgExecutor<'_>) -> sqlx::Result<String> {
    sqlx::query_scalar!(
        r#"
        select left(encode(sha256(convert_to(concat_ws('/', system_identifier, current_database()), 'UTF8')), 'hex'), 16) as "owner!"
        from sync_state
        "#
    )
    .fetch_one(executor)
    .await
}

/// Requests a rebuild and deletes failed ones of the collection. Returns false if one is under way already.
pub async fn request(executor: impl PgExecutor<'_>, collection: &str, index: &str, hash: &str) -> sqlx::Result<bool> {
    let inserted = sqlx::query!(
        r#"
        with failed as (delete from index_generations where collection = $2 and state = 'failed')
        insert into index_generations (index_name, collection, hash, state)
        values ($1, $2, $3, 'building')
        on conflict do nothing
        "#,
        index,
        collection,
        hash,
    );
    Ok(inserted.execute(executor).await?.rows_affected() == 1)
}

/// Requests that the rebuild of a collection be cancelled; returns whether there is one.
pub async fn cancel(executor: impl PgExecutor<'_>, collection: &str) -> sqlx::Result<bool> {
    let requested =
        sqlx::query!("update index_generations set wanted = 'gone' where collection = $1 and state = 'building'", collection);
    Ok(requested.execute(executor).await?.rows_affected() > 0)
}

/// Requests a rollback to the previous generation, and returns its index if one is still kept.
pub async fn request_rollback(executor: impl PgExecutor<'_>, collection: &str) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!(
        r#"
        update index_generations
        set wanted = 'live'
        where collection = $1 and state = 'retired' and expires_at > now()
        returning index_name
        "#,
        collection,
    )
    .fetch_optional(executor)
    .await
}

/// Records that the index of a rebuild is created and its filling begins, with `total` rows to write.
pub async fn begin(executor: impl PgExecutor<'_>, index: &str, total: i64) -> sqlx::Result<()> {
    sqlx::query!(
        "update index_generations set cursor = $2, total = $3, documents = 0, updated_at = now() where index_name = $1",
        index,
        Uuid::nil(),
        total,
    )
    .execute(executor)
    .await
    .map(drop)
}

/// Records how far a rebuild is: the cursor, the documents up to there and documents per second. Returns false if it was cancelled.
///
/// The cursor never moves back, so a late statement of an earlier leader does no harm.
pub async fn advance(executor: impl PgExecutor<'_>, index: &str, cursor: Uuid, documents: i64, rate: f64) -> sqlx::Result<bool> {
    let advanced = sqlx::query!(
        r#"
        update index_generations
        set cursor = greatest(cursor, $2), documents = greatest(documents, $3), rate = $4, updated_at = now()
        where index_name = $1 and state = 'building' and wanted is null
        "#,
        index,
        cursor,
        documents,
        rate,
    );
    Ok(advanced.execute(executor).await?.rows_affected() == 1)
}

/// Whether an index is still to be built.
pub async fn is_building(executor: impl PgExecutor<'_>, index: &str) -> sqlx::Result<bool> {
    let building = sqlx::query_scalar!(
        r#"
        select exists (
          select from index_generations where index_name = $1 and state = 'building' and wanted is null
        ) as "is_building!"
        "#,
        index,
    );
    building.fetch_one(executor).await
}

/// Records that a rebuild failed; an earlier reason stays. Removing the index is up to the caller.
pub async fn fail(executor: impl PgExecutor<'_>, index: &str, reason: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "update index_generations set state = 'failed', reason = coalesce(reason, $2), wanted = null, updated_at = now() where index_name = $1",
        index,
        reason,
    )
    .execute(executor)
    .await
    .map(drop)
}

/// Makes a generation live: one that is built, or the rollback target. Returns false if it was given up meanwhile.
///
/// The live one before retires and is kept for a while; older ones expire.
///
/// # Errors
/// [`super::checkpoint::Superseded`] if another leader has taken over.
pub async fn promote(pool: &PgPool, lease: i64, generation: &Generation, keep: Duration) -> anyhow::Result<bool> {
    let mut transaction = pool.begin().await?;
    let held = sqlx::query_scalar!("select lease from sync_state for update").fetch_one(&mut *transaction).await?;
    require_lease(u64::from(held == lease))?;
    sqlx::query!(
        r#"
        update index_generations
        set expires_at = now(), wanted = null, updated_at = now()
        where collection = $1 and state = 'retired' and index_name <> $2
        "#,
        generation.collection,
        generation.index,
    )
    .execute(&mut *transaction)
    .await?;
    sqlx::query!(
        r#"
        update index_generations
        set state = 'retired', expires_at = now() + make_interval(secs => $2), updated_at = now()
        where collection = $1 and state = 'live'
        "#,
        generation.collection,
        keep.max(HANDOVER).as_secs_f64(),
    )
    .execute(&mut *transaction)
    .await?;
    let promoted = sqlx::query!(
        r#"
        update index_generations
        set state = 'live', wanted = null, expires_at = null, updated_at = now()
        where index_name = $1 and (state = 'building' and wanted is null or state = 'retired' and wanted = 'live')
        "#,
        generation.index,
    )
    .execute(&mut *transaction)
    .await?;
    if promoted.rows_affected() != 1 {
        transaction.rollback().await?;
        return Ok(false);
    }
    transaction.commit().await?;
    Ok(true)
}

/// Gives up an index that is not live: cancels its rebuild for a reason, or expires a rollback target.
pub async fn abandon(executor: impl PgExecutor<'_>, index: &str, reason: &str) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        update index_generations
        set wanted = case when state = 'building' then 'gone' else wanted end,
          reason = case when state = 'building' then $2 else reason end,
          expires_at = case when state = 'retired' then now() else expires_at end
        where index_name = $1
        "#,
        index,
        reason,
    )
    .execute(executor)
    .await
    .map(drop)
}

/// Retires and expires an index that cannot be trusted. Without a live index the leader builds another one.
pub async fn discard(executor: impl PgExecutor<'_>, index: &str) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        update index_generations
        set state = 'retired', wanted = null, expires_at = now(), updated_at = now()
        where index_name = $1 and state in ('live', 'retired')
        "#,
        index,
    )
    .execute(executor)
    .await
    .map(drop)
}

pub async fn save_shard_checkpoints(
    executor: impl PgExecutor<'_>,
    index: &str,
    checkpoints: &ShardCheckpoints,
) -> sqlx::Result<()> {
    sqlx::query!("update index_generations set shard_checkpoints = $2 where index_name = $1", index, Json(checkpoints) as _)
        .execute(executor)
        .await
        .map(drop)
}

/// Deletes the row of an index that is gone.
pub async fn delete(executor: impl PgExecutor<'_>, index: &str) -> sqlx::Result<()> {
    sqlx::query!("delete from index_generations where index_name = $1", index).execute(executor).await.map(drop)
}
