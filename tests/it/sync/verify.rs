//! Comparison of the index with the rows: what counts as different, the sweep, and the commands that show it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use collections::collections::{ALL, find};
use collections::sync::generations::reconcile;
use collections::sync::integrity::verify::{self, Difference};
use collections::sync::store::sweep_runs::{self, Summary};
use collections::sync::store::{checkpoint, dead_letters, generations};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::eventually::eventually;
use crate::harness::people::{People, person};
use crate::harness::synced::Synced;

/// Settings with which a sweep run over a test's few documents takes no time, and only one begins.
const ONE_RUN: [&str; 2] = ["--sync-sweep-rate", "1000000"];

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

/// Customers with the ids from 1 on.
async fn customers(test: &Synced, count: u128) {
    test.insert((1..=count).fold(People::default(), |all, n| all.person(n, &format!("Customer {n}")))).await;
    test.settle().await;
}

/// Changes a member of a document behind the back of the sync.
async fn corrupt(test: &Synced, id: Uuid) {
    let mut document = test.document("customers", id).await;
    document["name"] = json!("Other Name");
    put(test, id, "", document).await;
}

async fn put(test: &Synced, id: Uuid, how: &str, document: Value) {
    let path = format!("{}/_doc/{id}?refresh&{how}", test.index("customers").await);
    test.raw(Method::PUT, &path, Some(document)).await;
}

async fn delete(test: &Synced, id: Uuid) {
    test.raw(Method::DELETE, &format!("{}/_doc/{id}?refresh", test.index("customers").await), None).await;
}

/// Adds a document under an id that is none of ours, or under one that the index makes up.
async fn add(test: &Synced, id: &str, document: Value) {
    test.raw(Method::POST, &format!("{}/_doc/{id}?refresh", test.index("customers").await), Some(document)).await;
}

async fn sweep_run(test: &Synced) -> Option<Summary> {
    let all = sweep_runs::all(&test.app.db.sync).await.unwrap();
    all.into_iter().find(|run| run.collection == "customers")
}

/// Waits until a sweep run over the customers has ended, and returns what it found.
async fn verified(test: &Synced) -> Summary {
    eventually("the customers are verified", async || {
        sweep_run(test).await.is_some_and(|run| run.verified_at.is_some() && run.started_at.is_none())
    })
    .await;
    sweep_run(test).await.unwrap()
}

/// Makes the next run due.
async fn due(test: &Synced) {
    test.sql("update sync_sweeps set last_started_at = null").await;
}

#[tokio::test]
async fn one_percent_of_drift_is_found_and_repaired_within_one_sweep_run() {
    let test = Synced::started_with(&ONE_RUN).await;
    verified(&test).await;
    customers(&test, 3_000).await;
    let document = test.document("customers", id(1)).await;
    test.sql("delete from customers where name like '%00'").await;
    test.settle().await;
    for n in 1..=10 {
        corrupt(&test, id(n * 10 + 1)).await;
        delete(&test, id(n * 10 + 2)).await;
        // These were deleted, and are back.
        let ghost = id(n * 300);
        let mut document = document.clone();
        document["id"] = json!(ghost);
        put(&test, ghost, "", document).await;
    }
    // These came by another way than the sync: with no id, with that of another document, and with one that is written otherwise.
    add(&test, "", json!({})).await;
    add(&test, "stray", document).await;
    add(&test, &id(0xab).to_string().to_uppercase(), json!({ "id": "0 of mine" })).await;
    due(&test).await;
    let run = verified(&test).await;
    assert_eq!((run.last_checked, run.last_found, run.last_repaired), (2_983, 33, 33));
    assert_eq!((run.total_found, run.total_repaired), (33, 33));
    test.expect_equal().await;
}

#[tokio::test]
async fn the_sweep_notices_a_removed_index_without_any_write() {
    let test =
        Synced::started_tuned(&["--sync-sweep-rate", "1000000"], |config| config.sync.sweep_period = Duration::from_secs(1))
            .await;
    customers(&test, 20).await;
    let removed = test.index("customers").await;
    test.raw(Method::DELETE, &removed, None).await;
    eventually("there is another index", async || {
        generations::live(&test.app.db.sync, "customers").await.unwrap().is_some_and(|index| index != removed)
    })
    .await;
    test.expect_equal().await;
}

