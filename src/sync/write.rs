//! Writes documents into the index: reads the rows again, sends them with one version, settles every outcome.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use sqlx::PgPool;
use tracing::{error, warn};
use uuid::Uuid;

use super::batch::Keys;
use super::catalog;
use super::state;
use crate::collections;
use crate::position::{Epoch, Version};
use crate::search::bulk::{self, Bulk, Outcome};
use crate::search::{Collection, Elastic, ElasticError};

const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Writes documents. May be called from many tasks at once.
pub struct Writer {
    /// Where rows are read and what was refused is kept.
    pub pool: PgPool,
    /// The index.
    pub elastic: Elastic,
    /// The high bits of the versions.
    pub epoch: Epoch,
    /// Documents to one request.
    pub batch_size: usize,
    indices: Mutex<BTreeMap<&'static str, BTreeSet<String>>>,
    buried: Mutex<HashSet<(&'static str, Uuid)>>,
}

/// One write of a bulk, in its order.
struct Sent {
    collection: &'static str,
    index: String,
    id: Uuid,
}

impl Writer {
    /// Makes a writer that knows no index yet.
    #[must_use]
    pub fn new(pool: PgPool, elastic: Elastic, epoch: Epoch, batch_size: usize) -> Self {
        Self { pool, elastic, epoch, batch_size, indices: Mutex::default(), buried: Mutex::default() }
    }

    /// From now on writes the documents of the collection into this index too.
    pub fn add(&self, collection: &'static Collection, index: &str) {
        lock(&self.indices).entry(collection.name).or_default().insert(index.to_owned());
    }

    /// Stops writing into an index.
    pub fn remove(&self, index: &str) {
        for indices in lock(&self.indices).values_mut() {
            indices.remove(index);
        }
    }

    /// Returns the indices that documents of the collection are written to.
    #[must_use]
    pub fn indices(&self, collection: &str) -> Vec<String> {
        lock(&self.indices).get(collection).into_iter().flatten().cloned().collect()
    }

    /// Remembers which documents were refused before, so that a success can be noted.
    pub fn remember(&self, buried: impl IntoIterator<Item = (&'static str, Uuid)>) {
        lock(&self.buried).extend(buried);
    }

    /// Writes documents into all their indices and returns those. Tries until the index has taken or refused each, and reads the
    /// rows again every time: a request that is older than the memory of deletions could bring a deleted document back.
    ///
    /// # Errors
    /// The database's. The index's only if it does not understand a request as a whole.
    pub async fn write(&self, keys: Keys, version: Version) -> anyhow::Result<BTreeSet<String>> {
        let mut written = BTreeSet::new();
        for mut keys in split(keys, self.batch_size) {
            let mut pause = SHORTEST_PAUSE;
            while !keys.is_empty() {
                match self.attempt(&keys, None, version).await {
                    Ok((rejected, indices)) => {
                        written.extend(indices);
                        keys = rejected;
                    }
                    Err(error) if is_outage(&error) => warn!(error = %error, "the index does not take documents; trying again"),
                    Err(error) => return Err(error),
                }
                if !keys.is_empty() {
                    tokio::time::sleep(pause.mul_f64(0.5 + rand::random::<f64>() / 2.0)).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
        Ok(written)
    }

    /// Writes documents into one index, once. Returns those that have to be tried again.
    ///
    /// # Errors
    /// The database's or the index's.
    pub async fn fill(&self, collection: &'static str, index: &str, ids: &[Uuid], version: Version) -> anyhow::Result<Keys> {
        let keys = Keys::from([(collection, ids.iter().copied().collect())]);
        self.attempt(&keys, Some(index), version).await.map(|(rejected, _)| rejected)
    }

    async fn attempt(&self, keys: &Keys, only: Option<&str>, version: Version) -> anyhow::Result<(Keys, BTreeSet<String>)> {
        let mut bulk = Bulk::default();
        let mut sent = Vec::new();
        let mut snapshot = self.pool.begin_with("begin isolation level repeatable read, read only").await?;
        for (name, ids) in keys {
            let collection = collections::find(name).context("an unknown collection")?;
            let indices = only.map_or_else(|| self.indices(name), |index| vec![index.to_owned()]);
            let ids: Vec<Uuid> = ids.iter().copied().collect();
            let loaded = (collection.load)(&mut snapshot, &ids).await?;
            let loaded: HashMap<Uuid, Vec<u8>> = loaded.into_iter().map(|document| (document.id, document.source)).collect();
            for index in indices {
                for id in &ids {
                    match loaded.get(id) {
                        Some(source) => bulk.index(&index, *id, version, source),
                        None => bulk.delete(&index, *id, version),
                    }
                    sent.push(Sent { collection: collection.name, index: index.clone(), id: *id });
                }
            }
        }
        snapshot.commit().await?;
        fail::fail_point!("sync-before-bulk");
        let outcomes = bulk::send(&self.elastic, bulk).await?;
        fail::fail_point!("sync-after-bulk");
        self.settle(sent, outcomes, version).await
    }

    async fn settle(
        &self,
        sent: Vec<Sent>,
        outcomes: Vec<Outcome>,
        version: Version,
    ) -> anyhow::Result<(Keys, BTreeSet<String>)> {
        let mut rejected = Keys::new();
        let mut written = BTreeSet::new();
        let mut revived: BTreeMap<&'static str, Vec<Uuid>> = BTreeMap::new();
        let mut lost = BTreeSet::new();
        for (sent, outcome) in sent.into_iter().zip(outcomes) {
            match outcome {
                Outcome::Written | Outcome::Outdated => {
                    if lock(&self.buried).remove(&(sent.collection, sent.id)) {
                        revived.entry(sent.collection).or_default().push(sent.id);
                    }
                    written.insert(sent.index);
                }
                Outcome::Rejected => {
                    rejected.entry(sent.collection).or_default().insert(sent.id);
                }
                Outcome::NoIndex => {
                    lost.insert(sent.index);
                }
                Outcome::Poison { status, reason } => {
                    error!(collection = sent.collection, id = %sent.id, status, reason, "the index refuses a document");
                    state::bury(&self.pool, sent.collection, sent.id, version, &reason).await?;
                    lock(&self.buried).insert((sent.collection, sent.id));
                }
            }
        }
        for (collection, ids) in revived {
            state::revive(&self.pool, collection, &ids).await?;
        }
        for index in lost {
            // Somebody removed it. Without its row a new one is built.
            error!(index, "an index has gone; it will be built again");
            self.remove(&index);
            catalog::forget(&self.pool, &index).await?;
        }
        Ok((rejected, written))
    }
}

/// Whether trying again makes sense because the index, and not the request, is to blame.
pub fn is_outage(error: &anyhow::Error) -> bool {
    error.downcast_ref::<ElasticError>().is_some_and(ElasticError::is_outage)
}

/// Cuts keys into pieces of one request each.
fn split(keys: Keys, size: usize) -> Vec<Keys> {
    let mut pieces = vec![Keys::new()];
    let mut room = size;
    for (collection, ids) in keys {
        for id in ids {
            if room == 0 {
                pieces.push(Keys::new());
                room = size;
            }
            room -= 1;
            if let Some(piece) = pieces.last_mut() {
                piece.entry(collection).or_default().insert(id);
            }
        }
    }
    pieces
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
