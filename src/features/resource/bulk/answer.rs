//! What a bulk change answers.

use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::apply::Outcome;
use super::body::Target;
use crate::error::Violation;
use crate::values::ids::JobId;

/// What became of records that were changed at once.
#[derive(JsonSchema, Serialize)]
pub struct BulkChanged {
    total: usize,
    updated: usize,
    /// Those that were as they should become.
    unchanged: usize,
    failed: usize,
    /// In the order of the request, or of the ids.
    results: Vec<Changed>,
}

#[derive(JsonSchema, Serialize)]
#[schemars(rename = "BulkResult")]
struct Changed {
    id: Uuid,
    status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Refusal>,
}

#[derive(Clone, Copy, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "BulkStatus")]
enum Status {
    Updated,
    Unchanged,
    Failed,
}

/// Why a record was not changed, as a request for it alone would be told.
#[derive(JsonSchema, Serialize)]
#[schemars(rename = "BulkError")]
struct Refusal {
    code: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Violation>,
}

/// The job that makes the changes.
#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "BulkBegun")]
pub struct Begun {
    #[schemars(with = "Uuid")]
    pub(super) job_id: JobId,
    /// Records to change.
    pub(super) total: usize,
}

impl BulkChanged {
    pub(super) fn new(targets: &[Target], outcomes: Vec<Outcome>) -> Self {
        let results: Vec<Changed> =
            targets.iter().zip(outcomes).map(|(target, outcome)| Changed::new(target.id, outcome)).collect();
        let count = |status| results.iter().filter(|result| result.status == status).count();
        let [updated, unchanged, failed] = [Status::Updated, Status::Unchanged, Status::Failed].map(count);
        Self { total: results.len(), updated, unchanged, failed, results }
    }
}

impl Changed {
    fn new(id: Uuid, outcome: Outcome) -> Self {
        let refusal = match outcome {
            Outcome::Updated => return Self { id, status: Status::Updated, error: None },
            Outcome::Unchanged => return Self { id, status: Status::Unchanged, error: None },
            Outcome::Failed(error) => {
                Refusal { code: error.code(), message: error.to_string(), errors: error.violations().to_vec() }
            }
        };
        Self { id, status: Status::Failed, error: Some(refusal) }
    }
}
