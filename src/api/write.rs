//! One write: one transaction, one answer, repeated for whoever sends the same idempotency key again.

use chrono::TimeDelta;
use hyper::header::HeaderName;
use hyper::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sqlx::{Connection, PgConnection};

use super::sync_token::log_end;
use super::{Reply, Request};
use crate::error::{Error, Result};
use crate::values::ids::UserId;

/// How long the answer to an idempotency key is kept: as long as a client may still repeat a request by itself.
const KEPT: TimeDelta = TimeDelta::hours(24);

const IDEMPOTENCY_KEY: &str = "idempotency-key";
const SYNC_TOKEN: HeaderName = HeaderName::from_static("x-sync-token");
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

impl Request {
    /// Runs the work in a transaction and commits it, unless the work fails; read the body first.
    ///
    /// A request with an `Idempotency-Key` has its answer stored in the same transaction, so effect and answer cannot part: sent
    /// again it gets the stored answer, and of many at once one works while the others are told to wait. A failure stores
    /// nothing. The answer carries the position of the commit, which a list takes to show at least this write.
    ///
    /// # Errors
    /// The work's, the database's, and a key that is in use or was used for another request.
    pub async fn write(&self, caller: UserId, work: impl AsyncFnOnce(&mut PgConnection) -> Result<Reply>) -> Result<Reply> {
        let key = self.idempotency_key(caller)?;
        let mut connection = self.app.db.server.acquire().await?;
        let mut transaction = connection.begin().await?;
        let worked = async {
            let replayed = match &key {
                Some(key) => key.replay(&mut transaction).await?,
                None => None,
            };
            if let Some(reply) = replayed {
                return Ok(reply.with(REPLAYED, "true"));
            }
            let reply = work(&mut transaction).await?;
            if let Some(key) = &key {
                key.keep(&mut transaction, &reply).await?;
            }
            Ok(reply)
        };
        let reply = match worked.await {
            Ok(reply) => reply,
            Err(error) => {
                // Before the answer: whoever tries again at once must not find the key claimed still.
                transaction.rollback().await.ok();
                return Err(error);
            }
        };
        transaction.commit().await?;
        // The write is done; if its LSN cannot be had now, the answer goes without.
        Ok(match log_end(&mut *connection).await {
            Ok(token) => reply.with(SYNC_TOKEN, &token.to_string()),
            Err(_) => reply,
        })
    }

    /// Refuses to go on if the client wants to change another version than the one that is there. Call it with the row locked.
    ///
    /// # Errors
    /// [`Error::Stale`] with the version that is there, or an `If-Match` that cannot be read.
    pub fn expect_version(&self, current: i64) -> Result<()> {
        match self.if_match()? {
            Some(expected) if expected != current => Err(Error::Stale { current }),
            _ => Ok(()),
        }
    }

    /// Whether the client sent an idempotency key.
    #[must_use]
    pub fn has_idempotency_key(&self) -> bool {
        self.headers.contains_key(IDEMPOTENCY_KEY)
    }

    fn idempotency_key(&self, caller: UserId) -> Result<Option<Key>> {
        let Some(value) = self.headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
        let text = value.to_str().unwrap_or_default();
        if text.is_empty() || text.len() > 255 {
            return Err(Error::malformed("bad_idempotency_key", "Idempotency-Key takes 1 to 255 visible ASCII characters"));
        }
        let request = Sha256::new()
            .chain_update(self.method.as_str())
            .chain_update([0])
            .chain_update(&self.path)
            .chain_update([0])
            .chain_update(&self.query)
            .chain_update([0])
            .chain_update(&self.digest)
            .finalize();
        let now = self.app.clock.now();
        Ok(Some(Key { caller: caller.to_string(), text: text.to_owned(), request: request.to_vec(), now, expires: now + KEPT }))
    }
}

struct Key {
    caller: String,
    text: String,
    request: Vec<u8>,
    now: chrono::DateTime<chrono::Utc>,
    expires: chrono::DateTime<chrono::Utc>,
}

impl Key {
    /// Claims the key until the transaction ends, and finds the answer that it has, if it has one.
    async fn replay(&self, connection: &mut PgConnection) -> Result<Option<Reply>> {
        let claimed = sqlx::query_scalar!(
            r#"select pg_try_advisory_xact_lock(hashtextextended($1 || ' ' || $2, 0)) as "claimed!""#,
            self.caller,
            self.text,
        )
        .fetch_one(&mut *connection)
        .await?;
        if !claimed {
            return Err(Error::InProgress);
        }
        let stored = sqlx::query!(
            r#"
            select request_hash, status, response
            from idempotency_keys
            where caller = $1
            and key = $2
            and expires_at > $3
            "#,
            self.caller,
            self.text,
            self.now,
        )
        .fetch_optional(connection)
        .await?;
        let Some(stored) = stored else { return Ok(None) };
        if stored.request_hash != self.request {
            return Err(Error::KeyReused);
        }
        thaw(stored.status, &stored.response).map(Some)
    }

    /// Stores the answer, and clears away a few that nobody can ask for any more, so that the table needs no other care.
    async fn keep(&self, connection: &mut PgConnection, reply: &Reply) -> Result<()> {
        let (status, response) = freeze(reply)?;
        sqlx::query!(
            r#"
            with expired as (
              select caller, key
              from idempotency_keys
              where expires_at <= $5
              and (caller, key) <> ($1, $2)
              limit 10
              for update skip locked
            ), cleared as (
              delete from idempotency_keys
              using expired
              where idempotency_keys.caller = expired.caller
              and idempotency_keys.key = expired.key
            )
            insert into idempotency_keys (caller, key, request_hash, status, response, created_at, expires_at)
            values ($1, $2, $3, $4, $6, $5, $7)
            on conflict (caller, key) do update
            set
              request_hash = excluded.request_hash,
              status = excluded.status,
              response = excluded.response,
              created_at = excluded.created_at,
              expires_at = excluded.expires_at
            "#,
            self.caller,
            self.text,
            self.request,
            status,
            self.now,
            response,
            self.expires,
        )
        .execute(connection)
        .await?;
        Ok(())
    }
}

/// An answer as it is stored; its body is JSON or empty, so it is text.
#[derive(Serialize, Deserialize)]
struct Frozen {
    headers: Vec<(String, String)>,
    body: String,
}

fn freeze(reply: &Reply) -> Result<(i16, Vec<u8>)> {
    let headers = reply.headers.iter().filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())));
    let body = String::from_utf8(reply.body.clone()).map_err(Error::internal)?;
    let frozen = serde_json::to_vec(&Frozen { headers: headers.collect(), body }).map_err(Error::internal)?;
    Ok((i16::try_from(reply.status.as_u16()).map_err(Error::internal)?, frozen))
}

fn thaw(status: i16, frozen: &[u8]) -> Result<Reply> {
    let frozen: Frozen = serde_json::from_slice(frozen).map_err(Error::internal)?;
    let status = u16::try_from(status).map_err(Error::internal)?;
    let status = StatusCode::from_u16(status).map_err(Error::internal)?;
    let reply = Reply { status, headers: HeaderMap::new(), body: frozen.body.into_bytes() };
    frozen.headers.iter().try_fold(reply, |reply, (name, value)| {
        Ok(reply.with(HeaderName::from_bytes(name.as_bytes()).map_err(Error::internal)?, value))
    })
}
