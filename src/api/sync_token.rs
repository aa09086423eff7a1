//! The sync token: the LSN that a write's answer carries, and that a later read must include.

use std::borrow::Cow;

use sqlx::PgExecutor;

use super::Request;
use crate::error::{Error, Result};
use crate::values::lsn::Lsn;

impl Request {
    /// The token of the request, in `X-Sync-Token` or else as `syncToken`.
    pub fn sync_token(&self) -> Result<Option<Lsn>> {
        let header = self.header("x-sync-token").map(Cow::from);
        let Some(text) = header.or_else(|| self.parameter("syncToken")) else { return Ok(None) };
        let wrong = |_| Error::malformed("bad_sync_token", "a sync token is the X-Sync-Token of a write's answer");
        text.parse().map(Some).map_err(wrong)
    }

    /// The same, refused if it lies beyond the end of the log: no index will ever reach it, so it must neither wait nor turn lists
    /// away from Elasticsearch.
    pub(super) async fn known_lsn(&self) -> Result<Option<Lsn>> {
        let lsn = self.sync_token()?;
        // What the index has reached is in the log; Postgres is asked about the rest only.
        if let Some(lsn) = lsn.filter(|lsn| *lsn > self.app.watermark.get())
            && log_end(&self.app.db.read).await.is_ok_and(|end| lsn > end)
        {
            let detail = "this sync token is of another database, or of this one before a backup was restored; go on without it";
            return Err(Error::malformed("bad_sync_token", detail));
        }
        Ok(lsn)
    }
}

/// The end of the log, which is behind everything that has been committed.
pub(super) async fn log_end(executor: impl PgExecutor<'_>) -> sqlx::Result<Lsn> {
    let end = sqlx::query_scalar!(r#"select pg_current_wal_insert_lsn()::text as "lsn!""#).fetch_one(executor).await?;
    end.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))
}
