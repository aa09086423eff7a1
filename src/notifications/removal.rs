//! The removal of old notifications, a daily job.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::jobs::{Chunk, Kind, Lane, Next};

/// How long notifications are kept: a quarter.
const KEPT: TimeDelta = TimeDelta::days(90);

/// Notifications removed in one transaction.
const BATCH: i64 = 5_000;

/// Removes notifications of more than 90 days ago.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct RemoveOldNotifications {}

impl Kind for RemoveOldNotifications {
    const NAME: &'static str = "remove_old_notifications";
    const LANE: Lane = Lane::Upkeep;
    type Cursor = ();

    async fn run(&self, (): (), chunk: &mut Chunk<'_>) -> Result<Next<()>> {
        let removed = sqlx::query!(
            r#"
            delete from notifications
            where id in (select id from notifications where created_at < $1 limit $2)
            "#,
            chunk.app.clock.now() - KEPT,
            BATCH,
        );
        let removed = removed.execute(&mut *chunk.connection).await?.rows_affected();
        Ok(chunk.removed(removed, BATCH))
    }
}
