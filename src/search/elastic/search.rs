//! Searches in Elasticsearch: one request each, three if a phrase matches too little as it was typed.

use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value as Json, json};

use super::{Elastic, ElasticError, Shards, Verb, aggregate, compile, parse, phrase};
use crate::search::Collection;
use crate::search::phrase::{Phrase, Rarity};
use crate::search::query::{Hits, Matching, PAGE_BYTES, Query, SortPosition, Total};
use crate::search::ranking::{self, Finder};

impl Elastic {
    /// Name of a collection's alias.
    pub(in crate::search) fn alias(&self, collection: &Collection) -> String {
        format!("{}-{}", self.prefix, collection.name)
    }

    /// Answers from an index. Failed shards are an error: an answer with a part missing is none.
    pub(in crate::search) async fn search(&self, index: &str, query: &Query) -> Result<Hits, ElasticError> {
        let (path, deadline) = (format!("{index}/_search"), self.search_deadline);
        ranking::search(&mut Searched { elastic: self, path, point: None, deadline }, query).await
    }

    /// Answers from a point in time, whose id may change with each answer.
    pub(in crate::search) async fn search_point(
        &self,
        point: &str,
        keep_alive: Duration,
        query: &Query,
        deadline: Duration,
    ) -> Result<(Hits, String), ElasticError> {
        let point = Some(Point { id: point.to_owned(), keep_alive });
        let mut searched = Searched { elastic: self, path: "_search".into(), point, deadline };
        let hits = ranking::search(&mut searched, query).await?;
        Ok((hits, searched.point.map(|point| point.id).unwrap_or_default()))
    }

    /// Searches for nothing, to see whether the server answers, and not slowly: the cheapest of searches.
    pub(in crate::search) async fn probe(&self, collection: &Collection) -> Result<(), ElasticError> {
        let path = format!("{}/_search?size=0&allow_partial_search_results=false", self.alias(collection));
        let answer = self.fetch(Verb::Post, &path, None, self.slow_after()).await?;
        parse::<Answer>(&answer)?.check()
    }

    async fn ask(&self, path: &str, body: &Json, deadline: Duration) -> Result<Bytes, ElasticError> {
        // Without a `filter_path`, for which Elasticsearch would parse and write every document again, and numbers as floats.
        let path = format!("{path}?allow_partial_search_results=false&timeout={}ms", deadline.as_millis());
        let body = serde_json::to_vec(body).map_err(|error| ElasticError::Broken(error.to_string()))?;
        let bytes = self.fetch(Verb::Post, &path, Some(body.into()), deadline).await?;
        if bytes.len() > PAGE_BYTES { Err(ElasticError::TooLarge) } else { Ok(bytes) }
    }
}

/// What a search asks: an index or a point in time.
struct Searched<'a> {
    elastic: &'a Elastic,
    path: String,
    point: Option<Point>,
    deadline: Duration,
}

/// A point in time, whose id may change with each answer.
struct Point {
    id: String,
    keep_alive: Duration,
}

impl Searched<'_> {
    async fn ask(&self, mut body: Json) -> Result<Bytes, ElasticError> {
        if let Some(Point { id, keep_alive }) = &self.point {
            body["pit"] = json!({ "id": id, "keep_alive": format!("{}ms", keep_alive.as_millis()) });
        }
        self.elastic.ask(&self.path, &body, self.deadline).await
    }
}

impl Finder for Searched<'_> {
    type Error = ElasticError;

    async fn find(&mut self, query: &Query, matching: &Matching) -> Result<Hits, ElasticError> {
        let mut body = compile::body(query, matching);
        if !query.aggregates.is_empty() {
            body["aggs"] = aggregate::body(&query.aggregates);
        }
        let bytes = self.ask(body).await?;
        let answer: Answer = parse(&bytes)?;
        answer.check()?;
        let counted = answer.aggregations.map(|counted| aggregate::read(&query.aggregates, counted.get())).transpose()?;
        if let (Some(point), Some(now)) = (&mut self.point, answer.point) {
            point.id = now;
        }
        Ok(Hits { counted: counted.unwrap_or_default(), ..answer.hits.read(&bytes, query, matching)? })
    }

    async fn rarities(&mut self, phrase: &Phrase) -> Result<Vec<Rarity>, ElasticError> {
        let bytes = self.ask(phrase::counts(phrase)).await?;
        let answer: Answer = parse(&bytes)?;
        answer.check()?;
        let documents = answer.hits.total.map_or(0, |total| total.value);
        let Some(counts) = answer.aggregations else { return Ok(Vec::new()) };
        let Counts { names, elsewhere } = parse(counts.get().as_bytes())?;
        let counts = names.buckets.into_iter().zip(elsewhere.buckets);
        Ok(counts.map(|(names, elsewhere)| Rarity::new(documents, names.doc_count, elsewhere.doc_count)).collect())
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

/// How many documents have each word.
#[derive(Deserialize)]
struct Counts {
    names: Buckets,
    elsewhere: Buckets,
}

#[derive(Deserialize)]
struct Buckets {
    buckets: Vec<Bucket>,
}

#[derive(Deserialize)]
struct Bucket {
    doc_count: u64,
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
    fn read(mut self, answer: &Bytes, query: &Query, matching: &Matching) -> Result<Hits, ElasticError> {
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

fn position(query: &Query, hit: &Hit<'_>, matching: &Matching) -> Result<SortPosition, ElasticError> {
    let broken = || ElasticError::Broken("a hit without its sort keys".into());
    let sort: Vec<Json> = serde_json::from_str(hit.sort.get()).map_err(|_| broken())?;
    // A point in time adds a key of its own.
    let id = sort.get(query.sort.len()).ok_or_else(broken)?;
    Ok(SortPosition {
        keys: query.sort.iter().zip(&sort).map(|(sort, value)| compile::key(sort, value)).collect(),
        id: id.as_str().and_then(|id| id.parse().ok()).ok_or_else(broken)?,
        loose: matching.loose(),
    })
}
