//! Administration of indices: generations, the alias in front of them, templates and settings.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use std::collections::BTreeMap;

use crate::search::Collection;
use crate::search::Template;
use crate::search::elastic::{Elastic, ElasticError, Verb};

/// What is behind the alias of a collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Alias {
    /// Nothing: no generation was ever swapped in.
    Missing,
    /// The live index.
    Live(String),
    /// An index has the name that the alias needs. Nothing here removes what it did not make.
    Occupied,
    /// Several indices are behind it, which this program never does.
    Ambiguous(Vec<String>),
}

/// A generation as Elasticsearch describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub index: String,
    /// The mark of the database that it belongs to.
    pub owner: Option<String>,
    pub created: DateTime<Utc>,
}

impl Found {
    fn new(index: String, description: &Value) -> Self {
        let created = description["settings"]["index"]["creation_date"].as_str().and_then(|text| text.parse().ok());
        Self {
            index,
            owner: description["mappings"]["_meta"]["owner"].as_str().map(str::to_owned),
            created: created.and_then(DateTime::from_timestamp_millis).unwrap_or_default(),
        }
    }
}

/// The version and the modules of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Version of the first node.
    pub version: String,
    /// Modules of the first node; the minimal distribution has few.
    pub modules: Vec<String>,
}

/// Returns the name of a collection's alias.
#[must_use]
pub fn alias(elastic: &Elastic, collection: &Collection) -> String {
    elastic.alias(collection)
}

/// Names a new generation, by what it is made from and when.
#[must_use]
pub fn name(prefix: &str, collection: &Collection, hash: &str, now: DateTime<Utc>) -> String {
    format!("{prefix}-{}-v1-{hash}-{}", collection.name, now.format("%Y%m%d%H%M%S%3f"))
}

/// Creates an empty generation. Nothing reads it before [`swap`], and only the database with this mark removes it.
pub async fn create(elastic: &Elastic, collection: &Collection, index: &str, owner: &str) -> Result<(), ElasticError> {
    ensure_template(elastic, collection).await?;
    put(elastic, index, &template(collection)?.generation(owner)).await
}

/// Changes dynamic settings of an index: `refresh_interval`, `number_of_replicas`, …
pub async fn update_settings(elastic: &Elastic, index: &str, settings: &Value) -> Result<(), ElasticError> {
    put(elastic, &format!("{index}/_settings"), &json!({ "index": settings })).await
}

/// Whether the server answers within the deadline of a search.
pub async fn answers(elastic: &Elastic) -> bool {
    elastic.send(Verb::Get, "_cluster/health?timeout=0s&filter_path=status", None, elastic.search_deadline).await.is_ok()
}

/// Makes everything written so far searchable.
pub async fn refresh(elastic: &Elastic, index: &str) -> Result<(), ElasticError> {
    elastic.write::<IgnoredAny>(Verb::Post, &format!("{index}/_refresh?filter_path=_shards"), None).await.map(drop)
}

/// Writes everything buffered to disk, so that the next refresh has little to do. A small server refreshes one index at a time, so a
/// large refresh holds up the others.
pub async fn flush(elastic: &Elastic, index: &str) -> Result<(), ElasticError> {
    elastic.write::<IgnoredAny>(Verb::Post, &format!("{index}/_flush?filter_path=_shards"), None).await.map(drop)
}

/// Puts one generation alone behind the alias, atomically.
pub async fn swap(elastic: &Elastic, collection: &Collection, to: &str) -> Result<(), ElasticError> {
    let alias = alias(elastic, collection);
    let mut actions: Vec<Value> = behind(elastic, &alias)
        .await?
        .into_iter()
        .filter(|index| index != to)
        .map(|index| json!({ "remove": { "index": index, "alias": alias } }))
        .collect();
    actions.push(json!({ "add": { "index": to, "alias": alias } }));
    let body = body(&json!({ "actions": actions }));
    elastic.write::<IgnoredAny>(Verb::Post, "_aliases", Some(body)).await.map(drop)
}

/// Finds out what is behind the alias of a collection.
pub async fn inspect(elastic: &Elastic, collection: &Collection) -> Result<Alias, ElasticError> {
    let alias = alias(elastic, collection);
    let mut behind = behind(elastic, &alias).await?;
    match behind.len() {
        0 if exists(elastic, &alias).await? => Ok(Alias::Occupied),
        0 => Ok(Alias::Missing),
        1 => Ok(Alias::Live(behind.remove(0))),
        _ => Ok(Alias::Ambiguous(behind)),
    }
}

