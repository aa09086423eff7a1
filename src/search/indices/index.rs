//! Administration of indices: generations, the alias in front of them, templates and settings.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

use crate::search::Collection;
use crate::search::elastic::{Acknowledged, Elastic, ElasticError, Shards, Verb};
use crate::search::template::{self, Difference, Template};

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

/// An index as far as it is asked for.
#[derive(Deserialize)]
struct Description {
    settings: Settings,
    /// Absent without an owner.
    #[serde(default)]
    mappings: Value,
}

#[derive(Deserialize)]
struct Settings {
    index: IndexSettings,
}

#[derive(Deserialize)]
struct IndexSettings {
    creation_date: String,
}

impl Found {
    fn new(index: String, Description { settings, mappings }: &Description) -> Result<Self, ElasticError> {
        let created = settings.index.creation_date.parse().ok().and_then(DateTime::from_timestamp_millis);
        let created = created.ok_or_else(|| ElasticError::Broken(format!("no date of creation of {index}")))?;
        Ok(Self { index, owner: mappings["_meta"]["owner"].as_str().map(str::to_owned), created })
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
    #[derive(Deserialize)]
    struct Health {
        #[serde(rename = "status")]
        _status: String,
    }
    let path = "_cluster/health?timeout=0s&filter_path=status";
    elastic.read::<Health>(Verb::Get, path, None, elastic.search_deadline).await.is_ok()
}

/// Says what blocks writes to an index, if anything does.
pub async fn write_block(elastic: &Elastic, index: &str) -> Result<Option<String>, ElasticError> {
    #[derive(Deserialize)]
    struct Answer {
        blocks: Blocks,
    }
    #[derive(Deserialize)]
    struct Blocks {
        #[serde(default)]
        global: BTreeMap<String, Block>,
        #[serde(default)]
        indices: BTreeMap<String, BTreeMap<String, Block>>,
    }
    #[derive(Deserialize)]
    struct Block {
        description: String,
        levels: Vec<String>,
    }
    // An index in the path would filter nothing: Elasticsearch 8.19 answers with the blocks of every index of the cluster.
    let path = "_cluster/state/blocks";
    let Blocks { global, mut indices } = elastic.read::<Answer>(Verb::Get, path, None, elastic.search_deadline).await?.blocks;
    let mut all = global.into_values().chain(indices.remove(index).into_iter().flat_map(BTreeMap::into_values));
    let block = all.find(|block| block.levels.iter().any(|level| level == "write"));
    Ok(block.map(|Block { description, .. }| description.split("; for more information").next().unwrap_or_default().to_owned()))
}

/// Makes everything written so far searchable.
pub async fn refresh(elastic: &Elastic, index: &str) -> Result<(), ElasticError> {
    on_shards(elastic, &format!("{index}/_refresh?filter_path=_shards")).await
}

/// Writes everything buffered to disk, so that the next refresh has little to do. A small server refreshes one index at a time, so a
/// large refresh holds up the others.
pub async fn flush(elastic: &Elastic, index: &str) -> Result<(), ElasticError> {
    on_shards(elastic, &format!("{index}/_flush?filter_path=_shards")).await
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
    elastic.write(Verb::Post, "_aliases", Some(body)).await.and_then(Acknowledged::check)
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
    let found = compare_template(elastic, collection).await?;
    if found.as_ref().is_some_and(Vec::is_empty) {
        return Ok(false);
    }
    let (name, expected) = index_template(&elastic.prefix, collection)?;
    put(elastic, &format!("_index_template/{name}"), &expected).await?;
    Ok(found.is_some())
}

/// Name and body of a collection's index template.
pub fn index_template(prefix: &str, collection: &Collection) -> Result<(String, Value), ElasticError> {
    let name = format!("{prefix}-{}", collection.name);
    let body = template(collection)?.guard(&format!("{name}-v1-*"));
    Ok((name, body))
}

/// Lists where the index template of the cluster differs from the program's; none if the cluster has no such template.
pub async fn compare_template(elastic: &Elastic, collection: &Collection) -> Result<Option<Vec<Difference>>, ElasticError> {
    #[derive(Deserialize)]
    struct Answer {
        index_templates: [Named; 1],
    }
    #[derive(Deserialize)]
    struct Named {
        index_template: Value,
    }
    let (name, expected) = index_template(&elastic.prefix, collection)?;
    let found = match elastic.read::<Answer>(Verb::Get, &format!("_index_template/{name}"), None, elastic.write_deadline).await {
        Err(error) if error.is_missing() => return Ok(None),
        answer => answer?.index_templates.map(|named| named.index_template),
    };
    Ok(Some(template::compare_guard(expected, &found[0])))
}

/// Lists where an index differs from what a reindex would build.
pub async fn compare_index(elastic: &Elastic, collection: &Collection, index: &str) -> Result<Vec<Difference>, ElasticError> {
    #[derive(Deserialize)]
    struct Answer {
        mappings: Value,
        settings: Value,
    }
    let found: BTreeMap<String, Answer> = elastic.read(Verb::Get, index, None, elastic.write_deadline).await?;
    let one = found.into_values().next().ok_or_else(|| ElasticError::Broken(format!("nothing about {index}")))?;
    Ok(template(collection)?.compare_index(&one.mappings, &one.settings))
}

/// Lists the generations of a collection, oldest first, live or not, of any database.
pub async fn generations(elastic: &Elastic, collection: &Collection) -> Result<Vec<Found>, ElasticError> {
    let path = format!("{}-v1-*?filter_path=*.settings.index.creation_date,*.mappings._meta.owner", alias(elastic, collection));
    let found: BTreeMap<String, Description> = elastic.read(Verb::Get, &path, None, elastic.write_deadline).await?;
    let mut found = found.into_iter().map(|(index, one)| Found::new(index, &one)).collect::<Result<Vec<_>, _>>()?;
    found.sort_by(|one, other| (one.created, &one.index).cmp(&(other.created, &other.index)));
    Ok(found)
}

/// Returns the mark of the database that an index belongs to; `None` without a mark or an index.
pub async fn owner(elastic: &Elastic, index: &str) -> Result<Option<String>, ElasticError> {
    let path = format!("{index}?filter_path=*.settings.index.creation_date,*.mappings._meta.owner");
    let found: BTreeMap<String, Description> = match elastic.read(Verb::Get, &path, None, elastic.write_deadline).await {
        Err(error) if error.is_missing() => return Ok(None),
        found => found?,
    };
    let (index, one) = found.into_iter().next().ok_or_else(|| ElasticError::Broken(format!("nothing about {index}")))?;
    Ok(Found::new(index, &one)?.owner)
}

/// Removes an index; an absent one is no error.
pub async fn remove(elastic: &Elastic, index: &str) -> Result<(), ElasticError> {
    match elastic.write(Verb::Delete, index, None).await.and_then(Acknowledged::check) {
        Err(error) if error.is_missing() => Ok(()),
        removed => removed,
    }
}

/// Counts the searchable documents of an index.
pub async fn count(elastic: &Elastic, index: &str) -> Result<u64, ElasticError> {
    #[derive(Deserialize)]
    struct Counted {
        count: u64,
        #[serde(rename = "_shards")]
        shards: Shards,
    }
    let path = format!("{index}/_count?filter_path=count,_shards");
    let counted: Counted = elastic.read(Verb::Get, &path, None, elastic.write_deadline).await?;
    counted.shards.check()?;
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
    #[derive(Deserialize)]
    struct Aliased {
        aliases: BTreeMap<String, Value>,
    }
    let path = format!("_alias/{alias}");
    let found = match elastic.read::<BTreeMap<String, Aliased>>(Verb::Get, &path, None, elastic.write_deadline).await {
        Err(error) if error.is_missing() => return Ok(Vec::new()),
        found => found?,
    };
    if found.is_empty() || !found.values().all(|one| one.aliases.contains_key(alias)) {
        return Err(ElasticError::Broken(format!("nothing about the alias {alias}")));
    }
    Ok(found.into_keys().collect())
}

/// Whether there is an index of that name.
pub async fn exists(elastic: &Elastic, index: &str) -> Result<bool, ElasticError> {
    let path = format!("{index}?filter_path=*.settings.index.creation_date");
    match elastic.read::<BTreeMap<String, Description>>(Verb::Get, &path, None, elastic.write_deadline).await {
        Err(error) if error.is_missing() => Ok(false),
        Ok(found) if found.is_empty() => Err(ElasticError::Broken(format!("nothing about {index}"))),
        found => found.map(|_| true),
    }
}

async fn put(elastic: &Elastic, path: &str, content: &Value) -> Result<(), ElasticError> {
    elastic.write(Verb::Put, path, Some(body(content))).await.and_then(Acknowledged::check)
}

/// Does something on every shard of an index.
async fn on_shards(elastic: &Elastic, path: &str) -> Result<(), ElasticError> {
    #[derive(Deserialize)]
    struct Answer {
        #[serde(rename = "_shards")]
        shards: Shards,
    }
    elastic.write::<Answer>(Verb::Post, path, None).await?.shards.check()
}

fn body(content: &Value) -> Bytes {
    Bytes::from(content.to_string())
}

fn template(collection: &Collection) -> Result<Template, ElasticError> {
    Template::new(collection).map_err(|error| ElasticError::Broken(format!("template of {}: {error}", collection.name)))
}
