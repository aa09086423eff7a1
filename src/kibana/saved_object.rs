//! A saved object as Kibana exports it.

use anyhow::Context;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A saved object, without what Kibana adds when it stores one.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct SavedObject {
    /// What it says; members whose names end with `JSON`, and `visState`, are texts of JSON.
    pub attributes: Value,
    /// The version of the format that all types have alike.
    #[serde(rename = "coreMigrationVersion")]
    pub core_version: String,
    pub id: String,
    #[serde(default)]
    pub managed: bool,
    pub references: Vec<Reference>,
    /// `index-pattern`, `search`, `visualization` or `dashboard`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The version of the type's format.
    #[serde(rename = "typeMigrationVersion")]
    pub type_version: String,
}

/// What an object refers to, under a name that its attributes use.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Reference {
    pub id: String,
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
}

impl SavedObject {
    /// Reads a member that is a text of JSON; null if it is not.
    #[must_use]
    pub fn json(&self, pointer: &str) -> Value {
        let text = self.attributes.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        serde_json::from_str(text).unwrap_or_default()
    }

    /// Its title for people.
    #[must_use]
    pub fn title(&self) -> &str {
        ["name", "title"].iter().find_map(|member| self.attributes[member].as_str()).unwrap_or(&self.id)
    }

    /// The reference of that name.
    #[must_use]
    pub fn reference(&self, name: &str) -> Option<&Reference> {
        self.references.iter().find(|reference| reference.name == name)
    }

    /// Lets a data view lead to the aliases of another prefix.
    #[must_use]
    pub fn with_prefix(mut self, from: &str, to: &str) -> Self {
        if self.kind == "index-pattern"
            && let Some(alias) = self.attributes["title"].as_str().and_then(|title| title.strip_prefix(from))
        {
            self.attributes["title"] = format!("{to}{alias}").into();
        }
        self
    }
}

/// Reads objects, one a line.
pub(super) fn read(file: &str, text: &str) -> anyhow::Result<Vec<SavedObject>> {
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.is_empty());
    lines
        .map(|(number, line)| serde_json::from_str(line).with_context(|| format!("{file}, line {number}: no saved object")))
        .collect()
}

/// Writes objects, one a line.
///
/// # Errors
/// Never for what was read.
pub fn write(objects: &[SavedObject]) -> serde_json::Result<String> {
    let lines: serde_json::Result<Vec<String>> = objects.iter().map(|object| Ok(serde_json::to_string(object)? + "\n")).collect();
    Ok(lines?.concat())
}
