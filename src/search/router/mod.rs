//! The search router: chooses the engine that answers a list, and writes and reads cursors.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use tokio::sync::{Notify, Semaphore, SemaphorePermit};

use super::Collection;
use super::cursor::{Cursor, Place, Signer};
use super::elastic::{Elastic, ElasticError};
use super::postgres::Postgres;
use super::query::{Engine, Hits, Query, page_too_large};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::metrics;
use crate::turns::{Turn, Turns};
use crate::values::ids::UserId;

mod breaker;
mod frozen;
pub(super) mod view;
mod walk;

use breaker::Breaker;
use view::{View, Views};
use walk::Walks;
pub use walk::{Bookmark, Walk};

/// Shortest time between two probes of Elasticsearch.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// Searches of one caller that an engine works on at a time. Elasticsearch has threads for a few and queues a thousand; Postgres has six
/// connections.
const ELASTIC_TURNS: u32 = 8;
const POSTGRES_TURNS: u32 = 4;

/// Costly searches of one caller that an engine works on at a time, if it works on nothing else of the caller.
const COSTLY: u32 = 2;

/// Documents of a page that costs as much as a phrase.
const LARGE_PAGE: u32 = 250;

/// Searches of one caller that may wait for Elasticsearch: half of the requests that a server works on by default.
const ELASTIC_WAITING: usize = 256;
/// The same for Postgres, which does a dozen lists in the time that one may wait.
const POSTGRES_WAITING: usize = 32;

/// The engines, and what decides between them.
#[derive(Debug)]
pub struct Search {
    elastic: Option<Arc<Elastic>>,
    elastic_turns: Turns<Option<UserId>>,
    postgres: Postgres,
    postgres_turns: Turns<Option<UserId>>,
    /// Places of all lists that Postgres answers or that wait for it: half of the requests that the server works on. When all lists come
    /// to Postgres at once, the other half is left to writes and reads.
    postgres_places: Semaphore,
    /// Longest wait of a search for its turn.
    patience: Duration,
    breaker: Arc<Breaker>,
    views: Views,
    walks: Walks,
    signer: Signer,
    /// Of the keys that have signed cursors still in use, or will sign.
    other_signers: Vec<Signer>,
    /// Notified when a search fails as if its index were gone: another one may come back under its name.
    pub faults: Notify,
}

/// The index that a list reads.
#[derive(Clone, Debug)]
pub struct ListedIndex {
    pub name: Arc<str>,
    /// How long ago its oldest change was committed that it may not show.
    pub lag: Duration,
}

/// What a list asks for besides its query.
#[derive(Clone, Debug)]
pub struct Asked {
    pub caller: Option<UserId>,
    pub reading: Reading,
    pub now: DateTime<Utc>,
}

/// What the pages of a list are read from.
#[derive(Clone, Debug)]
pub enum Reading {
    /// What there is now. A cursor's scores bind it to the engine that gave them.
    Live { scored_by: Option<Engine> },
    /// A view that this page opens.
    Freeze,
    /// A view that an earlier page has opened.
    Frozen(View),
}

#[derive(Debug)]
pub struct Answer {
    pub hits: Hits,
    pub engine: Engine,
    /// Whether Postgres answered in the place of a configured Elasticsearch.
    pub degraded: bool,
    /// How old the index was when it was read, or frozen; zero from Postgres.
    pub lag: Duration,
    /// Every change that was committed before is shown.
    pub indexed_at: DateTime<Utc>,
    /// The view that the page was read from.
    pub view: Option<View>,
}

impl Answer {
    /// How long ago everything was shown, in milliseconds.
    #[must_use]
    pub fn lag_ms(&self, now: DateTime<Utc>) -> u64 {
        u64::try_from((now - self.indexed_at).num_milliseconds()).unwrap_or(0)
    }
}