/// Makes sure that the index template is the one of this program; returns true if it replaced another one.
pub async fn ensure_template(elastic: &Elastic, collection: &Collection) -> Result<bool, ElasticError> {
    let alias = alias(elastic, collection);
    let path = format!("_index_template/{alias}");
    let answer: Value = match elastic.read(Verb::Get, &path, None, elastic.write_deadline).await {
        Err(error) if error.is_missing() => Value::Null,
        answer => answer?,
    };
    let found = &answer["index_templates"][0]["index_template"];
    let expected = template(collection)?.guard(&format!("{alias}-v1-*"));
    // The server writes numbers of settings as strings; everything else comes back as it was sent.
    let is_ours = |part: &str| found.pointer(part) == expected.pointer(part);
    if ["/template/mappings", "/_meta", "/allow_auto_create"].into_iter().all(is_ours) {
        return Ok(false);
    }
    put(elastic, &path, &expected).await?;
    Ok(!answer.is_null())
}

/// Lists the generations of a collection, oldest first, live or not, of any database.
pub async fn generations(elastic: &Elastic, collection: &Collection) -> Result<Vec<Found>, ElasticError> {
    let path = format!("{}-v1-*?filter_path=*.settings.index.creation_date,*.mappings._meta.owner", alias(elastic, collection));
    let found: BTreeMap<String, Value> = elastic.read(Verb::Get, &path, None, elastic.write_deadline).await?;
    let mut found: Vec<Found> = found.into_iter().map(|(index, value)| Found::new(index, &value)).collect();
    found.sort_by(|one, other| (one.created, &one.index).cmp(&(other.created, &other.index)));
    Ok(found)
}

/// Returns the mark of the database that an index belongs to; `None` without a mark or an index.
pub async fn owner(elastic: &Elastic, index: &str) -> Result<Option<String>, ElasticError> {
    let path = format!("{index}?filter_path=*.settings.index.creation_date,*.mappings._meta.owner");
    let found: BTreeMap<String, Value> = match elastic.read(Verb::Get, &path, None, elastic.write_deadline).await {
        Err(error) if error.is_missing() => return Ok(None),
        found => found?,
    };
    Ok(found.into_iter().find_map(|(index, value)| Found::new(index, &value).owner))
}

/// Removes an index; an absent one is no error.
pub async fn remove(elastic: &Elastic, index: &str) -> Result<(), ElasticError> {
    match elastic.write::<IgnoredAny>(Verb::Delete, index, None).await {
        Err(error) if !error.is_missing() => Err(error),
        _ => Ok(()),
    }
}

/// Counts the searchable documents of an index.
pub async fn count(elastic: &Elastic, index: &str) -> Result<u64, ElasticError> {
    #[derive(Deserialize)]
    struct Counted {
        count: u64,
    }
    let path = format!("{index}/_count?filter_path=count");
    let counted: Counted = elastic.read(Verb::Get, &path, None, elastic.write_deadline).await?;
    Ok(counted.count)
}

/// Reads the version and the modules of a server. The minimal distribution refuses `GET /`.
pub async fn server(elastic: &Elastic) -> Result<Server, ElasticError> {
    #[derive(Deserialize)]
    struct Nodes {
        nodes: BTreeMap<String, Node>,
    }
    #[derive(Deserialize)]
    struct Node {
        version: String,
        #[serde(default)]
        modules: Vec<Module>,
    }
    #[derive(Deserialize)]
    struct Module {
        name: String,
    }
    let path = "_nodes/plugins?filter_path=nodes.*.version,nodes.*.modules.name";
    let nodes: Nodes = elastic.read(Verb::Get, path, None, elastic.search_deadline).await?;
    let node = nodes.nodes.into_values().next().ok_or_else(|| ElasticError::Broken("a cluster without nodes".into()))?;
    Ok(Server { version: node.version, modules: node.modules.into_iter().map(|module| module.name).collect() })
}

/// Lists the indices behind an alias.
async fn behind(elastic: &Elastic, alias: &str) -> Result<Vec<String>, ElasticError> {
    let path = format!("_alias/{alias}");
    match elastic.read::<BTreeMap<String, IgnoredAny>>(Verb::Get, &path, None, elastic.write_deadline).await {
        Err(error) if error.is_missing() => Ok(Vec::new()),
        found => Ok(found?.into_keys().collect()),
    }
}

/// Whether there is an index of that name.
pub async fn exists(elastic: &Elastic, index: &str) -> Result<bool, ElasticError> {
    let path = format!("{index}/_settings?filter_path=*.settings.index.uuid");
    match elastic.read::<IgnoredAny>(Verb::Get, &path, None, elastic.write_deadline).await {
        Err(error) if error.is_missing() => Ok(false),
        found => found.map(|_| true),
    }
}

async fn put(elastic: &Elastic, path: &str, content: &Value) -> Result<(), ElasticError> {
    elastic.write::<IgnoredAny>(Verb::Put, path, Some(body(content))).await.map(drop)
}

fn body(content: &Value) -> Bytes {
    Bytes::from(content.to_string())
}

fn template(collection: &Collection) -> Result<Template, ElasticError> {
    Template::new(collection).map_err(|error| ElasticError::Broken(format!("template of {}: {error}", collection.name)))
}
