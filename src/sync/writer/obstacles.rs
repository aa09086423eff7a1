//! Why Elasticsearch does not take documents: reported and logged once, until it takes them again.

use std::collections::{BTreeMap, BTreeSet};

use parking_lot::Mutex;
use tracing::{info, warn};

use crate::freshness::status::{Concern, Status};

/// What keeps documents from being written now.
#[derive(Debug, Default)]
pub(super) struct Obstacles {
    pub(super) status: Status,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// Why requests fail as a whole.
    outage: Option<String>,
    /// By index why it refuses writes.
    refusals: BTreeMap<String, String>,
}

impl Obstacles {
    /// Records that a request failed as a whole.
    pub(super) fn failed(&self, error: &anyhow::Error) {
        self.change(|known| known.outage = Some(format!("{error:#}")));
    }

    /// Records that a request was answered: indices that took documents, and those that refuse all of them.
    pub(super) fn answered(&self, taking: &BTreeSet<String>, refusals: BTreeMap<String, String>) {
        self.change(|known| {
            known.outage = None;
            known.refusals.retain(|index, _| !taking.contains(index));
            known.refusals.extend(refusals);
        });
    }

    /// Forgets an index that is no longer written to.
    pub(super) fn forget(&self, index: &str) {
        self.change(|known| known.refusals.retain(|blocked, _| blocked != index));
    }

    fn change(&self, change: impl FnOnce(&mut Known)) {
        let mut known = self.known.lock();
        let (was_out, refusing) = (known.outage.is_some(), known.refusals.len());
        change(&mut known);
        match known.problem() {
            Some(problem) => {
                // During an outage every attempt may have another text.
                if known.outage.is_some() && !was_out || known.refusals.len() > refusing {
                    warn!(problem, "elasticsearch does not take documents");
                }
                self.status.report_problem(Concern::Writes, problem);
            }
            None => {
                if self.status.solve(Concern::Writes) {
                    info!("elasticsearch takes documents again");
                }
            }
        }
    }
}

impl Known {
    fn problem(&self) -> Option<String> {
        let refusal = |(index, reason): (&String, &String)| format!("the index {index} refuses writes: {reason}");
        let all: Vec<String> = self.outage.iter().cloned().chain(self.refusals.iter().map(refusal)).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_stays_until_that_index_takes_documents() {
        let obstacles = Obstacles::default();
        let problem = || obstacles.status.report().problem.unwrap_or_default();
        let index = |name: &str| BTreeSet::from([name.to_owned()]);
        obstacles.answered(&BTreeSet::new(), BTreeMap::from([("a".into(), "blocked".into())]));
        assert_eq!(problem(), "the index a refuses writes: blocked");
        obstacles.answered(&index("b"), BTreeMap::new());
        assert_eq!(problem(), "the index a refuses writes: blocked");
        obstacles.failed(&anyhow::anyhow!("away"));
        assert_eq!(problem(), "away; the index a refuses writes: blocked");
        obstacles.answered(&index("a"), BTreeMap::new());
        assert_eq!(problem(), "");
        obstacles.answered(&BTreeSet::new(), BTreeMap::from([("a".into(), "blocked".into())]));
        obstacles.forget("a");
        assert_eq!(problem(), "");
    }
}
