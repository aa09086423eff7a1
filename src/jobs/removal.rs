//! The removal of old jobs, a job itself.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::store;
use super::{Chunk, Kind, Lane, Next};
use crate::error::{Error, Result};

/// Jobs removed in one transaction, each with its items.
const BATCH: i64 = 200;

/// Removes jobs that finished longer than `JOBS_KEEP` ago.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct RemoveOld {}

impl Kind for RemoveOld {
    const NAME: &'static str = "remove_old_jobs";
    const LANE: Lane = Lane::Upkeep;
    type Cursor = ();

    async fn run(&self, (): (), chunk: &mut Chunk<'_>) -> Result<Next<()>> {
        let kept = TimeDelta::from_std(chunk.app.config.jobs.keep).map_err(Error::internal)?;
        let removed = store::remove_finished(chunk.connection, chunk.app.clock.now() - kept, BATCH).await?;
        Ok(chunk.removed(removed, BATCH))
    }
}
