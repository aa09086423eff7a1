//! The removal of old counts of what users do, a daily job.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::jobs::{Chunk, Kind, Lane, Next};

/// How long the counts are kept: a month can be compared with the same month of the year before.
const KEPT: TimeDelta = TimeDelta::days(400);

/// Counts removed in one transaction.
const BATCH: i64 = 5_000;

/// Removes the counts of days more than 400 days ago.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct RemoveOldUsage {}

impl Kind for RemoveOldUsage {
    const NAME: &'static str = "remove_old_usage";
    const LANE: Lane = Lane::Upkeep;
    type Cursor = ();

    async fn run(&self, (): (), chunk: &mut Chunk<'_>) -> Result<Next<()>> {
        let removed = sqlx::query!(
            r#"
            delete from user_days
            where (user_id, day) in (select user_id, day from user_days where day < $1 limit $2)
            "#,
            chunk.app.clock.today() - KEPT,
            BATCH,
        );
        let removed = removed.execute(&mut *chunk.connection).await?.rows_affected();
        Ok(chunk.removed(removed, BATCH))
    }
}