impl Search {
    /// Opens the engines without connecting.
    ///
    /// # Errors
    /// An address that cannot be read.
    pub fn open(config: &Config, pool: PgPool, walks: PgPool) -> anyhow::Result<Self> {
        Ok(Self {
            elastic: Elastic::open(&config.search)?.map(Arc::new),
            elastic_turns: Turns::new(ELASTIC_TURNS, ELASTIC_WAITING),
            postgres: Postgres { pool },
            postgres_turns: Turns::new(POSTGRES_TURNS, POSTGRES_WAITING),
            postgres_places: Semaphore::new((config.http.max_in_flight / 2).max(1)),
            patience: config.database.search_acquire_timeout,
            breaker: Arc::new(Breaker::new(PROBE_INTERVAL)),
            views: Views::new(config.search.view_keep_alive),
            walks: Walks::new(walks),
            signer: Signer::new(config.access.key()),
            other_signers: config.access.keys().skip(1).map(Signer::new).collect(),
            faults: Notify::new(),
        })
    }

    /// Elasticsearch, if an address is configured; for the sync and administration.
    #[must_use]
    pub fn elastic(&self) -> Option<&Arc<Elastic>> {
        self.elastic.as_ref()
    }

    /// Answers from Elasticsearch if it is well and there is an `index` that has what the caller must see; otherwise from Postgres,
    /// which has no frozen views.
    ///
    /// # Errors
    /// The database's, a cursor with scores of the engine that cannot answer now, a view that has ended or cannot be had, and too many
    /// searches of the caller.
    pub async fn answer(
        &self,
        collection: &'static Collection,
        query: &Query,
        asked: Asked,
        index: impl Future<Output = Option<ListedIndex>>,
    ) -> Result<Answer> {
        let Asked { caller, reading, now } = asked;
        let answer = match reading {
            Reading::Live { scored_by } => self.live(collection, query, caller, scored_by, now, index).await?,
            Reading::Freeze => self.freeze(collection, query, caller, now, index).await?,
            Reading::Frozen(view) => self.frozen(collection, query, caller, now, view).await?,
        };
        let labels = [collection.name, answer.engine.name(), if answer.degraded { "true" } else { "false" }];
        metrics::SEARCHES.with_label_values(&labels).inc();
        Ok(answer)
    }

    async fn live(
        &self,
        collection: &'static Collection,
        query: &Query,
        caller: Option<UserId>,
        scored_by: Option<Engine>,
        now: DateTime<Utc>,
        index: impl Future<Output = Option<ListedIndex>>,
    ) -> Result<Answer> {
        let found = match self.healthy(collection) {
            Some(elastic) if scored_by != Some(Engine::Postgres) => self.ask(elastic, collection, query, caller, index).await?,
            _ => None,
        };
        let (hits, engine, lag) = match found {
            Some((hits, lag)) => (hits, Engine::Elasticsearch, lag),
            None if scored_by == Some(Engine::Elasticsearch) => {
                let detail = "this cursor has expired because another search engine answers now; restart without `cursor`";
                return Err(Error::conflict("cursor_expired", detail));
            }
            None => {
                let _place = self.postgres_place()?;
                let _turn = self.turn(&self.postgres_turns, POSTGRES_TURNS, caller, query).await?;
                (self.postgres.search(collection, query).await?, Engine::Postgres, Duration::ZERO)
            }
        };
        let degraded = engine == Engine::Postgres && self.elastic.is_some();
        Ok(Answer { hits, engine, degraded, lag, indexed_at: now - lag, view: None })
    }

    /// Writes a cursor; `params` are those that the filter hash covers.
    pub fn cursor(&self, params: &[(String, String)], place: Place) -> Result<String> {
        let cursor = Cursor { filter_hash: self.signer.filter_hash(params), place };
        self.signer.write(&cursor).map_err(Error::internal)
    }

    /// Reads a cursor. One that no known key has signed, or of another list, is refused.
    pub fn resume(&self, text: &str, params: &[(String, String)]) -> Result<Place> {
        let read = |signer: &Signer| signer.read(text).filter(|cursor| cursor.filter_hash == signer.filter_hash(params));
        let cursor = std::iter::once(&self.signer).chain(&self.other_signers).find_map(read);
        let detail = "cursor: takes the nextCursor of a list with the same filters and order";
        cursor.map(|cursor| cursor.place).ok_or_else(|| Error::malformed("bad_cursor", detail))
    }

