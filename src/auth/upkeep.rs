//! The removal of what signing in leaves behind.

use serde::{Deserialize, Serialize};

use super::{lockout, session};
use crate::error::{Error, Result};
use crate::jobs::{Chunk, Kind, Lane, Next};

/// Removes sessions that ended a while ago, and failed log-ins that count no longer.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct RemoveEndedSessions {}

impl Kind for RemoveEndedSessions {
    const NAME: &'static str = "remove_ended_sessions";
    const LANE: Lane = Lane::Upkeep;
    type Cursor = ();

    async fn run(&self, (): (), chunk: &mut Chunk<'_>) -> Result<Next<()>> {
        let now = chunk.app.clock.now();
        let removed =
            session::remove_ended(chunk.connection, now).await? + lockout::remove_expired(&mut *chunk.connection, now).await?;
        chunk.succeed(i64::try_from(removed).map_err(Error::internal)?);
        Ok(Next::Finished)
    }
}
