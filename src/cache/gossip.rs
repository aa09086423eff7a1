//! How servers tell each other what to forget: a channel in Redis. No request ever waits for it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::StreamExt;
use redis::aio::MultiplexedConnection;
use redis::{AsyncCommands, AsyncConnectionConfig, Client, RedisResult};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::Cache;

const CHANNEL: &str = "collections:forget";

/// Longest wait for Redis to do anything; it is on the same network.
const DEADLINE: Duration = Duration::from_secs(1);

/// How often a silent connection is asked whether it still lives.
const ASK_EVERY: Duration = Duration::from_secs(5);

/// Pauses between attempts to connect double from the first to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LAST_PAUSE: Duration = Duration::from_secs(10);

/// Passes on what is to be forgotten, both ways, until stopped; connects again for as long as it takes.
pub(super) async fn run(client: Client, mut outgoing: mpsc::Receiver<String>, cache: Arc<Cache>, stop: CancellationToken) {
    let mut pause = FIRST_PAUSE;
    loop {
        let talk = talk(&client, &mut outgoing, &cache);
        let ended = tokio::select! {
            ended = talk => ended,
            () = stop.cancelled() => return,
        };
        if cache.connected.swap(false, Ordering::Relaxed) {
            pause = FIRST_PAUSE;
            tracing::warn!(error = ended.err().map(tracing::field::display), "redis is away; other servers hear of it later");
        }
        // What nobody heard is found in Postgres within seconds.
        while outgoing.try_recv().is_ok() {}
        tokio::select! {
            () = sleep(pause) => pause = (pause * 2).min(LAST_PAUSE),
            () = stop.cancelled() => return,
        }
    }
}

async fn talk(client: &Client, outgoing: &mut mpsc::Receiver<String>, cache: &Cache) -> RedisResult<()> {
    let limits = AsyncConnectionConfig::new().set_connection_timeout(Some(DEADLINE)).set_response_timeout(Some(DEADLINE));
    let mut speaker: MultiplexedConnection = client.get_multiplexed_async_connection_with_config(&limits).await?;
    let mut listener = within(client.get_async_pubsub()).await?;
    within(listener.subscribe(CHANNEL)).await?;
    let (mut asker, mut heard) = listener.split();
    // Whatever was said while nobody listened may have been about something that is remembered.
    cache.forget_all();
    cache.connected.store(true, Ordering::Relaxed);
    loop {
        tokio::select! {
            message = heard.next() => match message {
                Some(message) => cache.drop_entry(&message.get_payload::<String>()?),
                None => return Ok(()),
            },
            key = outgoing.recv() => match key {
                Some(key) => within(speaker.publish::<_, _, ()>(CHANNEL, key)).await?,
                None => return Ok(()),
            },
            () = sleep(ASK_EVERY) => within(asker.ping::<()>()).await?,
        }
    }
}

async fn within<T>(call: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
    timeout(DEADLINE, call).await.unwrap_or_else(|_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()))
}
