//! Announcements: which rows have changed, told as soon as readers can see the changes.
//!
//! The sync leader announces each batch of the change stream once its commits are visible to every reader, whatever the search
//! index does meanwhile. Consumers in the process subscribe; other servers get the same entries through a Redis stream.
//!
//! # Guarantees
//!
//! - Entries come in the order of the change stream, and reading a row after its announcement shows at least that change.
//! - A consumer that was away resumes after an LSN, or gets [`Gone`] and must look at everything again.
//! - The leader waits for no consumer. One that falls behind the history gets [`Gone`].
//! - After a change of leader some rows may be announced again. That is harmless: an announcement says that a row changed, not how.

mod changes;
mod history;
mod redis_stream;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use changes::Changes;
pub use history::{Gone, Subscription};

use crate::config;
use crate::values::lsn::{Epoch, Lsn};
use history::History;
use redis_stream::RedisStream;

/// A leader that is silent for longer has stopped or cannot be heard: its heartbeats come every few seconds.
const SILENCE: Duration = Duration::from_secs(10);

/// What happened to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    Created,
    /// It changed, or something that belongs to it did.
    Changed,
    /// It is gone, or marked as deleted.
    Deleted,
}

/// One changed row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    /// The collection; or a table that is none, but whose rows others show.
    pub collection: Cow<'static, str>,
    pub id: Uuid,
    /// The version of the first of the changes that are announced together.
    pub first_version: Option<i64>,
    /// The row's version, the one of its ETag; none if only what belongs to it has changed.
    pub version: Option<i64>,
    pub operation: Operation,
}

impl fmt::Display for Announcement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {:?}", self.collection, self.id, self.operation)?;
        self.version.map_or(Ok(()), |version| write!(f, " {version}"))
    }
}

/// All that changed between two LSNs. Without announcements it is a heartbeat.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry {
    pub epoch: Epoch,
    /// Covers the commits behind this LSN.
    pub after: Lsn,
    /// Covers the commits up to here; a consumer resumes after it.
    pub lsn: Lsn,
    /// In the order of the stream; a row that changed often comes once, where it changed last.
    pub announcements: Vec<Announcement>,
}

/// Where this process gets announcements from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Its own sync, which leads.
    Own,
    /// Another process, through Redis.
    Other,
    /// None: there is no leader, or no way to it.
    None,
}

/// The announcements of a process.
pub struct Feed {
    history: Mutex<History>,
    moved: watch::Sender<()>,
    leaders: AtomicUsize,
    /// When another process was last heard.
    heard: Mutex<Option<Instant>>,
    redis: Option<RedisStream>,
    has_redis: AtomicBool,
    pool: PgPool,
}

/// The right to announce, which ends when this is dropped.
pub struct Leading(Arc<Feed>);

impl Drop for Leading {
    fn drop(&mut self) {
        self.0.leaders.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Feed {
    /// Makes a feed that shares its entries with servers of the same name through Redis, if there is an address.
    pub fn open(settings: &config::Feed, redis_url: Option<&str>, name: &str, pool: PgPool) -> redis::RedisResult<Arc<Self>> {
        let redis_url = redis_url.filter(|url| !url.is_empty());
        Ok(Arc::new(Self {
            history: Mutex::new(History::new(settings.history)),
            moved: watch::Sender::default(),
            leaders: AtomicUsize::default(),
            heard: Mutex::default(),
            redis: redis_url.map(|url| RedisStream::open(url, name)).transpose()?,
            has_redis: AtomicBool::default(),
            pool,
        }))
    }

    /// Exchanges entries with other servers until stopped. Only the first call does; without Redis none does.
    pub async fn follow(self: Arc<Self>, stop: CancellationToken) {
        if let Some(redis) = &self.redis {
            stop.run_until_cancelled(redis.run(&self)).await;
        }
    }

    /// Whether Redis answers; none without an address.
    #[must_use]
    pub fn is_connected(&self) -> Option<bool> {
        self.redis.as_ref().map(|_| self.has_redis.load(Ordering::Relaxed))
    }

    /// Begins to announce as the sync leader, whose stream starts after an LSN, until the value is dropped.
    #[must_use]
    pub fn lead(self: &Arc<Self>, epoch: Epoch, from: Lsn) -> Leading {
        self.leaders.fetch_add(1, Ordering::AcqRel);
        self.history().continue_from(epoch, from);
        self.moved.send_replace(());
        Leading(Arc::clone(self))
    }

    /// Announces everything that changed up to an LSN, if this process leads. Every reader must see those commits already.
    ///
    /// Never waits. What an earlier leader has announced is skipped.
    pub fn announce(&self, changes: &Changes, upto: Lsn) {
        let entry = {
            let history = self.history();
            let Some(epoch) = history.epoch.filter(|_| self.leads()) else { return };
            let announcements = changes.list();
            // Changes that cannot be listed are a gap: an entry that does not continue the one before.
            let after = if announcements.is_some() { history.reached } else { upto };
            Arc::new(Entry { epoch, after, lsn: upto, announcements: announcements.unwrap_or_default() })
        };
        if self.add(&entry)
            && let Some(redis) = &self.redis
        {
            redis.queue(entry);
        }
    }

    /// Subscribes to what is announced from now on.
    #[must_use]
    pub fn subscribe(self: &Arc<Self>) -> Subscription {
        let (epoch, after) = (self.epoch(), self.reached());
        Subscription { feed: Arc::clone(self), moved: self.moved.subscribe(), epoch, after }
    }

    /// Subscribes to everything that was and is announced after an LSN; [`Gone`] if the history does not reach back so far, or the
    /// LSN is of another epoch.
    pub fn resume(self: &Arc<Self>, epoch: Epoch, after: Lsn) -> Result<Subscription, Gone> {
        let epoch = Some(epoch);
        self.history().next(epoch, after)?;
        Ok(Subscription { feed: Arc::clone(self), moved: self.moved.subscribe(), epoch, after })
    }

    /// The LSN up to which everything was announced here.
    #[must_use]
    pub fn reached(&self) -> Lsn {
        self.history().reached
    }

    /// The epoch of the LSNs; none before the first announcement.
    #[must_use]
    pub fn epoch(&self) -> Option<Epoch> {
        self.history().epoch
    }

    #[must_use]
    pub fn source(&self) -> Source {
        let is_heard = || self.heard().is_some_and(|heard| heard.elapsed() <= SILENCE);
        match self.leads() {
            true => Source::Own,
            false if is_heard() => Source::Other,
            false => Source::None,
        }
    }

    /// Takes what another server has announced.
    fn hear(&self, entry: Entry) {
        if !self.leads() {
            *self.heard() = Some(Instant::now());
            self.add(&Arc::new(entry));
        }
    }

    fn lose_contact(&self) {
        self.has_redis.store(false, Ordering::Relaxed);
        *self.heard() = None;
    }

    /// Returns false if the entry was announced before.
    fn add(&self, entry: &Arc<Entry>) -> bool {
        let is_news = self.history().push(entry);
        if is_news {
            self.moved.send_replace(());
        }
        is_news
    }

    fn leads(&self) -> bool {
        self.leaders.load(Ordering::Acquire) > 0
    }

    fn heard(&self) -> MutexGuard<'_, Option<Instant>> {
        self.heard.lock()
    }

    /// A panic elsewhere leaves what is in here whole: each change is one call.
    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock()
    }
}
