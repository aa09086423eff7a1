//! Announcements between servers: the leader adds its entries to a Redis stream, and every other server reads them.
//!
//! The id of an entry is `<epoch>-<lsn>`, so Redis itself keeps the order and refuses what was added before: by another leader, or
//! by an attempt whose answer was lost. That loses nothing, because an entry covers every commit up to its LSN. Each entry says
//! which LSN it continues, so a reader notices whatever is missing in between.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::streams::{StreamId, StreamReadReply};
use redis::{AsyncConnectionConfig, Client, RedisError, RedisResult, cmd};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::{Entry, Feed};
use crate::values::lsn::{Epoch, Lsn};

/// Longest wait for an answer of Redis; it is on the same network.
const TIMEOUT: Duration = Duration::from_secs(1);
/// Time for which a read waits in Redis for the next entry.
const BLOCK: Duration = Duration::from_secs(1);
const READ_SIZE: usize = 100;
/// Entries that wait while Redis is away; more are a gap to other servers.
const QUEUE_SIZE: usize = 1_024;
/// An abandoned deployment's stream expires after this time.
const EXPIRY: Duration = Duration::from_secs(3_600);
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// The stream that servers of the same name share.
pub(super) struct RedisStream {
    client: Client,
    name: String,
    sender: mpsc::Sender<Arc<Entry>>,
    receiver: Mutex<Option<mpsc::Receiver<Arc<Entry>>>>,
}

impl RedisStream {
    pub(super) fn open(url: &str, name: &str) -> RedisResult<Self> {
        let (sender, receiver) = mpsc::channel(QUEUE_SIZE);
        Ok(Self { client: Client::open(url)?, name: name.to_owned(), sender, receiver: Mutex::new(Some(receiver)) })
    }

    /// Queues an entry for the other servers; never waits.
    pub(super) fn queue(&self, entry: Arc<Entry>) {
        // A reader notices that the next entry does not continue its last one.
        self.sender.try_send(entry).ok();
    }

    /// Adds what is queued and reads what others have added, for ever. Only the first call does.
    pub(super) async fn run(&self, feed: &Feed) {
        let Some(queue) = self.receiver.lock().take() else { return };
        let key = self.key(feed).await;
        tokio::join!(self.write(feed, queue, &key), self.read(feed, &key));
    }

    /// LSNs of another database cluster mean nothing here, so each cluster has a stream of its own.
    async fn key(&self, feed: &Feed) -> String {
        loop {
            let system = sqlx::query_scalar!(r#"select system_identifier::text as "id!" from pg_control_system()"#);
            match system.fetch_one(&feed.pool).await {
                Ok(system) => return format!("{}:{system}:feed", self.name),
                Err(error) => {
                    tracing::warn!(%error, "cannot read the system identifier of postgres; servers hear no announcements")
                }
            }
            sleep(RETRY_PAUSE).await;
        }
    }

    async fn write(&self, feed: &Feed, mut queue: mpsc::Receiver<Arc<Entry>>, key: &str) {
        let mut next = None;
        loop {
            match self.connect(TIMEOUT).await {
                Ok(redis) => {
                    let Err(error) = add_all(redis, feed, key, &mut queue, &mut next).await else { return };
                    tracing::warn!(%error, "redis is away; other servers hear no announcements");
                }
                Err(error) => tracing::debug!(%error, "redis is away"),
            }
            sleep(RETRY_PAUSE).await;
        }
    }

    async fn read(&self, feed: &Feed, key: &str) {
        let mut last = "0-0".to_owned();
        loop {
            if let Err(error) = self.hear_all(feed, key, &mut last).await {
                tracing::debug!(%error, "redis is away");
            }
            feed.lose_contact();
            sleep(RETRY_PAUSE).await;
        }
    }

    async fn hear_all(&self, feed: &Feed, key: &str, last: &mut String) -> RedisResult<()> {
        let mut redis = self.connect(BLOCK + TIMEOUT).await?;
        feed.has_redis.store(true, Ordering::Relaxed);
        loop {
            let mut read = cmd("XREAD");
            read.arg("COUNT").arg(READ_SIZE).arg("BLOCK").arg(BLOCK.as_secs() * 1_000);
            read.arg("STREAMS").arg(key).arg(&*last);
            let reply: Option<StreamReadReply> = read.query_async(&mut redis).await?;
            for message in reply.into_iter().flat_map(|reply| reply.keys).flat_map(|key| key.ids) {
                match parse(&message) {
                    Some(entry) => feed.hear(entry),
                    // Of a newer version of the program. What it announces is a gap.
                    None => tracing::warn!(id = message.id, "cannot read the announcements of another server"),
                }
                *last = message.id;
            }
        }
    }

    async fn connect(&self, response: Duration) -> RedisResult<MultiplexedConnection> {
        let limits = AsyncConnectionConfig::new().set_connection_timeout(Some(TIMEOUT)).set_response_timeout(Some(response));
        self.client.get_multiplexed_async_connection_with_config(&limits).await
    }
}

/// Adds what is queued until an error; `next` keeps the entry that could not be added.
async fn add_all(
    mut redis: MultiplexedConnection,
    feed: &Feed,
    key: &str,
    queue: &mut mpsc::Receiver<Arc<Entry>>,
    next: &mut Option<Arc<Entry>>,
) -> RedisResult<()> {
    loop {
        if next.is_none() {
            *next = queue.recv().await;
        }
        let Some(entry) = next else { return Ok(()) };
        let floor = feed.history().floor;
        match add(&mut redis, key, floor, entry).await {
            Err(error) if !was_added_before(&error) => return Err(error),
            _ => *next = None,
        }
    }
}

/// Adds an entry, and drops what the leader's own history has dropped.
async fn add(redis: &mut MultiplexedConnection, key: &str, floor: Lsn, entry: &Entry) -> RedisResult<()> {
    let rows = serde_json::to_string(&entry.announcements).map_err(std::io::Error::other)?;
    let mut add = cmd("XADD");
    add.arg(key).arg("MINID").arg("~").arg(id(entry.epoch, floor)).arg(id(entry.epoch, entry.lsn));
    add.arg("after").arg(entry.after.0).arg("rows").arg(rows);
    let mut expire = cmd("PEXPIRE");
    expire.arg(key).arg(EXPIRY.as_secs() * 1_000);
    redis::pipe().add_command(add).ignore().add_command(expire).ignore().exec_async(redis).await
}

fn was_added_before(error: &RedisError) -> bool {
    error.to_string().contains("equal or smaller than the target stream top item")
}

fn id(epoch: Epoch, lsn: Lsn) -> String {
    format!("{}-{}", epoch.0, lsn.0)
}

fn parse(message: &StreamId) -> Option<Entry> {
    let (epoch, lsn) = message.id.split_once('-')?;
    let rows: String = message.get("rows")?;
    Some(Entry {
        epoch: Epoch(epoch.parse().ok()?),
        after: Lsn(message.get("after")?),
        lsn: Lsn(lsn.parse().ok()?),
        announcements: serde_json::from_str(&rows).ok()?,
    })
}
