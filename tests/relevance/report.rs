//! The table of a test: what was measured, how it differs from the committed table, and the thresholds in its last two columns.
//!
//! `UPDATE_RELEVANCE=1` writes the table again. It raises thresholds to a little below what was measured and never lowers one; that is
//! done by hand.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::query::Quality;

const HEAD: &str = "| class | system | queries | S@1 | S@10 | MRR@10 | NDCG@10 | S@1 from | S@10 from |\n|---|---|---|---|---|---|---|---|---|\n";

/// How far below a measured value its threshold is put: more than equal scores and another release of Elasticsearch change.
const SLACK: f64 = 0.02;

/// What one system is worth for one class.
pub(super) struct Row {
    pub(super) class: String,
    pub(super) system: String,
    pub(super) count: usize,
    /// Or a difference of two.
    pub(super) quality: Quality,
    /// The first queries whose first hit is wrong.
    pub(super) misses: Vec<String>,
}

/// A row of the committed table.
#[derive(Default)]
struct Committed {
    quality: Quality,
    /// Least Success@1 and Success@10; absent of what is only compared with.
    thresholds: Option<[f64; 2]>,
}

impl Row {
    /// The difference to another row, under a name of its own.
    pub(super) fn minus(&self, other: &Self, system: &str) -> Self {
        let quality = std::array::from_fn(|metric| self.quality[metric] - other.quality[metric]);
        Self { class: self.class.clone(), system: system.into(), count: self.count, quality, misses: Vec::new() }
    }

    fn is_difference(&self) -> bool {
        self.system.contains(" − ")
    }

    /// Ours have thresholds, and so do the differences to others.
    fn is_gated(&self) -> bool {
        self.is_difference() || ["elasticsearch", "postgres"].contains(&self.system.as_str())
    }

    /// A threshold that this row passes and keeps passing.
    fn safe_threshold(&self, measured: f64) -> f64 {
        let measured = round(measured);
        if self.is_difference() {
            // To be no worse is enough.
            return ((measured - SLACK) * 100.0).floor().min(0.0) / 100.0;
        }
        if measured == 1.0 { 1.0 } else { ((measured - SLACK) * 100.0).floor().max(0.0) / 100.0 }
    }
}

/// Prints the rows, and fails if one is below its threshold or has none.
pub(super) fn check(name: &str, rows: &[Row]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/relevance/{name}.md"));
    let before = fs::read_to_string(&path).unwrap_or_default();
    let committed = read(&before);
    println!("{}", compared(rows, &committed));
    if std::env::var_os("UPDATE_RELEVANCE").is_some() {
        let intro = before.split(HEAD).next().unwrap_or_default();
        fs::write(&path, format!("{intro}{}", table(rows, &committed))).unwrap();
        return;
    }
    let failures: Vec<String> = rows.iter().filter_map(|row| failure(row, committed.get(&key(row)))).collect();
    assert!(failures.is_empty(), "{} of tests/relevance/{name}.md:\n{}", failures.len(), failures.join("\n"));
}

fn key(row: &Row) -> (String, String) {
    (row.class.clone(), row.system.clone())
}

fn read(table: &str) -> BTreeMap<(String, String), Committed> {
    let rows = table.split(HEAD).nth(1).unwrap_or_default().lines();
    let read = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [class, system, _, measured @ .., s1, s10] = cells.as_slice() else { panic!("a row of the table: {line}") };
        let quality: Vec<f64> = measured.iter().map(|cell| cell.parse().unwrap()).collect();
        let thresholds = s1.parse().ok().zip(s10.parse().ok()).map(<[f64; 2]>::from);
        (((*class).to_owned(), (*system).to_owned()), Committed { quality: quality.try_into().unwrap(), thresholds })
    };
    rows.filter(|line| line.starts_with('|')).map(read).collect()
}

fn table(rows: &[Row], committed: &BTreeMap<(String, String), Committed>) -> String {
    let mut table = HEAD.to_owned();
    for row in rows {
        let [s1, s10, mrr, ndcg] = row.quality.map(|value| format!("{:.3}", round(value)));
        write!(table, "| {} | {} | {} | {s1} | {s10} | {mrr} | {ndcg} |", row.class, row.system, row.count).unwrap();
        let before = committed.get(&key(row)).and_then(|committed| committed.thresholds);
        let thresholds = [0, 1].map(|metric| {
            let safe = row.safe_threshold(row.quality[metric]);
            before.map_or(safe, |before| before[metric].max(safe))
        });
        match row.is_gated() {
            true => writeln!(table, " {:.2} | {:.2} |", thresholds[0], thresholds[1]).unwrap(),
            false => table.push_str(" – | – |\n"),
        }
    }
    table
}

/// The rows with what has changed in brackets.
fn compared(rows: &[Row], committed: &BTreeMap<(String, String), Committed>) -> String {
    let mut lines = format!("{:50} {:28}    S@1            S@10           MRR@10         NDCG@10\n", "class", "system");
    for row in rows {
        write!(lines, "{:50} {:28}", row.class, row.system).unwrap();
        let before = committed.get(&key(row)).map(|committed| committed.quality);
        for metric in 0..4 {
            let (now, before) = (round(row.quality[metric]), before.map(|before| before[metric]));
            let change = match before {
                Some(before) if before == now => String::new(),
                Some(before) => format!("({:+.3})", now - before),
                None => "(new)".into(),
            };
            write!(lines, " {now:6.3} {change:8}").unwrap();
        }
        lines.push('\n');
    }
    lines
}

fn failure(row: &Row, committed: Option<&Committed>) -> Option<String> {
    if !row.is_gated() {
        return None;
    }
    let name = format!("{}, {}", row.class, row.system);
    let Some(thresholds) = committed.and_then(|committed| committed.thresholds) else {
        return Some(format!("{name}: has no threshold; UPDATE_RELEVANCE=1 writes one"));
    };
    let below = |metric: usize| round(row.quality[metric]) < thresholds[metric];
    (below(0) || below(1)).then(|| {
        let [s1, s10, ..] = row.quality;
        let [least_1, least_10] = thresholds;
        format!("{name}: S@1 {s1:.3} of {least_1:.2}, S@10 {s10:.3} of {least_10:.2}\n  {}", row.misses.join("\n  "))
    })
}

/// To the digits of the table.
fn round(value: f64) -> f64 {
    // Adding zero turns -0 into 0.
    (value * 1000.0).round() / 1000.0 + 0.0
}

#[test]
fn a_row_below_its_threshold_fails_with_its_misses() {
    let row = |s1: f64| Row {
        class: "exact name".into(),
        system: "postgres".into(),
        count: 2,
        quality: [s1, 1.0, 1.0, 1.0],
        misses: vec!["ann".into()],
    };
    let committed = read(&table(&[row(0.9)], &BTreeMap::new()));
    let found = &committed[&("exact name".to_owned(), "postgres".to_owned())];
    assert_eq!((found.quality, found.thresholds), ([0.9, 1.0, 1.0, 1.0], Some([0.88, 1.0])));
    assert_eq!(failure(&row(0.88), Some(found)), None);
    let failure = failure(&row(0.87), Some(found)).unwrap();
    assert!(failure.contains("S@1 0.870 of 0.88") && failure.ends_with("\n  ann"), "{failure}");
    let raised = read(&table(&[row(0.95)], &committed));
    assert_eq!(raised.into_values().next().unwrap().thresholds, Some([0.93, 1.0]));
    let kept = read(&table(&[row(0.5)], &committed));
    assert_eq!(kept.into_values().next().unwrap().thresholds, Some([0.88, 1.0]));
}
