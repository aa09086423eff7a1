//! Distorted people are found, and better than by plain Elasticsearch in the same run.
//!
//! Records with even numbers are there to tune by, the others to report.

use super::baseline::{Baseline, WAYS};
use super::query::{Query, ask, row};
use super::record::{self, Record, Source};
use super::report::{self, Row};
use crate::harness::engines::Engines;

/// What is typed of a record.
type Typed = fn(&Record) -> String;

/// The kinds of queries, by their names in the report.
const KINDS: [(&str, Typed); 2] =
    [("given name and surname", Record::name), ("name, street and suburb", Record::name_and_address)];

const HALVES: [(&str, u32); 2] = [("tuning half", 0), ("reported half", 1)];

/// Measures both engines and the ways of plain Elasticsearch.
async fn measure(source: &Source) -> Vec<Row> {
    let engines = Engines::start(async |database| record::insert(database, &source.originals).await).await;
    let [elasticsearch, postgres] = engines.clients().await;
    let mut rows = Vec::new();
    for (kind, typed) in KINDS {
        let make = |record: &Record| Query { list: "/customers", typed: typed(record), relevant: [record.id()].into() };
        let queries: Vec<Query> = source.distorted.iter().map(make).collect();
        let baseline = Baseline::open(source.originals.iter().map(|record| (record.id(), typed(record)))).await;
        let ours = tokio::join!(ask(&elasticsearch, &queries), ask(&postgres, &queries));
        let mut systems = vec![("elasticsearch", ours.0), ("postgres", ours.1)];
        for (name, way) in WAYS {
            systems.push((name, baseline.ask(&queries, way).await));
        }
        for (half, parity) in HALVES {
            let chosen: Vec<usize> = (0..queries.len()).filter(|at| source.distorted[*at].number % 2 == parity).collect();
            let asked: Vec<&Query> = chosen.iter().map(|at| &queries[*at]).collect();
            let measured = systems.iter().map(|(system, answers)| {
                let answers: Vec<_> = chosen.iter().map(|at| &answers[*at]).collect();
                row(&format!("{kind}, {half}"), system, &asked, &answers)
            });
            let measured: Vec<Row> = measured.collect();
            let best = best(&measured[2..]);
            let margins = [
                measured[0].minus(&best, "elasticsearch − best plain"),
                measured[1].minus(&measured[0], "postgres − elasticsearch"),
            ];
            rows.extend(measured);
            rows.extend(margins);
        }
    }
    rows
}

/// The best of each metric, whichever baseline has it.
fn best(baselines: &[Row]) -> Row {
    let of = |metric: usize| baselines.iter().map(|row| row.quality[metric]).fold(0.0, f64::max);
    let (class, count) = (baselines[0].class.clone(), baselines[0].count);
    Row { class, system: "best plain".into(), count, quality: std::array::from_fn(of), misses: Vec::new() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn distorted_people_of_febrl_are_found() {
    let source = record::febrl();
    let name = if source.originals.len() > 1_000 { "febrl-5000" } else { "febrl" };
    report::check(name, &measure(&source).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_distorted_in_other_ways_are_found() {
    report::check("international", &measure(&record::international(1_000, 200, 17)).await);
}
