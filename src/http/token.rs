//! The sync token: the position that a write's answer carries, and that a later read must include.

use super::Request;
use crate::error::{Error, Result};
use crate::feed;
use crate::position::Position;

impl Request {
    /// The token that the request brings, in `X-Sync-Token` or as `syncToken`.
    ///
    /// # Errors
    /// Text that no write has answered.
    pub fn sync_token(&self) -> Result<Option<Position>> {
        let parameter = self.query.split('&').find_map(|pair| pair.strip_prefix("syncToken="));
        let Some(text) = self.header("x-sync-token").or(parameter) else { return Ok(None) };
        let position = text.replace("%2F", "/").replace("%2f", "/").parse();
        position.map(Some).map_err(|_| Error::malformed("bad_sync_token", "X-Sync-Token takes what a write answered"))
    }

    /// Whether a position lies behind the end of the database's log: it is of another database, or of this one before a backup was
    /// restored. To wait for it would be in vain.
    pub(super) async fn is_beyond_log(&self, position: Position) -> bool {
        feed::log_end(&self.app.db.server).await.is_ok_and(|end| position > end)
    }
}
