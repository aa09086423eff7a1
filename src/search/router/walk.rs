//! Walks: a whole list as it was at one moment, page by page, whatever is written meanwhile.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sqlx::{PgPool, Postgres as Pg, Transaction};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::frozen::{view_expired, view_unavailable};
use super::{ListedIndex, Search};
use crate::error::{Error, Result};
use crate::search::Collection;
use crate::search::elastic::Elastic;
use crate::search::postgres;
use crate::search::query::{Count, Engine, Hits, Page, Query, SortPosition};

/// Walks of a server at once: each keeps on the disk of Elasticsearch what has changed since, or a snapshot of Postgres.
const WALKS: usize = 8;

/// Records of a page: fewer cost more requests, more a page's memory.
const PAGE: u32 = 1_000;

/// Longest time between two pages. A client that takes less than a page within it has lost its connection before.
const KEEP_ALIVE: Duration = Duration::from_secs(300);

/// Longest wait for a page of Elasticsearch: many times what one takes, since a walk cannot go on with another engine.
const PAGE_DEADLINE: Duration = Duration::from_secs(30);

/// What walks share.
#[derive(Debug)]
pub(super) struct Walks {
    places: Arc<Semaphore>,
    /// A connection of it is taken for as long as a walk of Postgres lasts.
    pool: PgPool,
}

impl Walks {
    pub(super) fn new(pool: PgPool) -> Self {
        Self { places: Arc::new(Semaphore::new(WALKS)), pool }
    }

    fn place(&self) -> Result<OwnedSemaphorePermit> {
        let taken = Arc::clone(&self.places).try_acquire_owned();
        taken.map_err(|_| {
            Error::busy("too_many_exports", "as many exports as the server does at once are under way; send it again")
        })
    }
}

/// A list as it was when the walk began. What keeps it so ends with this value.
pub struct Walk {
    frozen: Frozen,
    collection: &'static Collection,
    /// Asks for the next page.
    query: Query,
    is_over: bool,
    _place: OwnedSemaphorePermit,
}

/// What does not change while others write.
enum Frozen {
    Point(Point),
    Snapshot(Transaction<'static, Pg>),
}

/// A point in time of Elasticsearch, ended with this value.
struct Point {
    elastic: Arc<Elastic>,
    id: String,
}

impl Drop for Point {
    fn drop(&mut self) {
        let (elastic, id) = (Arc::clone(&self.elastic), std::mem::take(&mut self.id));
        if let (false, Ok(runtime)) = (id.is_empty(), Handle::try_current()) {
            runtime.spawn(async move { elastic.close_point(&id).await });
        }
    }
}

/// Where a walk of Elasticsearch is, for any process to go on from there within `KEEP_ALIVE`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Bookmark {
    point: String,
    position: SortPosition,
}

impl Search {
    /// Begins a walk, and reads its first page with the exact number of records. Elasticsearch is walked if it is well and there is an
    /// `index` that has what the caller must see; otherwise Postgres.
    pub async fn walk(
        &self,
        collection: &'static Collection,
        mut query: Query,
        index: impl Future<Output = Option<ListedIndex>>,
    ) -> Result<(Walk, Hits)> {
        (query.page, query.limit, query.count) = (Page::Number(1), PAGE, Count::Exact);
        let place = self.walks.place()?;
        let point = self.open_point(collection, index).await;
        let mut walk = match point {
            Some(point) => Walk { frozen: Frozen::Point(point), collection, query, is_over: false, _place: place },
            None => self.walk_postgres(collection, query, place).await?,
        };
        let first = match walk.read().await {
            // It was well a moment ago: the walk has not begun, so the other engine can do it.
            Err(error) if error.status() >= 500 && walk.engine() == Engine::Elasticsearch => {
                let Walk { query, _place, .. } = walk;
                walk = self.walk_postgres(collection, query, _place).await?;
                walk.read().await?
            }
            first => first?,
        };
        Ok((walk, first))
    }

