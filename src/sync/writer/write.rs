//! Writes documents into the index: reads the rows again, sends them with one version, settles every outcome.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use anyhow::Context;
use parking_lot::Mutex;
use sqlx::PgPool;
use tokio::time::Instant;
use tracing::{error, warn};
use uuid::Uuid;

use super::rows;
use crate::config::Config;
use crate::search::bulk::{self, Bulk, Outcome};
use crate::search::{Collection, Elastic, ElasticError};
use crate::sync::store::checkpoint;
use crate::sync::store::generations::{self, Generation, State};
use crate::sync::stream::batch::Keys;
use crate::values::lsn::{Epoch, Version};
use crate::{collections, failpoint};

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
    /// How long an index that lists do not read may refuse what the one that they read takes.
    patience: Duration,
    indices: Mutex<BTreeMap<&'static str, BTreeSet<String>>>,
    uses: Mutex<Uses>,
    /// Since when some do.
    faltering: Mutex<BTreeMap<String, Instant>>,
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
    /// Documents that an index will never take.
    pub refused: Keys,
    /// Documents of which an index that lists do not read has a version that is as new or newer.
    pub outdated: Keys,
}

impl Written {
    fn add(&mut self, other: Self) {
        self.indices.extend(other.indices);
        for (keys, more) in
            [(&mut self.unwritten, other.unwritten), (&mut self.refused, other.refused), (&mut self.outdated, other.outdated)]
        {
            for (collection, ids) in more {
                keys.entry(collection).or_default().extend(ids);
            }
        }
    }
}

/// One write of a bulk, in its order.
struct Sent {
    collection: &'static str,
    index: String,
    id: Uuid,
}

/// A request, and what it writes.
#[derive(Default)]
struct Request {
    bulk: Bulk,
    sent: Vec<Sent>,
}

impl Writer {
    /// Makes a writer that knows no index yet.
    #[must_use]
    pub fn new(pool: PgPool, elastic: Elastic, epoch: Epoch, config: &Config) -> Self {
        let (batch_size, bulk_bytes) = (config.sync.batch_size.max(1), config.sync.bulk_bytes);
        let patience = config.reindex.patience;
        let (indices, uses, faltering, buried) = Default::default();
        Self { pool, elastic, epoch, batch_size, bulk_bytes, patience, indices, uses, faltering, buried }
    }

    /// From now on writes the documents of the collection into this index too.
    pub fn add(&self, collection: &'static Collection, index: &str) {
        self.indices.lock().entry(collection.name).or_default().insert(index.to_owned());
    }

    /// Stops writing into an index.
    pub fn remove(&self, index: &str) {
        for indices in self.indices.lock().values_mut() {
            indices.remove(index);
        }
    }

    /// Says what the indices are for. Only those that lists read are refreshed: the others would take the time of their refreshes.
    /// One that is kept for a way back and refuses a document, because its mapping is an older one, is given up: the document is
    /// fine where it is read.
    pub fn assign(&self, generations: &[Generation]) {
        let of = |state| generations.iter().filter(|one| one.state == state).map(|one| one.index.clone()).collect();
        *self.uses.lock() = Uses { shown: of(State::Live), spare: of(State::Retired) };
    }

    /// Says that lists are about to read an index. What was written to it before has not been refreshed.
    pub fn show(&self, index: &str) {
        let mut uses = self.uses.lock();
        uses.shown.insert(index.to_owned());
        // One that becomes live again is not given up for what it refuses.
        uses.spare.remove(index);
    }

    /// Returns the indices that lists read.
    #[must_use]
    pub fn shown(&self) -> BTreeSet<String> {
        self.uses.lock().shown.clone()
    }

    /// Returns the indices that documents of the collection are written to.
    #[must_use]
    pub fn indices(&self, collection: &str) -> Vec<String> {
        self.indices.lock().get(collection).into_iter().flatten().cloned().collect()
    }

