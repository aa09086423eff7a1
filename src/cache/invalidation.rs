//! Invalidation: Postgres notifies every server of the keys to forget, also of a change made in psql.

use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::PgListener;
use tokio::time::sleep;

use super::Cache;

/// Triggers notify on this channel, with a key as the payload.
const CHANNEL: &str = "collections_forget";
/// The payload that stands for every key.
const EVERYTHING: &str = "*";
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Forgets what Postgres says for ever, connecting again after errors.
pub(super) async fn run(cache: &Cache, pool: &PgPool) {
    loop {
        if let Err(error) = listen(cache, pool).await {
            tracing::warn!(%error, "postgres cannot notify this server; it forgets ended sessions a few seconds later");
        }
        sleep(RETRY_PAUSE).await;
    }
}

async fn listen(cache: &Cache, pool: &PgPool) -> sqlx::Result<()> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(CHANNEL).await?;
    // What was notified before is unknown here.
    cache.clear();
    loop {
        match listener.try_recv().await? {
            Some(notification) if notification.payload() == EVERYTHING => cache.clear(),
            Some(notification) => cache.forget(notification.payload()),
            // The connection was lost, and is a new one.
            None => cache.clear(),
        }
    }
}
