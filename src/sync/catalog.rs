//! The table of generations: which indices there are, what each is for, and how far a rebuild is.

use anyhow::bail;
use sqlx::{PgExecutor, PgPool};
use uuid::Uuid;

use super::state::require_lease;

/// An index behind, or about to be behind, the alias of a collection.
#[derive(Clone, Debug, PartialEq)]
pub struct Generation {
    /// Its name.
    pub index: String,
    /// Name of the collection.
    pub collection: String,
    /// `building`, `live`, `retired` or `failed`.
    pub state: String,
    /// The last id that the rebuild has written.
    pub cursor: Option<Uuid>,
    /// How many documents the rebuild has written.
    pub documents: i64,
    /// Why the rebuild failed.
    pub reason: Option<String>,
    /// Since its state or its progress last changed.
    pub age_seconds: f64,
}

/// Lists the generations, oldest first.
///
/// # Errors
/// The database's.
pub async fn all(executor: impl PgExecutor<'_>) -> sqlx::Result<Vec<Generation>> {
    sqlx::query_as!(
        Generation,
        r#"
        select index_name as index, collection, state, cursor, documents, reason,
          extract(epoch from now() - updated_at)::double precision as "age_seconds!"
        from index_generations
        order by created_at, index_name
        "#
    )
    .fetch_all(executor)
    .await
}

/// Asks for an index to be filled and put behind the alias. One at a time for a collection: returns whether it was taken. What is
/// remembered of an earlier failure is forgotten.
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

/// Remembers how far a rebuild is.
///
/// # Errors
/// The database's.
pub async fn progress(executor: impl PgExecutor<'_>, index: &str, cursor: Uuid, documents: i64) -> sqlx::Result<()> {
    sqlx::query!(
        "update index_generations set cursor = $2, documents = documents + $3, updated_at = now() where index_name = $1",
        index,
        cursor,
        documents,
    )
    .execute(executor)
    .await
    .map(drop)
}

/// Gives a rebuild up, for a reason that somebody will want to read. The index itself is the caller's to remove.
///
/// # Errors
/// The database's.
pub async fn fail(executor: impl PgExecutor<'_>, index: &str, reason: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "update index_generations set state = 'failed', reason = $2, updated_at = now() where index_name = $1",
        index,
        reason,
    )
    .execute(executor)
    .await
    .map(drop)
}

/// Makes a built generation the live one and retires the one before, if this leader still leads.
///
/// # Errors
/// The database's, or another leader has taken over, or the generation was given up.
pub async fn promote(pool: &PgPool, lease: i64, generation: &Generation) -> anyhow::Result<()> {
    let mut transaction = pool.begin().await?;
    let held = sqlx::query_scalar!("select lease from sync_state for update").fetch_one(&mut *transaction).await?;
    require_lease(u64::from(held == lease))?;
    sqlx::query!(
        "update index_generations set state = 'retired', updated_at = now() where collection = $1 and state = 'live'",
        generation.collection,
    )
    .execute(&mut *transaction)
    .await?;
    let promoted = sqlx::query!(
        r#"
        update index_generations
        set state = 'live', lease = $2, swapped_at = now(), updated_at = now()
        where index_name = $1 and state = 'building'
        "#,
        generation.index,
        lease,
    )
    .execute(&mut *transaction)
    .await?;
    if promoted.rows_affected() != 1 {
        bail!("the generation {} was given up while it was built", generation.index);
    }
    Ok(transaction.commit().await?)
}

/// Forgets an index that is gone.
///
/// # Errors
/// The database's.
pub async fn forget(executor: impl PgExecutor<'_>, index: &str) -> sqlx::Result<()> {
    sqlx::query!("delete from index_generations where index_name = $1", index).execute(executor).await.map(drop)
}