    /// Remembers which documents were refused before, so that a success can be noted.
    pub fn remember(&self, buried: impl IntoIterator<Item = (&'static str, Uuid)>) {
        self.buried.lock().extend(buried);
    }

    /// Counts documents as refused no longer.
    ///
    /// # Errors
    /// The database's.
    pub async fn revive(&self, collection: &'static str, ids: &[Uuid]) -> anyhow::Result<()> {
        checkpoint::revive(&self.pool, collection, ids).await?;
        self.buried.lock().retain(|(name, id)| *name != collection || !ids.contains(id));
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
                self.faltering.lock().clear();
                Ok(Written { unwritten: keys.clone(), ..Written::default() })
            }
            attempted => attempted,
        }
    }

    /// Writes documents into one index, once.
    ///
    /// # Errors
    /// The database's or the index's.
    pub async fn fill(&self, collection: &'static str, index: &str, ids: &[Uuid], version: Version) -> anyhow::Result<Written> {
        let keys = Keys::from([(collection, ids.iter().copied().collect())]);
        self.attempt(&keys, Some(index), version).await
    }

    /// Forgets an index that somebody removed. Without its row a new one is built.
    ///
    /// # Errors
    /// The database's.
    pub async fn lose(&self, index: &str) -> sqlx::Result<()> {
        error!(index, "an index has gone; it will be built again");
        self.remove(index);
        generations::delete(&self.pool, index).await
    }

    async fn attempt(&self, keys: &Keys, only: Option<&str>, version: Version) -> anyhow::Result<Written> {
        // Before the rows are read: what an index that comes later lacks of them is read again when it is filled.
        let indices_of = |name: &&'static str| only.map_or_else(|| self.indices(name), |index| vec![index.to_owned()]);
        let targets: BTreeMap<&str, Vec<String>> = keys.keys().map(|name| (*name, indices_of(name))).collect();
        let shown = self.shown();
        let mut requests: BTreeMap<Option<&str>, Vec<Request>> = BTreeMap::new();
        let mut written = Written::default();
        let mut unreadable = Vec::new();
        let mut snapshot = self.pool.begin_with("begin isolation level repeatable read, read only").await?;
        for (name, ids) in keys {
            let collection = collections::find(name).context("an unknown collection")?;
            let mut ids: Vec<Uuid> = ids.iter().copied().collect();
            // Neighbours in time are neighbours on Postgres' pages and in the index's terms.
            ids.sort_unstable();
            let rows = rows::read(&mut snapshot, collection, &ids).await?;
            for index in targets.get(name).into_iter().flatten() {
                // What lists do not read has requests of its own: it may be broken while the rest is well.
                let own = (!shown.contains(index)).then_some(index.as_str());
                for id in ids.iter().filter(|id| !rows.unreadable.contains_key(id)) {
                    let Request { bulk, sent } = self.room(requests.entry(own).or_default());
                    match rows.documents.get(id) {
                        Some(source) => bulk.index(index, *id, version, source),
                        None => bulk.delete(index, *id, version),
                    }
                    sent.push(Sent { collection: collection.name, index: index.clone(), id: *id });
                }
            }
            unreadable.extend(rows.unreadable.into_iter().map(|(id, reason)| ((collection.name, id), reason)));
        }
        snapshot.commit().await?;
        for (key, reason) in unreadable {
            self.bury(key, version, &reason, &mut written).await?;
        }
        failpoint::point("sync-before-bulk");
        // What lists read comes first: only beside it, one that takes nothing is to blame.
        let mut is_well = None;
        for (own, requests) in requests {
            let sent = self.send(requests, version).await;
            written.add(match own {
                Some(index) if is_well == Some(true) => self.bear_with(index, sent, keys).await?,
                Some(_) => sent?,
                None => {
                    let sent = sent?;
                    is_well = Some(sent.unwritten.is_empty());
                    sent
                }
            });
        }
        if is_well == Some(false) {
            self.faltering.lock().clear();
        }
        failpoint::point("sync-after-bulk");
        Ok(written)
    }

    /// Returns the request to add to.
    fn room<'a>(&self, requests: &'a mut Vec<Request>) -> &'a mut Request {
        if requests.last().is_none_or(|request| request.bulk.size() >= self.bulk_bytes) {
            requests.push(Request::default());
        }
        let last = requests.len() - 1;
        &mut requests[last]
    }

    async fn send(&self, requests: Vec<Request>, version: Version) -> anyhow::Result<Written> {
        let mut written = Written::default();
        for Request { bulk, sent } in requests {
            let outcomes = bulk::send(&self.elastic, bulk).await?;
            self.settle(sent, outcomes, version, &mut written).await?;
        }
        Ok(written)
    }

    /// Takes what became of writes to an index that lists do not read. One that for too long does not take what the one that they
    /// read has taken is given up, so that lists do not wait for it.
    async fn bear_with(&self, index: &str, sent: anyhow::Result<Written>, keys: &Keys) -> anyhow::Result<Written> {
        let mut written = match sent {
            Err(error) if is_outage(&error) => Written { unwritten: keys.clone(), ..Written::default() },
            sent => sent?,
        };
        if written.unwritten.is_empty() {
            self.faltering.lock().remove(index);
            return Ok(written);
        }
        let since = *self.faltering.lock().entry(index.to_owned()).or_insert_with(Instant::now);
        if since.elapsed() >= self.patience {
            error!(index, "an index that lists do not read takes no documents; it is given up");
            self.remove(index);
            generations::abandon(&self.pool, index, "it took no documents while the live index did").await?;
            written.unwritten.clear();
        }
        Ok(written)
    }

    /// Sets a document aside that an index will never take, or that cannot be made.
    async fn bury(&self, key: (&'static str, Uuid), version: Version, reason: &str, written: &mut Written) -> anyhow::Result<()> {
        let (collection, id) = key;
        error!(collection, %id, reason, "a document is refused");
        checkpoint::bury(&self.pool, collection, id, version, reason).await?;
        self.buried.lock().insert(key);
        written.refused.entry(collection).or_default().insert(id);
        Ok(())
    }

    async fn settle(
        &self,
        sent: Vec<Sent>,
        outcomes: Vec<Outcome>,
        version: Version,
        written: &mut Written,
    ) -> anyhow::Result<()> {
        // As it is after the writes: what is shown from now on is refreshed before.
        let Uses { shown, spare } = self.uses.lock().clone();
        let (mut taken, mut spared, mut lost) = (Vec::new(), Vec::new(), BTreeSet::new());
        for (sent, outcome) in sent.into_iter().zip(outcomes) {
            let key = (sent.collection, sent.id);
            match outcome {
                // What lists do not read says nothing of what they do.
                Outcome::Written | Outcome::Outdated if shown.contains(&sent.index) => {
                    taken.push(key);
                    written.indices.insert(sent.index);
                }
                Outcome::Outdated => {
                    written.outdated.entry(sent.collection).or_default().insert(sent.id);
                }
                Outcome::Written => {}
                Outcome::Rejected => {
                    written.unwritten.entry(sent.collection).or_default().insert(sent.id);
                }
                Outcome::NoIndex => {
                    lost.insert(sent.index);
                }
                Outcome::Poison { .. } if spare.contains(&sent.index) => spared.push((sent.index, key)),
                Outcome::Poison { reason, .. } => self.bury(key, version, &reason, written).await?,
            }
        }
        let mut revived: BTreeMap<&'static str, Vec<Uuid>> = BTreeMap::new();
        for (collection, id) in taken.into_iter().filter(|key| self.buried.lock().contains(key)) {
            revived.entry(collection).or_default().push(id);
        }
        for (collection, ids) in revived {
            self.revive(collection, &ids).await?;
        }
        // What no index takes says nothing of this one.
        spared.retain(|(_, key)| !self.buried.lock().contains(key));
        for index in spared.into_iter().map(|(index, _)| index).collect::<BTreeSet<_>>() {
            warn!(index, "the index before does not take what is written now; there is no way back to it");
            self.remove(&index);
            generations::abandon(&self.pool, &index, "it refused a document").await?;
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
