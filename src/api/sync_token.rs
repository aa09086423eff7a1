//! The sync token: the position that a write's answer carries, and that a later read must include.

use std::borrow::Cow;

use super::Request;
use crate::error::{Error, Result};
use crate::feed;
use crate::values::lsn::Lsn;

impl Request {
    /// The token that the request brings, in `X-Sync-Token` or else as `syncToken`.
    ///
    /// # Errors
    /// Text that no write has answered.
    pub fn sync_token(&self) -> Result<Option<Lsn>> {
        let header = self.header("x-sync-token").map(Cow::from);
        let Some(text) = header.or_else(|| self.parameter("syncToken")) else { return Ok(None) };
        let wrong = |_| Error::malformed("bad_sync_token", "a sync token is the X-Sync-Token of a write's answer");
        text.parse().map(Some).map_err(wrong)
    }

    /// Whether a position lies behind the end of the database's log: it is of another database, or of this one before a backup was
    /// restored. To wait for it would be in vain.
    pub(crate) async fn is_beyond_log(&self, position: Lsn) -> bool {
        feed::log_end(&self.app.db.read).await.is_ok_and(|end| position > end)
    }
}
