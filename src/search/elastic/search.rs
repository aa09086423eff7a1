//! Searches in Elasticsearch: one request each, two if a phrase matches nothing as it was typed.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value as Json;
use serde_json::value::RawValue;

use super::compile;
use super::{Elastic, ElasticError, Shards, Verb, parse};
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

    /// Searches for nothing, to see whether the server answers: the cheapest of searches.
    pub(in crate::search) async fn probe(&self, collection: &Collection) -> Result<(), ElasticError> {
        let path = format!("{}/_search?size=0&allow_partial_search_results=false", self.alias(collection));
        let answer = self.fetch(Verb::Post, &path, None, self.search_deadline).await?;
        parse::<Answer>(&answer)?.check()
    }

    async fn ask(&self, index: &str, query: &Query, matching: Matching) -> Result<Hits, ElasticError> {
        // Without a `filter_path`, for which Elasticsearch would parse and write every document again, and numbers as floats.
        let path = format!("{index}/_search?allow_partial_search_results=false&timeout={}ms", self.search_deadline.as_millis());
        let body =
            serde_json::to_vec(&compile::body(query, matching)).map_err(|error| ElasticError::Broken(error.to_string()))?;
        let bytes = self.fetch(Verb::Post, &path, Some(body.into()), self.search_deadline).await?;
        let answer: Answer = parse(&bytes)?;
        answer.check()?;
        answer.hits.read(&bytes, query, matching)
    }
}

#[derive(Deserialize)]
struct Answer<'a> {
    timed_out: bool,
    #[serde(rename = "_shards")]
    shards: Shards,
    #[serde(borrow)]
    hits: HitList<'a>,
}

#[derive(Deserialize)]
struct HitList<'a> {
    total: Option<Counted>,
    #[serde(borrow)]
    hits: Vec<Hit<'a>>,
}

#[derive(Deserialize)]
struct Counted {
    value: u64,
    relation: String,
}

#[derive(Deserialize)]
struct Hit<'a> {
    #[serde(rename = "_source", borrow)]
    source: &'a RawValue,
    /// An array; only the last hit's is read.
    #[serde(borrow)]
    sort: &'a RawValue,
}

impl Answer<'_> {
    /// Refuses an answer with a part missing.
    fn check(&self) -> Result<(), ElasticError> {
        if self.timed_out { Err(ElasticError::Timeout) } else { self.shards.check() }
    }
}

impl HitList<'_> {
    /// Takes the documents out of the answer as they are; they share its memory.
    fn read(mut self, answer: &Bytes, query: &Query, matching: Matching) -> Result<Hits, ElasticError> {
        let has_more = self.hits.len() > query.limit as usize;
        self.hits.truncate(query.limit as usize);
        let next = self.hits.last().filter(|_| has_more).map(|last| position(query, last, matching)).transpose()?;
        Ok(Hits {
            total: self.total.map(|total| Total { value: total.value, at_least: total.relation != "eq" }),
            documents: self.hits.iter().map(|hit| answer.slice_ref(hit.source.get().as_bytes())).collect(),
            next,
        })
    }
}

fn position(query: &Query, hit: &Hit<'_>, matching: Matching) -> Result<SortPosition, ElasticError> {
    let broken = || ElasticError::Broken("a hit without its sort keys".into());
    let sort: Vec<Json> = serde_json::from_str(hit.sort.get()).map_err(|_| broken())?;
    let (id, keys) = sort.split_last().ok_or_else(broken)?;
    Ok(SortPosition {
        keys: query.sort.iter().zip(keys).map(|(sort, value)| compile::key(sort, value)).collect(),
        id: id.as_str().and_then(|id| id.parse().ok()).ok_or_else(broken)?,
        loose: matching == Matching::Loose,
    })
}
