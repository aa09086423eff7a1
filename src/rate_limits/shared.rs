//! Allowances from the buckets in Redis, which all servers share.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisError, RedisResult, cmd};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::bucket::{Allowance, Quota, Size};

/// Takes an allowance: one of so many shares of what the bucket holds, at least one request if it holds one.
///
/// The key holds the moment at which the bucket is full, and expires then: a full bucket is as good as none. After the clock of
/// Redis was set back the moment lies too far ahead, and the bucket counts as empty.
const TAKE: &str = r"
local interval, limit, shares = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local window = interval * limit
local known = tonumber(redis.call('GET', KEYS[1]) or now)
local full_at = math.min(math.max(known, now), now + window)
local free = math.floor((now + window - full_at) / interval)
local allowance = math.min(free, math.max(1, math.floor(free / shares)))
if allowance > 0 or known > full_at then
  full_at = full_at + allowance * interval
  redis.call('SET', KEYS[1], string.format('%.0f', full_at), 'PX', math.ceil((full_at - now) / 1000))
end
return {allowance, full_at - now}
";

/// Longest wait for a new connection; no request waits for it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// Asks Redis, as long as it answers. The first error ends its use; it is used again once a new connection has granted an allowance.
pub(super) struct SharedBuckets {
    client: Client,
    /// What the keys of this deployment begin with.
    name: String,
    deadline: Duration,
    connection: Mutex<Option<Connection>>,
    lost: Notify,
}

#[derive(Clone)]
struct Connection {
    redis: MultiplexedConnection,
    /// The digest of [`TAKE`].
    script: Arc<str>,
}

impl SharedBuckets {
    pub(super) fn open(url: &str, name: &str, deadline: Duration) -> RedisResult<Self> {
        let (connection, lost) = (Mutex::default(), Notify::new());
        Ok(Self { client: Client::open(url)?, name: name.to_owned(), deadline, connection, lost })
    }

    /// Stays connected, for ever.
    pub(super) async fn run(&self) {
        let mut is_warned = false;
        loop {
            match self.connect().await {
                Ok(connection) => {
                    if std::mem::take(&mut is_warned) {
                        tracing::info!("redis is back; servers share their rate limits again");
                    }
                    *self.connection.lock() = Some(connection);
                    self.lost.notified().await;
                }
                Err(error) if !is_warned => {
                    is_warned = true;
                    tracing::warn!(%error, "redis is away; each server limits rates by itself");
                }
                Err(error) => tracing::debug!(%error, "redis is away"),
            }
            sleep(RETRY_PAUSE).await;
        }
    }

    pub(super) fn is_connected(&self) -> bool {
        self.connection.lock().is_some()
    }

    /// Takes an allowance of a key's bucket; none if Redis does not answer in time, or answers with an error.
    pub(super) async fn take(&self, key: &impl Display, quota: &Quota, size: Size) -> Option<Allowance> {
        let mut connection = self.connection.lock().clone()?;
        let key = format!("{}:rate:{}:{key}", self.name, quota.policy);
        let error = match timeout(self.deadline, connection.take(&key, quota, size)).await {
            Ok(Ok(allowance)) => return Some(allowance),
            Ok(Err(error)) => error,
            Err(_) => std::io::Error::from(std::io::ErrorKind::TimedOut).into(),
        };
        self.give_up(&connection, &error);
        None
    }

    fn give_up(&self, failed: &Connection, error: &RedisError) {
        let mut connection = self.connection.lock();
        // Another request may have noticed before, and the connection may be a new one.
        if connection.as_ref().is_some_and(|current| Arc::ptr_eq(&current.script, &failed.script)) {
            *connection = None;
            self.lost.notify_one();
            tracing::debug!(%error, "redis fails");
        }
    }

    async fn connect(&self) -> RedisResult<Connection> {
        let limits =
            AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT_TIMEOUT)).set_response_timeout(Some(self.deadline));
        let mut redis = self.client.get_multiplexed_async_connection_with_config(&limits).await?;
        let script: String = cmd("SCRIPT").arg("LOAD").arg(TAKE).query_async(&mut redis).await?;
        let mut connection = Connection { redis, script: script.into() };
        // Not every Redis that answers can write: it may be out of memory, or a replica.
        connection.take(&format!("{}:rate:probe", self.name), &Quota::PROBE, Size::One).await?;
        Ok(connection)
    }
}

impl Connection {
    async fn take(&mut self, key: &str, quota: &Quota, size: Size) -> RedisResult<Allowance> {
        let script = Arc::clone(&self.script);
        match self.call("EVALSHA", &script, key, quota, size).await {
            // Redis has forgotten its scripts; this loads this one again.
            Err(error) if error.code() == Some("NOSCRIPT") => self.call("EVAL", TAKE, key, quota, size).await,
            answered => answered,
        }
    }

    async fn call(&mut self, verb: &str, script: &str, key: &str, quota: &Quota, size: Size) -> RedisResult<Allowance> {
        let shares = match size {
            Size::Share => 32,
            Size::One => quota.limit,
        };
        let mut call = cmd(verb);
        call.arg(script).arg(1).arg(key).arg(quota.interval).arg(quota.limit).arg(shares);
        let (requests, full_in) = call.query_async(&mut self.redis).await?;
        Ok(Allowance { requests, full_in })
    }
}
