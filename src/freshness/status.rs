//! What the sync task is doing, for health, metrics and people.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

/// What the sync task of this process is doing; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Status(Arc<Mutex<Report>>);

/// A moment of [`Status`].
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Its part among the processes.
    pub role: Role,
    /// What keeps it from working, in plain words.
    pub problem: Option<String>,
    /// The lease that it took last.
    pub lease: Option<i64>,
    /// The high bits of the versions it writes.
    pub epoch: u16,
    /// Documents that wait to be written.
    pub waiting: usize,
    /// Since when the oldest change has waited that is neither in the index nor in the backlog.
    pub unwritten_since: Option<Instant>,
    /// Since when the oldest change has waited that cannot be found yet.
    pub behind_since: Option<Instant>,
}

/// The part of a process among those that could sync.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Role {
    /// There is no index to keep, or the part does not run in this process.
    #[default]
    Off,
    /// Another process leads.
    Standby,
    /// Getting ready, or trying to again.
    Starting,
    /// The change stream flows.
    Leading,
}

impl Report {
    /// How long the oldest change has waited that cannot be found yet.
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
    /// Returns the state of this moment.
    #[must_use]
    pub fn report(&self) -> Report {
        self.lock().clone()
    }

    /// Says what the task is doing now; a problem there was is over.
    pub fn enter(&self, role: Role) {
        let mut report = self.lock();
        report.role = role;
        report.problem = None;
    }

    /// Says what keeps the task from working.
    pub fn fail(&self, problem: String) {
        let mut report = self.lock();
        report.role = Role::Starting;
        report.problem = Some(problem);
    }

    /// Changes some of what is said.
    pub fn update(&self, change: impl FnOnce(&mut Report)) {
        change(&mut self.lock());
    }

    fn lock(&self) -> MutexGuard<'_, Report> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn elapsed(since: Option<Instant>) -> Duration {
    since.map_or(Duration::ZERO, |since| since.elapsed())
}
