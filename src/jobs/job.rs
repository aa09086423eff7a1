//! A job as it is stored and shown.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::values::clock::milliseconds;

/// Where jobs wait for a worker: each has workers of its own, so that a large job delays no small one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// Done within seconds, such as a mail.
    Quick,
    /// Minutes of work that a user waits for, such as an import.
    Bulk,
    /// What no user waits for.
    Upkeep,
}

impl Lane {
    pub const ALL: [Self; 3] = [Self::Quick, Self::Bulk, Self::Upkeep];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Quick => "quick",
            Self::Bulk => "bulk",
            Self::Upkeep => "upkeep",
        }
    }

    /// Jobs of the lane that one process does at once.
    #[must_use]
    pub fn concurrency(self) -> usize {
        match self {
            Self::Quick => 3,
            // Two cores of Postgres are busy with as many.
            Self::Bulk => 2,
            Self::Upkeep => 1,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, sqlx::Type)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "JobStatus")]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub enum State {
    /// Waits for a worker, perhaps after a failed attempt.
    Queued,
    /// A worker has it, or had it until it was killed.
    Running,
    /// Waits to be resumed.
    Paused,
    /// Done, every item of it.
    Succeeded,
    /// Done, with items that failed.
    Partial,
    /// Failed for good, or finished without a successful item.
    Failed,
    Cancelled,
}

impl State {
    pub const ALL: [Self; 7] =
        [Self::Queued, Self::Running, Self::Paused, Self::Succeeded, Self::Partial, Self::Failed, Self::Cancelled];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Succeeded => "succeeded",
            Self::Partial => "partial",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether no worker will touch it again unless it is retried.
    #[must_use]
    pub fn is_finished(self) -> bool {
        matches!(self, Self::Succeeded | Self::Partial | Self::Failed | Self::Cancelled)
    }
}

/// A job as clients see it.
#[derive(Clone, Debug, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    pub id: Uuid,
    pub kind: String,
    pub status: State,
    /// What its worker does when the chunk under way ends: `pause` or `cancel`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requested: Option<String>,
    /// Items to do; null while that is not known.
    pub total: Option<i64>,
    pub processed: i64,
    pub succeeded: i64,
    pub failed: i64,
    #[serde(skip)]
    pub created_by: Option<Uuid>,
    #[serde(serialize_with = "milliseconds")]
    pub created_at: DateTime<Utc>,
    #[serde(serialize_with = "milliseconds")]
    pub started_at: Option<DateTime<Utc>>,
    #[serde(serialize_with = "milliseconds")]
    pub finished_at: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result_url: Option<String>,
    /// Why it failed, or why its last attempt did; without personal data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, sqlx::Type)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "JobItemStatus")]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub enum ItemStatus {
    Failed,
    /// Failed, and waits to be tried again.
    Pending,
    /// Failed at first.
    Succeeded,
}

impl ItemStatus {
    pub const ALL: [Self; 3] = [Self::Failed, Self::Pending, Self::Succeeded];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Pending => "pending",
            Self::Succeeded => "succeeded",
        }
    }
}

/// An item of a job that failed, or did at first.
#[derive(Clone, Debug, JsonSchema, Serialize)]
#[schemars(rename = "JobItem")]
pub struct Item {
    pub id: Uuid,
    /// What the job calls it, such as the number of a row or an id.
    pub item: String,
    pub status: ItemStatus,
    pub code: Option<String>,
    pub message: Option<String>,
}
