//! One write: one transaction, one answer.

mod idempotency;
mod precondition;
mod preference;

use hyper::header::HeaderName;
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use super::{Reply, Request};
use crate::audit;
use crate::db::log_end;
use crate::error::{Error, Result};
use crate::failpoint;
use crate::turns::Turn;
use crate::values::ids::UserId;
use crate::values::lsn::Lsn;

const SYNC_TOKEN: HeaderName = HeaderName::from_static("x-sync-token");
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// The row that a write may have to wait for.
#[derive(Clone, Copy, Debug)]
pub enum Contended {
    /// The write adds rows and locks none that another write changes.
    Nothing,
    /// The write changes this record, or money on it.
    Record(Uuid),
}

impl Reply {
    /// Whether it was stored with an idempotency key, and nothing was done for this request.
    #[must_use]
    pub fn is_replayed(&self) -> bool {
        self.headers.contains_key(REPLAYED)
    }
}

impl Request {
    /// Runs the work in a transaction and commits it, unless the work fails; read the body first.
    ///
    /// The answer to a request with an `Idempotency-Key` is stored in the same transaction, so effect and answer cannot part. The
    /// same request again gets the stored answer; while the first still works, others get [`Error::InProgress`]. A failure stores
    /// nothing. The answer carries the LSN of the commit as its sync token.
    ///
    /// Writes that contend for one record wait for their turn without a connection, so that others find one.
    pub async fn write(
        &self,
        caller: UserId,
        contended: Contended,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<Reply>,
    ) -> Result<Reply> {
        let key = self.idempotency_key(caller)?;
        let turn = self.turn(contended).await?;
        let mut connection = self.app.db.server.acquire().await?;
        let mut transaction = connection.begin_with(audit::begin(Some(caller), self.context.id())).await?;
        let worked = async {
            if let Some(key) = &key
                && let Some(reply) = key.stored_response(&mut transaction).await?
            {
                return Ok(reply.with(REPLAYED, "true"));
            }
            let reply = work(&mut transaction).await?;
            if let Some(key) = &key {
                key.store(&mut transaction, &reply).await?;
            }
            Ok(reply)
        };
        let reply = match worked.await {
            Ok(reply) => reply,
            Err(error) => {
                // Before the answer: a client that tries again at once must not find the key claimed still.
                transaction.rollback().await.ok();
                return Err(error);
            }
        };
        failpoint::abort_at("write-worked");
        transaction.commit().await?;
        failpoint::abort_at("write-committed");
        drop(turn);
        let token = log_end(&mut *connection).await;
        // The write is done. If its LSN cannot be had now, the answer goes without, and the caller's next list asks where the log ends.
        self.app.watermark.written.add(caller, *token.as_ref().unwrap_or(&Lsn(u64::MAX)));
        let reply = self.as_preferred(reply);
        Ok(match token {
            Ok(token) => reply.with(SYNC_TOKEN, &token.to_string()),
            Err(_) => reply,
        })
    }

    async fn turn(&self, contended: Contended) -> Result<Option<Turn<Uuid>>> {
        let Contended::Record(record) = contended else { return Ok(None) };
        let taken = self.app.db.turns.take(record, 1, self.app.config.database.lock_timeout);
        self.context.slot().leave_during(taken).await?.map(Some).ok_or_else(Error::contended)
    }
}
