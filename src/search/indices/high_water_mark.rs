//! How far a database has been, as its index remembers it: one document for each database, whose version only grows.
//!
//! A database that is put back by a copy of its disk does not know that it was ever further. What it wrote then is still in the
//! index, with versions that lie ahead of it, and no write could replace that.

use bytes::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;

use crate::search::elastic::{Elastic, ElasticError, Verb};
use crate::values::lsn::Version;

/// Remembers that a database has been so far, and says whether that was news: it is not if the index knows of a later version.
///
/// # Errors
/// See [`ElasticError`].
pub async fn raise(elastic: &Elastic, owner: &str, version: Version) -> Result<bool, ElasticError> {
    let path = format!("{}/_doc/{owner}?version={}&version_type=external_gte&filter_path=result", index(elastic), version.0);
    let write = async || elastic.write::<IgnoredAny>(Verb::Put, &path, Some(Bytes::from_static(b"{}"))).await;
    let written = match write().await {
        Err(error) if error.is_missing() => {
            create(elastic).await?;
            write().await
        }
        written => written,
    };
    match written {
        Err(ElasticError::Refused { status: 409, .. }) => Ok(false),
        written => written.map(|_| true),
    }
}

/// Returns the latest version that a database has been at, if the index knows.
///
/// # Errors
/// See [`ElasticError`].
pub async fn read(elastic: &Elastic, owner: &str) -> Result<Option<Version>, ElasticError> {
    #[derive(Deserialize)]
    struct Found {
        #[serde(rename = "_version")]
        version: Option<i64>,
    }
    let path = format!("{}/_doc/{owner}?_source=false&filter_path=_version", index(elastic));
    match elastic.read::<Found>(Verb::Get, &path, None, elastic.search_deadline).await {
        Err(error) if error.is_missing() => Ok(None),
        found => Ok(found?.version.map(Version)),
    }
}

/// The index of that document.
#[must_use]
pub fn index(elastic: &Elastic) -> String {
    format!("{}-horizon", elastic.prefix)
}

async fn create(elastic: &Elastic) -> Result<(), ElasticError> {
    let content = json!({
        "settings": { "number_of_shards": 1, "auto_expand_replicas": "0-1", "refresh_interval": "-1" },
        "mappings": { "dynamic": "strict" },
    });
    match elastic.write::<IgnoredAny>(Verb::Put, &index(elastic), Some(Bytes::from(content.to_string()))).await {
        // Somebody else was faster.
        Err(ElasticError::Refused { status: 400, reason }) if reason.starts_with("resource_already_exists") => Ok(()),
        created => created.map(|_| ()),
    }
}
