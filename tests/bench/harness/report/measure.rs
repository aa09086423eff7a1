//! A measure and its goal.

use serde::Serialize;

use super::statistics::median;

/// A measure; if it has a reference, both sides were measured in turn in the same run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Measure {
    /// Number among the performance goals: `P1`.
    pub id: &'static str,
    pub what: String,
    pub customers: u64,
    pub unit: &'static str,
    /// One value per round.
    pub ours: Vec<f64>,
    /// One value per round; empty without a reference.
    pub reference: Vec<f64>,
    pub goal: Goal,
    /// Method, in a sentence.
    pub how: String,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase", tag = "kind", content = "value")]
pub enum Goal {
    /// Ours divided by the reference.
    RatioAtLeast(f64),
    RatioAtMost(f64),
    /// Ours minus the reference.
    AddsAtMost(f64),
    AtMost(f64),
    AtLeast(f64),
    /// Informative only.
    #[default]
    None,
}

impl Measure {
    /// Median of our rounds.
    pub fn ours(&self) -> f64 {
        median(&self.ours)
    }

    /// Median of the reference's rounds.
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

    /// Row of the report's table.
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

/// Formats a number with three significant digits.
pub fn number(value: f64) -> String {
    match value.abs() {
        0.0..10.0 => format!("{value:.2}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}
