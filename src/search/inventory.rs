//! What an index holds, for comparison with the rows: documents by id, and all of them page by page in the order of ids.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::elastic::{Elastic, ElasticError, Verb};
use crate::position::Version;

/// A document in an index.
#[derive(Clone, Debug)]
pub struct Held {
    /// Its id.
    pub id: Uuid,
    /// The external version it was written with.
    pub version: Version,
    /// What is stored of it: everything but the searchable forms.
    pub source: Box<RawValue>,
}

/// Reads documents by id as of now, refreshed or not; absent ones are left out.
///
/// # Errors
/// See [`ElasticError`].
pub async fn read(elastic: &Elastic, index: &str, ids: &[Uuid]) -> Result<Vec<Held>, ElasticError> {
    #[derive(Deserialize)]
    struct Answer {
        docs: Vec<Doc>,
    }
    #[derive(Deserialize)]
    struct Doc {
        #[serde(rename = "_id")]
        id: Uuid,
        #[serde(rename = "_version")]
        version: Option<i64>,
        #[serde(rename = "_source")]
        source: Option<Box<RawValue>>,
    }
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let path = format!("{index}/_mget?filter_path=docs._id,docs._version,docs._source,docs.found");
    let body = Bytes::from(json!({ "ids": ids }).to_string());
    let answer: Answer = elastic.read(Verb::Post, &path, Some(body), elastic.write_deadline).await?;
    Ok(answer
        .docs
        .into_iter()
        .filter_map(|doc| Some(Held { id: doc.id, version: Version(doc.version?), source: doc.source? }))
        .collect())
}

/// Reads the next `size` ids after `after` with their versions, in the order of ids, of what is searchable. Less than `size` means
/// that the end is reached.
///
/// # Errors
/// See [`ElasticError`].
pub async fn scan(
    elastic: &Elastic,
    index: &str,
    after: Option<Uuid>,
    size: usize,
) -> Result<Vec<(Uuid, Version)>, ElasticError> {
    let entries = page(elastic, index, after, size, Detail::Ids).await?;
    Ok(entries.into_iter().map(|entry| (entry.id, entry.version)).collect())
}

/// How much of its documents a page tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Which there are.
    Ids,
    /// Also their member `version`.
    Numbers,
    /// Also what is stored of them.
    Sources,
}

/// A searchable document.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What it was written as.
    pub id: Uuid,
    /// Where it stands in the order of ids. That is the member `id`: the same, unless somebody else wrote the document.
    pub place: Uuid,
    /// The external version it was written with.
    pub version: Version,
    /// Its member `version`, if that was asked for.
    pub number: Option<i64>,
    /// What is stored of it, if that was asked for.
    pub source: Option<Box<RawValue>>,
}

/// Reads the next `size` searchable documents after `after`, in the order of ids. Less than `size` means that the end is reached.
///
/// # Errors
/// See [`ElasticError`].
pub async fn page(
    elastic: &Elastic,
    index: &str,
    after: Option<Uuid>,
    size: usize,
    detail: Detail,
) -> Result<Vec<Entry>, ElasticError> {
    #[derive(Deserialize)]
    struct Answer {
        hits: Hits,
    }
    #[derive(Default, Deserialize)]
    struct Hits {
        #[serde(default)]
        hits: Vec<Hit>,
    }
    #[derive(Deserialize)]
    struct Hit {
        #[serde(rename = "_id")]
        id: Uuid,
        #[serde(rename = "_version")]
        version: i64,
        #[serde(rename = "_source")]
        source: Option<Box<RawValue>>,
        #[serde(default)]
        fields: Fields,
        sort: [Option<String>; 1],
    }
    #[derive(Default, Deserialize)]
    struct Fields {
        #[serde(default)]
        version: Vec<i64>,
    }
    let path = format!(
        "{index}/_search?allow_partial_search_results=false\
         &filter_path=hits.total,hits.hits._id,hits.hits._version,hits.hits._source,hits.hits.fields,hits.hits.sort"
    );
    let with_source = detail == Detail::Sources;
    let mut body = json!({ "size": size, "version": true, "_source": with_source, "sort": [{ "id": "asc" }] });
    if detail == Detail::Numbers {
        body["docvalue_fields"] = json!(["version"]);
    }
    if let Some(after) = after {
        body["search_after"] = json!([after]);
    }
    let body = Bytes::from(body.to_string());
    let answer: Answer = elastic.read(Verb::Post, &path, Some(body), elastic.write_deadline).await?;
    // Without a member `id`, or with one that is no id, a document comes last.
    let place = |[member]: [Option<String>; 1]| member.and_then(|id| id.parse().ok()).unwrap_or(Uuid::max());
    let entry = |hit: Hit| Entry {
        id: hit.id,
        place: place(hit.sort),
        version: Version(hit.version),
        number: hit.fields.version.first().copied(),
        source: hit.source,
    };
    Ok(answer.hits.hits.into_iter().map(entry).collect())
}
