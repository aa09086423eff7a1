//! The contents of an index, for comparison with the rows: documents by id, and pages in the order of ids.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::search::elastic::{Cause, Elastic, ElasticError, Shards, Verb};
use crate::values::lsn::Version;

/// A document in an index.
#[derive(Clone, Debug)]
pub struct Held {
    pub id: Uuid,
    /// The external version.
    pub version: Version,
    /// As stored.
    pub source: Box<RawValue>,
}

/// Reads documents by id as of now, refreshed or not; absent ones are left out.
pub async fn read(elastic: &Elastic, index: &str, ids: &[Uuid]) -> Result<Vec<Held>, ElasticError> {
    #[derive(Deserialize)]
    struct Answer {
        docs: Vec<Doc>,
    }
    #[derive(Deserialize)]
    struct Doc {
        #[serde(rename = "_id")]
        id: Uuid,
        /// Absent beside an error.
        found: Option<bool>,
        #[serde(rename = "_version")]
        version: Option<i64>,
        #[serde(rename = "_source")]
        source: Option<Box<RawValue>>,
        error: Option<Cause>,
    }
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    // Without a `filter_path`, for which Elasticsearch would write numbers as floats.
    let path = format!("{index}/_mget");
    let body = Bytes::from(json!({ "ids": ids }).to_string());
    let answer: Answer = elastic.read(Verb::Post, &path, Some(body), elastic.write_deadline).await?;
    // A shard that cannot be read does not mean that its documents are absent.
    if let Some(cause) = answer.docs.iter().find_map(|doc| doc.error.as_ref()) {
        return Err(ElasticError::Unavailable(cause.describe()));
    }
    let broken = |what: &str| ElasticError::Broken(format!("{what} among {} documents by id", ids.len()));
    if answer.docs.len() != ids.len() {
        return Err(broken("too few or too many answers"));
    }
    let mut held = Vec::with_capacity(ids.len());
    for Doc { id, found, version, source, .. } in answer.docs {
        match (found, version, source) {
            (Some(true), Some(version), Some(source)) => held.push(Held { id, version: Version(version), source }),
            (Some(false), ..) => {}
            _ => return Err(broken("one is neither found nor absent")),
        }
    }
    Ok(held)
}

/// What a page says of its documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    Ids,
    /// Also their stored sources.
    Sources,
}

/// A searchable document.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The `_id`.
    pub id: Uuid,
    /// Its place in the order of ids, which is the member `id`: the same as `_id`, unless another program wrote the document.
    pub place: Option<Uuid>,
    /// The external version.
    pub version: Version,
    /// Its member `version`; the greatest number if it has none.
    pub number: i64,
    /// With [`Detail::Sources`].
    pub source: Option<Box<RawValue>>,
}

/// Consecutive documents in the order of ids.
#[derive(Debug, Default)]
pub struct Page {
    pub entries: Vec<Entry>,
    /// Documents of another program, by their `_id`, which is no UUID.
    pub strays: BTreeSet<String>,
    /// The place of the last one, if there may be more.
    pub end: Option<Uuid>,
}

/// Reads the next `size` searchable documents above `after`, up to and including `last`, in the order of ids.
///
/// Without a `last` this takes as long as the whole index, otherwise as long as what lies between.
pub async fn page(
    elastic: &Elastic,
    index: &str,
    after: Option<Uuid>,
    last: Option<Uuid>,
    size: usize,
    detail: Detail,
) -> Result<Page, ElasticError> {
    #[derive(Deserialize)]
    struct Answer {
        #[serde(rename = "_shards")]
        shards: Shards,
        hits: Hits,
    }
    #[derive(Deserialize)]
    struct Hits {
        // Left out by `filter_path` if there are none.
        #[serde(default)]
        hits: Vec<Hit>,
    }
    #[derive(Deserialize)]
    struct Hit {
        #[serde(rename = "_id")]
        id: String,
        #[serde(rename = "_version")]
        version: i64,
        #[serde(rename = "_source")]
        source: Option<Box<RawValue>>,
        sort: (Option<String>, i64),
    }
    let mut path = format!("{index}/_search?allow_partial_search_results=false");
    if detail != Detail::Sources {
        // The score, which there is none of, keeps `hits` there if nothing was found.
        path.push_str("&filter_path=_shards,hits.max_score,hits.hits._id,hits.hits._version,hits.hits.sort");
    }
    let sort = json!([{ "id": "asc" }, { "version": "asc" }]);
    let mut body = json!({ "size": size, "version": true, "sort": sort, "track_total_hits": false });
    match detail {
        Detail::Ids => body["_source"] = json!(false),
        Detail::Sources => {}
    }
    if let Some(after) = after {
        body["search_after"] = json!([after, i64::MAX]);
    }
    if let Some(last) = last {
        body["query"] = json!({ "range": { "id": { "lte": last } } });
        if let Some(after) = after {
            body["query"]["range"]["id"]["gt"] = json!(after);
        }
    }
    let body = Bytes::from(body.to_string());
    let answer: Answer = elastic.read(Verb::Post, &path, Some(body), elastic.write_deadline).await?;
    answer.shards.check()?;
    let is_full = answer.hits.hits.len() == size;
    let mut page = Page::default();
    for Hit { id, version, source, sort: (member, number) } in answer.hits.hits {
        let place = member.as_deref().and_then(ours);
        page.end = place.filter(|_| is_full);
        match ours(&id) {
            Some(id) => page.entries.push(Entry { id, place, version: Version(version), number, source }),
            None => {
                page.strays.insert(id);
            }
        }
    }
    Ok(page)
}

/// Reads an id as this program writes it. For the index any other spelling is another document.
fn ours(text: &str) -> Option<Uuid> {
    text.parse().ok().filter(|id: &Uuid| id.to_string() == text)
}
