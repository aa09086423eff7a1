//! The removal of ended sessions.

use serde::{Deserialize, Serialize};

use super::session;
use crate::error::{Error, Result};
use crate::jobs::{Chunk, Kind, Lane, Next};

/// Removes sessions that ended a while ago.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct RemoveEndedSessions {}

impl Kind for RemoveEndedSessions {
    const NAME: &'static str = "remove_ended_sessions";
    const LANE: Lane = Lane::Upkeep;
    type Cursor = ();

    async fn run(&self, (): (), chunk: &mut Chunk<'_>) -> Result<Next<()>> {
        let removed = session::remove_ended(chunk.connection, chunk.app.clock.now()).await?;
        chunk.succeed(i64::try_from(removed).map_err(Error::internal)?);
        Ok(Next::Finished)
    }
}
