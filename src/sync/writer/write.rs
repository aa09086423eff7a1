//! Writes documents into their indices: reads the rows again, sends them with one version, handles every outcome.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use anyhow::Context;
use parking_lot::Mutex;
use sqlx::PgPool;
use tokio::time::Instant;
use tracing::{error, warn};
use uuid::Uuid;

use super::obstacles::Obstacles;
use crate::config::Config;
use crate::freshness::status::Status;
use crate::search::bulk::{self, Bulk, Outcome};
use crate::search::{Collection, Elastic, ElasticError, rows};
use crate::sync::store::dead_letters;
use crate::sync::store::generations::{self, Generation, State};
use crate::sync::stream::batch::Keys;
use crate::telemetry::Span;
use crate::values::lsn::{Epoch, Version};
use crate::{collections, failpoint};

/// Writes documents. May be called from many tasks at once.
pub struct Writer {
    pub pool: PgPool,
    pub elastic: Elastic,
    pub epoch: Epoch,
    pub batch_size: usize,
    /// Bytes of one bulk request.
    pub bulk_bytes: usize,
    /// How long an index that is not live may fail to take what the live one takes.
    patience: Duration,
    indices: Mutex<BTreeMap<&'static str, BTreeSet<String>>>,
    roles: Mutex<Roles>,
    failing_since: Mutex<BTreeMap<String, Instant>>,
    quarantined: Mutex<HashSet<(&'static str, Uuid)>>,
    obstacles: Obstacles,
}

/// What indices are written for; others are being built.
#[derive(Clone, Debug, Default)]
struct Roles {
    live: BTreeSet<String>,
    rollback_targets: BTreeSet<String>,
}

/// What became of some documents.
#[derive(Debug, Default)]
pub struct Written {
    /// Live indices of lists that were written to and have to be refreshed.
    pub indices: BTreeSet<String>,
    /// Documents that Elasticsearch was too busy for, or away.
    pub unwritten: Keys,
    /// Documents that an index will never take.
    pub quarantined: Keys,
    /// Documents of which an index that is not live has the same version or a newer one.
    pub outdated: Keys,
}

impl Written {
    fn add(&mut self, other: Self) {
        self.indices.extend(other.indices);
        for (keys, more) in [
            (&mut self.unwritten, other.unwritten),
            (&mut self.quarantined, other.quarantined),
            (&mut self.outdated, other.outdated),
        ] {
            for (collection, ids) in more {
                keys.entry(collection).or_default().extend(ids);
            }
        }
    }
}

/// One item of a bulk request.
struct Sent {
    collection: &'static str,
    index: String,
    id: Uuid,
}

/// A bulk request and its items, in the same order.
#[derive(Default)]
struct Request {
    bulk: Bulk,
    sent: Vec<Sent>,
}

impl Writer {
    /// Makes a writer without indices.
    #[must_use]
    pub fn new(pool: PgPool, elastic: Elastic, epoch: Epoch, config: &Config) -> Self {
        let (batch_size, bulk_bytes) = (config.sync.batch_size.max(1), config.sync.bulk_bytes);
        let patience = config.reindex.patience;
        let (indices, roles, failing_since, quarantined, obstacles) = Default::default();
        Self { pool, elastic, epoch, batch_size, bulk_bytes, patience, indices, roles, failing_since, quarantined, obstacles }
    }

    /// Reports to a status why documents are not taken.
    #[must_use]
    pub fn reporting_to(mut self, status: &Status) -> Self {
        self.obstacles.status = status.clone();
        self
    }

    /// Writes documents of a collection into this index too from now on.
    pub fn add_index(&self, collection: &'static Collection, index: &str) {
        self.indices.lock().entry(collection.name).or_default().insert(index.to_owned());
    }

    pub fn remove_index(&self, index: &str) {
        for indices in self.indices.lock().values_mut() {
            indices.remove(index);
        }
        self.obstacles.forget(index);
    }

    /// Sets the roles of indices. Only live ones are refreshed, since a refresh costs throughput. A rollback target that refuses a
    /// document, because its mapping is older, is retired: the live index has the document.
    pub fn assign_roles(&self, generations: &[Generation]) {
        let of = |state| generations.iter().filter(|one| one.state == state).map(|one| one.index.clone()).collect();
        *self.roles.lock() = Roles { live: of(State::Live), rollback_targets: of(State::Retired) };
    }

