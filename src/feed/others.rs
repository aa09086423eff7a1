//! The way between servers: the leader adds to a Redis stream, everybody reads its end. Nothing in here is waited for by anybody.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::streams::StreamReadReply;
use redis::{AsyncConnectionConfig, Client, RedisResult, cmd};
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::wire::Message;
use super::{Entry, Feed};
use crate::values::lsn::{Epoch, Lsn};

/// Longest wait for Redis to do anything; it is on the same network.
const DEADLINE: Duration = Duration::from_secs(1);
/// How long a reader waits in Redis for something to come, and what it reads at once.
const BLOCK: Duration = Duration::from_secs(1);
const COUNT: usize = 100;
/// Entries that wait for Redis; what does not fit is a gap to the others.
const QUEUE: usize = 1_024;
/// A stream that nobody adds to is gone after so long, so that nothing is left of a deployment that is.
const LIFE: Duration = Duration::from_secs(3_600);
/// Pauses between attempts to connect double from the first to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LAST_PAUSE: Duration = Duration::from_secs(5);
/// The one field of an entry.
const FIELD: &str = "m";

/// The way to the other servers of the same name.
pub(super) struct Others {
    client: Client,
    key: String,
    history: usize,
    outgoing: mpsc::Sender<Outgoing>,
    waiting: Mutex<Option<mpsc::Receiver<Outgoing>>>,
    /// Whether something did not fit into the queue.
    lost: AtomicBool,
}

/// What the others are to be told.
pub(super) enum Outgoing {
    /// What comes next follows this position.
    Open(Epoch, Lsn),
    /// An entry.
    Entry(Epoch, Arc<Entry>),
}

/// What the speaker knows of the stream.
#[derive(Default)]
struct Speech {
    /// The numbers of the running term; none before its first message.
    term: Option<(u64, u64)>,
    /// What the others have been told.
    told: Option<(Epoch, Lsn)>,
    /// What is to be told first when there is a connection again.
    pending: Option<Outgoing>,
    /// The stream's entries by their ids, with their announcements, as far as they are to be kept.
    kept: VecDeque<(String, usize)>,
    size: usize,
}

impl Others {
    pub(super) fn open_url(url: &str, name: &str, history: usize) -> RedisResult<Self> {
        let (outgoing, waiting) = mpsc::channel(QUEUE);
        let (client, waiting) = (Client::open(url)?, Mutex::new(Some(waiting)));
        Ok(Self { client, key: format!("{name}:feed"), history, outgoing, waiting, lost: AtomicBool::default() })
    }

    /// What is to be told, for the one that tells it.
    pub(super) fn take(&self) -> Option<mpsc::Receiver<Outgoing>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Queues something; never waits.
    pub(super) fn tell(&self, outgoing: Outgoing) {
        if self.outgoing.try_send(outgoing).is_err() {
            self.lost.store(true, Ordering::Release);
        }
    }

    /// Tells the others what is queued, until stopped.
    pub(super) async fn speak(&self, feed: &Feed, mut outgoing: mpsc::Receiver<Outgoing>, stop: &CancellationToken) {
        let mut speech = Speech::default();
        let mut pause = FIRST_PAUSE;
        loop {
            let ended = tokio::select! {
                ended = self.pass_on(feed, &mut outgoing, &mut speech, &mut pause) => ended,
                () = stop.cancelled() => return,
            };
            if speech.term.take().is_some() {
                tracing::warn!(
                    error = ended.err().map(tracing::field::display),
                    "redis is away; other servers read from postgres"
                );
            }
            tokio::select! {
                () = sleep(pause) => pause = (pause * 2).min(LAST_PAUSE),
                () = stop.cancelled() => return,
            }
        }
    }

    async fn pass_on(
        &self,
        feed: &Feed,
        outgoing: &mut mpsc::Receiver<Outgoing>,
        speech: &mut Speech,
        pause: &mut Duration,
    ) -> RedisResult<()> {
        let mut connection = self.connect(DEADLINE).await?;
        loop {
            if speech.pending.is_none() {
                speech.pending = outgoing.recv().await;
            }
            if self.lost.swap(false, Ordering::AcqRel) {
                while outgoing.try_recv().is_ok() {}
                speech.pending = feed.epoch().map(|epoch| Outgoing::Open(epoch, feed.reached()));
            }
            match &speech.pending {
                Some(Outgoing::Open(epoch, from)) => {
                    let (epoch, from) = (*epoch, *from);
                    self.open(&mut connection, speech, epoch, from).await?;
                }
                Some(Outgoing::Entry(epoch, entry)) => {
                    let (epoch, entry) = (*epoch, Arc::clone(entry));
                    // After a break of the connection nobody knows what has arrived, so the others are told where it goes on.
                    if speech.term.is_none() {
                        let (epoch, from) = speech.told.unwrap_or((epoch, entry.floor()));
                        self.open(&mut connection, speech, epoch, from).await?;
                    }
                    let (term, number) = speech.term.unwrap_or_default();
                    let message = Message::new(term, number + 1, epoch, &entry);
                    self.add(&mut connection, speech, &message, entry.announcements.len()).await?;
                    speech.term = Some((term, number + 1));
                    speech.told = Some((epoch, entry.floor()));
                }
                None => return Ok(()),
            }
            speech.pending = None;
            *pause = FIRST_PAUSE;
        }
    }

