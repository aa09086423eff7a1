//! The report: a table of measures with verdicts and their raw numbers, as Markdown and as JSON.

pub mod growth;
pub mod measure;
pub mod statistics;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use self::measure::{Measure, number};

/// Names and values that describe the machine.
pub type Facts = Vec<(&'static str, String)>;

pub struct Report {
    pub facts: Facts,
    measures: Vec<Measure>,
    failures: Vec<String>,
    path: PathBuf,
}

impl Report {
    pub fn new(path: &Path) -> Self {
        Self { facts: Facts::new(), measures: Vec::new(), failures: Vec::new(), path: path.to_owned() }
    }

    /// Adds the measures of a part, or its failure, and writes both files.
    pub fn add(&mut self, part: &str, found: anyhow::Result<Vec<Measure>>) -> anyhow::Result<()> {
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

    /// Returns true if no part failed.
    pub fn is_complete(&self) -> bool {
        self.failures.is_empty()
    }

    pub fn markdown(&self) -> String {
        let mut text = String::from(
            "# Benchmark\n\n\
             Every ratio was taken in one run, our side and the reference in turn, after a warm-up; a figure is the median of \
             its rounds.\n\n\
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