    /// Elasticsearch while the breaker is closed. No request waits for a probe: it runs beside the one that found it due.
    fn healthy(&self, collection: &'static Collection) -> Option<&Arc<Elastic>> {
        let elastic = self.elastic.as_ref()?;
        if !self.breaker.is_open() {
            return Some(elastic);
        }
        self.probe(elastic, collection);
        None
    }

    fn postgres_place(&self) -> Result<SemaphorePermit<'_>> {
        let detail = "as many lists as may be are waiting for the database; send it again";
        self.postgres_places.try_acquire().map_err(|_| Error::busy("overloaded", detail))
    }

    /// Waits for the caller's turn at an engine. Callers without a name count as one. A phrase, a large page or facets take more of a caller's
    /// turns, as they cost an engine many times what a short list costs.
    async fn turn(
        &self,
        turns: &Turns<Option<UserId>>,
        at_once: u32,
        caller: Option<UserId>,
        query: &Query,
    ) -> Result<Turn<Option<UserId>>> {
        let is_costly = query.phrase.is_some() || query.limit >= LARGE_PAGE || !query.aggregates.is_empty();
        let share = if is_costly { at_once / COSTLY } else { 1 };
        let detail = "too many of your searches are under way; send the next one when the last is answered";
        turns.take(caller, share, self.patience).await.ok_or_else(|| Error::busy("too_many_searches", detail))
    }

    /// Whether lists stay away from Elasticsearch because it fails or is slow.
    #[must_use]
    pub fn is_breaker_open(&self) -> bool {
        self.breaker.is_open()
    }

    /// Sees whether Elasticsearch answers, unless that was done a moment ago.
    fn probe(&self, elastic: &Arc<Elastic>, collection: &'static Collection) {
        if self.breaker.is_probe_due(Instant::now()) {
            tokio::spawn(probe(Arc::clone(elastic), Arc::clone(&self.breaker), collection));
        }
    }

    /// Asks Elasticsearch; none if Postgres has to answer instead.
    async fn ask(
        &self,
        elastic: &Arc<Elastic>,
        collection: &'static Collection,
        query: &Query,
        caller: Option<UserId>,
        index: impl Future<Output = Option<ListedIndex>>,
    ) -> Result<Option<(Hits, Duration)>> {
        let Some(ListedIndex { name, lag }) = index.await else { return Ok(None) };
        let _turn = self.turn(&self.elastic_turns, ELASTIC_TURNS, caller, query).await?;
        // It may have opened meanwhile.
        if self.breaker.is_open() {
            return Ok(None);
        }
        let asked = Instant::now();
        let answer = elastic.search(&name, query).await;
        if asked.elapsed() > elastic.slow_after() {
            self.probe(elastic, collection);
        }
        match answer {
            Ok(hits) => Ok(Some((hits, lag))),
            Err(error) => self.learn(elastic, collection, &name, &error).map(|()| None),
        }
    }

    /// Draws the conclusions from a search that failed; an error if no engine would answer it.
    fn learn(&self, elastic: &Arc<Elastic>, collection: &'static Collection, index: &str, error: &ElasticError) -> Result<()> {
        if error.is_fault_of_index() {
            self.faults.notify_one();
        }
        match error {
            ElasticError::TooLarge => return Err(page_too_large()),
            // The server itself is well.
            error if error.is_missing() => {
                tracing::debug!(collection = collection.name, index, "the live index is gone");
            }
            ElasticError::Refused { .. } => {
                tracing::error!(collection = collection.name, %error, "elasticsearch refused a search");
            }
            error => {
                tracing::info!(collection = collection.name, %error, "elasticsearch did not answer a search");
                self.probe(elastic, collection);
            }
        }
        Ok(())
    }
}

async fn probe(elastic: Arc<Elastic>, breaker: Arc<Breaker>, collection: &'static Collection) {
    match elastic.probe(collection).await {
        Err(error) if error.is_outage() => {
            if breaker.open() {
                tracing::warn!(%error, "elasticsearch does not answer searches; postgres does");
            }
        }
        _ => {
            if breaker.close() {
                tracing::info!("elasticsearch answers searches again");
            }
        }
    }
}
