//! Invalidation between servers: a Redis channel carries the keys to forget. No request waits for it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::StreamExt;
use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{AsyncCommands, AsyncConnectionConfig, Client, RedisResult};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::Cache;

const CHANNEL: &str = "collections:forget";
/// Keys that wait to be published; more are not, and expire by themselves.
const QUEUE_SIZE: usize = 1_024;
/// Longest wait for an answer of Redis; it is on the same network.
const TIMEOUT: Duration = Duration::from_secs(1);
/// How often a silent connection is pinged.
const PING_PERIOD: Duration = Duration::from_secs(5);
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Publishes keys to other servers and subscribes to theirs.
pub(super) struct Invalidation {
    client: Client,
    sender: mpsc::Sender<String>,
    receiver: Mutex<Option<mpsc::Receiver<String>>>,
}

impl Invalidation {
    pub(super) fn open(url: &str) -> RedisResult<Self> {
        let (sender, receiver) = mpsc::channel(QUEUE_SIZE);
        Ok(Self { client: Client::open(url)?, sender, receiver: Mutex::new(Some(receiver)) })
    }

    /// Queues a key for the other servers; never waits.
    pub(super) fn queue(&self, key: &str) {
        self.sender.try_send(key.to_owned()).ok();
    }

    /// Publishes and subscribes for ever, connecting again after errors. Only the first call does.
    pub(super) async fn run(&self, cache: &Cache) {
        let Some(mut queue) = self.receiver.lock().take() else { return };
        loop {
            let ended = self.exchange(&mut queue, cache).await;
            if cache.connected.swap(false, Ordering::Relaxed) {
                let error = ended.err().map(tracing::field::display);
                tracing::warn!(error, "redis is away; other servers forget ended sessions a few seconds later");
            }
            // Other servers will have read these again from Postgres before Redis is back.
            while queue.try_recv().is_ok() {}
            sleep(RETRY_PAUSE).await;
        }
    }

    async fn exchange(&self, queue: &mut mpsc::Receiver<String>, cache: &Cache) -> RedisResult<()> {
        let limits = AsyncConnectionConfig::new().set_connection_timeout(Some(TIMEOUT)).set_response_timeout(Some(TIMEOUT));
        let mut publisher: MultiplexedConnection = self.client.get_multiplexed_async_connection_with_config(&limits).await?;
        let mut subscriber = within(self.client.get_async_pubsub()).await?;
        within(subscriber.subscribe(CHANNEL)).await?;
        let (mut pinger, mut messages) = subscriber.split();
        // Keys that were published before the subscription are unknown here.
        cache.clear();
        cache.connected.store(true, Ordering::Relaxed);
        loop {
            tokio::select! {
                message = messages.next() => match message {
                    Some(message) => cache.remove(&message.get_payload::<String>()?),
                    None => return Ok(()),
                },
                key = queue.recv() => match key {
                    Some(key) => within(publisher.publish::<_, _, ()>(CHANNEL, key)).await?,
                    None => return Ok(()),
                },
                () = sleep(PING_PERIOD) => within(pinger.ping::<()>()).await?,
            }
        }
    }
}

async fn within<T>(call: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
    timeout(TIMEOUT, call).await.unwrap_or_else(|_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()))
}
