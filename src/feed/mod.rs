//! What has changed, told as soon as it can be seen: announcements of changed rows.
//!
//! The leader of the sync announces a batch of the change stream once its commits are visible to every reader, whatever the search
//! index does meanwhile. Consumers in the process subscribe; other servers hear the same through Redis.
//!
//! # What a consumer can rely on
//!
//! - Announcements come in the order of the stream, and reading a row after its announcement shows at least that change.
//! - A consumer that was away resumes after a position, or learns that it cannot: [`Gone`]. Then it looks at everything anew.
//! - Nobody waits for a consumer. One that falls behind the history learns of the gap.
//! - Who wants to trust what it has read asks whether the announcements are current: a stream that brings a large transaction, or
//!   works off a backlog, speaks all the time and is behind.
//! - After a change of leader some announcements may come again. That is harmless: an announcement says that a row has changed, not
//!   how, and whoever reads the row again reads what is there.

mod changes;
mod current;
mod history;
mod leading;
mod others;
mod wire;

use std::borrow::Cow;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sqlx::PgPool;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use changes::{Changes, Operation};
pub use current::log_end;
pub use history::{Gone, Subscription};
pub use leading::Leading;

use crate::config;
use crate::values::lsn::{Epoch, Lsn};
use current::Current;
use history::History;
use others::{Others, Outgoing};
use wire::Message;

/// Announcements to one entry; a larger batch is announced in parts.
const ENTRY_SIZE: usize = 1_000;

/// How often the others are told of a position at which nothing has changed.
const HEARTBEAT: Duration = Duration::from_millis(250);

/// One changed row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// The collection; or a table that is none, but whose rows are shown by others.
    pub collection: Cow<'static, str>,
    /// The row.
    pub id: Uuid,
    /// The row's version, the one of its ETag; none if only what belongs to it has changed.
    pub version: Option<i64>,
    /// What happened.
    pub operation: Operation,
    /// Where to resume after it.
    pub position: Lsn,
}

impl fmt::Display for Announcement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {:?}", self.collection, self.id, self.operation)?;
        self.version.map_or(Ok(()), |version| write!(f, " {version}"))
    }
}

/// What is announced at once.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry {
    /// Everything up to here is announced with this entry.
    pub position: Lsn,
    /// More of what lies behind the position will come: this is a part of something large.
    pub is_part: bool,
    /// What has changed, in the order of the stream; a row that changed often comes once.
    pub announcements: Vec<Announcement>,
}

/// Where this process hears of changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// From its own sync, which leads.
    Own,
    /// From another process, through Redis.
    Other,
    /// From nobody: what is heard is not current, or nothing is.
    Nobody,
}

/// The announcements of a process.
pub struct Feed {
    history: Mutex<History>,
    moved: watch::Sender<u64>,
    /// The number of the [`Leading`] that there is; zero while there is none.
    leading: AtomicU64,
    current: Mutex<Current>,
    /// When the others were last told anything.
    told: Mutex<Option<Instant>>,
    silence: Duration,
    is_followed: AtomicBool,
    others: Option<Others>,
    pool: PgPool,
}

impl Feed {
    /// Makes a feed, which speaks with other servers of the same name through Redis if there is an address, and asks Postgres how
    /// current it is.
    ///
    /// # Errors
    /// An address that cannot be read.
    pub fn open(settings: &config::Feed, redis_url: Option<&str>, name: &str, pool: PgPool) -> redis::RedisResult<Arc<Self>> {
        let others =
            redis_url.filter(|url| !url.is_empty()).map(|url| Others::open_url(url, name, settings.history)).transpose()?;
        Ok(Arc::new(Self {
            history: Mutex::new(History::new(settings.history)),
            moved: watch::Sender::default(),
            leading: AtomicU64::default(),
            current: Mutex::default(),
            told: Mutex::default(),
            silence: Duration::from_millis(settings.silence_ms),
            is_followed: AtomicBool::default(),
            others,
            pool,
        }))
    }

    /// Looks how current the announcements are, speaks and listens through Redis, until stopped. Only the first call does.
    pub async fn follow(self: Arc<Self>, stop: CancellationToken) {
        if self.is_followed.swap(true, Ordering::AcqRel) {
            return;
        }
        let talk = async {
            let Some(others) = &self.others else { return };
            let Some(outgoing) = others.take() else { return };
            tokio::join!(others.speak(&self, outgoing, &stop), others.listen(&self, &stop));
        };
        tokio::join!(stop.run_until_cancelled(current::watch(&self)), talk);
    }

