//! What an index looks like: the files of `index-templates/` put together, and a hash that tells one version from another.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::Collection;
use crate::values::text;

const SETTINGS: &str = include_str!("../../index-templates/_settings.json");
/// The mapping of [`super::Terms`], alike in every collection.
const SEARCH: &str = include_str!("../../index-templates/_search.json");

/// Mapping and settings of a collection's index.
#[derive(Clone, Debug)]
pub struct Template {
    settings: Value,
    mappings: Value,
    /// Eight hexadecimal digits that change whenever documents have to be built or indexed again.
    pub hash: String,
}

impl Template {
    /// Puts the template of a collection together.
    ///
    /// # Errors
    /// A file that is not JSON; a test reads them all.
    pub fn new(collection: &Collection) -> serde_json::Result<Self> {
        let settings: Value = serde_json::from_str(SETTINGS)?;
        let mut mappings: Value = serde_json::from_str(collection.template)?;
        let mut search: Value = serde_json::from_str(SEARCH)?;
        if let (Some(shared), Some(own)) =
            (search["properties"].as_object_mut(), mappings["properties"]["search"]["properties"].as_object_mut())
        {
            shared.append(own);
        }
        mappings["properties"]["search"] = search;
        let digest = Sha256::digest(format!("{settings}{mappings}{}.{}", text::VERSION, collection.revision));
        let hash: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        mappings["_meta"] = json!({ "hash": hash, "normalization": text::VERSION });
        Ok(Self { settings, mappings, hash })
    }

    /// The body that creates a new generation of an owner. It has no replicas until it is filled.
    #[must_use]
    pub fn generation(&self, owner: &str) -> Value {
        let (mut settings, mut mappings) = (self.settings.clone(), self.mappings.clone());
        settings["index"]["number_of_replicas"] = json!(0);
        mappings["_meta"]["owner"] = json!(owner);
        json!({ "settings": settings, "mappings": mappings })
    }

    /// The index template in the cluster. It exists to forbid what it matches: an index that appears because a client wrote to a
    /// name that is not there would have guessed types.
    #[must_use]
    pub fn guard(&self, pattern: &str) -> Value {
        json!({
            "index_patterns": [pattern],
            "priority": 500,
            "allow_auto_create": false,
            "template": { "settings": self.settings, "mappings": self.mappings },
            "_meta": { "hash": self.hash },
        })
    }
}
