//! Searches in Elasticsearch: one request each, two if a phrase matches nothing as it was typed.

use serde::Deserialize;
use serde_json::Value as Json;
use serde_json::value::RawValue;

use super::compile;
use super::{Elastic, ElasticError, Verb};
use crate::search::Collection;
use crate::search::query::{Count, Hits, Matching, Query, SortPosition, Total};

impl Elastic {
    /// Name of a collection's alias.
    pub(in crate::search) fn alias(&self, collection: &Collection) -> String {
        format!("{}-{}", self.prefix, collection.name)
    }

    /// Answers from an index. Failed shards are an error: an answer with a part missing is none.
    pub(in crate::search) async fn search(&self, index: &str, query: &Query) -> Result<Hits, ElasticError> {
        let matching = query.matching();
        let hits = self.ask(index, query, matching).await?;
        let hits = if query.needs_loose(matching, &hits) { self.ask(index, query, Matching::Loose).await? } else { hits };
        // A phrase makes the engine count even if the client wants no total.
        Ok(Hits { total: hits.total.filter(|_| query.count != Count::None), ..hits })
    }

    /// Searches for nothing, to see whether the server answers.
    pub(in crate::search) async fn probe(&self, collection: &Collection) -> Result<(), ElasticError> {
        let path = format!("{}/_search?size=0&allow_partial_search_results=false", self.alias(collection));
        self.send(Verb::Post, &path, None, self.search_deadline).await.map(|_| ())
    }

    async fn ask(&self, index: &str, query: &Query, matching: Matching) -> Result<Hits, ElasticError> {
        // Without a `filter_path`, for which Elasticsearch would parse and write every document anew, and numbers as floats.
        let path = format!("{index}/_search?allow_partial_search_results=false&timeout={}ms", self.search_deadline.as_millis(),);
        let body =
            serde_json::to_vec(&compile::body(query, matching)).map_err(|error| ElasticError::Broken(error.to_string()))?;
        let answer: Answer = self.read(Verb::Post, &path, Some(body.into()), self.search_deadline).await?;
        if answer.timed_out || answer.shards.failed > 0 {
            return Err(ElasticError::Timeout);
        }
        answer.hits.read(query, matching)
    }
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
    /// An array; only the last hit's is read.
    sort: Box<RawValue>,
}

impl HitList {
    fn read(mut self, query: &Query, matching: Matching) -> Result<Hits, ElasticError> {
        let has_more = self.hits.len() > query.limit as usize;
        self.hits.truncate(query.limit as usize);
        let next = self.hits.last().filter(|_| has_more).map(|last| position(query, last, matching)).transpose()?;
        Ok(Hits {
            total: self.total.map(|total| Total { value: total.value, at_least: total.relation != "eq" }),
            documents: self.hits.into_iter().map(|hit| hit.source).collect(),
            next,
        })
    }
}

fn position(query: &Query, hit: &Hit, matching: Matching) -> Result<SortPosition, ElasticError> {
    let broken = || ElasticError::Broken("a hit without its sort keys".into());
    let sort: Vec<Json> = serde_json::from_str(hit.sort.get()).map_err(|_| broken())?;
    let (id, keys) = sort.split_last().ok_or_else(broken)?;
    Ok(SortPosition {
        keys: query.sort.iter().zip(keys).map(|(sort, value)| compile::key(*sort, value)).collect(),
        id: id.as_str().and_then(|id| id.parse().ok()).ok_or_else(broken)?,
        loose: matching == Matching::Loose,
    })
}