    /// Makes an index live, before the alias leads to it. Earlier writes to it have not been refreshed.
    pub fn add_live(&self, index: &str) {
        let mut roles = self.roles.lock();
        roles.live.insert(index.to_owned());
        // A rollback target that becomes live is not retired for what it refuses.
        roles.rollback_targets.remove(index);
    }

    #[must_use]
    pub fn live_indices(&self) -> BTreeSet<String> {
        self.roles.lock().live.clone()
    }

    /// Returns the indices that documents of a collection are written to.
    #[must_use]
    pub fn indices(&self, collection: &str) -> Vec<String> {
        self.indices.lock().get(collection).into_iter().flatten().cloned().collect()
    }

    /// Adds documents that were quarantined before, so that a successful write releases them.
    pub fn remember_quarantined(&self, quarantined: impl IntoIterator<Item = (&'static str, Uuid)>) {
        self.quarantined.lock().extend(quarantined);
    }

    /// Ends the quarantine of documents.
    pub async fn release(&self, collection: &'static str, ids: &[Uuid]) -> anyhow::Result<()> {
        dead_letters::release(&self.pool, collection, ids).await?;
        self.quarantined.lock().retain(|(name, id)| *name != collection || !ids.contains(id));
        Ok(())
    }

    /// Writes documents into all their indices, once. To try again is to read the rows again: a request older than
    /// `index.gc_deletes` could bring a deleted document back.
    ///
    /// # Errors
    /// Of Elasticsearch only if it rejects a request as a whole.
    pub async fn write(&self, keys: &Keys, version: Version) -> anyhow::Result<Written> {
        match self.attempt(keys, None, version).await {
            Err(error) if is_outage(&error) => {
                self.obstacles.failed(&error);
                self.failing_since.lock().clear();
                Ok(Written { unwritten: keys.clone(), ..Written::default() })
            }
            attempted => attempted,
        }
    }

    /// Writes documents into one index, once.
    pub async fn fill(&self, collection: &'static str, index: &str, ids: &[Uuid], version: Version) -> anyhow::Result<Written> {
        let keys = Keys::from([(collection, ids.iter().copied().collect())]);
        self.attempt(&keys, Some(index), version).await
    }

    /// Forgets an index that was removed by another client. Without its row a new one is built.
    pub async fn forget_index(&self, index: &str) -> sqlx::Result<()> {
        error!(index, "index is missing; rebuilding it");
        self.remove_index(index);
        generations::delete(&self.pool, index).await
    }

    async fn attempt(&self, keys: &Keys, only: Option<&str>, version: Version) -> anyhow::Result<Written> {
        let span = Span::background("sync batch");
        let attempted = span.scope(self.read_and_send(keys, only, version)).await;
        span.ended(&attempted);
        attempted
    }

    async fn read_and_send(&self, keys: &Keys, only: Option<&str>, version: Version) -> anyhow::Result<Written> {
        // Before the rows are read: the filling of an index that is added later reads them again.
        let indices_of = |name: &&'static str| only.map_or_else(|| self.indices(name), |index| vec![index.to_owned()]);
        let targets: BTreeMap<&str, Vec<String>> = keys.keys().map(|name| (*name, indices_of(name))).collect();
        let live = self.live_indices();
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
                // An index that is not live has its own requests: it may be broken while the live ones are fine.
                let own = (!live.contains(index)).then_some(index.as_str());
                for id in ids.iter().filter(|id| !rows.unreadable.contains_key(id)) {
                    let Request { bulk, sent } = self.request_with_room(requests.entry(own).or_default());
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
            self.quarantine(key, version, &reason, &mut written).await?;
        }
        failpoint::abort_at("sync-before-bulk");
        // Live indices come first: another index is to blame only if they took the documents.
        let mut is_live_fine = None;
        for (own, requests) in requests {
            let sent = self.send(requests, version).await;
            written.add(match own {
                Some(index) if is_live_fine == Some(true) => self.tolerate(index, sent, keys).await?,
                Some(_) => sent?,
                None => {
                    let sent = sent?;
                    is_live_fine = Some(sent.unwritten.is_empty());
                    sent
                }
            });
        }
        if is_live_fine == Some(false) {
            self.failing_since.lock().clear();
        }
        failpoint::abort_at("sync-after-bulk");
        Ok(written)
    }

    fn request_with_room<'a>(&self, requests: &'a mut Vec<Request>) -> &'a mut Request {
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
            self.handle(sent, outcomes, version, &mut written).await?;
        }
        Ok(written)
    }

    /// Tolerates failing writes to an index that is not live, but only for a while: lists wait for them.
    async fn tolerate(&self, index: &str, sent: anyhow::Result<Written>, keys: &Keys) -> anyhow::Result<Written> {
        let mut written = match sent {
            Err(error) if is_outage(&error) => Written { unwritten: keys.clone(), ..Written::default() },
            sent => sent?,
        };
        if written.unwritten.is_empty() {
            self.failing_since.lock().remove(index);
            return Ok(written);
        }
        let since = *self.failing_since.lock().entry(index.to_owned()).or_insert_with(Instant::now);
        if since.elapsed() >= self.patience {
            error!(index, "index takes no documents while the live index does; abandoning it");
            self.remove_index(index);
            generations::abandon(&self.pool, index, "it took no documents while the live index did").await?;
            written.unwritten.clear();
        }
        Ok(written)
    }

    /// Quarantines a document that an index will never take, or that cannot be built.
    async fn quarantine(
        &self,
        key: (&'static str, Uuid),
        version: Version,
        reason: &str,
        written: &mut Written,
    ) -> anyhow::Result<()> {
        let (collection, id) = key;
        error!(collection, %id, reason, "document is quarantined");
        dead_letters::quarantine(&self.pool, collection, id, version, reason).await?;
        self.quarantined.lock().insert(key);
        written.quarantined.entry(collection).or_default().insert(id);
        Ok(())
    }

    async fn handle(
        &self,
        sent: Vec<Sent>,
        outcomes: Vec<Outcome>,
        version: Version,
        written: &mut Written,
    ) -> anyhow::Result<()> {
        // The roles after the writes: an index that becomes live later is refreshed before.
        let Roles { live, rollback_targets } = self.roles.lock().clone();
        let (mut taken, mut refused, mut missing) = (Vec::new(), Vec::new(), BTreeSet::new());
        let (mut taking, mut refusals) = (BTreeSet::new(), BTreeMap::new());
        for (sent, outcome) in sent.into_iter().zip(outcomes) {
            let key = (sent.collection, sent.id);
            if let Outcome::Blocked { reason } = &outcome {
                refusals.insert(sent.index.clone(), reason.clone());
            } else if !matches!(outcome, Outcome::Rejected | Outcome::NoIndex) && !taking.contains(&sent.index) {
                taking.insert(sent.index.clone());
            }
            match outcome {
                Outcome::Written | Outcome::Outdated if live.contains(&sent.index) => {
                    taken.push(key);
                    if collections::find(sent.collection).is_some_and(Collection::is_listed) {
                        written.indices.insert(sent.index);
                    }
                }
                Outcome::Outdated => {
                    written.outdated.entry(sent.collection).or_default().insert(sent.id);
                }
                Outcome::Written => {}
                Outcome::Rejected | Outcome::Blocked { .. } => {
                    written.unwritten.entry(sent.collection).or_default().insert(sent.id);
                }
                Outcome::NoIndex => {
                    missing.insert(sent.index);
                }
                Outcome::Poison { .. } if rollback_targets.contains(&sent.index) => refused.push((sent.index, key)),
                Outcome::Poison { reason, .. } => self.quarantine(key, version, &reason, written).await?,
            }
        }
        self.obstacles.answered(&taking, refusals);
        let mut released: BTreeMap<&'static str, Vec<Uuid>> = BTreeMap::new();
        for (collection, id) in taken.into_iter().filter(|key| self.quarantined.lock().contains(key)) {
            released.entry(collection).or_default().push(id);
        }
        for (collection, ids) in released {
            self.release(collection, &ids).await?;
        }
        // A document that the live index refuses too is not the fault of the rollback target.
        refused.retain(|(_, key)| !self.quarantined.lock().contains(key));
        for index in refused.into_iter().map(|(index, _)| index).collect::<BTreeSet<_>>() {
            warn!(index, "the rollback target refuses a document; removing it");
            self.remove_index(&index);
            generations::abandon(&self.pool, &index, "it refused a document").await?;
        }
        for index in missing {
            self.forget_index(&index).await?;
        }
        Ok(())
    }
}

/// Whether Elasticsearch, and not the request, is to blame, so that trying again makes sense.
pub fn is_outage(error: &anyhow::Error) -> bool {
    error.downcast_ref::<ElasticError>().is_some_and(ElasticError::is_outage)
}

/// Whether the index does not exist.
pub fn is_missing(error: &anyhow::Error) -> bool {
    error.downcast_ref().is_some_and(ElasticError::is_missing)
}
