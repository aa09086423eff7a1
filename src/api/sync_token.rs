//! The sync token: the LSN that a write's answer carries, and that a later read must include.

use std::borrow::Cow;

use super::Request;
use crate::error::{Error, Result};
use crate::values::lsn::Lsn;

impl Request {
    /// The token of the request, in `X-Sync-Token` or as `syncToken`; of one in each the later.
    pub fn sync_token(&self) -> Result<Option<Lsn>> {
        let headers = self.headers.get_all("x-sync-token").iter().map(|value| value.to_str().unwrap_or_default().into());
        let parameters = self.parameters().filter(|(name, _)| name == "syncToken").map(|(_, value)| value);
        Ok(only(headers)?.max(only(parameters)?))
    }

    /// The LSN that a list has to include: that of the token, and that of the caller's last write through this server.
    ///
    /// A token beyond the end of the log is refused: no index will ever reach it, so it must neither wait nor turn lists away from
    /// Elasticsearch.
    pub(crate) async fn wanted_lsn(&self) -> Result<Option<Lsn>> {
        let token = self.sync_token()?;
        let watermark = &self.app.watermark;
        let caller = self.context.caller();
        let written = caller.and_then(|caller| watermark.written.of(caller));
        let wanted = token.max(written);
        // What the index has reached is in the log; Postgres is asked about the rest only.
        if wanted.is_none_or(|wanted| wanted <= watermark.get()) {
            return Ok(wanted);
        }
        let Some(end) = self.app.db.log_end.get(&self.app.db.read).await else { return Ok(wanted) };
        if token.is_some_and(|token| token > end) {
            let detail = "this sync token is of another database, or of this one before a backup was restored; go on without it";
            return Err(Error::malformed("bad_sync_token", detail));
        }
        if let Some(caller) = caller {
            watermark.written.limit(caller, end);
        }
        Ok(wanted.min(Some(end)))
    }
}

/// Reads the only one of the tokens, if there is any.
fn only<'a>(mut tokens: impl Iterator<Item = Cow<'a, str>>) -> Result<Option<Lsn>> {
    match (tokens.next().map(|text| text.parse()).transpose(), tokens.next()) {
        (Ok(token), None) => Ok(token),
        _ => Err(Error::malformed("bad_sync_token", "a sync token is the X-Sync-Token of a write's answer, given once")),
    }
}
