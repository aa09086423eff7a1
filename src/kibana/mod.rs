//! The saved objects of Kibana in `kibana/`: data views, saved searches, visualisations and dashboards over the indices for analysts.
//!
//! They are written for Kibana 8.19, which later versions read. Visualisations are the aggregation-based ones: what they ask
//! Elasticsearch stands in them, so that all of it is checked, and tried, without Kibana.

pub mod check;
pub mod client;
pub mod panel;
mod saved_object;

use std::path::Path;

use anyhow::Context;

pub use panel::Panel;
pub use saved_object::{Reference, SavedObject, write};

/// The prefix of indices in the files; an import replaces it by `INDEX_PREFIX`.
pub const PREFIX: &str = "collections";

/// A file of `kibana/`: its name, and one object a line.
#[derive(Clone, Debug)]
pub struct File {
    pub name: String,
    pub objects: Vec<SavedObject>,
}

/// The files as they were built in.
static FILES: [(&str, &str); 7] = [
    ("data-views.ndjson", include_str!("../../kibana/data-views.ndjson")),
    ("searches.ndjson", include_str!("../../kibana/searches.ndjson")),
    ("collections-today.ndjson", include_str!("../../kibana/collections-today.ndjson")),
    ("ageing-and-roll-rates.ndjson", include_str!("../../kibana/ageing-and-roll-rates.ndjson")),
    ("payments.ndjson", include_str!("../../kibana/payments.ndjson")),
    ("agents.ndjson", include_str!("../../kibana/agents.ndjson")),
    ("search-and-sync.ndjson", include_str!("../../kibana/search-and-sync.ndjson")),
];

/// Reads the files that were built in.
///
/// # Errors
/// A line that is no saved object.
pub fn files() -> anyhow::Result<Vec<File>> {
    FILES.iter().map(|(name, text)| Ok(File { name: (*name).to_owned(), objects: saved_object::read(name, text)? })).collect()
}

/// Reads the same files from a folder, where they may have been changed.
///
/// # Errors
/// A file cannot be read, or a line of it is no saved object.
pub fn files_in(folder: &Path) -> anyhow::Result<Vec<File>> {
    let read = |(name, _): &(&str, &str)| {
        let path = folder.join(name);
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(File { name: (*name).to_owned(), objects: saved_object::read(name, &text)? })
    };
    FILES.iter().map(read).collect()
}
