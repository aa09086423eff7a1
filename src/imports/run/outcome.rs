//! What became of a row.

use serde_json::Value as Json;
use uuid::Uuid;

use crate::imports::read::record::Record;
use crate::imports::report::{Issue, Severity};
use crate::imports::store::rows::Difference;
use crate::imports::store::{Action, Counts};
use crate::imports::targets::Companion;

/// What became of a row.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) row: u64,
    pub(super) action: Action,
    pub(super) key_hash: Option<[u8; 32]>,
    pub(super) number_hash: Option<[u8; 32]>,
    pub(super) record: Option<(Uuid, i64)>,
    pub(super) companion: Option<Companion>,
    /// The number by which later rows name the companion.
    pub(super) companion_number: Option<String>,
    /// What an update changed, as it was.
    pub(super) before: Option<Json>,
    pub(super) changes: Vec<Difference>,
    pub(super) issues: Vec<Issue>,
}

impl Outcome {
    /// What became of a row that writes nothing, or of which more is to be said. One that has failed is an error.
    pub(super) fn new(action: Action, record: Record, key_hash: Option<[u8; 32]>) -> Self {
        let action = if record.has_failed() { Action::Error } else { action };
        Self {
            row: record.row,
            action,
            key_hash,
            number_hash: None,
            record: None,
            companion: None,
            companion_number: None,
            before: None,
            changes: Vec::new(),
            issues: record.issues,
        }
    }

    /// The row as counts.
    pub(super) fn counts(&self) -> Counts {
        let is = |action| u64::from(self.action == action);
        Counts {
            rows: 1,
            created: is(Action::Create),
            updated: is(Action::Update),
            unchanged: is(Action::Unchanged),
            skipped: is(Action::Skipped),
            failed: is(Action::Error),
            warnings: self.issues.iter().filter(|issue| issue.severity == Severity::Warning).count() as u64,
        }
    }
}
