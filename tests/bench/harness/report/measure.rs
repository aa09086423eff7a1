//! One figure against its goal.

use serde::Serialize;

use super::statistics::median;

/// One figure against its goal. Where there is a reference, both sides were measured in turn in the same run.
#[derive(Clone, Debug, Serialize)]
pub struct Measure {
    /// Its number in the list of performance goals: `P1`.
    pub id: &'static str,
    /// What was measured.
    pub what: String,
    /// Customers in the database.
    pub customers: u64,
    /// The unit of every value.
    pub unit: &'static str,
    /// The values of our rounds.
    pub ours: Vec<f64>,
    /// The values of the reference's rounds.
    pub reference: Vec<f64>,
    /// What is asked of it.
    pub goal: Goal,
    /// How it was measured, in a sentence.
    pub how: String,
}

/// What is asked of a measure.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase", tag = "kind", content = "value")]
pub enum Goal {
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
    pub fn ours(&self) -> f64 {
        median(&self.ours)
    }

    /// The median of the reference's rounds.
    pub fn reference(&self) -> f64 {
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

    pub fn row(&self) -> String {
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
pub fn number(value: f64) -> String {
    match value.abs() {
        0.0..10.0 => format!("{value:.2}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}
