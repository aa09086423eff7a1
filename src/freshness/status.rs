//! What the sync task of this process is doing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;
use tokio::time::Instant;

/// What the sync task of this process is doing; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Status(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    report: Report,
    problems: BTreeMap<Concern, String>,
}

/// What can be wrong at the same time. The part that reports a problem is the one that sees it solved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Concern {
    /// Leading as a whole.
    Leading,
    /// The high-water mark.
    HighWaterMark,
    /// Indices, their aliases and templates.
    Indices,
    /// The index that is being built.
    Rebuild,
    /// Writes of documents.
    Writes,
    /// Scans of an index for the backlog.
    Scans,
}

/// A moment of [`Status`].
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub role: Role,
    /// Why it cannot work, for an operator: all problems, each once.
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, schemars::JsonSchema, Serialize)]
#[schemars(inline)]
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
        self.0.lock().report.clone()
    }

    /// Enters a role; the problems before are solved.
    pub fn enter(&self, role: Role) {
        let mut state = self.0.lock();
        state.report.role = role;
        state.set_problems(BTreeMap::new());
    }

    /// Records why the task cannot work.
    pub fn fail(&self, problem: String) {
        let mut state = self.0.lock();
        state.report.role = Role::Starting;
        state.set_problems(BTreeMap::from([(Concern::Leading, problem)]));
    }

    /// Records a problem; returns whether it is news.
    pub fn report_problem(&self, concern: Concern, problem: String) -> bool {
        let mut state = self.0.lock();
        let mut problems = state.problems.clone();
        let before = problems.insert(concern, problem);
        let is_news = before.as_ref() != problems.get(&concern);
        state.set_problems(problems);
        is_news
    }

    /// Records that there is no such problem; returns whether there was one.
    pub fn solve(&self, concern: Concern) -> bool {
        let mut state = self.0.lock();
        let mut problems = std::mem::take(&mut state.problems);
        let is_news = problems.remove(&concern).is_some();
        state.set_problems(problems);
        is_news
    }

    pub fn update(&self, change: impl FnOnce(&mut Report)) {
        change(&mut self.0.lock().report);
    }
}

impl State {
    fn set_problems(&mut self, problems: BTreeMap<Concern, String>) {
        let mut said = BTreeSet::new();
        let distinct: Vec<&str> = problems.values().map(String::as_str).filter(|problem| said.insert(*problem)).collect();
        self.report.problem = (!distinct.is_empty()).then(|| distinct.join("; "));
        self.problems = problems;
    }
}

fn elapsed(since: Option<Instant>) -> Duration {
    since.map_or(Duration::ZERO, |since| since.elapsed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_solved_problem_hides_no_other() {
        let status = Status::default();
        let problem = || status.report().problem.unwrap_or_default();
        assert!(status.report_problem(Concern::Writes, "blocked".into()));
        assert!(!status.report_problem(Concern::Writes, "blocked".into()), "it is known");
        assert!(status.report_problem(Concern::Indices, "away".into()));
        assert_eq!(problem(), "away; blocked");
        assert!(status.report_problem(Concern::Writes, "away".into()));
        assert_eq!(problem(), "away", "each is said once");
        assert!(status.solve(Concern::Indices) && !status.solve(Concern::Indices));
        assert_eq!(problem(), "away");
        status.enter(Role::Leading);
        assert_eq!(status.report().problem, None);
    }
}