    /// Begins a term: what was in the stream before is not continued.
    async fn open(
        &self,
        connection: &mut MultiplexedConnection,
        speech: &mut Speech,
        epoch: Epoch,
        from: Lsn,
    ) -> RedisResult<()> {
        let term = rand::random::<u64>();
        cmd("XTRIM").arg(&self.key).arg("MAXLEN").arg(0).exec_async(connection).await?;
        speech.kept.clear();
        speech.size = 0;
        self.add(connection, speech, &Message::opening(term, epoch, from), 1).await?;
        speech.term = Some((term, 0));
        speech.told = Some((epoch, from));
        Ok(())
    }

    async fn add(
        &self,
        connection: &mut MultiplexedConnection,
        speech: &mut Speech,
        message: &Message,
        size: usize,
    ) -> RedisResult<()> {
        let text = serde_json::to_string(message).map_err(std::io::Error::other)?;
        let mut add = cmd("XADD");
        add.arg(&self.key);
        if let Some((oldest, _)) = speech.kept.front() {
            add.arg("MINID").arg("~").arg(oldest);
        }
        add.arg("*").arg(FIELD).arg(text);
        let mut life = cmd("PEXPIRE");
        life.arg(&self.key).arg(LIFE.as_secs() * 1_000);
        let (id,): (String,) = redis::pipe().add_command(add).add_command(life).ignore().query_async(connection).await?;
        // A heartbeat takes room too.
        speech.kept.push_back((id, size.max(1)));
        speech.size += size.max(1);
        while speech.size > self.history
            && let Some((_, size)) = speech.kept.pop_front()
        {
            speech.size -= size;
        }
        Ok(())
    }

    /// Hears what others tell, until stopped.
    pub(super) async fn listen(&self, feed: &Feed, stop: &CancellationToken) {
        let mut last = String::from("0-0");
        let mut pause = FIRST_PAUSE;
        loop {
            let ended = tokio::select! {
                ended = self.hear(feed, &mut last, &mut pause) => ended,
                () = stop.cancelled() => return,
            };
            if !feed.leads() {
                feed.fall_silent();
            }
            if let Err(error) = ended {
                tracing::debug!(%error, "redis is away; announcements of other servers are not heard");
            }
            tokio::select! {
                () = sleep(pause) => pause = (pause * 2).min(LAST_PAUSE),
                () = stop.cancelled() => return,
            }
        }
    }

    async fn hear(&self, feed: &Feed, last: &mut String, pause: &mut Duration) -> RedisResult<()> {
        let mut connection = self.connect(BLOCK + DEADLINE).await?;
        loop {
            let mut read = cmd("XREAD");
            read.arg("COUNT").arg(COUNT).arg("BLOCK").arg(BLOCK.as_secs() * 1_000);
            read.arg("STREAMS").arg(&self.key).arg(&*last);
            let reply: Option<StreamReadReply> = read.query_async(&mut connection).await?;
            *pause = FIRST_PAUSE;
            for entry in reply.into_iter().flat_map(|reply| reply.keys).flat_map(|key| key.ids) {
                let text: Option<String> = entry.get(FIELD);
                match text.and_then(|text| serde_json::from_str(&text).ok()) {
                    Some(message) => feed.hear(message),
                    // A newer version of the program may speak otherwise; its numbers show that something is missing.
                    None => tracing::warn!(id = entry.id, "an announcement of another server cannot be read"),
                }
                *last = entry.id;
            }
        }
    }

    async fn connect(&self, response: Duration) -> RedisResult<MultiplexedConnection> {
        let limits = AsyncConnectionConfig::new().set_connection_timeout(Some(DEADLINE)).set_response_timeout(Some(response));
        self.client.get_multiplexed_async_connection_with_config(&limits).await
    }
}
