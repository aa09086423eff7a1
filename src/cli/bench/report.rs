//! The report: a table with verdicts, the raw numbers below it, and the same as JSON beside it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::Serialize;

use super::growth;
use super::machine::Facts;
use super::statistics::median;

/// One figure against its goal. Where there is a reference, both sides were measured in turn in the same run.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Measure {
    /// Its number in the list of performance goals: `P1`.
    pub(super) id: &'static str,
    /// What was measured.
    pub(super) what: String,
    /// Customers in the database.
    pub(super) customers: u64,
    /// The unit of every value.
    pub(super) unit: &'static str,
    /// The values of our rounds.
    pub(super) ours: Vec<f64>,
    /// The values of the reference's rounds.
    pub(super) reference: Vec<f64>,
    /// What is asked of it.
    pub(super) goal: Goal,
    /// How it was measured, in a sentence.
    pub(super) how: String,
}

/// What is asked of a measure.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase", tag = "kind", content = "value")]
pub(super) enum Goal {
    /// Ours divided by the reference.
    RatioAtLeast(f64),
    /// Ours divided by the reference.
    RatioAtMost(f64),
    /// Ours minus the reference.
    AddsAtMost(f64),
    /// Ours alone.
    AtMost(f64),
    /// Ours alone.
    AtLeast(f64),
    /// Shown to explain the others.
    None,
}

impl Measure {
    /// The median of our rounds.
    pub(super) fn ours(&self) -> f64 {
        median(&self.ours)
    }

    /// The median of the reference's rounds.
    pub(super) fn reference(&self) -> f64 {
        median(&self.reference)
    }

    fn is_reached(&self) -> Option<bool> {
        match self.goal {
            Goal::RatioAtLeast(goal) => Some(self.ours() >= goal * self.reference()),
            Goal::RatioAtMost(goal) => Some(self.ours() <= goal * self.reference()),
            Goal::AddsAtMost(goal) => Some(self.ours() - self.reference() <= goal),
            Goal::AtMost(goal) => Some(self.ours() <= goal),
            Goal::AtLeast(goal) => Some(self.ours() >= goal),
            Goal::None => None,
        }
    }

    fn row(&self) -> String {
        let Self { id, what, customers, unit, .. } = self;
        let (ours, reference) = (self.ours(), self.reference());
        let has_reference = !self.reference.is_empty();
        let goal = match self.goal {
            Goal::RatioAtLeast(goal) => format!("≥ {goal:.2} of the reference"),
            Goal::RatioAtMost(goal) => format!("≤ {goal:.2} of the reference"),
            Goal::AddsAtMost(goal) => format!("adds ≤ {goal} {unit}"),
            Goal::AtMost(goal) => format!("≤ {} {unit}", number(goal)),
            Goal::AtLeast(goal) => format!("≥ {} {unit}", number(goal)),
            Goal::None => "–".into(),
        };
        let verdict = match self.is_reached() {
            Some(true) => "reached",
            Some(false) => "**not reached**",
            None => "–",
        };
        format!(
            "| {id} | {what} | {customers} | {} {unit} | {} | {} | {goal} | {verdict} |",
            number(ours),
            if has_reference { format!("{} {unit}", number(reference)) } else { "–".into() },
            if has_reference && reference > 0.0 { format!("{:.2}", ours / reference) } else { "–".into() },
        )
    }
}

