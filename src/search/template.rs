//! What an index looks like: the files of `index-templates/` put together, a hash that tells one version from another, and where
//! something differs from it.

use std::fmt;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::Collection;
use crate::values::text;

const SETTINGS: &str = include_str!("../../index-templates/_settings.json");
/// How often Elasticsearch itself makes what was written for analysts searchable. The sync does it for lists alone: no list waits for
/// a dashboard.
const ANALYSTS_REFRESH: &str = "5s";
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
        let mut settings: Value = serde_json::from_str(SETTINGS)?;
        if !collection.is_listed() {
            settings["index"]["refresh_interval"] = json!(ANALYSTS_REFRESH);
        }
        let mut mappings: Value = serde_json::from_str(collection.template)?;
        let mut search: Value = serde_json::from_str(SEARCH)?;
        if let (Some(shared), Some(own)) = (
            search["properties"].as_object_mut(),
            mappings.pointer_mut("/properties/search/properties").and_then(Value::as_object_mut),
        ) {
            shared.append(own);
            mappings["properties"]["search"] = search;
        }
        // A comment asks for no reindex.
        let mut comments = mappings.as_object_mut().and_then(|mappings| mappings.remove("_meta")).unwrap_or_default();
        let digest = Sha256::digest(format!("{settings}{mappings}{}.{}", text::VERSION, collection.revision));
        let hash: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        comments["hash"] = json!(hash);
        comments["normalization"] = json!(text::VERSION);
        comments["revision"] = json!(collection.revision);
        mappings["_meta"] = comments;
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
            "_meta": self.mappings["_meta"],
        })
    }

    /// Lists where a live index differs from what a reindex would build. What the sync changes of its settings, and who owns it,
    /// is no difference.
    #[must_use]
    pub fn compare_index(&self, mappings: &Value, settings: &Value) -> Vec<Difference> {
        let mut differences = missing(&self.mappings, mappings);
        differences.extend(unexpected("", &self.mappings, mappings));
        differences.extend(missing(&as_stored(&self.settings), settings));
        differences.retain(|difference| difference.pointer != "/_meta/owner");
        differences
    }
}

/// Lists where an index template of the cluster differs from the one that [`Template::guard`] returned.
pub(super) fn compare_guard(mut expected: Value, found: &Value) -> Vec<Difference> {
    expected["template"]["settings"] = as_stored(&expected["template"]["settings"]);
    // Beside the parts that are said, the server adds its defaults.
    let mut differences = missing(&expected, found);
    differences.extend(unexpected("/template", &expected["template"], &found["template"]));
    differences
}

/// A place at which the cluster has something else than the program.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// JSON pointer (RFC 6901) to the place.
    pub pointer: String,
    pub expected: Option<Value>,
    pub found: Option<Value>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pointer, expected, found } = self;
        match (expected, found) {
            (Some(expected), Some(found)) => write!(f, "{pointer} is {found} and should be {expected}"),
            (Some(expected), None) => write!(f, "{pointer} is missing and should be {expected}"),
            (None, _) => write!(f, "{pointer} should not be there"),
        }
    }
}

/// Lists what is expected and not found, or found with another value.
fn missing(expected: &Value, found: &Value) -> Vec<Difference> {
    let mut differences = Vec::new();
    compare("", expected, Some(found), &mut |pointer, expected, found| {
        differences.push(Difference { pointer, expected: Some(expected.clone()), found: found.cloned() });
    });
    differences
}

/// Lists what is found and not expected.
fn unexpected(pointer: &str, expected: &Value, found: &Value) -> Vec<Difference> {
    let mut differences = Vec::new();
    compare(pointer, found, Some(expected), &mut |pointer, found, expected| {
        if expected.is_none() {
            differences.push(Difference { pointer, expected: None, found: Some(found.clone()) });
        }
    });
    differences
}

/// Tells of every place of one value at which the other has none, or another.
fn compare(pointer: &str, one: &Value, other: Option<&Value>, tell: &mut impl FnMut(String, &Value, Option<&Value>)) {
    match (one, other) {
        (Value::Object(members), Some(Value::Object(others))) => {
            for (name, member) in members {
                compare(&format!("{pointer}/{}", escape(name)), member, others.get(name), tell);
            }
        }
        _ if Some(one) == other => {}
        _ => tell(pointer.to_owned(), one, other),
    }
}

/// Writes a member's name for a JSON pointer (RFC 6901).
fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// Settings as the server stores them: every number as a text.
fn as_stored(settings: &Value) -> Value {
    match settings {
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), as_stored(value))).collect(),
        Value::Number(number) => Value::String(number.to_string()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_difference_is_told_once_with_its_place() {
        let expected = json!({ "same": 1, "more": { "a/b": 1, "c": { "d": [1] } }, "lost": true });
        let found = json!({ "same": 1, "more": { "a/b": 2, "c": { "d": [1], "e": 0 } } });
        let differences = [missing(&expected, &found), unexpected("", &expected, &found)].concat();
        let told: Vec<String> = differences.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            ["/lost is missing and should be true", "/more/a~1b is 2 and should be 1", "/more/c/e should not be there"]
        );
        assert_eq!(missing(&expected, &expected), []);
        assert_eq!(
            as_stored(&json!({ "index": { "number": 1, "text": "x" } })),
            json!({ "index": { "number": "1", "text": "x" } })
        );
    }
}
