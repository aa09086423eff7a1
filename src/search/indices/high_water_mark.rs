//! The high-water mark: the highest version that Elasticsearch has seen of a database, kept as the version of one document.
//!
//! A database that was put back by a copy of its disk does not know that it was further. What it wrote then is still in the index
//! with versions ahead of it, and no write would replace that.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;

use crate::search::elastic::{Acknowledged, Elastic, ElasticError, Verb};
use crate::values::lsn::Version;

/// Raises the mark of a database; returns false if it is higher already.
pub async fn raise(elastic: &Elastic, owner: &str, version: Version) -> Result<bool, ElasticError> {
    #[derive(Deserialize)]
    struct Raised {
        #[serde(rename = "_version")]
        version: i64,
    }
    let path = format!("{}/_doc/{owner}?version={}&version_type=external_gte&filter_path=_version", index(elastic), version.0);
    let write = async || elastic.write::<Raised>(Verb::Put, &path, Some(Bytes::from_static(b"{}"))).await;
    let written = match write().await {
        Err(error) if error.is_missing() => {
            create(elastic).await?;
            write().await
        }
        written => written,
    };
    match written {
        Err(ElasticError::Refused { status: 409, .. }) => Ok(false),
        written => match written?.version {
            raised if raised == version.0 => Ok(true),
            other => Err(ElasticError::Broken(format!("the mark was raised to {other} in place of {}", version.0))),
        },
    }
}

/// Returns the mark of a database, if there is one.
pub async fn read(elastic: &Elastic, owner: &str) -> Result<Option<Version>, ElasticError> {
    #[derive(Deserialize)]
    struct Found {
        #[serde(rename = "_version")]
        version: i64,
    }
    let path = format!("{}/_doc/{owner}?_source=false&filter_path=found,_version", index(elastic));
    match elastic.read::<Found>(Verb::Get, &path, None, elastic.search_deadline).await {
        Err(error) if error.is_missing() => Ok(None),
        found => Ok(Some(Version(found?.version))),
    }
}

/// The index of the marks.
#[must_use]
pub fn index(elastic: &Elastic) -> String {
    format!("{}-high-water-marks", elastic.prefix)
}

async fn create(elastic: &Elastic) -> Result<(), ElasticError> {
    let content = json!({
        "settings": { "number_of_shards": 1, "auto_expand_replicas": "0-1", "refresh_interval": "-1" },
        "mappings": { "dynamic": "strict" },
    });
    match elastic.write(Verb::Put, &index(elastic), Some(Bytes::from(content.to_string()))).await {
        // Another process was faster.
        Err(ElasticError::Refused { status: 400, reason }) if reason.starts_with("resource_already_exists") => Ok(()),
        created => created.and_then(Acknowledged::check),
    }
}
