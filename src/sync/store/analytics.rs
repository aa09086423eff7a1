//! The setting with which the indices for analysts are built.

use sqlx::{PgExecutor, PgPool};

/// Returns the setting `ANALYTICS` that they follow.
pub async fn setting(executor: impl PgExecutor<'_>) -> sqlx::Result<String> {
    sqlx::query_scalar!("select setting from analytics_state").fetch_one(executor).await
}

/// Begins with another setting: forgets what waited for their indices, which are gone.
pub async fn begin(pool: &PgPool, collections: &[String], setting: &str) -> sqlx::Result<()> {
    let mut transaction = pool.begin().await?;
    sqlx::query!("delete from sync_backlog where collection = any($1)", collections).execute(&mut *transaction).await?;
    sqlx::query!("delete from sync_dead_letters where collection = any($1)", collections).execute(&mut *transaction).await?;
    sqlx::query!("delete from sync_sweeps where collection = any($1)", collections).execute(&mut *transaction).await?;
    sqlx::query!("update analytics_state set setting = $1", setting).execute(&mut *transaction).await?;
    transaction.commit().await
}
