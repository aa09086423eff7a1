//! The table of generations: which indices there are, what each is for, how far a rebuild is, and what is asked of the leader.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::types::Json;
use sqlx::{PgExecutor, PgPool};
use uuid::Uuid;

use super::checkpoint::require_lease;
use crate::search::shard_checkpoints::History;

/// An index behind, or about to be behind, or lately behind, the alias of a collection.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Generation {
    /// Its name.
    pub index: String,
    /// Name of the collection.
    pub collection: String,
    /// What it was made from; see [`crate::search::Template`].
    pub hash: String,
    /// `building`, `live`, `retired` or `failed`.
    pub state: String,
    /// What somebody asks for: `live` or `gone`.
    pub wanted: Option<String>,
    /// How many documents the rebuild has written.
    pub documents: i64,
    /// How many rows there were when it began.
    pub total: i64,
    /// Documents per second since it began, or since this leader went on with it.
    pub rate: f64,
    /// How long the rest will take at that rate.
    pub eta_seconds: Option<f64>,
    /// Why the rebuild failed.
    pub reason: Option<String>,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// Until when a retired one is kept current.
    pub expires_at: Option<DateTime<Utc>>,
    /// Whether that moment has come.
    #[serde(skip)]
    pub is_expired: bool,
    /// Since its state or its progress last changed.
    #[serde(skip)]
    pub age_seconds: f64,
    /// Every id up to here is in the index; absent until its rebuild has created the index.
    #[serde(skip)]
    pub cursor: Option<Uuid>,
    /// How far it was when that was last looked at.
    #[serde(skip)]
    pub history: Option<Json<History>>,
}

/// Lists the generations, oldest first.
///
/// # Errors
/// The database's.
pub async fn all(executor: impl PgExecutor<'_>) -> sqlx::Result<Vec<Generation>> {
    sqlx::query_as!(
        Generation,
        r#"
        select index_name as index, collection, hash, state, wanted, documents, total, rate, reason, created_at, expires_at,
          case when state = 'building' and rate > 0 then greatest(total - documents, 0) / rate end as eta_seconds,
          coalesce(expires_at <= now(), true) as "is_expired!",
          extract(epoch from now() - updated_at)::double precision as "age_seconds!",
          cursor, shard_checkpoints as "history: Json<History>"
        from index_generations
        order by created_at, index_name
        "#
    )
    .fetch_all(executor)
    .await
}

/// Returns what every index of this database is marked with, so that nobody else's is taken for it.
///
/// # Errors
/// The database's.
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

/// Asks for an index to be made, filled and put behind the alias. One at a time for a collection: returns whether it was taken. What
/// is remembered of an earlier failure is forgotten.
///
/// # Errors
/// The database's.
pub async fn request(executor: impl PgExecutor<'_>, collection: &str, index: &str, hash: &str) -> sqlx::Result<bool> {
    let inserted = sqlx::query!(
        r#"
        with forgotten as (delete from index_generations where collection = $2 and state = 'failed')
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

/// Records that the index of a rebuild is created and its filling begins, with so many rows to write.
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

/// Asks for the rebuild of a collection to be given up, and says whether there is one.
///
/// # Errors
/// The database's.
pub async fn cancel(executor: impl PgExecutor<'_>, collection: &str) -> sqlx::Result<bool> {
    let asked =
        sqlx::query!("update index_generations set wanted = 'gone' where collection = $1 and state = 'building'", collection);
    Ok(asked.execute(executor).await?.rows_affected() > 0)
}

/// Asks for the index before to become the live one again, and returns its name if there is one that is still kept.
///
/// # Errors
/// The database's.
pub async fn ask_back(executor: impl PgExecutor<'_>, collection: &str) -> sqlx::Result<Option<String>> {
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

/// Gives a rebuild up, for a reason that somebody will want to read. The index itself is the caller's to remove.
///
/// # Errors
/// The database's.
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

/// Makes a generation the live one, if this leader still leads: one that is built, or the retired one that is asked back.
///
/// The one before retires and is kept current for some hours; older ones are not kept any longer. Returns false if the generation
/// was given up meanwhile.
///
/// # Errors
/// The database's, or another leader has taken over.
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
        keep.as_secs_f64(),
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

/// Keeps a retired index no longer.
///
/// # Errors
/// The database's.
pub async fn expire(executor: impl PgExecutor<'_>, index: &str) -> sqlx::Result<()> {
    sqlx::query!("update index_generations set expires_at = now() where index_name = $1 and state = 'retired'", index)
        .execute(executor)
        .await
        .map(drop)
}

/// Gives up an index that lists do not read: a rebuild for a reason that somebody will want to read, or the way back.
///
/// # Errors
/// The database's.
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

/// Whether an index is to be built still.
///
/// # Errors
/// The database's.
pub async fn is_wanted(executor: impl PgExecutor<'_>, index: &str) -> sqlx::Result<bool> {
    let wanted = sqlx::query_scalar!(
        r#"
        select exists (
          select from index_generations where index_name = $1 and state = 'building' and wanted is null
        ) as "wanted!"
        "#,
        index,
    );
    wanted.fetch_one(executor).await
}

/// Remembers how far an index is.
///
/// # Errors
/// The database's.
pub async fn remember(executor: impl PgExecutor<'_>, index: &str, history: &History) -> sqlx::Result<()> {
    sqlx::query!("update index_generations set shard_checkpoints = $2 where index_name = $1", index, Json(history) as _)
        .execute(executor)
        .await
        .map(drop)
}

/// Gives up an index that cannot be trusted. Without a live one a new one is built, and until then there is none to read.
///
/// # Errors
/// The database's.
pub async fn give_up(executor: impl PgExecutor<'_>, index: &str) -> sqlx::Result<()> {
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

/// Forgets an index that is gone.
///
/// # Errors
/// The database's.
pub async fn forget(executor: impl PgExecutor<'_>, index: &str) -> sqlx::Result<()> {
    sqlx::query!("delete from index_generations where index_name = $1", index).execute(executor).await.map(drop)
}
