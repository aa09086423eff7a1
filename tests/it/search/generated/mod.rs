//! Generated and mutated queries of all lists: both engines answer them alike.
//!
//! `AGREEMENT_RUNS=10000` asks so many of each kind, `AGREEMENT_SEED=7` repeats one.

mod compare;
mod generate;

use std::collections::BTreeMap;
use std::sync::Arc;

use self::compare::{Servers, Verdict};
use self::generate::{Query, Samples};
use super::lists;
use crate::harness::amount::amount;
use crate::harness::database::Database;
use crate::harness::dice::Dice;
use crate::harness::engines::{self, Engines};
use crate::hostile::message::Message;
use crate::hostile::mutate;

/// Queries of each kind, in a run of the whole suite.
const RUNS: u64 = 1_000;
/// Queries under way at a time.
const WORKERS: u64 = 4;
/// Disagreements that are shown.
const SHOWN: usize = 10;

async fn fill(database: &Database) {
    engines::seed(database, "150").await;
    sqlx::raw_sql(lists::ROWS).execute(&database.pool).await.unwrap();
}

/// Asks the queries that `make` makes of numbers, several at a time, and fails with the shortest forms of those that differ.
async fn run(make: impl Fn(&Samples, u64) -> Query + Send + Sync + 'static) {
    let engines = Engines::start(fill).await;
    let servers = Servers::new(engines.clients().await);
    let samples = Arc::new(Samples::read(&servers).await);
    let numbers = match amount("AGREEMENT_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..amount("AGREEMENT_RUNS").unwrap_or(RUNS),
    };
    let make = Arc::new(make);
    let mut workers = Vec::new();
    for worker in 0..WORKERS {
        let (samples, make, numbers) = (samples.clone(), make.clone(), numbers.clone());
        let servers = Servers::new(engines.clients().await);
        workers.push(tokio::spawn(async move {
            let (mut counts, mut findings) = (BTreeMap::<&str, u64>::new(), Vec::new());
            for number in numbers.skip(worker as usize).step_by(WORKERS as usize) {
                let query = make(&samples, number);
                let verdict = servers.compare(&query).await;
                *counts.entry(verdict.name()).or_default() += 1;
                if let Verdict::Different(_) = verdict {
                    let (shortest, difference) = servers.shortest(query).await;
                    findings.push(format!("AGREEMENT_SEED={number} {:.400}\n  {difference}", shortest.to_string()));
                }
            }
            (counts, findings)
        }));
    }
    let (mut counts, mut findings) = (BTreeMap::<&str, u64>::new(), Vec::new());
    for worker in workers {
        let (counted, found) = worker.await.unwrap();
        counted.into_iter().for_each(|(name, count)| *counts.entry(name).or_default() += count);
        findings.extend(found);
    }
    findings.sort_by_key(String::len);
    let shown = findings.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join("\n");
    println!("{counts:?}\n{shown}");
    assert!(findings.is_empty(), "{} queries differ:\n{shown}", findings.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_engines_answer_generated_queries_alike() {
    run(|samples, number| samples.query(&mut Dice::new(number))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_engines_answer_mutated_queries_alike() {
    run(|samples, number| {
        let mut dice = Dice::new(number);
        let query = samples.query(&mut dice);
        // Most of what is badly broken is refused, so half of the queries are broken a little.
        if number % 2 == 0 {
            return query.slipped(&mut dice);
        }
        let parameters = samples.parameters(&query);
        let method = "GET".to_owned();
        let mut message =
            Message { method, path: query.path.clone(), query: query.encoded(), parameters, headers: Vec::new(), body: None };
        for _ in 0..=dice.roll(3) {
            mutate::query(&mut message, &mut dice);
        }
        Query::mutated(&query.path, &message.query)
    })
    .await;
}
