//! The removal of files that have expired, a daily job.

use serde::{Deserialize, Serialize};

use super::write;
use crate::error::Result;
use crate::jobs::{Chunk, Kind, Lane, Next};

/// Files removed in one transaction: the largest have a hundred parts.
const BATCH: i64 = 20;

/// Removes files that have expired.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct RemoveExpired {}

impl Kind for RemoveExpired {
    const NAME: &'static str = "remove_expired_files";
    const LANE: Lane = Lane::Upkeep;
    type Cursor = ();

    async fn run(&self, (): (), chunk: &mut Chunk<'_>) -> Result<Next<()>> {
        let removed = write::remove_expired(chunk.connection, chunk.app.clock.now(), BATCH).await?;
        Ok(chunk.removed(removed, BATCH))
    }
}