    /// Goes on with a walk.
    ///
    /// # Errors
    /// `view_expired`: it has to begin again.
    pub fn resume_walk(&self, collection: &'static Collection, mut query: Query, bookmark: Bookmark) -> Result<Walk> {
        (query.page, query.limit, query.count) = (Page::After(bookmark.position), PAGE, Count::None);
        let elastic = Arc::clone(self.elastic.as_ref().ok_or_else(view_expired)?);
        let frozen = Frozen::Point(Point { elastic, id: bookmark.point });
        Ok(Walk { frozen, collection, query, is_over: false, _place: self.walks.place()? })
    }

    async fn open_point(
        &self,
        collection: &'static Collection,
        index: impl Future<Output = Option<ListedIndex>>,
    ) -> Option<Point> {
        let elastic = self.healthy(collection)?;
        let index = index.await?.name;
        match elastic.open_point(&index, KEEP_ALIVE).await {
            Ok(id) => Some(Point { elastic: Arc::clone(elastic), id }),
            Err(error) => {
                // An error only if no engine could do it, which is not so here.
                self.learn(elastic, collection, &index, &error).ok();
                None
            }
        }
    }

    async fn walk_postgres(&self, collection: &'static Collection, query: Query, place: OwnedSemaphorePermit) -> Result<Walk> {
        let snapshot = postgres::snapshot(&self.walks.pool).await?;
        Ok(Walk { frozen: Frozen::Snapshot(snapshot), collection, query, is_over: false, _place: place })
    }
}

impl Walk {
    #[must_use]
    pub fn engine(&self) -> Engine {
        match self.frozen {
            Frozen::Point(_) => Engine::Elasticsearch,
            Frozen::Snapshot(_) => Engine::Postgres,
        }
    }

    /// Reads the next page; none behind the last.
    ///
    /// # Errors
    /// `view_expired` if what was frozen is gone, `view_unavailable` if the engine does not answer.
    pub async fn page(&mut self) -> Result<Option<Hits>> {
        if self.is_over { Ok(None) } else { self.read().await.map(Some) }
    }

    /// Ends the walk so that [`Search::resume_walk`] can go on with it. None at its end, and for Postgres, whose snapshot ends with its
    /// connection.
    #[must_use]
    pub fn bookmark(mut self) -> Option<Bookmark> {
        match (&mut self.frozen, &self.query.page, self.is_over) {
            (Frozen::Point(point), Page::After(position), false) => {
                Some(Bookmark { point: std::mem::take(&mut point.id), position: position.clone() })
            }
            _ => None,
        }
    }

    /// Reads the page that the query asks for. Records that are too large for a page come on smaller ones.
    async fn read(&mut self) -> Result<Hits> {
        let hits = loop {
            match self.ask().await {
                Err(error) if error.code() == "page_too_large" && self.query.limit > 1 => self.query.limit /= 2,
                answer => break answer?,
            }
        };
        match &hits.next {
            Some(position) => (self.query.page, self.query.count) = (Page::After(position.clone()), Count::None),
            None => self.is_over = true,
        }
        Ok(hits)
    }

    async fn ask(&mut self) -> Result<Hits> {
        match &mut self.frozen {
            Frozen::Snapshot(snapshot) => postgres::search_snapshot(snapshot, self.collection, &self.query).await,
            Frozen::Point(Point { elastic, id }) => {
                let (hits, now) = elastic.search_point(id, KEEP_ALIVE, &self.query, PAGE_DEADLINE).await.map_err(|error| {
                    tracing::info!(collection = self.collection.name, %error, "elasticsearch did not answer a walk");
                    failure(&error)
                })?;
                *id = now;
                Ok(hits)
            }
        }
    }
}

fn failure(error: &crate::search::ElasticError) -> Error {
    match error {
        crate::search::ElasticError::TooLarge => crate::search::query::page_too_large(),
        error if error.is_missing() => view_expired(),
        _ => view_unavailable(),
    }
}
