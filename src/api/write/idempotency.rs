//! Idempotency keys: the stored answer to a write that a client repeats.

use chrono::{DateTime, TimeDelta, Utc};
use hmac::Mac;
use hyper::header::HeaderName;
use hyper::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;

use crate::api::reply::Body;
use crate::api::{Reply, Request};
use crate::error::{Error, Result};
use crate::values::ids::UserId;
use crate::values::keyed::derived;

/// How long the answer to an idempotency key is kept: as long as a client may still repeat a request by itself.
const KEPT: TimeDelta = TimeDelta::hours(24);

const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Of the keys that the digests of requests are made with.
const PURPOSE: &str = "idempotency key";

impl Request {
    #[must_use]
    pub fn has_idempotency_key(&self) -> bool {
        self.headers.contains_key(IDEMPOTENCY_KEY)
    }

    pub(super) fn idempotency_key(&self, caller: UserId) -> Result<Option<Key>> {
        let mut values = self.headers.get_all(IDEMPOTENCY_KEY).iter();
        let Some(value) = values.next() else { return Ok(None) };
        let text = value.to_str().unwrap_or_default();
        if text.is_empty() || text.len() > 255 || values.next().is_some() {
            return Err(Error::malformed(
                "bad_idempotency_key",
                "one Idempotency-Key is taken, of 1 to 255 visible ASCII characters",
            ));
        }
        let requests = self.app.config.access.keys().map(|key| self.keyed_digest(key)).collect();
        let now = self.app.clock.now();
        Ok(Some(Key { caller: caller.to_string(), text: text.to_owned(), requests, now, expires: now + KEPT }))
    }

    /// The digest of the whole request under a key of the server: from a plain one it could be guessed what a small body says.
    fn keyed_digest(&self, key: &[u8]) -> Vec<u8> {
        let digest = derived(key, PURPOSE)
            .chain_update(self.method.as_str())
            .chain_update([0])
            .chain_update(&self.path)
            .chain_update([0])
            .chain_update(&self.query)
            .chain_update([0])
            .chain_update(&self.digest);
        digest.finalize().into_bytes().to_vec()
    }
}

/// The key of one request.
pub(super) struct Key {
    caller: String,
    text: String,
    /// The keyed digests of the whole request: by the key that signs first, then by the one before.
    requests: Vec<Vec<u8>>,
    now: DateTime<Utc>,
    expires: DateTime<Utc>,
}

/// An answer as it is stored; its body is JSON or empty, so it is text.
#[derive(Serialize, Deserialize)]
struct StoredResponse {
    headers: Vec<(String, String)>,
    body: String,
}

impl Key {
    /// Claims the key until the transaction ends, and reads its stored answer, if it has one.
    pub(super) async fn stored_response(&self, connection: &mut PgConnection) -> Result<Option<Reply>> {
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
        if !self.requests.contains(&stored.request_hash) {
            return Err(Error::KeyReused);
        }
        decode(stored.status, &stored.response).map(Some)
    }

    /// Stores the answer, and deletes a few expired ones, so that the table needs no other care.
    pub(super) async fn store(&self, connection: &mut PgConnection, reply: &Reply) -> Result<()> {
        let (status, response) = encode(reply)?;
        sqlx::query!(
            r#"
            with expired as (
              select caller, key
              from idempotency_keys
              where expires_at <= $5
              and (caller, key) <> ($1, $2)
              -- By the index: there are few or none, which the planner does not know.
              order by expires_at
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
            self.requests.first(),
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

fn encode(reply: &Reply) -> Result<(i16, Vec<u8>)> {
    let headers = reply.headers.iter().filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())));
    let Body::Whole(body) = &reply.body else { return Err(Error::internal("a stream cannot be stored")) };
    let body = String::from_utf8(body.clone()).map_err(Error::internal)?;
    let stored = serde_json::to_vec(&StoredResponse { headers: headers.collect(), body }).map_err(Error::internal)?;
    Ok((i16::try_from(reply.status.as_u16()).map_err(Error::internal)?, stored))
}

fn decode(status: i16, stored: &[u8]) -> Result<Reply> {
    let stored: StoredResponse = serde_json::from_slice(stored).map_err(Error::internal)?;
    let status = u16::try_from(status).map_err(Error::internal)?;
    let status = StatusCode::from_u16(status).map_err(Error::internal)?;
    let reply = Reply { status, headers: HeaderMap::new(), body: Body::Whole(stored.body.into_bytes()) };
    stored.headers.iter().try_fold(reply, |reply, (name, value)| {
        Ok(reply.with(HeaderName::from_bytes(name.as_bytes()).map_err(Error::internal)?, value))
    })
}
