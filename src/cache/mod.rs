//! What is remembered for seconds, so that the same question is not asked of Postgres with every request.

mod gossip;

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Values remembered at once. When there are more, those that are over go, and if that is not enough all go: it is a cache.
const CAPACITY: usize = 50_000;

/// Keys that wait to be told to other servers; what does not fit is told to nobody.
const GOSSIP_CAPACITY: usize = 1_024;

/// Values by key, each for a limited time, and what several servers tell each other about them.
///
/// Everything in here is an answer of Postgres that may be some seconds old. Redis only makes these seconds fewer: through it a
/// server tells the others what to forget at once.
#[derive(Default)]
pub struct Cache {
    entries: Mutex<Entries>,
    others: Option<Others>,
    connected: AtomicBool,
}

#[derive(Default)]
struct Entries {
    by_key: HashMap<String, Entry>,
    /// Counts how often anything was forgotten.
    forgotten: u64,
}

struct Entry {
    until: Instant,
    value: Arc<dyn Any + Send + Sync>,
}

/// The way to the other servers.
struct Others {
    client: redis::Client,
    outgoing: mpsc::Sender<String>,
    waiting: Mutex<Option<mpsc::Receiver<String>>>,
}

impl Cache {
    /// Makes a cache, which tells other servers through Redis if there is an address.
    ///
    /// # Errors
    /// An address that cannot be read.
    pub fn open(redis_url: Option<&str>) -> redis::RedisResult<Self> {
        let Some(url) = redis_url.filter(|url| !url.is_empty()) else { return Ok(Self::default()) };
        let (outgoing, waiting) = mpsc::channel(GOSSIP_CAPACITY);
        let others = Others { client: redis::Client::open(url)?, outgoing, waiting: Mutex::new(Some(waiting)) };
        Ok(Self { others: Some(others), ..Self::default() })
    }

    /// Talks with the other servers until stopped. Only the first call does; without Redis none does.
    pub async fn follow(self: Arc<Self>, stop: CancellationToken) {
        let Some(others) = &self.others else { return };
        let Some(outgoing) = others.waiting.lock().take() else { return };
        gossip::run(others.client.clone(), outgoing, Arc::clone(&self), stop).await;
    }

    /// Whether Redis is there; none if it is not meant to be.
    #[must_use]
    pub fn is_connected(&self) -> Option<bool> {
        self.others.as_ref().map(|_| self.connected.load(Ordering::Relaxed))
    }

    /// Returns what is remembered under a key, if it is of that type and its time is not over.
    #[must_use]
    pub fn get<T: Clone + Send + Sync + 'static>(&self, key: &str) -> Option<T> {
        let entries = self.entries.lock();
        let entry = entries.by_key.get(key).filter(|entry| entry.until > Instant::now())?;
        entry.value.downcast_ref().cloned()
    }

    /// Returns what is remembered under a key, or else what is read, and remembers that for some time.
    ///
    /// What was read is not remembered if anything was forgotten meanwhile: it may be just that.
    ///
    /// # Errors
    /// Those of reading.
    pub async fn get_or_read<T: Clone + Send + Sync + 'static, E>(
        &self,
        key: String,
        life: Duration,
        read: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        if let Some(known) = self.get(&key) {
            return Ok(known);
        }
        let before = self.entries.lock().forgotten;
        let value = read.await?;
        let mut entries = self.entries.lock();
        if entries.forgotten == before {
            entries.put(key, Arc::new(value.clone()), life);
        }
        Ok(value)
    }

    /// Forgets what is remembered under a key, on every server.
    pub fn forget(&self, key: &str) {
        self.drop_entry(key);
        if let Some(others) = &self.others {
            others.outgoing.try_send(key.to_owned()).ok();
        }
    }

    fn drop_entry(&self, key: &str) {
        let mut entries = self.entries.lock();
        entries.by_key.remove(key);
        entries.forgotten += 1;
    }

    fn forget_all(&self) {
        let mut entries = self.entries.lock();
        entries.by_key.clear();
        entries.forgotten += 1;
    }
}

impl Entries {
    fn put(&mut self, key: String, value: Arc<dyn Any + Send + Sync>, life: Duration) {
        let now = Instant::now();
        if self.by_key.len() >= CAPACITY {
            self.by_key.retain(|_, entry| entry.until > now);
            if self.by_key.len() >= CAPACITY {
                self.by_key.clear();
            }
        }
        self.by_key.insert(key, Entry { until: now + life, value });
    }
}
