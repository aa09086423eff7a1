//! Bulk writes: documents with versions in one buffer, and the outcome of each.

use std::io::Write;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use crate::search::elastic::{Cause, Elastic, ElasticError, Verb};
use crate::values::lsn::Version;

/// A buffer of writes, in the order of their outcomes. A write loses against a document of a newer version, so writes commute and
/// may be repeated.
#[derive(Clone, Debug, Default)]
pub struct Bulk {
    lines: Vec<u8>,
    count: usize,
}

/// The outcome of one write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is in the index.
    Written,
    /// The index has a version that is as new or newer; nothing is left to do.
    Outdated,
    /// The server is busy: this write, and only this one, has to be sent again.
    Rejected,
    /// The same, but the index takes no writes until a shard, a disk or an operator has changed something.
    Blocked {
        /// What to change, if that is known.
        reason: String,
    },
    /// The index does not exist.
    NoIndex,
    /// The index will never take it.
    Poison {
        /// HTTP status of the item.
        status: u16,
        /// The server's message, without values of the document.
        reason: String,
    },
}

impl Bulk {
    /// Adds a document; `source` is one line of JSON.
    pub fn index(&mut self, index: &str, id: Uuid, version: Version, source: &[u8]) {
        self.action("index", index, id, version);
        self.lines.extend_from_slice(source);
        self.lines.push(b'\n');
    }

    /// Adds a deletion. It leaves a tombstone that keeps older writes out, also where there is no document.
    pub fn delete(&mut self, index: &str, id: Uuid, version: Version) {
        self.action("delete", index, id, version);
    }

    /// Adds the deletion of a document that another program wrote, whatever its version.
    pub fn delete_any_version(&mut self, index: &str, id: &str) {
        let action = json!({ "delete": { "_index": index, "_id": id } });
        let _ = writeln!(self.lines, "{action}");
        self.count += 1;
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Returns the size of the request in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.lines.len()
    }

    fn action(&mut self, verb: &str, index: &str, id: Uuid, version: Version) {
        let Version(version) = version;
        // Writing to a vector cannot fail, and names of indices need no escaping.
        let _ = writeln!(
            self.lines,
            r#"{{"{verb}":{{"_index":"{index}","_id":"{id}","version":{version},"version_type":"external"}}}}"#
        );
        self.count += 1;
    }
}

/// Sends the writes and returns the outcome of each, in order. Nothing is retried here.
///
/// # Errors
/// The request as a whole failed; each write may or may not have been done, and repeating all of them is safe.
pub async fn send(elastic: &Elastic, bulk: Bulk) -> Result<Vec<Outcome>, ElasticError> {
    if bulk.is_empty() {
        return Ok(Vec::new());
    }
    // With a short timeout the items of a shard that is away fail, instead of the whole request waiting for it.
    let path = "_bulk?timeout=1s&filter_path=items.*.status,items.*.error.type,items.*.error.reason";
    let expected = bulk.count;
    let answer: Answer = elastic.write(Verb::Post, path, Some(Bytes::from(bulk.lines))).await?;
    if answer.items.len() != expected {
        return Err(ElasticError::Broken(format!("{} outcomes for {expected} writes", answer.items.len())));
    }
    Ok(answer.items.into_iter().map(|(Action::Index(item) | Action::Delete(item))| item.outcome()).collect())
}

#[derive(Deserialize)]
struct Answer {
    items: Vec<Action>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Action {
    Index(Item),
    Delete(Item),
}

#[derive(Deserialize)]
struct Item {
    status: u16,
    error: Option<Cause>,
}

impl Item {
    fn outcome(self) -> Outcome {
        let Some(cause) = self.error else {
            // A deletion of nothing leaves a tombstone.
            let is_written = matches!(self.status, 200..=299 | 404);
            return if is_written { Outcome::Written } else { Outcome::Rejected };
        };
        match (self.status, cause.kind()) {
            (409, _) => Outcome::Outdated,
            // A lost shard, a full or broken disk and a closed index heal; the write itself is sound.
            (_, "cluster_block_exception") => {
                let block = cause.block().map_or_else(|| cause.describe(), |(_, block)| format!("blocked by {block}"));
                Outcome::Blocked { reason: format!("{block}; remove the block or free disk") }
            }
            (_, "index_closed_exception") => Outcome::Blocked { reason: "it is closed; open it".into() },
            (429, _) => Outcome::Rejected,
            (500..=599, _) => Outcome::Blocked { reason: cause.describe() },
            (_, "index_not_found_exception") => Outcome::NoIndex,
            (status, _) => Outcome::Poison { status, reason: cause.describe() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_are_pairs_of_lines_with_versions() {
        let mut bulk = Bulk::default();
        bulk.index("c-customers-v1", Uuid::nil(), Version(7), br#"{"a":1}"#);
        bulk.delete("c-customers-v1", Uuid::nil(), Version(8));
        insta::assert_snapshot!(String::from_utf8(bulk.lines.clone()).unwrap(), @r#"
        {"index":{"_index":"c-customers-v1","_id":"00000000-0000-0000-0000-000000000000","version":7,"version_type":"external"}}
        {"a":1}
        {"delete":{"_index":"c-customers-v1","_id":"00000000-0000-0000-0000-000000000000","version":8,"version_type":"external"}}
        "#);
        assert_eq!((bulk.len(), bulk.is_empty()), (2, false));
    }

    #[test]
    fn every_item_gets_its_own_outcome() {
        let answer: Answer = serde_json::from_str(
            r#"{"items":[
                {"index":{"status":201}},
                {"delete":{"status":404}},
                {"index":{"status":409,"error":{"type":"version_conflict_engine_exception","reason":"newer"}}},
                {"index":{"status":429,"error":{"type":"es_rejected_execution_exception","reason":"full"}}},
                {"index":{"status":500,"error":{"type":"translog_exception","reason":"broken disk"}}},
                {"index":{"status":400,"error":{"type":"index_closed_exception","reason":"closed"}}},
                {"index":{"status":403,"error":{"type":"cluster_block_exception","reason":"index [a] blocked by: [FORBIDDEN/8/index write (api)];"}}},
                {"index":{"status":502}},
                {"index":{"status":400,"error":{"type":"strict_dynamic_mapping_exception","reason":"no [x]"}}}]}"#,
        )
        .unwrap();
        let outcomes: Vec<_> =
            answer.items.into_iter().map(|(Action::Index(item) | Action::Delete(item))| item.outcome()).collect();
        use Outcome::{Blocked, Outdated, Poison, Rejected, Written};
        let poison = Poison { status: 400, reason: "strict_dynamic_mapping_exception: no [x]".into() };
        let [disk, closed, block] = [
            "translog_exception: broken disk",
            "it is closed; open it",
            "blocked by FORBIDDEN/8/index write (api); remove the block or free disk",
        ]
        .map(|reason| Blocked { reason: reason.into() });
        assert_eq!(outcomes, [Written, Written, Outdated, Rejected, disk, closed, block, Rejected, poison]);
    }
}
