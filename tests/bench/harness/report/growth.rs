//! Growth of the cost per document or answer with the number of customers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::measure::{Measure, number};

/// Microseconds per document or answer, by number of customers.
type Costs = BTreeMap<u64, f64>;

/// Table of the rates that were measured at several sizes, each relative to the smallest size; empty if there was one size only.
pub fn table(measures: &[Measure]) -> String {
    // In the order of the report.
    let mut rows: Vec<(String, Costs)> = Vec::new();
    for measure in measures.iter().filter(|measure| matches!(measure.unit, "docs/s" | "req/s")) {
        let name = format!("{} {}", measure.id, measure.what);
        for (name, rate) in [(name.clone(), measure.ours()), (format!("{name}, reference"), measure.reference())] {
            if rate <= 0.0 {
                continue;
            }
            let at = rows.iter().position(|(known, _)| *known == name).unwrap_or_else(|| {
                rows.push((name, Costs::new()));
                rows.len() - 1
            });
            rows[at].1.insert(measure.customers, 1e6 / rate);
        }
    }
    rows.retain(|(_, costs)| costs.len() > 1);
    if rows.is_empty() {
        return String::new();
    }
    let sizes: BTreeSet<u64> = rows.iter().flat_map(|(_, costs)| costs.keys().copied()).collect();
    let mut text = String::from(
        "\n## Growth\n\nMicroseconds per document or answer; in parentheses relative to the fewest customers.\n\n| measure |",
    );
    // Writing to a string cannot fail.
    for size in &sizes {
        let _ = write!(text, " {size} |");
    }
    let _ = writeln!(text, "\n|---|{}", "---|".repeat(sizes.len()));
    for (name, costs) in &rows {
        let _ = write!(text, "| {name} |");
        let first = costs.values().next().copied().unwrap_or_default();
        for size in &sizes {
            let _ = match costs.get(size) {
                Some(cost) => write!(text, " {} (× {:.2}) |", number(*cost), cost / first),
                None => write!(text, " – |"),
            };
        }
        text.push('\n');
    }
    text
}
