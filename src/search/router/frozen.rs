//! Lists as of one moment: the first page opens a view, the last one ends it.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::view::View;
use super::{Answer, ELASTIC_TURNS, ListedIndex, Search};
use crate::error::{Error, Result};
use crate::search::Collection;
use crate::search::elastic::Elastic;
use crate::search::query::{Engine, Hits, Query};
use crate::values::ids::UserId;

impl Search {
    /// Opens a view and answers from it.
    pub(super) async fn freeze(
        &self,
        collection: &'static Collection,
        query: &Query,
        caller: Option<UserId>,
        now: DateTime<Utc>,
        index: impl Future<Output = Option<ListedIndex>>,
    ) -> Result<Answer> {
        if self.elastic.is_none() {
            let detail = "view: frozen views need Elasticsearch, which this deployment has not; walk with view=live";
            return Err(Error::malformed("bad_parameter", detail));
        }
        let elastic = self.healthy(collection).ok_or_else(view_unavailable)?;
        let ListedIndex { name: index, lag } = index.await.ok_or_else(view_unavailable)?;
        let _turn = self.turn(&self.elastic_turns, ELASTIC_TURNS, caller, query).await?;
        let name = self.views.begin(caller)?;
        let lag_ms = u64::try_from(lag.as_millis()).unwrap_or(u64::MAX);
        let read = async {
            let point = elastic.open_point(&index, self.views.keep_alive).await?;
            let view = View { name, point, indexed_at: now - lag, lag: lag_ms, read_at: now };
            Ok((elastic.search_point(&view.point, self.views.keep_alive, query, elastic.search_deadline).await?, view))
        };
        match read.await {
            Ok(((hits, point), view)) => Ok(self.page_of(elastic, hits, View { point, ..view }, caller)),
            Err(error) => {
                self.views.end(name);
                self.learn(elastic, collection, &index, &error)?;
                Err(view_unavailable())
            }
        }
    }

    /// Answers from a view that is open.
    pub(super) async fn frozen(
        &self,
        collection: &'static Collection,
        query: &Query,
        caller: Option<UserId>,
        now: DateTime<Utc>,
        view: View,
    ) -> Result<Answer> {
        if view.is_expired(now, self.views.keep_alive) {
            return Err(view_expired());
        }
        let elastic = self.healthy(collection).ok_or_else(view_unavailable)?;
        let _turn = self.turn(&self.elastic_turns, ELASTIC_TURNS, caller, query).await?;
        match elastic.search_point(&view.point, self.views.keep_alive, query, elastic.search_deadline).await {
            Ok((hits, point)) => Ok(self.page_of(elastic, hits, View { point, read_at: now, ..view }, caller)),
            Err(error) if error.is_missing() => Err(view_expired()),
            Err(error) => {
                self.learn(elastic, collection, "of a frozen view", &error)?;
                Err(view_unavailable())
            }
        }
    }

    /// The page of a view, which ends with the last one.
    fn page_of(&self, elastic: &Arc<Elastic>, hits: Hits, view: View, caller: Option<UserId>) -> Answer {
        if hits.next.is_some() {
            self.views.extend(view.name, caller);
        } else {
            self.views.end(view.name);
            let (elastic, point) = (Arc::clone(elastic), view.point.clone());
            tokio::spawn(async move { elastic.close_point(&point).await });
        }
        let lag = Duration::from_millis(view.lag);
        Answer { hits, engine: Engine::Elasticsearch, degraded: false, lag, indexed_at: view.indexed_at, view: Some(view) }
    }
}

pub(super) fn view_expired() -> Error {
    Error::conflict("view_expired", "this frozen view has ended; begin the list again without `cursor`")
}

pub(super) fn view_unavailable() -> Error {
    let detail = "Elasticsearch, which has the frozen views, cannot answer now; send it again, or walk with view=live";
    Error::busy("view_unavailable", detail)
}
