//! How far the shards of an index are, by Elasticsearch's own sequence numbers.
//!
//! Every shard numbers its operations and names the history that they make up. A shard that is restored from a snapshot, or allocated
//! from a stale copy, gets a new history; one whose disk is put back has fewer operations. See
//! <https://www.elastic.co/guide/en/elasticsearch/reference/current/docs-replication.html>.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::search::elastic::{Elastic, ElasticError, Shards, Verb};

/// The checkpoint of each shard of an index, by its number. A shard that is not started is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardCheckpoints(BTreeMap<String, Shard>);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Shard {
    history_uuid: String,
    /// Every operation up to here is on the disks of all copies.
    global_checkpoint: i64,
    max_seq_no: i64,
}

impl ShardCheckpoints {
    /// Whether a shard has lost operations since, or has another history.
    #[must_use]
    pub fn has_lost(&self, now: &Self) -> bool {
        let has_lost =
            |before: &Shard, now: &Shard| now.history_uuid != before.history_uuid || now.max_seq_no < before.global_checkpoint;
        self.0.iter().any(|(number, before)| now.0.get(number).is_some_and(|now| has_lost(before, now)))
    }

    /// Whether all shards are started.
    #[must_use]
    pub fn is_covered_by(&self, now: &Self) -> bool {
        self.0.keys().all(|number| now.0.contains_key(number))
    }

    /// Takes over newer checkpoints; a shard that is not started keeps the one known before.
    #[must_use]
    pub fn updated(mut self, now: &Self) -> Self {
        self.0.extend(now.0.clone());
        self
    }
}

/// Reads the checkpoints of indices, by name; absent indices are left out.
pub async fn read(elastic: &Elastic, indices: &[&str]) -> Result<BTreeMap<String, ShardCheckpoints>, ElasticError> {
    #[derive(Deserialize)]
    struct Answer {
        /// Of which indices may be absent or have none that is started.
        #[serde(rename = "_shards")]
        _shards: Shards,
        #[serde(default)]
        indices: BTreeMap<String, Index>,
    }
    #[derive(Deserialize)]
    struct Index {
        #[serde(default)]
        shards: BTreeMap<String, Vec<Copy>>,
    }
    #[derive(Deserialize)]
    struct Copy {
        routing: Routing,
        commit: Option<Commit>,
        seq_no: Option<SequenceNumbers>,
    }
    #[derive(Deserialize)]
    struct Routing {
        state: String,
        primary: bool,
    }
    #[derive(Deserialize)]
    struct Commit {
        user_data: UserData,
    }
    #[derive(Deserialize)]
    struct UserData {
        history_uuid: String,
    }
    #[derive(Deserialize)]
    struct SequenceNumbers {
        max_seq_no: i64,
        global_checkpoint: i64,
    }
    if indices.is_empty() {
        return Ok(BTreeMap::new());
    }
    let path = format!(
        "{}/_stats/docs?level=shards&ignore_unavailable=true&filter_path=_shards,indices.*.shards.*.routing,\
         indices.*.shards.*.commit.user_data.history_uuid,indices.*.shards.*.seq_no",
        indices.join(",")
    );
    let answer: Answer = elastic.read(Verb::Get, &path, None, elastic.search_deadline).await?;
    let primary = |copies: Vec<Copy>| {
        let copy = copies.into_iter().find(|copy| copy.routing.primary && copy.routing.state == "STARTED")?;
        let SequenceNumbers { max_seq_no, global_checkpoint } = copy.seq_no?;
        Some(Shard { history_uuid: copy.commit?.user_data.history_uuid, global_checkpoint, max_seq_no })
    };
    let checkpoints = |Index { shards }| {
        ShardCheckpoints(shards.into_iter().filter_map(|(number, copies)| Some((number, primary(copies)?))).collect())
    };
    Ok(answer.indices.into_iter().map(|(name, index)| (name, checkpoints(index))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoints(shards: &[(&str, i64, i64)]) -> ShardCheckpoints {
        let shard = |(history, global_checkpoint, max_seq_no): &(&str, i64, i64)| Shard {
            history_uuid: (*history).to_owned(),
            global_checkpoint: *global_checkpoint,
            max_seq_no: *max_seq_no,
        };
        ShardCheckpoints(shards.iter().enumerate().map(|(number, one)| (number.to_string(), shard(one))).collect())
    }

    #[test]
    fn a_shard_that_went_back_has_lost_operations() {
        let before = checkpoints(&[("a", 7, 9), ("b", -1, -1)]);
        let table = [
            (checkpoints(&[("a", 7, 9), ("b", -1, -1)]), false),
            (checkpoints(&[("a", 12, 12), ("b", 3, 4)]), false),
            // What was not on every copy may go with the one that had it.
            (checkpoints(&[("a", 7, 7), ("b", -1, -1)]), false),
            (checkpoints(&[("a", 6, 6), ("b", -1, -1)]), true),
            (checkpoints(&[("a", 7, 9), ("c", 5, 5)]), true),
            (checkpoints(&[("c", 12, 12)]), true),
            // Not started yet.
            (checkpoints(&[("a", 7, 9)]), false),
            (checkpoints(&[]), false),
        ];
        for (now, expected) in table {
            assert_eq!(before.has_lost(&now), expected, "{now:?}");
        }
        assert!(!ShardCheckpoints::default().has_lost(&before));
    }

    #[test]
    fn a_shard_that_is_not_started_keeps_its_checkpoint() {
        let before = checkpoints(&[("a", 7, 9), ("b", 3, 3)]);
        let starting = before.clone().updated(&checkpoints(&[("a", 8, 9)]));
        assert_eq!(starting, checkpoints(&[("a", 8, 9), ("b", 3, 3)]));
        assert!(starting.has_lost(&checkpoints(&[("a", 8, 9), ("b", 2, 2)])));
    }
}
