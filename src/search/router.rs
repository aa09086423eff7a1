//! The search router: chooses the engine that answers a list, and writes and reads cursors.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::PgPool;
use tokio::sync::Notify;

use super::Collection;
use super::breaker::Breaker;
use super::cursor::{Cursor, Signer};
use super::elastic::{Elastic, ElasticError};
use super::postgres::Postgres;
use super::query::{Engine, Hits, Query, SortPosition};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::metrics;
use crate::turns::{Turn, Turns};
use crate::values::ids::UserId;

/// Shortest time between two probes of Elasticsearch.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// Searches of one caller that an engine works on at a time. Elasticsearch has threads for a few and queues a thousand; Postgres has six
/// connections.
const ELASTIC_TURNS: u32 = 8;
const POSTGRES_TURNS: u32 = 4;

/// Phrases of one caller that an engine works on at a time, if it works on nothing else of the caller: a phrase costs many times what
/// filters cost.
const PHRASES: u32 = 2;

/// Searches of one caller that may wait for their turn: half of the requests that a server works on by default.
const WAITING: usize = 256;

/// The engines, and what decides between them.
#[derive(Debug)]
pub struct Search {
    elastic: Option<Arc<Elastic>>,
    elastic_turns: Turns<Option<UserId>>,
    postgres: Postgres,
    postgres_turns: Turns<Option<UserId>>,
    /// Longest wait of a search for its turn.
    patience: Duration,
    breaker: Arc<Breaker>,
    signer: Signer,
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

#[derive(Debug)]
pub struct Answer {
    pub hits: Hits,
    pub engine: Engine,
    /// Whether Postgres answered in the place of a configured Elasticsearch.
    pub degraded: bool,
    /// How old the answer may be; zero from Postgres.
    pub lag: Duration,
}

impl Search {
    /// Opens the engines without connecting.
    ///
    /// # Errors
    /// An address that cannot be read.
    pub fn open(config: &Config, pool: PgPool) -> anyhow::Result<Self> {
        Ok(Self {
            elastic: Elastic::open(&config.search)?.map(Arc::new),
            elastic_turns: Turns::new(ELASTIC_TURNS, WAITING),
            postgres: Postgres { pool },
            postgres_turns: Turns::new(POSTGRES_TURNS, WAITING),
            patience: config.database.search_acquire_timeout,
            breaker: Arc::new(Breaker::new(PROBE_INTERVAL)),
            signer: Signer::new(config.access.key()),
            faults: Notify::new(),
        })
    }

    /// Elasticsearch, if an address is configured; for the sync and administration.
    #[must_use]
    pub fn elastic(&self) -> Option<&Arc<Elastic>> {
        self.elastic.as_ref()
    }

    /// Answers from Elasticsearch if it is well and there is an `index` that has what the caller must see; otherwise from Postgres. A
    /// cursor's scores bind it to the engine `scored_by`.
    ///
    /// # Errors
    /// The database's, a cursor with scores of the engine that cannot answer now, and too many searches of the caller.
    pub async fn answer(
        &self,
        collection: &'static Collection,
        query: &Query,
        caller: Option<UserId>,
        scored_by: Option<Engine>,
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
                let _turn = self.turn(&self.postgres_turns, POSTGRES_TURNS, caller, query).await?;
                (self.postgres.search(collection, query).await?, Engine::Postgres, Duration::ZERO)
            }
        };
        let degraded = engine == Engine::Postgres && self.elastic.is_some();
        let labels = [collection.name, engine.name(), if degraded { "true" } else { "false" }];
        metrics::SEARCHES.with_label_values(&labels).inc();
        Ok(Answer { hits, engine, degraded, lag })
    }

    /// Writes the cursor that continues after a position; `params` are those that the filter hash covers.
    pub fn cursor(&self, query: &Query, params: &[(String, String)], position: SortPosition, engine: Engine) -> Result<String> {
        let engine = query.is_scored().then_some(engine);
        let cursor = Cursor { position, filter_hash: self.signer.filter_hash(params), engine };
        self.signer.write(&cursor).map_err(Error::internal)
    }

    /// Reads a cursor. One that this server did not sign, or of another list, is refused.
    pub fn resume(&self, text: &str, params: &[(String, String)]) -> Result<Cursor> {
        let cursor = self.signer.read(text).filter(|cursor| cursor.filter_hash == self.signer.filter_hash(params));
        let detail = "cursor: takes the nextCursor of a list with the same filters and order";
        cursor.ok_or_else(|| Error::malformed("bad_cursor", detail))
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

    /// Waits for the caller's turn at an engine. Callers without a name count as one.
    async fn turn(
        &self,
        turns: &Turns<Option<UserId>>,
        at_once: u32,
        caller: Option<UserId>,
        query: &Query,
    ) -> Result<Turn<Option<UserId>>> {
        let share = if query.phrase.is_some() { at_once / PHRASES } else { 1 };
        let detail = "too many of your searches are under way; send the next one when the last is answered";
        turns.take(caller, share, self.patience).await.ok_or_else(|| Error::busy("too_many_searches", detail))
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
        let answer = elastic.search(&name, query).await;
        if answer.as_ref().is_err_and(ElasticError::is_fault_of_index) {
            self.faults.notify_one();
        }
        match answer {
            Ok(hits) => return Ok(Some((hits, lag))),
            // The server itself is well.
            Err(error) if error.is_missing() => {
                tracing::debug!(collection = collection.name, index = &*name, "the live index is gone");
            }
            Err(error @ ElasticError::Refused { .. }) => {
                tracing::error!(collection = collection.name, %error, "elasticsearch refused a search");
            }
            Err(error) => {
                tracing::info!(collection = collection.name, %error, "elasticsearch did not answer a search; postgres does");
                self.probe(elastic, collection);
            }
        }
        Ok(None)
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
