//! What the sync task of this process is doing.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;
use tokio::time::Instant;

/// What the sync task of this process is doing; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Status(Arc<Mutex<Report>>);

/// A moment of [`Status`].
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub role: Role,
    /// Why it cannot work, for an operator.
    pub problem: Option<String>,
    /// The lease that it took last.
    pub lease: Option<i64>,
    /// The high bits of the versions it writes.
    pub epoch: u16,
    /// Since when the oldest change has waited that is neither in the index nor in the backlog.
    pub unwritten_since: Option<Instant>,
    /// Since when the oldest change has waited that is not searchable.
    pub behind_since: Option<Instant>,
}

/// The part of a process in the sync.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Role {
    /// No index is configured, or this process runs no sync.
    #[default]
    Off,
    /// Another process leads.
    Standby,
    /// Preparing to lead, or trying to again.
    Starting,
    /// The change stream flows.
    Leading,
}

impl Report {
    /// How long the oldest change has waited that is not searchable.
    #[must_use]
    pub fn lag(&self) -> Duration {
        elapsed(self.behind_since)
    }

    /// How long the oldest change has waited that is neither in the index nor in the backlog.
    #[must_use]
    pub fn write_lag(&self) -> Duration {
        elapsed(self.unwritten_since)
    }
}

impl Status {
    #[must_use]
    pub fn report(&self) -> Report {
        self.0.lock().clone()
    }

    /// Enters a role; the problem before is solved.
    pub fn enter(&self, role: Role) {
        let mut report = self.0.lock();
        report.role = role;
        report.problem = None;
    }

    /// Records why the task cannot work.
    pub fn fail(&self, problem: String) {
        let mut report = self.0.lock();
        report.role = Role::Starting;
        report.problem = Some(problem);
    }

    pub fn update(&self, change: impl FnOnce(&mut Report)) {
        change(&mut self.0.lock());
    }
}

fn elapsed(since: Option<Instant>) -> Duration {
    since.map_or(Duration::ZERO, |since| since.elapsed())
}
