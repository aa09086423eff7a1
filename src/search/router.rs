//! Where searches are handed in: it knows the engines and chooses one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::PgPool;

use super::breaker::{Breaker, Pass};
use super::cursor::{Cursor, Signer};
use super::elastic::{Elastic, ElasticError};
use super::engine::Engine;
use super::postgres::Postgres;
use super::query::{Hits, Place, Query};
use super::{Collection, index};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::metrics;

/// Failures in a row after which searches go to Postgres at once.
const BREAKER_FAILURES: u32 = 3;
/// Pause between attempts to reach Elasticsearch again.
const BREAKER_PROBE: Duration = Duration::from_secs(1);

/// Where searches are handed in.
#[derive(Debug)]
pub struct Search {
    elastic: Option<Arc<Elastic>>,
    postgres: Postgres,
    breaker: Arc<Breaker>,
    signer: Signer,
}

/// What was found, and who found it.
#[derive(Debug)]
pub struct Answer {
    /// The documents.
    pub hits: Hits,
    /// Name of the engine.
    pub engine: &'static str,
    /// Whether another engine should have answered.
    pub degraded: bool,
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
        })
    }

    /// Elasticsearch, if an address is configured; for the sync task and administration.
    #[must_use]
    pub fn elastic(&self) -> Option<&Arc<Elastic>> {
        self.elastic.as_ref()
    }

    /// Answers a question. Elasticsearch is asked if it is well, has an index, and `caught_up` says that the index has what the
    /// caller must see; otherwise Postgres answers.
    ///
    /// # Errors
    /// The database's, and a place in an order of scores that the engine at hand does not know.
    pub async fn answer(
        &self,
        collection: &'static Collection,
        query: &Query,
        scored_by: Option<&str>,
        caught_up: impl Future<Output = bool>,
    ) -> Result<Answer> {
        let asked = match self.ready(collection) {
            Some(elastic) if scored_by != Some(Postgres::NAME) && caught_up.await => self.ask(elastic, collection, query).await,
            _ => None,
        };
        let (hits, engine) = match asked {
            Some(hits) => (hits, Elastic::NAME),
            None if scored_by == Some(Elastic::NAME) => {
                let detail = "the order of this cursor is not available now; begin again without it";
                return Err(Error::conflict("cursor_expired", detail));
            }
            None => (self.postgres.search(collection, query).await?, Postgres::NAME),
        };
        let degraded = engine == Postgres::NAME && self.elastic.is_some();
        metrics::SEARCHES.with_label_values(&[collection.name, engine, if degraded { "true" } else { "false" }]).inc();
        Ok(Answer { hits, engine, degraded })
    }

    /// Writes the cursor that goes on from a place.
    ///
    /// # Errors
    /// None in practice.
    pub fn cursor(&self, query: &Query, question: &[(String, String)], place: Place, engine: &str) -> Result<String> {
        let engine = query.is_scored().then(|| engine.to_owned());
        let cursor = Cursor { place, question: self.signer.question(question), engine };
        self.signer.write(&cursor).map_err(Error::internal)
    }

    /// Reads a cursor.
    ///
    /// # Errors
    /// A cursor that this server did not write, or that belongs to another question.
    pub fn resume(&self, text: &str, question: &[(String, String)]) -> Result<Cursor> {
        let cursor = self.signer.read(text).filter(|cursor| cursor.question == self.signer.question(question));
        let detail = "cursor: takes the nextCursor of a list with the same filters and order";
        cursor.ok_or_else(|| Error::malformed("bad_cursor", detail))
    }

    /// Elasticsearch, unless it is known to be ill. Nobody waits for a probe: it runs beside the request that found it due.
    fn ready(&self, collection: &'static Collection) -> Option<&Elastic> {
        let elastic = self.elastic.as_ref()?;
        match self.breaker.pass(Instant::now()) {
            Pass::Closed => return Some(elastic),
            Pass::Open => {}
            Pass::OpenAndDue => {
                let (elastic, breaker) = (Arc::clone(elastic), Arc::clone(&self.breaker));
                tokio::spawn(async move {
                    match elastic.probe(collection).await {
                        Err(error) if error.is_outage() => {}
                        _ => {
                            breaker.succeeded();
                            tracing::info!("elasticsearch answers searches again");
                        }
                    }
                });
            }
        }
        None
    }

    /// Asks Elasticsearch; none if Postgres has to answer instead.
    async fn ask(&self, elastic: &Elastic, collection: &'static Collection, query: &Query) -> Option<Hits> {
        let error = match elastic.search(collection, query).await {
            Ok(hits) => {
                self.breaker.succeeded();
                return Some(hits);
            }
            Err(error) => error,
        };
        match &error {
            // The first index is not built yet; the server itself is well.
            error if error.is_missing() => {
                tracing::debug!(alias = index::alias(elastic, collection), "there is no live index yet");
            }
            ElasticError::Refused { .. } => tracing::error!(collection = collection.name, %error, "a search was refused"),
            error => {
                if self.breaker.failed(Instant::now()) {
                    tracing::warn!(%error, "elasticsearch does not answer searches; postgres does");
                }
            }
        }
        None
    }
}
