//! Elasticsearch as an engine: one request per question, two if a phrase matches nothing as it was typed.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value as Json;
use serde_json::value::RawValue;

use super::compile::{self, Matching};
use super::{Elastic, ElasticError, Verb};
use crate::search::query::{Count, Hits, Page, Place, Query, Total};
use crate::search::{Collection, index};

impl Elastic {
    /// Answers a question about the live generation of a collection.
    ///
    /// # Errors
    /// See [`ElasticError`]; also when shards failed, because an answer with a part missing is none.
    pub async fn answer(&self, collection: &Collection, query: &Query) -> Result<Hits, ElasticError> {
        let loose = matches!(&query.page, Page::After(place) if place.loose);
        if !loose {
            let hits = self.ask(collection, query, Matching::Strict).await?;
            let follows = matches!(query.page, Page::After(_));
            if follows || query.phrase.is_none() || hits.found_any {
                return Ok(hits.hits);
            }
        }
        Ok(self.ask(collection, query, Matching::Loose).await?.hits)
    }

    /// Asks for nothing, to see whether a question would be answered.
    ///
    /// # Errors
    /// See [`ElasticError`].
    pub async fn probe(&self, collection: &Collection) -> Result<(), ElasticError> {
        let path = format!("{}/_search?size=0&allow_partial_search_results=false", index::alias(self, collection));
        self.send(Verb::Post, &path, None, self.search_deadline).await.map(drop)
    }

    async fn ask(&self, collection: &Collection, query: &Query, matching: Matching) -> Result<Found, ElasticError> {
        let path = format!(
            "{}/_search?allow_partial_search_results=false&timeout={}ms\
             &filter_path=timed_out,_shards.failed,hits.total,hits.hits._source,hits.hits.sort",
            index::alias(self, collection),
            self.search_deadline.as_millis(),
        );
        let body = Bytes::from(compile::body(query, matching).to_string());
        let answer: Answer = self.read(Verb::Post, &path, Some(body), self.search_deadline).await?;
        if answer.timed_out || answer.shards.failed > 0 {
            return Err(ElasticError::Timeout);
        }
        answer.hits.read(query, matching)
    }
}

struct Found {
    hits: Hits,
    found_any: bool,
}

#[derive(Deserialize)]
struct Answer {
    timed_out: bool,
    #[serde(rename = "_shards")]
    shards: Shards,
    #[serde(default)]
    hits: HitList,
}

#[derive(Deserialize)]
struct Shards {
    failed: u32,
}

#[derive(Default, Deserialize)]
struct HitList {
    total: Option<Counted>,
    #[serde(default)]
    hits: Vec<Hit>,
}

#[derive(Deserialize)]
struct Counted {
    value: u64,
    relation: String,
}

#[derive(Deserialize)]
struct Hit {
    #[serde(rename = "_source")]
    source: Box<RawValue>,
    sort: Vec<Json>,
}

impl HitList {
    fn read(mut self, query: &Query, matching: Matching) -> Result<Found, ElasticError> {
        let found_any = !self.hits.is_empty() || self.total.as_ref().is_some_and(|total| total.value > 0);
        let limit = query.limit as usize;
        let has_more = self.hits.len() > limit;
        self.hits.truncate(limit);
        let next = match self.hits.last() {
            Some(last) if has_more => Some(place(query, last, matching)?),
            _ => None,
        };
        let total = self.total.filter(|_| query.count != Count::None);
        let total = total.map(|total| Total { value: total.value, at_least: total.relation != "eq" });
        let documents = self.hits.into_iter().map(|hit| hit.source).collect();
        Ok(Found { hits: Hits { documents, total, next }, found_any })
    }
}

fn place(query: &Query, hit: &Hit, matching: Matching) -> Result<Place, ElasticError> {
    let broken = || ElasticError::Broken("a hit without its sort keys".into());
    let (id, keys) = hit.sort.split_last().ok_or_else(broken)?;
    Ok(Place {
        keys: query.sort.iter().zip(keys).map(|(sort, value)| compile::key(*sort, value)).collect(),
        id: id.as_str().and_then(|id| id.parse().ok()).ok_or_else(broken)?,
        loose: matching == Matching::Loose,
    })
}
