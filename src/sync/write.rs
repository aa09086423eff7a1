//! Writes documents into the index: reads the rows again, sends them with one version, settles every outcome.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use anyhow::Context;
use sqlx::PgPool;
use tracing::{error, warn};
use uuid::Uuid;

use super::batch::Keys;
use super::catalog::{self, Generation};
use super::kill;
use super::state;
use crate::collections;
use crate::position::{Epoch, Version};
use crate::search::bulk::{self, Bulk, Outcome};
use crate::search::{Collection, Elastic, ElasticError};

/// Writes documents. May be called from many tasks at once.
pub struct Writer {
    /// Where rows are read and what was refused is kept.
    pub pool: PgPool,
    /// The index.
    pub elastic: Elastic,
    /// The high bits of the versions.
    pub epoch: Epoch,
    /// Documents to one read of the rows.
    pub batch_size: usize,
    /// Size of one request.
    pub bulk_bytes: usize,
    indices: Mutex<BTreeMap<&'static str, BTreeSet<String>>>,
    uses: Mutex<Uses>,
    buried: Mutex<HashSet<(&'static str, Uuid)>>,
}

/// What indices are written for.
#[derive(Clone, Debug, Default)]
struct Uses {
    /// Lists read them.
    shown: BTreeSet<String>,
    /// They are kept for a way back.
    spare: BTreeSet<String>,
}

/// What became of some documents.
#[derive(Debug, Default)]
pub struct Written {
    /// The indices that were written to, of those that lists read: they have to be refreshed before it can be found.
    pub indices: BTreeSet<String>,
    /// Documents that the index was too busy for, or away.
    pub unwritten: Keys,
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
    pub fn new(pool: PgPool, elastic: Elastic, epoch: Epoch, settings: &crate::config::Sync) -> Self {
        let (batch_size, bulk_bytes) = (settings.batch_size.max(1), settings.bulk_bytes);
        let (indices, uses, buried) = Default::default();
        Self { pool, elastic, epoch, batch_size, bulk_bytes, indices, uses, buried }
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

    /// Says what the indices are for. Only those that lists read are refreshed: the others would take the time of their refreshes.
    /// One that is kept for a way back and refuses a document, because its mapping is an older one, is given up: the document is
    /// fine where it is read.
    pub fn assign(&self, generations: &[Generation]) {
        let of = |state| generations.iter().filter(|one| one.state == state).map(|one| one.index.clone()).collect();
        *lock(&self.uses) = Uses { shown: of("live"), spare: of("retired") };
    }

    /// Says that lists are about to read an index. What was written to it before has not been refreshed.
    pub fn show(&self, index: &str) {
        lock(&self.uses).shown.insert(index.to_owned());
    }

    /// Returns the indices that lists read.
    #[must_use]
    pub fn shown(&self) -> BTreeSet<String> {
        lock(&self.uses).shown.clone()
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

    /// Counts documents as refused no longer.
    ///
    /// # Errors
    /// The database's.
    pub async fn revive(&self, collection: &'static str, ids: &[Uuid]) -> anyhow::Result<()> {
        state::revive(&self.pool, collection, ids).await?;
        lock(&self.buried).retain(|(name, id)| *name != collection || !ids.contains(id));
        Ok(())
    }

    /// Writes documents into all their indices, once. Whoever tries again reads the rows again: a request that is older than the
    /// memory of deletions could bring a deleted document back.
    ///
    /// # Errors
    /// The database's. The index's only if it does not understand a request as a whole.
    pub async fn write(&self, keys: &Keys, version: Version) -> anyhow::Result<Written> {
        match self.attempt(keys, None, version).await {
            Err(error) if is_outage(&error) => {
                warn!(error = %error, "the index does not take documents");
                Ok(Written { unwritten: keys.clone(), ..Written::default() })
            }
            attempted => attempted,
        }
    }

    /// Writes documents into one index, once. Returns those that have to be tried again.
    ///
    /// # Errors
    /// The database's or the index's.
    pub async fn fill(&self, collection: &'static str, index: &str, ids: &[Uuid], version: Version) -> anyhow::Result<Keys> {
        let keys = Keys::from([(collection, ids.iter().copied().collect())]);
        self.attempt(&keys, Some(index), version).await.map(|written| written.unwritten)
    }

    /// Forgets an index that somebody removed. Without its row a new one is built.
    ///
    /// # Errors
    /// The database's.
    pub async fn lose(&self, index: &str) -> sqlx::Result<()> {
        error!(index, "an index has gone; it will be built again");
        self.remove(index);
        catalog::forget(&self.pool, index).await
    }

    async fn attempt(&self, keys: &Keys, only: Option<&str>, version: Version) -> anyhow::Result<Written> {
        let mut requests = vec![(Bulk::default(), Vec::new())];
        let mut snapshot = self.pool.begin_with("begin isolation level repeatable read, read only").await?;
        for (name, ids) in keys {
            let collection = collections::find(name).context("an unknown collection")?;
            let indices = only.map_or_else(|| self.indices(name), |index| vec![index.to_owned()]);
            let mut ids: Vec<Uuid> = ids.iter().copied().collect();
            // Neighbours in time are neighbours on Postgres' pages and in the index's terms.
            ids.sort_unstable();
            let loaded = (collection.load)(&mut snapshot, &ids).await?;
            let loaded: HashMap<Uuid, Vec<u8>> = loaded.into_iter().map(|document| (document.id, document.source)).collect();
            for index in indices {
                for id in &ids {
                    if requests.last().is_none_or(|(bulk, _)| bulk.size() >= self.bulk_bytes) {
                        requests.push((Bulk::default(), Vec::new()));
                    }
                    let Some((bulk, sent)) = requests.last_mut() else { continue };
                    match loaded.get(id) {
                        Some(source) => bulk.index(&index, *id, version, source),
                        None => bulk.delete(&index, *id, version),
                    }
                    sent.push(Sent { collection: collection.name, index: index.clone(), id: *id });
                }
            }
        }
        snapshot.commit().await?;
        kill::point("sync-before-bulk");
        let mut written = Written::default();
        for (bulk, sent) in requests {
            let outcomes = bulk::send(&self.elastic, bulk).await?;
            self.settle(sent, outcomes, version, &mut written).await?;
        }
        kill::point("sync-after-bulk");
        Ok(written)
    }

    async fn settle(
        &self,
        sent: Vec<Sent>,
        outcomes: Vec<Outcome>,
        version: Version,
        written: &mut Written,
    ) -> anyhow::Result<()> {
        // As it is after the writes: what is shown from now on is refreshed before.
        let Uses { shown, spare } = lock(&self.uses).clone();
        let (mut taken, mut refused, mut spared, mut lost) = (Vec::new(), HashSet::new(), Vec::new(), BTreeSet::new());
        for (sent, outcome) in sent.into_iter().zip(outcomes) {
            let key = (sent.collection, sent.id);
            match outcome {
                // What lists do not read says nothing of what they do.
                Outcome::Written | Outcome::Outdated if shown.contains(&sent.index) => {
                    taken.push(key);
                    written.indices.insert(sent.index);
                }
                Outcome::Written | Outcome::Outdated => {}
                Outcome::Rejected => {
                    written.unwritten.entry(sent.collection).or_default().insert(sent.id);
                }
                Outcome::NoIndex => {
                    lost.insert(sent.index);
                }
                Outcome::Poison { .. } if spare.contains(&sent.index) => spared.push((sent.index, key)),
                Outcome::Poison { status, reason } => {
                    error!(collection = sent.collection, id = %sent.id, status, reason, "the index refuses a document");
                    state::bury(&self.pool, sent.collection, sent.id, version, &reason).await?;
                    lock(&self.buried).insert(key);
                    refused.insert(key);
                }
            }
        }
        let mut revived: BTreeMap<&'static str, Vec<Uuid>> = BTreeMap::new();
        for (collection, id) in taken.into_iter().filter(|key| !refused.contains(key) && lock(&self.buried).contains(key)) {
            revived.entry(collection).or_default().push(id);
        }
        for (collection, ids) in revived {
            self.revive(collection, &ids).await?;
        }
        // What no index takes says nothing of this one.
        spared.retain(|(_, key)| !lock(&self.buried).contains(key));
        for index in spared.into_iter().map(|(index, _)| index).collect::<BTreeSet<_>>() {
            warn!(index, "the index before does not take what is written now; there is no way back to it");
            self.remove(&index);
            catalog::expire(&self.pool, &index).await?;
        }
        for index in lost {
            self.lose(&index).await?;
        }
        Ok(())
    }
}

/// Whether trying again makes sense because the index, and not the request, is to blame.
pub fn is_outage(error: &anyhow::Error) -> bool {
    error.downcast_ref::<ElasticError>().is_some_and(ElasticError::is_outage)
}

/// Whether an index that was asked has gone.
pub fn is_missing(error: &anyhow::Error) -> bool {
    error.downcast_ref().is_some_and(ElasticError::is_missing)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