    /// Begins to announce as the leader of the sync, whose stream starts behind a position, until the value is dropped.
    #[must_use]
    pub fn lead(self: &Arc<Self>, epoch: Epoch, from: Lsn) -> Leading {
        self.continue_from(epoch, from);
        Leading::begin(Arc::clone(self))
    }

    /// Announces what has changed up to a position, while this process leads. Every commit up to there is visible to all readers.
    /// Without changes it moves the position alone. Never waits.
    pub fn announce(&self, changes: &Changes, upto: Lsn) {
        let reached = self.reached();
        match changes.entries(upto, reached) {
            Some(entries) => {
                for entry in entries {
                    let entry = self.publish(entry);
                    self.tell(entry);
                }
            }
            None => {
                // Behind the position, so that nobody who stands there takes it for a continuation.
                if let Some(epoch) = self.epoch() {
                    self.restart(epoch, Lsn(upto.max(reached).0 + 1));
                    self.open_term();
                }
            }
        }
        self.arrive();
    }

    /// Hears what is announced from now on.
    #[must_use]
    pub fn subscribe(self: &Arc<Self>) -> Subscription {
        Subscription::new(Arc::clone(self), self.moved.subscribe())
    }

    /// Hears everything that was and is announced behind a position.
    ///
    /// # Errors
    /// [`Gone`], if that cannot be said: the position is of another epoch, or lies further back than the history.
    pub fn resume(self: &Arc<Self>, epoch: Epoch, after: Lsn) -> Result<Subscription, Gone> {
        Subscription::resume(Arc::clone(self), self.moved.subscribe(), epoch, after)
    }

    /// The position up to which everything was announced here.
    #[must_use]
    pub fn reached(&self) -> Lsn {
        self.history().reached
    }

    /// The epoch of the positions; none before anything was heard.
    #[must_use]
    pub fn epoch(&self) -> Option<Epoch> {
        self.history().epoch
    }

    /// From whom this process hears, if it does.
    #[must_use]
    pub fn source(&self) -> Source {
        match (self.current().is_within(self.silence), self.leads()) {
            (false, _) => Source::Nobody,
            (true, true) => Source::Own,
            (true, false) => Source::Other,
        }
    }

    /// Whether what is remembered can be trusted: every change is announced but the latest, which are as young as the settings say.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.source() != Source::Nobody
    }

    /// Goes on behind a position, if everything up to there was announced here; otherwise everybody begins anew.
    fn continue_from(&self, epoch: Epoch, from: Lsn) {
        let is_known = {
            let history = self.history();
            history.epoch == Some(epoch) && from <= history.reached
        };
        if !is_known {
            self.restart(epoch, from);
        }
    }

    /// Tells everybody to look at everything anew: what is announced next follows a gap.
    fn restart(&self, epoch: Epoch, from: Lsn) {
        self.history().restart(epoch, from);
        self.wake();
    }

    fn publish(&self, entry: Entry) -> Arc<Entry> {
        let entry = self.history().push(entry);
        if !entry.announcements.is_empty() {
            self.wake();
        }
        entry
    }

    /// Takes what another server has said. The first message of its term says where it goes on from; what is missing later shows in
    /// the numbers.
    fn hear(&self, message: Message) {
        if self.leads() {
            return;
        }
        let (epoch, place) = (Epoch(message.epoch), (message.term, message.number));
        let entry = message.into_entry();
        if place.1 == 0 {
            self.continue_from(epoch, entry.position);
        } else if !self.history().is_next(place) {
            self.restart(epoch, entry.floor());
        }
        self.history().place = Some(place);
        self.publish(entry);
        self.arrive();
    }

    fn open_term(&self) {
        if let (Some(others), Some(epoch)) = (&self.others, self.epoch()) {
            others.tell(Outgoing::Open(epoch, self.reached()));
        }
    }

    fn tell(&self, entry: Arc<Entry>) {
        let (Some(others), Some(epoch)) = (&self.others, self.epoch()) else { return };
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = told.is_none_or(|told| told.elapsed() >= HEARTBEAT);
        if is_due || !entry.announcements.is_empty() {
            *told = Some(Instant::now());
            others.tell(Outgoing::Entry(epoch, entry));
        }
    }

    /// After an announcement.
    fn arrive(&self) {
        let reached = self.reached();
        self.current().reach(reached);
    }

    fn fall_silent(&self) {
        self.current().doubt();
    }

    fn leads(&self) -> bool {
        self.leading.load(Ordering::Acquire) > 0
    }

    fn wake(&self) {
        self.moved.send_modify(|moved| *moved += 1);
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A panic elsewhere leaves what is in here whole: each change is one call.
    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
