//! The backlog: large fan-outs, and changes during an outage of Elasticsearch.

use std::time::Duration;

use collections::collections::EDGES;
use collections::config::Config;
use collections::freshness::status::Role;
use collections::sync::store::{backlog, checkpoint};
use collections::sync::stream::batch::Batch;
use collections::values::lsn::{Epoch, Lsn, Version};
use serde_json::json;
use uuid::Uuid;

use crate::harness::eventually::eventually;
use crate::harness::people::{People, crowd, person};
use crate::harness::proxy::{Mode, Proxy};
use crate::harness::synced::Synced;

const PARENT: Uuid = Uuid::from_u128(1);
const CANARY: Uuid = Uuid::from_u128(2);

/// A customer with many accounts, and another one.
async fn family(more: &[&str], children: i64) -> Synced {
    family_tuned(more, children, |_| ()).await
}

async fn family_tuned(more: &[&str], children: i64, tune: impl FnOnce(&mut Config)) -> Synced {
    let mut test = Synced::tuned(more, tune).await;
    test.insert(person(1, "Before").accounts(children).person(2, "Canary")).await;
    test.start().await;
    test
}

async fn count(test: &Synced, table: &str) -> i64 {
    test.scalar(&format!("select count(*) from {table}")).await
}

/// How many accounts show that name.
async fn shown(test: &Synced, name: &str) -> i64 {
    let index = test.index("accounts").await;
    let body = json!({ "size": 0, "track_total_hits": true, "query": { "term": { "search.sort": name.to_lowercase() } } });
    let answer = test.raw(reqwest::Method::POST, &format!("{index}/_search"), Some(body)).await;
    answer["hits"]["total"]["value"].as_i64().unwrap()
}

#[tokio::test]
async fn a_large_fan_out_delays_no_fresh_change_and_the_newest_name_wins() {
    let test = family(&["--sync-fanout-inline", "10", "--sync-batch-size", "40"], 400).await;
    test.sql("update customers set name = 'First' where name = 'Before'").await;
    test.wait_for("exists (select from sync_fanouts where cursor is not null)").await;
    test.sql("update customers set name = 'Second' where name = 'First'").await;
    test.sql("update customers set name = 'Renamed' where name = 'Canary'").await;
    let wanted = checkpoint::heartbeat(&test.app.db.sync).await.unwrap();
    assert!(test.app.watermark.reached("customers", wanted, Duration::from_secs(60)).await, "customers do not wait for accounts");
    assert_eq!(test.document("customers", CANARY).await["name"], "Renamed");
    test.settle().await;
    assert_eq!(count(&test, "sync_fanouts").await, 0);
    test.expect_equal().await;
}

#[tokio::test]
async fn a_pending_fan_out_blocks_read_your_writes_of_its_collection() {
    let settings = ["--sync-fanout-inline", "10", "--sync-batch-size", "2"];
    let test = family_tuned(&settings, 300, |config| config.database.lock_timeout = Duration::from_secs(60)).await;
    test.sql("update customers set name = 'After' where name = 'Before'").await;
    // A lock on the job stops the backlog worker after its current account.
    let mut held = test.pool.begin().await.unwrap();
    eventually("the fan-out is stored and blocked", async || {
        sqlx::query("select from sync_fanouts for update").execute(&mut *held).await.unwrap().rows_affected() == 1
    })
    .await;
    test.sql("update customers set name = 'Renamed' where name = 'Canary'").await;
    let wanted = checkpoint::heartbeat(&test.app.db.sync).await.unwrap();
    let reached = async |collection, deadline| test.app.watermark.reached(collection, wanted, deadline).await;
    assert!(reached("customers", Duration::from_secs(60)).await, "customers do not wait for accounts");
    assert!(!reached("accounts", Duration::ZERO).await, "a list would show the old name");
    assert!(shown(&test, "Before").await > 0);
    held.rollback().await.unwrap();
    assert!(reached("accounts", Duration::from_secs(180)).await);
    assert_eq!((shown(&test, "Before").await, shown(&test, "After").await), (0, 300));
    test.expect_equal().await;
}