#[tokio::test]
async fn constant_writes_neither_count_as_drift_nor_hide_it() {
    let test = Synced::started().await;
    customers(&test, 300).await;
    // No write of the sync replaces this one.
    let document = test.document("customers", id(1)).await;
    put(&test, id(1), &format!("version={}&version_type=external", i64::MAX), document).await;
    test.sql(&format!("update customers set name = 'Renamed' where id = '{}'", id(1))).await;
    let done = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn({
        let (done, pool) = (done.clone(), test.pool.clone());
        async move {
            let mut rounds = 0;
            while !done.load(Ordering::Relaxed) && rounds < 20_000 {
                let work = r#"
                    update customers set name = 'Customer ' || random() where random() < 0.05;
                    delete from customers where id in (select id from customers order by id desc limit 1);
                    insert into customers (id, name) values (gen_random_uuid(), 'New');
                    update customers set name = 'Customer ' || random() where id = '00000000-0000-0000-0000-000000000001';
                "#;
                sqlx::raw_sql(work).execute(&pool).await.unwrap();
                // More than this a busy machine might not index.
                tokio::time::sleep(Duration::from_millis(5)).await;
                rounds += 1;
            }
        }
    });
    let index = test.index("customers").await;
    for _ in 0..2 {
        let customers = find("customers").unwrap();
        let deep = verify::contents(&test.app, &test.elastic, customers, &index).await.unwrap();
        assert_eq!(deep.differences.into_iter().collect::<Vec<_>>(), [(id(1), Difference::Stale)]);
        let shallow = verify::versions(&test.app, &test.elastic, customers, &index).await.unwrap();
        assert_eq!(shallow.differences.into_iter().collect::<Vec<_>>(), [(id(1), Difference::Stale)]);
        assert!(shallow.checked >= 290, "{}", shallow.checked);
    }
    done.store(true, Ordering::Relaxed);
    writer.await.unwrap();
}

#[tokio::test]
async fn a_killed_sweep_resumes_at_its_cursor() {
    let mut test = Synced::started_with(&["--sync-sweep-rate", "500"]).await;
    verified(&test).await;
    customers(&test, 3_000).await;
    // What is not confirmed comes again after the kill, and would repair what this test damages.
    let written = checkpoint::heartbeat(&test.app.db.sync).await.unwrap();
    let confirmed = format!("bool_and(confirmed_flush_lsn - '0/0' >= {})", written.0);
    test.wait_for(&format!("select {confirmed} from pg_replication_slots where database = current_database()")).await;
    due(&test).await;
    eventually("the run is under way", async || sweep_run(&test).await.is_some_and(|run| run.checked >= 1_000)).await;
    test.kill();
    let checked = sweep_run(&test).await.unwrap().checked;
    assert!(checked < 3_000, "{checked} were compared before the kill");
    // What is behind the cursor is not compared again in this run.
    corrupt(&test, id(1)).await;
    corrupt(&test, id(3_000)).await;
    test.launch();
    let run = verified(&test).await;
    assert_eq!((run.last_checked, run.last_found, run.last_repaired), (3_000, 1, 1));
    assert_eq!(test.differences("customers").await.into_keys().collect::<Vec<_>>(), [id(1)]);
}

#[tokio::test]
async fn dead_letters_are_listed_and_retried_by_every_sweep_run() {
    let test =
        Synced::started_tuned(&["--sync-sweep-rate", "1000000"], |config| config.sync.sweep_period = Duration::from_secs(1))
            .await;
    customers(&test, 20).await;
    // A keyword longer than Lucene's limit of 32,766 bytes.
    test.sql("update customers set tags = array[repeat('x', 40000)] where name = 'Customer 2'").await;
    test.sql("update customers set name = 'Fine' where name = 'Customer 1'").await;
    test.settle().await;
    assert_eq!(test.document("customers", id(1)).await["name"], "Fine");
    let dead_letter = async || dead_letters::list(&test.app.db.sync, 10).await.unwrap().pop().unwrap();
    assert_eq!((dead_letter().await.collection.as_str(), dead_letter().await.id), ("customers", id(2)));
    eventually("it is tried again", async || dead_letter().await.attempts >= 3).await;
    let (code, said) = test.command(&["sync", "dead-letters"]).await;
    assert_eq!(code, Some(0));
    assert!(
        said.contains(&id(2).to_string()) && said.contains("failed to parse field [tags]") && !said.contains("xxx"),
        "{said}"
    );
    // It is known, so it is no drift.
    eventually("a sweep has ended", async || sweep_run(&test).await.is_some_and(|run| run.last_checked >= 20)).await;
    assert_eq!(sweep_run(&test).await.unwrap().total_found, 0);

    test.sql("update customers set tags = '{ok}' where name = 'Customer 2'").await;
    test.settle().await;
    assert_eq!(dead_letters::quarantined(&test.app.db.sync).await.unwrap(), []);
    test.expect_equal().await;
}

