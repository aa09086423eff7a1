//! How far indices are, in the index server's own count: every shard numbers its operations, and names the history that they make up.
//!
//! A shard that is restored from a snapshot, or allocated anew from a stale copy, gets a new history; one whose disk is put back has
//! fewer operations. See <https://www.elastic.co/guide/en/elasticsearch/reference/current/docs-replication.html>.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::search::elastic::{Elastic, ElasticError, Verb};

/// How far the shards of an index are, by their numbers. One that is not started is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History(BTreeMap<String, Shard>);

/// How far a shard is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// The name of its history.
    id: String,
    /// Every operation up to here is on the disks of all its copies.
    kept: i64,
    /// The latest operation.
    latest: i64,
}

impl History {
    /// Whether something is gone later that was kept before.
    #[must_use]
    pub fn is_broken_in(&self, later: &Self) -> bool {
        let is_broken = |before: &Shard, after: &Shard| after.id != before.id || after.latest < before.kept;
        self.0.iter().any(|(number, before)| later.0.get(number).is_some_and(|after| is_broken(before, after)))
    }

    /// What is remembered after a later look: of a shard that was not started then, what was known before.
    #[must_use]
    pub fn continued(mut self, later: &Self) -> Self {
        self.0.extend(later.0.clone());
        self
    }
}

/// Reads how far indices are, by name; absent ones are left out.
///
/// # Errors
/// See [`ElasticError`].
pub async fn read(elastic: &Elastic, indices: &[&str]) -> Result<BTreeMap<String, History>, ElasticError> {
    #[derive(Deserialize)]
    struct Answer {
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
        seq_no: Option<Numbers>,
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
    struct Numbers {
        max_seq_no: i64,
        global_checkpoint: i64,
    }
    if indices.is_empty() {
        return Ok(BTreeMap::new());
    }
    let path = format!(
        "{}/_stats/docs?level=shards&ignore_unavailable=true&filter_path=indices.*.shards.*.routing,\
         indices.*.shards.*.commit.user_data.history_uuid,indices.*.shards.*.seq_no",
        indices.join(",")
    );
    let answer: Answer = elastic.read(Verb::Get, &path, None, elastic.search_deadline).await?;
    let primary = |copies: Vec<Copy>| {
        let copy = copies.into_iter().find(|copy| copy.routing.primary && copy.routing.state == "STARTED")?;
        let Numbers { max_seq_no: latest, global_checkpoint: kept } = copy.seq_no?;
        Some(Shard { id: copy.commit?.user_data.history_uuid, kept, latest })
    };
    let history =
        |Index { shards }| History(shards.into_iter().filter_map(|(number, copies)| Some((number, primary(copies)?))).collect());
    Ok(answer.indices.into_iter().map(|(name, index)| (name, history(index))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(shards: &[(&str, i64, i64)]) -> History {
        let shard = |(id, kept, latest): &(&str, i64, i64)| Shard { id: (*id).to_owned(), kept: *kept, latest: *latest };
        History(shards.iter().enumerate().map(|(number, one)| (number.to_string(), shard(one))).collect())
    }

    #[test]
    fn a_history_breaks_where_something_kept_is_gone() {
        let before = history(&[("a", 7, 9), ("b", -1, -1)]);
        let table = [
            (history(&[("a", 7, 9), ("b", -1, -1)]), false),
            (history(&[("a", 12, 12), ("b", 3, 4)]), false),
            // What was not on every copy may go with the one that had it.
            (history(&[("a", 7, 7), ("b", -1, -1)]), false),
            (history(&[("a", 6, 6), ("b", -1, -1)]), true),
            (history(&[("a", 7, 9), ("c", 5, 5)]), true),
            (history(&[("c", 12, 12)]), true),
            // Not started yet.
            (history(&[("a", 7, 9)]), false),
            (history(&[]), false),
        ];
        for (later, expected) in table {
            assert_eq!(before.is_broken_in(&later), expected, "{later:?}");
        }
        assert!(!History::default().is_broken_in(&before));
    }

    #[test]
    fn a_shard_that_is_not_started_is_not_forgotten() {
        let before = history(&[("a", 7, 9), ("b", 3, 3)]);
        let starting = before.clone().continued(&history(&[("a", 8, 9)]));
        assert_eq!(starting, history(&[("a", 8, 9), ("b", 3, 3)]));
        assert!(starting.is_broken_in(&history(&[("a", 8, 9), ("b", 2, 2)])));
    }
}