#[tokio::test]
async fn endless_fan_outs_do_not_block_read_your_writes_for_ever() {
    let mut test = Synced::with(&["--sync-fanout-inline", "2", "--sync-batch-size", "8"]).await;
    test.insert((1..=2000).fold(People::default(), |all, n| all.person(n, &format!("Customer {n}")).accounts(5))).await;
    test.start().await;
    let renaming = async {
        // Always so many that the backlog worker cannot finish.
        for n in 1..=2000 {
            while count(&test, "sync_fanouts").await > 20 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            test.sql(&format!("update customers set name = 'Renamed ' || {n} where name = 'Customer {n}'")).await;
        }
    };
    let waiting = async {
        eventually("fan-outs are pending, and accounts have a backlog", async || {
            let backlog = checkpoint::read(&test.pool).await.unwrap().checkpoint.backlog_since;
            count(&test, "sync_fanouts").await > 20 && backlog.contains_key("accounts")
        })
        .await;
        // The backlog begins at an earlier LSN.
        let wanted = checkpoint::heartbeat(&test.app.db.sync).await.unwrap();
        assert!(test.app.watermark.reached("accounts", wanted, Duration::from_secs(30)).await);
    };
    tokio::select! {
        () = renaming => panic!("the renames ended before the accounts were searchable up to the heartbeat"),
        () = waiting => {}
    }
    test.settle().await;
    test.expect_equal().await;
}

#[tokio::test]
async fn a_new_leader_resumes_the_fan_out_of_a_killed_one() {
    let mut test = family(&["--sync-fanout-inline", "10", "--sync-batch-size", "20"], 600).await;
    test.sql("update customers set name = 'After' where name = 'Before'").await;
    for _ in 0..3 {
        test.wait_for("not exists (select from sync_fanouts) or exists (select from sync_fanouts where cursor is not null)")
            .await;
        test.kill();
        test.launch();
    }
    test.settle().await;
    assert_eq!(count(&test, "sync_fanouts").await, 0);
    test.expect_equal().await;
}

#[tokio::test]
async fn during_an_outage_of_the_index_the_backlog_grows_and_the_slot_moves_on() {
    let (proxy, url) = Proxy::before(&std::env::var("ELASTICSEARCH_URL").unwrap()).await;
    let settings = ["--elasticsearch-url", &url, "--bulk-timeout", "4s", "--sync-retain-bytes", "50000"];
    let mut test = family(&settings, 30).await;
    for mode in [Mode::Refuse, Mode::Hang] {
        proxy.set(mode);
        let before = checkpoint::read(&test.pool).await.unwrap().checkpoint;
        for round in 0..20 {
            test.insert(crowd(50, &format!("Round {round}"))).await;
            test.sql(&format!(
                "update customers set name = 'Changed in {round}' where id = '{PARENT}';
                 delete from customers where id in (select id from customers where name like 'Round {round} %' limit 5)"
            ))
            .await;
        }
        let wanted = checkpoint::heartbeat(&test.pool).await.unwrap();
        test.sql("truncate addresses").await;
        eventually("the changes are stored and confirmed", async || {
            let checkpoint = checkpoint::read(&test.pool).await.unwrap().checkpoint;
            checkpoint.confirmed > before.confirmed && checkpoint.confirmed >= Lsn(wanted.0 - 50_000)
        })
        .await;
        let checkpoint = checkpoint::read(&test.pool).await.unwrap().checkpoint;
        assert!(!checkpoint.backlog_since.is_empty(), "{checkpoint:?}");
        assert!(count(&test, "sync_backlog").await > 0);
        // The next leader knows the stored backlog.
        test.kill();
        test.launch();
        proxy.set(Mode::Pass);
        test.settle().await;
        assert_eq!((count(&test, "sync_backlog").await, count(&test, "sync_fanouts").await), (0, 0));
        assert_eq!(test.document("customers", PARENT).await["name"], "Changed in 19");
        test.expect_equal().await;
    }
    assert_eq!(test.app.watermark.status.report().role, Role::Leading);
    test.stop().await;
}

#[tokio::test]
async fn backlog_claimed_by_a_frozen_leader_blocks_read_your_writes() {
    let (proxy, url) = Proxy::before(&std::env::var("ELASTICSEARCH_URL").unwrap()).await;
    let test = family(&["--elasticsearch-url", &url, "--bulk-timeout", "4s", "--sync-retain-bytes", "50000"], 30).await;
    proxy.set(Mode::Refuse);
    test.insert(crowd(500, "Stored")).await;
    eventually("they are stored", async || count(&test, "sync_backlog").await >= 500).await;
    let mut frozen = test.pool.begin().await.unwrap();
    sqlx::query("select from sync_backlog for update").execute(&mut *frozen).await.unwrap();
    proxy.set(Mode::Pass);
    let wanted = checkpoint::heartbeat(&test.pool).await.unwrap();
    eventually("fresh changes are written", async || checkpoint::read(&test.pool).await.unwrap().checkpoint.searchable >= wanted)
        .await;
    // Time for several rounds through the backlog.
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    assert!(!checkpoint::read(&test.pool).await.unwrap().checkpoint.includes("customers", wanted), "a list would miss them");
    frozen.rollback().await.unwrap();
    test.settle().await;
    assert_eq!(count(&test, "sync_backlog").await, 0);
    test.expect_equal().await;
}

