//! The search router: chooses the engine that answers a list, and writes and reads cursors.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::PgPool;
use tokio::sync::Notify;

use super::Collection;
use super::breaker::{Breaker, Circuit};
use super::cursor::{Cursor, Signer};
use super::elastic::{Elastic, ElasticError};
use super::postgres::Postgres;
use super::query::{Engine, Hits, Query, SortPosition};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::metrics;

/// Failures in a row after which searches go to Postgres at once.
const BREAKER_FAILURES: u32 = 3;
/// Pause between attempts to reach Elasticsearch again.
const BREAKER_PROBE: Duration = Duration::from_secs(1);

/// The engines, and what decides between them.
#[derive(Debug)]
pub struct Search {
    elastic: Option<Arc<Elastic>>,
    postgres: Postgres,
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
        let settings = &config.search;
        Ok(Self {
            elastic: Elastic::open(settings)?.map(Arc::new),
            postgres: Postgres { pool },
            breaker: Arc::new(Breaker::new(BREAKER_FAILURES, BREAKER_PROBE)),
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
    /// The database's, and a cursor with scores of the engine that cannot answer now.
    pub async fn answer(
        &self,
        collection: &'static Collection,
        query: &Query,
        scored_by: Option<Engine>,
        index: impl Future<Output = Option<ListedIndex>>,
    ) -> Result<Answer> {
        let found = match self.healthy(collection) {
            Some(elastic) if scored_by != Some(Engine::Postgres) => self.ask(elastic, collection, query, index).await,
            _ => None,
        };
        let (hits, engine, lag) = match found {
            Some((hits, lag)) => (hits, Engine::Elasticsearch, lag),
            None if scored_by == Some(Engine::Elasticsearch) => {
                let detail = "this cursor has expired because another search engine answers now; restart without `cursor`";
                return Err(Error::conflict("cursor_expired", detail));
            }
            None => (self.postgres.search(collection, query).await?, Engine::Postgres, Duration::ZERO),
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
    fn healthy(&self, collection: &'static Collection) -> Option<&Elastic> {
        let elastic = self.elastic.as_ref()?;
        match self.breaker.circuit(Instant::now()) {
            Circuit::Closed => Some(elastic),
            Circuit::Open => None,
            Circuit::HalfOpen => {
                tokio::spawn(probe(Arc::clone(elastic), Arc::clone(&self.breaker), collection));
                None
            }
        }
    }

    /// Asks Elasticsearch; none if Postgres has to answer instead.
    async fn ask(
        &self,
        elastic: &Elastic,
        collection: &'static Collection,
        query: &Query,
        index: impl Future<Output = Option<ListedIndex>>,
    ) -> Option<(Hits, Duration)> {
        let ListedIndex { name, lag } = index.await?;
        let answer = elastic.search(&name, query).await;
        if answer.as_ref().is_err_and(ElasticError::is_fault_of_index) {
            self.faults.notify_one();
        }
        match answer {
            Ok(hits) => {
                self.breaker.succeeded();
                return Some((hits, lag));
            }
            // The server itself is well.
            Err(error) if error.is_missing() => {
                tracing::debug!(collection = collection.name, index = &*name, "the live index is gone");
            }
            Err(error @ ElasticError::Refused { .. }) => {
                tracing::error!(collection = collection.name, %error, "elasticsearch refused a search");
            }
            Err(error) => {
                if self.breaker.failed(Instant::now()) {
                    tracing::warn!(%error, "elasticsearch does not answer searches; postgres does");
                }
            }
        }
        None
    }
}

async fn probe(elastic: Arc<Elastic>, breaker: Arc<Breaker>, collection: &'static Collection) {
    let is_outage = elastic.probe(collection).await.is_err_and(|error| error.is_outage());
    if !is_outage {
        breaker.succeeded();
        tracing::info!("elasticsearch answers searches again");
    }
}