/// Three significant digits are all that a benchmark knows.
pub(super) fn number(value: f64) -> String {
    match value.abs() {
        0.0..10.0 => format!("{value:.2}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// Everything that was measured so far.
pub(super) struct Report {
    /// What it was measured on.
    pub(super) facts: Facts,
    measures: Vec<Measure>,
    failures: Vec<String>,
    path: PathBuf,
}

impl Report {
    /// Makes an empty report that will be written to `path`.
    pub(super) fn new(path: &Path) -> Self {
        Self { facts: Facts::new(), measures: Vec::new(), failures: Vec::new(), path: path.to_owned() }
    }

    /// Adds what a part has measured, or why it could not, and writes the report and the same as JSON beside it.
    pub(super) fn add(&mut self, part: &str, found: anyhow::Result<Vec<Measure>>) -> anyhow::Result<()> {
        match found {
            Ok(mut found) => self.measures.append(&mut found),
            Err(error) => self.failures.push(format!("{part}: {error:#}")),
        }
        std::fs::write(&self.path, self.markdown()).with_context(|| format!("cannot write {}", self.path.display()))?;
        let facts: serde_json::Map<_, _> =
            self.facts.iter().map(|(name, value)| ((*name).into(), value.as_str().into())).collect();
        let all = serde_json::json!({ "facts": facts, "measures": self.measures, "failures": self.failures });
        std::fs::write(self.path.with_extension("json"), serde_json::to_vec_pretty(&all)?)?;
        Ok(())
    }

    /// Whether every part could be measured.
    pub(super) fn is_complete(&self) -> bool {
        self.failures.is_empty()
    }

    /// The text of the report.
    pub(super) fn markdown(&self) -> String {
        let mut text = String::from(
            "# Benchmark\n\n\
             Every ratio was taken in one run, our side and the reference in turn, after a warm-up; a figure is the median of its \
             rounds.\n\n\
             | # | measure | customers | ours | reference | ratio | goal | verdict |\n|---|---|---|---|---|---|---|---|\n",
        );
        // Writing to a string cannot fail.
        for measure in &self.measures {
            let _ = writeln!(text, "{}", measure.row());
        }
        for failure in &self.failures {
            let _ = write!(text, "\n**Not measured.** {failure}\n");
        }
        text.push_str(&growth::table(&self.measures));
        text.push_str("\n## The machine\n\n");
        for (name, value) in &self.facts {
            let _ = writeln!(text, "- {name}: {value}");
        }
        text.push_str("\n## Raw numbers\n");
        for measure in &self.measures {
            let rounds = |values: &[f64]| values.iter().map(|value| number(*value)).collect::<Vec<_>>().join(", ");
            let Measure { id, what, customers, unit, how, .. } = measure;
            let _ = write!(text, "\n**{id}, {what}, {customers} customers.** {how}\nOurs in {unit}: {}.", rounds(&measure.ours));
            if !measure.reference.is_empty() {
                let _ = write!(text, " Reference: {}.", rounds(&measure.reference));
            }
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(goal: Goal, ours: &[f64], reference: &[f64], expected: &str) {
        let (ours, reference) = (ours.to_vec(), reference.to_vec());
        let measure =
            Measure { id: "P0", what: "x".into(), customers: 10, unit: "ms", ours, reference, goal, how: String::new() };
        assert_eq!(measure.row(), expected);
    }

    #[test]
    fn a_verdict_is_reached_or_not_by_the_medians() {
        check(
            Goal::RatioAtLeast(0.9),
            &[90.0, 1.0, 95.0],
            &[100.0, 100.0],
            "| P0 | x | 10 | 90.0 ms | 100 ms | 0.90 | ≥ 0.90 of the reference | reached |",
        );
        check(
            Goal::RatioAtLeast(0.9),
            &[89.0],
            &[100.0],
            "| P0 | x | 10 | 89.0 ms | 100 ms | 0.89 | ≥ 0.90 of the reference | **not reached** |",
        );
        check(
            Goal::AddsAtMost(0.5),
            &[1.6],
            &[1.0],
            "| P0 | x | 10 | 1.60 ms | 1.00 ms | 1.60 | adds ≤ 0.5 ms | **not reached** |",
        );
        check(
            Goal::RatioAtMost(1.25),
            &[13.0],
            &[10.0],
            "| P0 | x | 10 | 13.0 ms | 10.0 ms | 1.30 | ≤ 1.25 of the reference | **not reached** |",
        );
        check(Goal::AtMost(50.0), &[49.96], &[], "| P0 | x | 10 | 50.0 ms | – | – | ≤ 50.0 ms | reached |");
        check(Goal::AtLeast(50_000.0), &[50_000.0], &[], "| P0 | x | 10 | 50000 ms | – | – | ≥ 50000 ms | reached |");
        check(Goal::None, &[7.0], &[8.0], "| P0 | x | 10 | 7.00 ms | 8.00 ms | 0.88 | – | – |");
    }
}