#[tokio::test]
async fn a_leader_elected_during_an_outage_of_the_index_moves_the_slot_on() {
    let (proxy, url) = Proxy::before(&std::env::var("ELASTICSEARCH_URL").unwrap()).await;
    let settings = ["--elasticsearch-url", &url, "--bulk-timeout", "4s", "--sync-retain-bytes", "50000"];
    let mut test = family(&settings, 30).await;
    test.stop().await;
    for mode in [Mode::Refuse, Mode::Hang] {
        proxy.set(mode);
        test.launch();
        for _ in 0..20 {
            test.insert(crowd(50, "Meanwhile")).await;
        }
        let wanted = checkpoint::heartbeat(&test.pool).await.unwrap();
        eventually("the changes are stored and confirmed", async || {
            checkpoint::read(&test.pool).await.unwrap().checkpoint.confirmed >= Lsn(wanted.0 - 50_000)
        })
        .await;
        test.kill();
    }
    proxy.set(Mode::Pass);
    test.launch();
    test.settle().await;
    test.expect_equal().await;
}

#[tokio::test]
async fn keys_beyond_the_buffer_go_to_the_backlog() {
    let test = family(&["--sync-buffer-keys", "100", "--sync-batch-size", "20", "--sync-bulk-bytes", "2000"], 30).await;
    for _ in 0..20 {
        test.insert(crowd(100, "One of many")).await;
    }
    test.settle().await;
    // Counted by the server, because what is stored is written and gone in a moment.
    test.wait_for("select sum(n_tup_ins) > 0 from pg_stat_user_tables where relname = 'sync_backlog'").await;
    test.expect_equal().await;
}

#[tokio::test]
async fn a_transaction_larger_than_the_key_buffer_is_indexed_whole() {
    let test = family(&["--sync-buffer-keys", "200", "--sync-batch-size", "50"], 1).await;
    test.insert(crowd(5000, "One of many")).await;
    test.settle().await;
    test.expect_equal().await;
}

#[tokio::test]
async fn a_transaction_larger_than_the_key_buffer_is_stored_during_an_outage() {
    let (proxy, url) = Proxy::before(&std::env::var("ELASTICSEARCH_URL").unwrap()).await;
    let settings = ["--elasticsearch-url", &url, "--bulk-timeout", "4s", "--sync-buffer-keys", "200"];
    let test = family(&settings, 1).await;
    proxy.set(Mode::Refuse);
    test.insert(crowd(5000, "One of many")).await;
    let wanted = checkpoint::heartbeat(&test.pool).await.unwrap();
    test.insert(crowd(500, "After it")).await;
    eventually("all of it is stored and confirmed", async || {
        checkpoint::read(&test.pool).await.unwrap().checkpoint.confirmed >= wanted
    })
    .await;
    proxy.set(Mode::Pass);
    test.settle().await;
    test.expect_equal().await;
}

#[tokio::test]
async fn a_rename_during_a_claimed_fan_out_queues_another() {
    let test = Synced::with(&[]).await;
    let (edge, epoch) = (EDGES.iter().position(|edge| edge.children.is_some()).unwrap(), Epoch(1));
    let renamed = async |at| {
        let parents = [(edge, [PARENT].into())].into();
        backlog::store(&test.pool, &Batch { parents, newest: Lsn(at), ..Batch::default() }, epoch).await.unwrap();
    };
    let next = async || backlog::claim_fanouts(&test.pool, Version::new(epoch, Lsn(800))).await.unwrap().expect("one is pending");
    renamed(80).await;
    renamed(160).await;
    assert_eq!(count(&test, "sync_fanouts").await, 1, "a job that has not begun serves both");
    let mut first = next().await;
    renamed(240).await;
    assert_eq!(count(&test, "sync_fanouts").await, 2, "the running job may have written some children before");
    first.advance(&test.pool, PARENT).await.unwrap();
    first.finish(&test.pool).await.unwrap();
    assert_eq!(count(&test, "sync_fanouts").await, 1, "the first job is done");
    next().await.finish(&test.pool).await.unwrap();
    assert_eq!(count(&test, "sync_fanouts").await, 0);
}

#[tokio::test]
async fn truncating_a_table_whose_index_is_missing_rebuilds_it() {
    let mut test = family(&[], 10).await;
    test.stop().await;
    test.sql(
        "set session_replication_role = replica; truncate accounts, payments, ledger_entries, activities, activity_corrections, account_snapshots",
    )
    .await;
    let gone = test.index("accounts").await;
    test.raw(reqwest::Method::DELETE, &gone, None).await;
    test.launch();
    test.expect_replaced("accounts", &gone).await;
    test.settle().await;
    test.expect_equal().await;
}