#[tokio::test]
async fn the_exit_code_of_verify_says_whether_the_index_equals_the_rows() {
    let mut test = Synced::new().await;
    let (code, said) = test.command(&["sync", "verify"]).await;
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("customers have no index yet"), "{said}");

    test.start().await;
    customers(&test, 30).await;
    for arguments in [&["sync", "verify", "--ledger"][..], &["sync", "verify", "--deep"]] {
        let (code, said) = test.command(arguments).await;
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("30 compared: 0 missing, 0 stale, 0 without a row, 0 of other programs, 0 unsettled"), "{said}");
        assert!(said.contains("0 differences"), "{said}");
    }

    corrupt(&test, id(7)).await;
    delete(&test, id(8)).await;
    add(&test, "", json!({})).await;
    let (code, said) = test.command(&["sync", "verify", "--deep", "--collection", "customers"]).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(&format!("{} stale name\n", id(7))) && said.contains(&format!("{} missing", id(8))), "{said}");
    assert!(said.contains("1 of other programs") && said.contains("3 differences"), "{said}");
    assert!(!said.contains("Other Name") && !said.contains("accounts"), "{said}");

    let (code, said) = test.command(&["sync", "repair"]).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("customers            2 written again, 2 repaired, 1 removed; left: 0 missing, 0 stale, 0 without a row"),
        "{said}"
    );
    test.expect_equal().await;

    put(&test, id(9), &format!("version={}&version_type=external", i64::MAX), json!({ "id": id(9) })).await;
    let (code, said) = test.command(&["sync", "repair", "--collection", "customers"]).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("run `collections reindex --collection customers`"), "{said}");

    test.stop().await;
    let (code, said) = test.command(&["sync", "verify"]).await;
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("no process leads the sync"), "{said}");
}

/// What a JSON value is made of: each path with the kind of its value.
fn shape(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(name, value)| shape(value, &format!("{path}.{name}"), found));
        }
        Value::Array(values) => values.iter().for_each(|value| shape(value, &format!("{path}[]"), found)),
        Value::Null => found.push(format!("{path} null")),
        Value::Bool(_) => found.push(format!("{path} flag")),
        Value::Number(_) => found.push(format!("{path} number")),
        Value::String(_) => found.push(format!("{path} text")),
    }
    found.dedup();
}

#[tokio::test]
async fn the_status_has_stable_member_names() {
    let test = Synced::started_with(&ONE_RUN).await;
    for collection in ALL {
        eventually("everything is verified", async || {
            let all = sweep_runs::all(&test.app.db.sync).await.unwrap();
            all.iter().any(|run| run.collection == collection.name && run.verified_at.is_some())
        })
        .await;
    }
    let mut open = test.pool.begin().await.unwrap();
    sqlx::query("create temporary table held (n int)").execute(&mut *open).await.unwrap();
    let (code, said) = test.command(&["sync", "status", "--json"]).await;
    assert_eq!(code, Some(0), "{said}");
    let mut status: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(status["slot"]["state"], "active");
    assert_eq!((&status["deadLetters"], &status["backlog"], &status["fanouts"]), (&json!(0), &json!(0), &json!(0)));
    for list in ["generations", "sweeps"] {
        assert_eq!(status[list].as_array().unwrap().len(), ALL.len());
        status[list].as_array_mut().unwrap().truncate(1);
    }
    let mut found = Vec::new();
    shape(&status, "", &mut found);
    insta::assert_snapshot!(found.join("\n"));
    let (code, table) = test.command(&["sync", "status"]).await;
    assert_eq!(code, Some(0), "{table}");
    assert!(table.contains("customers            verified") && table.contains("the oldest is open for"), "{table}");
}

#[tokio::test]
async fn every_document_ends_with_the_forms_that_are_not_stored() {
    let test = Synced::new().await;
    test.insert(person(1, "Maria Muster").account(1, "A-1").payment(1, 500)).await;
    test.sql(&format!("insert into activities (id, account_id, kind, note) values ('{0}', '{0}', 'note', 'called')", id(1)))
        .await;
    for collection in ALL {
        let mut connection = test.app.db.sync.acquire().await.unwrap();
        let loaded = (collection.load)(&mut connection, &[id(1)]).await.unwrap();
        let document = String::from_utf8(loaded[0].source.clone()).unwrap();
        let (_, forms) = document.rsplit_once(r#","search":"#).unwrap();
        let forms: Value = serde_json::from_str(forms.strip_suffix('}').unwrap()).unwrap();
        assert!(forms.is_object(), "{}", collection.name);
    }
}

#[tokio::test]
async fn a_sweep_of_another_index_verifies_nothing() {
    let test = Synced::started().await;
    let index = test.index("customers").await;
    test.sql(&format!(
        "insert into sync_sweeps (collection, index_name, started_at, last_started_at)
         values ('customers', '{index}', null, now() - interval '1 hour')"
    ))
    .await;
    let seen = sweep_run(&test).await.unwrap();
    assert!(seen.verified_seconds_ago.is_some_and(|age| age >= 3_600.0), "up to when it began");
    reconcile::request(&test.app, find("customers").unwrap()).await.unwrap().expect("a new generation");
    test.expect_replaced("customers", &index).await;
    assert_eq!(sweep_run(&test).await.unwrap().verified_at, None);
    let lease = checkpoint::read(&test.pool).await.unwrap().lease;
    sweep_runs::begin(&test.pool, lease, "customers", &test.index("customers").await).await.unwrap();
    assert_eq!(sweep_run(&test).await.unwrap().verified_at, None);
}
