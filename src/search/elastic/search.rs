//! Searches in Elasticsearch: one request each, two if a phrase matches nothing as it was typed.

use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value as Json, json};

use super::{Elastic, ElasticError, Shards, Verb, aggregate, compile, parse};
use crate::search::Collection;
use crate::search::query::{Count, Hits, Matching, PAGE_BYTES, Query, SortPosition, Total};

impl Elastic {
    /// Name of a collection's alias.
    pub(in crate::search) fn alias(&self, collection: &Collection) -> String {
        format!("{}-{}", self.prefix, collection.name)
    }

    /// Answers from an index. Failed shards are an error: an answer with a part missing is none.
    pub(in crate::search) async fn search(&self, index: &str, query: &Query) -> Result<Hits, ElasticError> {
        let body = |matching| compile::body(query, matching);
        Ok(self.search_in(&format!("{index}/_search"), query, body).await?.0)
    }

    /// Answers from a point in time, whose id may change with each answer.
    pub(in crate::search) async fn search_point(
        &self,
        point: &str,
        keep_alive: Duration,
        query: &Query,
    ) -> Result<(Hits, String), ElasticError> {
        let body = |matching| {
            let mut body = compile::body(query, matching);
            body["pit"] = json!({ "id": point, "keep_alive": format!("{}ms", keep_alive.as_millis()) });
            body
        };
        let (hits, now) = self.search_in("_search", query, body).await?;
        Ok((hits, now.unwrap_or_else(|| point.to_owned())))
    }

    async fn search_in(
        &self,
        path: &str,
        query: &Query,
        body: impl Fn(Matching) -> Json,
    ) -> Result<(Hits, Option<String>), ElasticError> {
        let matching = query.matching();
        let (mut hits, mut point) = self.ask(path, query, matching, &body(matching)).await?;
        if query.needs_loose(matching, &hits) {
            (hits, point) = self.ask(path, query, Matching::Loose, &body(Matching::Loose)).await?;
        }
        // A phrase makes the engine count even if the client wants no total.
        Ok((Hits { total: hits.total.filter(|_| query.count != Count::None), ..hits }, point))
    }

    /// Searches for nothing, to see whether the server answers, and not slowly: the cheapest of searches.
    pub(in crate::search) async fn probe(&self, collection: &Collection) -> Result<(), ElasticError> {
        let path = format!("{}/_search?size=0&allow_partial_search_results=false", self.alias(collection));
        let answer = self.fetch(Verb::Post, &path, None, self.slow_after()).await?;
        parse::<Answer>(&answer)?.check()
    }

    async fn ask(
        &self,
        path: &str,
        query: &Query,
        matching: Matching,
        body: &Json,
    ) -> Result<(Hits, Option<String>), ElasticError> {
        // Without a `filter_path`, for which Elasticsearch would parse and write every document again, and numbers as floats.
        let path = format!("{path}?allow_partial_search_results=false&timeout={}ms", self.search_deadline.as_millis());
        let body = serde_json::to_vec(body).map_err(|error| ElasticError::Broken(error.to_string()))?;
        let bytes = self.fetch(Verb::Post, &path, Some(body.into()), self.search_deadline).await?;
        if bytes.len() > PAGE_BYTES {
            return Err(ElasticError::TooLarge);
        }
        let answer: Answer = parse(&bytes)?;
        answer.check()?;
        let counted = answer.aggregations.map(|counted| aggregate::read(&query.aggregates, counted.get())).transpose()?;
        let hits = answer.hits.read(&bytes, query, matching)?;
        Ok((Hits { counted: counted.unwrap_or_default(), ..hits }, answer.point))
    }
}

#[derive(Deserialize)]
struct Answer<'a> {
    timed_out: bool,
    #[serde(rename = "_shards")]
    shards: Shards,
    /// Of a search in a point in time.
    #[serde(rename = "pit_id")]
    point: Option<String>,
    #[serde(borrow)]
    hits: HitList<'a>,
    #[serde(borrow)]
    aggregations: Option<&'a RawValue>,
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
            counted: Vec::new(),
        })
    }
}

fn position(query: &Query, hit: &Hit<'_>, matching: Matching) -> Result<SortPosition, ElasticError> {
    let broken = || ElasticError::Broken("a hit without its sort keys".into());
    let sort: Vec<Json> = serde_json::from_str(hit.sort.get()).map_err(|_| broken())?;
    // A point in time adds a key of its own.
    let id = sort.get(query.sort.len()).ok_or_else(broken)?;
    Ok(SortPosition {
        keys: query.sort.iter().zip(&sort).map(|(sort, value)| compile::key(sort, value)).collect(),
        id: id.as_str().and_then(|id| id.parse().ok()).ok_or_else(broken)?,
        loose: matching == Matching::Loose,
    })
}
