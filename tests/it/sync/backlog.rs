//! The backlog: large fan-outs, and changes that wait while Elasticsearch is away.

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
use crate::harness::proxy::{Mode, Proxy};
use crate::harness::synced::Synced;

const PARENT: Uuid = Uuid::from_u128(1);
const CANARY: Uuid = Uuid::from_u128(2);

/// A customer with many accounts, and another one.
async fn family(more: &[&str], children: usize) -> Synced {
    family_tuned(more, children, |_| ()).await
}

async fn family_tuned(more: &[&str], children: usize, tune: impl FnOnce(&mut Config)) -> Synced {
    let mut test = Synced::tuned(more, tune).await;
    test.sql(&format!(
        "insert into customers (id, name) values
           ('00000000-0000-0000-0000-000000000001', 'Before'),
           ('00000000-0000-0000-0000-000000000002', 'Canary');
         insert into accounts (id, account_number, customer_id, currency, status)
         select gen_random_uuid(), 'A-' || n, '00000000-0000-0000-0000-000000000001', 'EUR', 'open'
         from generate_series(1, {children}) as n"
    ))
    .await;
    test.start().await;
    test
}

async fn count(test: &Synced, table: &str) -> i64 {
    let sql = format!("select count(*) from {table}");
    sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&test.pool).await.unwrap()
}

/// How many accounts show that name.
async fn shown(test: &Synced, name: &str) -> i64 {
    let index = test.index("accounts").await;
    let body = json!({ "size": 0, "track_total_hits": true, "query": { "term": { "search.sort": name.to_lowercase() } } });
    let answer = test.raw(reqwest::Method::POST, &format!("{index}/_search"), Some(body)).await;
    answer["hits"]["total"]["value"].as_i64().unwrap()
}

