//! What plain Elasticsearch finds: the standard analyzer on one field, as most products begin.

use serde_json::{Value, json};
use uuid::Uuid;

use super::query::{Hit, Query};
use crate::harness::app::{elasticsearch_url, remove_indices};

/// Requests of one `_msearch`, and documents of one `_bulk`.
const BATCH: usize = 250;

/// An index with one text for each id; gone when this value is.
pub(super) struct Baseline {
    http: reqwest::Client,
    index: String,
}

/// The query for what was typed.
pub(super) type Way = fn(&str) -> Value;

/// The ways to ask it, by their names in the report.
pub(super) const WAYS: [(&str, Way); 3] = [
    ("match", |typed| json!({ "match": { "text": typed } })),
    ("match, fuzziness AUTO", |typed| json!({ "match": { "text": { "query": typed, "fuzziness": "AUTO" } } })),
    // All words, an exact one ten times as good as one at distance 1 (Searchkick 5, `lib/searchkick/query.rb`).
    ("Searchkick's defaults", |typed| {
        let exact = json!({ "match": { "text": { "query": typed, "operator": "and", "boost": 10 } } });
        let fuzzy = json!({ "match": { "text": { "query": typed, "operator": "and", "fuzziness": 1, "max_expansions": 3 } } });
        json!({ "dis_max": { "queries": [exact, fuzzy] } })
    }),
];

impl Baseline {
    pub(super) async fn open(texts: impl Iterator<Item = (Uuid, String)>) -> Self {
        let index = format!("it-plain-{}", collections::values::ids::new().simple());
        let baseline = Self { http: reqwest::Client::builder().no_proxy().build().unwrap(), index };
        let settings = json!({
            "settings": { "number_of_shards": 1, "number_of_replicas": 0 },
            "mappings": { "properties": { "text": { "type": "text" } } },
        });
        baseline.send(reqwest::Method::PUT, "", settings.to_string()).await;
        let lines: Vec<String> =
            texts.map(|(id, text)| format!("{}\n{}\n", json!({ "index": { "_id": id } }), json!({ "text": text }))).collect();
        for lines in lines.chunks(BATCH) {
            let written = baseline.send(reqwest::Method::POST, "/_bulk?refresh=true", lines.concat()).await;
            assert_eq!(written["errors"], false, "{written}");
        }
        baseline
    }

    /// The first ten hits of each query.
    pub(super) async fn ask(&self, queries: &[Query], way: Way) -> Vec<Vec<Hit>> {
        let mut answers = Vec::new();
        for queries in queries.chunks(BATCH) {
            let lines = queries.iter().map(|query| format!("{{}}\n{}\n", json!({ "size": 10, "query": way(&query.typed) })));
            let found = self.send(reqwest::Method::POST, "/_msearch", lines.collect()).await;
            answers.extend(found["responses"].as_array().unwrap().iter().map(hits));
        }
        answers
    }

    async fn send(&self, method: reqwest::Method, path: &str, body: String) -> Value {
        let request = self.http.request(method, format!("{}/{}{path}", elasticsearch_url(), self.index));
        let kind = if path.is_empty() { "application/json" } else { "application/x-ndjson" };
        let answer = request.header("content-type", kind).body(body).send().await.unwrap();
        answer.error_for_status().unwrap().json().await.unwrap()
    }
}

impl Drop for Baseline {
    fn drop(&mut self) {
        remove_indices(&self.index);
    }
}

fn hits(answer: &Value) -> Vec<Hit> {
    let hits = answer["hits"]["hits"].as_array().unwrap_or_else(|| panic!("hits: {answer}")).iter();
    hits.map(|hit| (hit["_id"].as_str().unwrap().parse().unwrap(), hit["_source"]["text"].to_string())).collect()
}
