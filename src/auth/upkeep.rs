//! The removal of ended sessions.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::session;
use crate::error::{Error, Result};
use crate::jobs::{Chunk, Kind, Lane, Next};

/// How long an ended session is kept, so that users can see where they were signed in.
const RETENTION: TimeDelta = TimeDelta::days(30);

/// Removes sessions that ended a while ago.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct RemoveEndedSessions {}

impl Kind for RemoveEndedSessions {
    const NAME: &'static str = "remove_ended_sessions";
    const LANE: Lane = Lane::Upkeep;
    type Cursor = ();

    async fn run(&self, (): (), chunk: &mut Chunk<'_>) -> Result<Next<()>> {
        let removed = session::remove_ended(&mut *chunk.connection, chunk.app.clock.now() - RETENTION).await?;
        chunk.succeed(i64::try_from(removed).map_err(Error::internal)?);
        Ok(Next::Finished)
    }
}
