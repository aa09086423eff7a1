//! Points in time: an index as it is now, kept for a while.

use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;

use super::{Elastic, ElasticError, Shards, Verb, parse};

impl Elastic {
    /// Opens a point in time of an index and returns its id; it ends when it is not read for so long.
    pub(in crate::search) async fn open_point(&self, index: &str, keep_alive: Duration) -> Result<String, ElasticError> {
        #[derive(Deserialize)]
        struct Opened {
            id: String,
            #[serde(rename = "_shards")]
            shards: Shards,
        }
        let path = format!("{index}/_pit?keep_alive={}ms", keep_alive.as_millis());
        let opened: Opened = parse(&self.send(Verb::Post, &path, None, self.search_deadline).await?)?;
        opened.shards.check()?;
        Ok(opened.id)
    }

    /// Ends a point in time. One that cannot be ended now ends by itself.
    pub(in crate::search) async fn close_point(&self, id: &str) {
        let body = Bytes::from(json!({ "id": id }).to_string());
        if let Err(error) = self.send(Verb::Delete, "_pit", Some(body), self.search_deadline).await {
            tracing::debug!(%error, "elasticsearch did not end a point in time");
        }
    }
}