#[tokio::test]
async fn a_rename_with_many_children_lets_fresh_changes_by_and_the_newest_name_wins() {
    let test = family(&["--sync-fanout-inline", "10", "--sync-batch-size", "40"], 400).await;
    test.sql("update customers set name = 'First' where name = 'Before'").await;
    eventually("the fan-out is under way", async || {
        sqlx::query_scalar::<_, bool>("select exists (select from sync_fanouts where cursor is not null)")
            .fetch_one(&test.pool)
            .await
            .unwrap()
    })
    .await;
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
async fn a_list_does_not_rely_on_accounts_that_a_rename_has_not_reached() {
    let settings = ["--sync-fanout-inline", "10", "--sync-batch-size", "2"];
    let test = family_tuned(&settings, 300, |config| config.database.lock_timeout = Duration::from_secs(60)).await;
    test.sql("update customers set name = 'After' where name = 'Before'").await;
    // A lock on the job stops the backlog worker after its current account.
    let mut held = test.pool.begin().await.unwrap();
    eventually("the rename is stored and held up", async || {
        sqlx::query("select from sync_fanouts for update").execute(&mut *held).await.unwrap().rows_affected() == 1
    })
    .await;
    test.sql("update customers set name = 'Renamed' where name = 'Canary'").await;
    let wanted = checkpoint::heartbeat(&test.app.db.sync).await.unwrap();
    let reached = async |collection, deadline| test.app.watermark.reached(collection, wanted, deadline).await;
    assert!(reached("customers", Duration::from_secs(60)).await, "customers do not wait for accounts");
    assert!(!reached("accounts", Duration::ZERO).await, "a list would show the name before");
    assert!(shown(&test, "Before").await > 0);
    held.rollback().await.unwrap();
    assert!(reached("accounts", Duration::from_secs(180)).await);
    assert_eq!((shown(&test, "Before").await, shown(&test, "After").await), (0, 300));
    test.expect_equal().await;
}

#[tokio::test]
async fn lists_rely_on_accounts_again_though_renames_never_end() {
    let mut test = Synced::with(&["--sync-fanout-inline", "2", "--sync-batch-size", "8"]).await;
    test.sql(
        "insert into customers (id, name) select gen_random_uuid(), 'Customer ' || n from generate_series(1, 2000) as n;
         insert into accounts (id, account_number, customer_id, currency, status)
         select gen_random_uuid(), 'A-' || n || '-' || id, id, 'EUR', 'open' from customers, generate_series(1, 5) as n",
    )
    .await;
    test.start().await;
    let renaming = async {
        // Never so few that the backlog worker could finish.
        for n in 1..=2000 {
            while count(&test, "sync_fanouts").await > 20 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            test.sql(&format!("update customers set name = 'Renamed ' || {n} where name = 'Customer {n}'")).await;
        }
    };
    let waiting = async {
        eventually("renames wait, and accounts are owed", async || {
            let owed = checkpoint::read(&test.pool).await.unwrap().checkpoint.backlog_since;
            count(&test, "sync_fanouts").await > 20 && owed.contains_key("accounts")
        })
        .await;
        // What is owed is owed from an earlier position on.
        let wanted = checkpoint::heartbeat(&test.app.db.sync).await.unwrap();
        assert!(test.app.watermark.reached("accounts", wanted, Duration::from_secs(30)).await);
    };
    tokio::select! {
        () = renaming => panic!("the renames have ended before a list could rely on the accounts again"),
        () = waiting => {}
    }
    test.settle().await;
    test.expect_equal().await;
}

#[tokio::test]
async fn a_leader_that_is_killed_in_a_fan_out_is_followed_by_one_that_goes_on() {
    let mut test = family(&["--sync-fanout-inline", "10", "--sync-batch-size", "20"], 600).await;
    test.sql("update customers set name = 'After' where name = 'Before'").await;
    for _ in 0..3 {
        eventually("the fan-out is under way", async || {
            sqlx::query_scalar::<_, bool>(
                "select not exists (select from sync_fanouts) or exists (select from sync_fanouts where cursor is not null)",
            )
            .fetch_one(&test.pool)
            .await
            .unwrap()
        })
        .await;
        test.kill();
        test.launch();
    }
    test.settle().await;
    assert_eq!(count(&test, "sync_fanouts").await, 0);
    test.expect_equal().await;
}

#[tokio::test]
async fn while_the_index_is_away_changes_are_stored_and_the_slot_moves_on() {
    let (proxy, url) = Proxy::before(&std::env::var("ELASTICSEARCH_URL").unwrap()).await;
    let settings = ["--elasticsearch-url", &url, "--bulk-timeout", "4s", "--sync-retain-bytes", "50000"];
    let mut test = family(&settings, 30).await;
    for mode in [Mode::Refuse, Mode::Hang] {
        proxy.set(mode);
        let before = checkpoint::read(&test.pool).await.unwrap().checkpoint;
        for round in 0..20 {
            test.sql(&format!(
                "insert into customers (id, name) select gen_random_uuid(), 'Round {round}' from generate_series(1, 50);
                 update customers set name = 'Changed in {round}' where id = '00000000-0000-0000-0000-000000000001';
                 delete from customers where name = 'Round {round}' and id in (select id from customers where name = 'Round {round}' limit 5)"
            ))
            .await;
        }
        let wanted = checkpoint::heartbeat(&test.pool).await.unwrap();
        test.sql("truncate addresses").await;
        eventually("what waits is stored and confirmed", async || {
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
async fn what_a_frozen_leader_holds_of_the_backlog_is_owed_until_it_is_written() {
    let (proxy, url) = Proxy::before(&std::env::var("ELASTICSEARCH_URL").unwrap()).await;
    let test = family(&["--elasticsearch-url", &url, "--bulk-timeout", "4s", "--sync-retain-bytes", "50000"], 30).await;
    proxy.set(Mode::Refuse);
    test.sql("insert into customers (id, name) select gen_random_uuid(), 'Stored' from generate_series(1, 500)").await;
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
async fn a_leader_that_begins_while_the_index_is_away_lets_the_slot_move_on_too() {
    let (proxy, url) = Proxy::before(&std::env::var("ELASTICSEARCH_URL").unwrap()).await;
    let settings = ["--elasticsearch-url", &url, "--bulk-timeout", "4s", "--sync-retain-bytes", "50000"];
    let mut test = family(&settings, 30).await;
    test.stop().await;
    for mode in [Mode::Refuse, Mode::Hang] {
        proxy.set(mode);
        test.launch();
        for _ in 0..20 {
            test.sql("insert into customers (id, name) select gen_random_uuid(), 'Meanwhile' from generate_series(1, 50)").await;
        }
        let wanted = checkpoint::heartbeat(&test.pool).await.unwrap();
        eventually("what waits is stored and confirmed", async || {
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
async fn more_keys_than_memory_may_hold_are_stored_while_the_index_is_slow() {
    let test = family(&["--sync-buffer-keys", "100", "--sync-batch-size", "20", "--sync-bulk-bytes", "2000"], 30).await;
    for _ in 0..20 {
        test.sql("insert into customers (id, name) select gen_random_uuid(), 'One of many' from generate_series(1, 100)").await;
    }
    test.settle().await;
    // Counted by the server, because what is stored is written and gone in a moment.
    eventually("keys were stored", async || {
        let stored = "select coalesce(sum(n_tup_ins), 0)::bigint from pg_stat_user_tables where relname = 'sync_backlog'";
        sqlx::query_scalar::<_, i64>(stored).fetch_one(&test.pool).await.unwrap() > 0
    })
    .await;
    test.expect_equal().await;
}

#[tokio::test]
async fn a_transaction_larger_than_the_memory_for_keys_arrives_whole() {
    let test = family(&["--sync-buffer-keys", "200", "--sync-batch-size", "50"], 1).await;
    test.sql("insert into customers (id, name) select gen_random_uuid(), 'One of many' from generate_series(1, 5000)").await;
    test.settle().await;
    test.expect_equal().await;
}

#[tokio::test]
async fn a_transaction_larger_than_the_memory_for_keys_is_stored_while_the_index_is_away() {
    let (proxy, url) = Proxy::before(&std::env::var("ELASTICSEARCH_URL").unwrap()).await;
    let settings = ["--elasticsearch-url", &url, "--bulk-timeout", "4s", "--sync-buffer-keys", "200"];
    let test = family(&settings, 1).await;
    proxy.set(Mode::Refuse);
    test.sql("insert into customers (id, name) select gen_random_uuid(), 'One of many' from generate_series(1, 5000)").await;
    let wanted = checkpoint::heartbeat(&test.pool).await.unwrap();
    test.sql("insert into customers (id, name) select gen_random_uuid(), 'After it' from generate_series(1, 500)").await;
    eventually("all of it is stored and confirmed", async || {
        checkpoint::read(&test.pool).await.unwrap().checkpoint.confirmed >= wanted
    })
    .await;
    proxy.set(Mode::Pass);
    test.settle().await;
    test.expect_equal().await;
}

#[tokio::test]
async fn a_fan_out_that_was_taken_up_is_not_begun_again() {
    let test = Synced::with(&[]).await;
    let (edge, epoch) = (EDGES.iter().position(|edge| edge.children.is_some()).unwrap(), Epoch(1));
    let renamed = async |at| {
        let parents = [(edge, [PARENT].into())].into();
        backlog::store(&test.pool, &Batch { parents, newest: Lsn(at), ..Batch::default() }, epoch).await.unwrap();
    };
    let next = async || backlog::claim_fanouts(&test.pool, Version::new(epoch, Lsn(800))).await.unwrap().expect("one waits");
    renamed(80).await;
    renamed(160).await;
    assert_eq!(count(&test, "sync_fanouts").await, 1, "one that has not begun serves both");
    let mut first = next().await;
    renamed(240).await;
    assert_eq!(count(&test, "sync_fanouts").await, 2, "this one may have passed children by");
    first.advance(&test.pool, PARENT).await.unwrap();
    first.finish(&test.pool).await.unwrap();
    assert_eq!(count(&test, "sync_fanouts").await, 1, "it has come to its end");
    next().await.finish(&test.pool).await.unwrap();
    assert_eq!(count(&test, "sync_fanouts").await, 0);
}

#[tokio::test]
async fn a_table_is_emptied_whose_index_has_gone() {
    let mut test = family(&[], 10).await;
    test.stop().await;
    test.sql("set session_replication_role = replica; truncate accounts, payments, ledger_entries").await;
    let gone = test.index("accounts").await;
    test.raw(reqwest::Method::DELETE, &gone, None).await;
    test.launch();
    test.expect_replaced("accounts", &gone).await;
    test.settle().await;
    test.expect_equal().await;
}
