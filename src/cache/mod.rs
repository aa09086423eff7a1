//! Answers of Postgres that are kept for seconds, so that not every request asks again: sessions, and the overview of the sync.

mod invalidation;
mod shared;

pub use shared::{Found, Shared};

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

/// Most entries. Beyond that the expired ones are removed, and if that is not enough, all.
const CAPACITY: usize = 50_000;

/// Values by key, each with a time to live.
///
/// A value may be as old as its time to live: so long it stays if Postgres cannot notify this server that it has changed.
#[derive(Default)]
pub struct Cache {
    entries: Mutex<Entries>,
}

#[derive(Default)]
struct Entries {
    by_key: HashMap<String, Entry>,
    /// Counts removals, so that a value read before one is not stored after it.
    removals: u64,
}

struct Entry {
    expires: Instant,
    value: Arc<dyn Any + Send + Sync>,
}

impl Cache {
    /// Forgets what Postgres says has changed, until stopped.
    pub async fn follow(self: Arc<Self>, pool: PgPool, stop: CancellationToken) {
        stop.run_until_cancelled(invalidation::run(&self, &pool)).await;
    }

    /// Returns the value of a key, if it has that type and has not expired.
    #[must_use]
    pub fn get<T: Clone + Send + Sync + 'static>(&self, key: &str) -> Option<T> {
        let entries = self.entries.lock();
        let entry = entries.by_key.get(key).filter(|entry| entry.expires > Instant::now())?;
        entry.value.downcast_ref().cloned()
    }

    /// Returns the value of a key, or else reads it and keeps it for its time to live.
    ///
    /// A value is not kept if anything was invalidated while it was read, because it may be that.
    pub async fn get_or_read<T: Clone + Send + Sync + 'static, E>(
        &self,
        key: String,
        time_to_live: Duration,
        read: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        if let Some(known) = self.get(&key) {
            return Ok(known);
        }
        let removals = self.entries.lock().removals;
        let value = read.await?;
        let mut entries = self.entries.lock();
        if entries.removals == removals {
            entries.insert(key, Arc::new(value.clone()), time_to_live);
        }
        Ok(value)
    }

    /// Removes the value of a key on this server.
    pub fn forget(&self, key: &str) {
        let mut entries = self.entries.lock();
        entries.by_key.remove(key);
        entries.removals += 1;
    }

    /// Removes all values on this server.
    pub fn clear(&self) {
        let mut entries = self.entries.lock();
        entries.by_key.clear();
        entries.removals += 1;
    }
}

impl Entries {
    fn insert(&mut self, key: String, value: Arc<dyn Any + Send + Sync>, time_to_live: Duration) {
        let now = Instant::now();
        if self.by_key.len() >= CAPACITY {
            self.by_key.retain(|_, entry| entry.expires > now);
            if self.by_key.len() >= CAPACITY {
                self.by_key.clear();
            }
        }
        self.by_key.insert(key, Entry { expires: now + time_to_live, value });
    }
}
