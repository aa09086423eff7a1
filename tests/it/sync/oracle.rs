//! Random work on every table by several writers, then every document compared with what SQL says it should be.
//!
//! `ORACLE_SEED` repeats a run as far as the writers' timing allows, `ORACLE_STEPS` makes it longer.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use collections::collections::indexed;
use collections::search::inventory::{self, Detail};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use uuid::Uuid;

use crate::harness::cluster::Cluster;
use crate::harness::dice::Dice;
use crate::harness::random_work;
use crate::harness::synced::Synced;

const WRITERS: u64 = 4;
const PAGE: usize = 1_000;

/// What SQL says that the index of a collection should hold.
async fn expected(test: &Synced, collection: &str) -> BTreeMap<Uuid, Value> {
    let sql = match collection {
        "customers" => include_str!("../../oracle/customers.sql"),
        "accounts" => include_str!("../../oracle/accounts.sql"),
        "payments" => include_str!("../../oracle/payments.sql"),
        "activities" => include_str!("../../oracle/activities.sql"),
        "analytics-customers" => include_str!("../../oracle/analytics-customers.sql"),
        "analytics-accounts" => include_str!("../../oracle/analytics-accounts.sql"),
        "analytics-payments" => include_str!("../../oracle/analytics-payments.sql"),
        "analytics-activities" => include_str!("../../oracle/analytics-activities.sql"),
        "analytics-snapshots" => include_str!("../../oracle/analytics-snapshots.sql"),
        "analytics-operations" => include_str!("../../oracle/analytics-operations.sql"),
        other => panic!("no oracle for {other}"),
    };
    let rows: Vec<(Uuid, Value)> = sqlx::query_as(sql).fetch_all(&test.pool).await.unwrap();
    rows.into_iter().map(|(id, document)| (id, canonical(document))).collect()
}

/// What it holds.
async fn held(test: &Synced, collection: &str) -> BTreeMap<Uuid, Value> {
    let index = test.index(collection).await;
    let mut documents = BTreeMap::new();
    let mut after = None;
    loop {
        let page = inventory::page(&test.elastic, &index, after, None, PAGE, Detail::Ids).await.unwrap();
        assert_eq!(page.strays.len(), 0, "{collection} of another program");
        let ids: Vec<Uuid> = page.entries.into_iter().map(|entry| entry.id).collect();
        for held in inventory::read(&test.elastic, &index, &ids).await.unwrap() {
            let mut document: Value = serde_json::from_str(held.source.get()).unwrap();
            document.as_object_mut().unwrap().remove("search");
            documents.insert(held.id, canonical(document));
        }
        if page.end.is_none() {
            return documents;
        }
        after = page.end;
    }
}

/// Brings moments and numbers, which Postgres and the product write differently, into one form.
fn canonical(value: Value) -> Value {
    match value {
        Value::String(text) => match DateTime::parse_from_rfc3339(&text) {
            Ok(moment) => moment.with_timezone(&Utc).to_rfc3339().into(),
            Err(_) => text.into(),
        },
        Value::Array(values) => values.into_iter().map(canonical).collect(),
        Value::Object(members) => members.into_iter().map(|(name, value)| (name, canonical(value))).collect(),
        Value::Number(number) => number.as_f64().into(),
        other => other,
    }
}

/// Compares every document, field by field, with what SQL says. Returns how many there are and how many differ.
pub(crate) async fn compare(test: &Synced, seed: u64) -> (usize, usize) {
    let (mut compared, mut differing) = (0, 0);
    for collection in indexed(test.app.config.search.analytics) {
        let (expected, held) = (expected(test, collection.name).await, held(test, collection.name).await);
        let ids: BTreeSet<&Uuid> = expected.keys().chain(held.keys()).collect();
        for id in ids {
            compared += 1;
            if held.get(id) != expected.get(id) {
                differing += 1;
                println!("seed {seed}, {} {id}:\n held {:?}\n expected {:?}", collection.name, held.get(id), expected.get(id));
            }
        }
    }
    (compared, differing)
}

/// One writer: its transactions, and now and then one in two phases. Returns how many were committed.
async fn write(url: String, name: &str, mut dice: Dice, steps: u64) -> u64 {
    let mut connection = PgConnection::connect(&url).await.unwrap();
    run(&mut connection, "set lock_timeout = '300ms'").await;
    let mut committed = 0;
    for step in 0..steps {
        let done = if dice.roll(15) == 0 {
            let name = format!("{name}-{step}");
            let first = format!("begin; {}; prepare transaction '{name}'", random_work::statement(&mut dice));
            let is_prepared = run(&mut connection, &first).await;
            for _ in 0..dice.roll(3) {
                run(&mut connection, &random_work::transaction(&mut dice)).await;
            }
            let second = if dice.roll(4) == 0 { "rollback" } else { "commit" };
            is_prepared && run(&mut connection, &format!("{second} prepared '{name}'")).await
        } else {
            run(&mut connection, &random_work::transaction(&mut dice)).await
        };
        committed += u64::from(done);
    }
    committed
}

/// Whether the server took it. What it refuses is rolled back.
async fn run(connection: &mut PgConnection, sql: &str) -> bool {
    let taken = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut *connection).await.is_ok();
    if !taken {
        sqlx::raw_sql("rollback").execute(connection).await.ok();
    }
    taken
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_document_is_what_sql_says_after_random_work_by_many() {
    let seed = Dice::seed("ORACLE_SEED");
    let steps = std::env::var("ORACLE_STEPS").map_or(120, |text| text.parse().unwrap());
    println!("ORACLE_SEED={seed} ORACLE_STEPS={steps}");
    let cluster = Cluster::start_with("max_prepared_transactions = 20").await;
    let mut test = Synced::on(&cluster, &["--sync-batch-size", "16", "--sync-fanout-inline", "3", "--analytics", "agents"]).await;
    test.start().await;
    let mut committed = 0;
    for round in 0..2 {
        let writers = (0..WRITERS).map(|writer| {
            let dice = Dice::new(seed.wrapping_add(round * WRITERS + writer));
            let (url, name) = (cluster.url(), format!("{round}-{writer}"));
            tokio::spawn(async move { write(url, &name, dice, steps).await })
        });
        for writer in writers.collect::<Vec<_>>() {
            committed += writer.await.unwrap();
        }
        test.settle().await;
        let (compared, differing) = compare(&test, seed).await;
        println!("{committed} transactions, {compared} documents");
        assert_eq!(differing, 0, "ORACLE_SEED={seed}");
        assert!(committed > steps && compared > 0, "the work is mostly refused");
        if round == 0 {
            test.sql(random_work::EMPTY).await;
        }
    }
    test.expect_equal().await;
    test.stop().await;
}
