//! Faults of the sync: commits streamed before they are visible, killed leaders, lost slots, outages of the index.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use collections::collections::find;
use collections::freshness::status::Role;
use collections::sync::generations::reconcile;
use collections::sync::store::checkpoint;
use uuid::Uuid;

use crate::harness::cluster::Cluster;
use crate::harness::database::Database;
use crate::harness::eventually::eventually;
use crate::harness::people::{crowd, person};
use crate::harness::proxy::{Mode, Proxy};
use crate::harness::synced::Synced;
use crate::sync::reindex::refused;

const WITNESS: Uuid = Uuid::from_u128(1);

/// A rename whose commit is streamed but not visible: it waits for a synchronous standby that does not exist.
pub(crate) struct HeldBack {
    pub(crate) test: Synced,
    /// The version of the document before the rename.
    before: i64,
    commit: tokio::task::JoinHandle<()>,
    cluster: Cluster,
}

impl HeldBack {
    pub(crate) async fn start() -> Self {
        let cluster = Cluster::start().await;
        let mut test = Synced::on(&cluster, &[]).await;
        test.insert(person(1, "Before")).await;
        test.start().await;
        let before = test.version("customers", WITNESS).await;
        cluster.execute("alter system set synchronous_standby_names = 'absent'").await;
        cluster.execute("select pg_reload_conf()").await;
        let mut waiting = cluster.connect().await;
        let commit = tokio::spawn(async move {
            let update = "update customers set name = 'After'";
            sqlx::query(update).execute(&mut waiting).await.unwrap();
        });
        let held = Self { test, before, commit, cluster };
        held.test.wait_for("exists (select from pg_stat_activity where wait_event = 'SyncRep')").await;
        // The commit was streamed.
        held.test.wait_for("select bool_and(sent_lsn >= pg_current_wal_flush_lsn()) from pg_stat_replication").await;
        held
    }

    pub(crate) async fn release(self) -> (Synced, Cluster) {
        self.cluster.execute("alter system reset synchronous_standby_names").await;
        self.cluster.execute("select pg_reload_conf()").await;
        self.commit.await.unwrap();
        self.test.settle().await;
        (self.test, self.cluster)
    }
}

#[tokio::test]
async fn the_visibility_barrier_holds_a_commit_until_it_is_visible() {
    let held = HeldBack::start().await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(
        held.test.version("customers", WITNESS).await,
        held.before,
        "the index does not move before the commit is visible"
    );
    let (mut test, _cluster) = held.release().await;
    assert_eq!(test.document("customers", WITNESS).await["name"], "After");
    test.expect_equal().await;
    test.stop().await;
}

/// Turns off the visibility barrier of every sync of this process until it is dropped.
struct OpenBarrier;

impl OpenBarrier {
    fn new() -> Self {
        fail::cfg("sync-barrier-open", "return").unwrap();
        Self
    }
}

impl Drop for OpenBarrier {
    fn drop(&mut self) {
        fail::remove("sync-barrier-open");
    }
}

/// Shows that the visibility barrier is needed.
#[tokio::test]
#[ignore = "turns off the visibility barrier of every test beside it; .ci/run and bin/soak run it alone"]
async fn without_the_barrier_the_commit_would_be_lost() {
    let _open = OpenBarrier::new();
    let held = HeldBack::start().await;
    eventually("the old row is written again", async || held.test.version("customers", WITNESS).await > held.before).await;
    let (mut test, _cluster) = held.release().await;
    assert_eq!(test.document("customers", WITNESS).await["name"], "Before");
    test.stop().await;
}

#[tokio::test]
async fn a_silent_change_stream_is_reopened() {
    let database = Database::create().await;
    let (proxy, url) = Proxy::before(&database.url).await;
    // Longer than the time between two heartbeats.
    let mut test = Synced::at_tuned(&url, &database.name, &[], |config| config.sync.silence = Duration::from_secs(7));
    test.start().await;
    let lease = checkpoint::read(&test.pool).await.unwrap().lease;
    let reader = format!("select active_pid from pg_replication_slots where slot_name = '{}'", database.name);
    let port: i32 = test.scalar(&format!("select client_port from pg_stat_replication where pid = ({reader})")).await;
    // The stream stays open and silent; the other connections of the leader work.
    proxy.set(Mode::AbandonOne(u16::try_from(port).unwrap()));
    test.insert(person(1, "Unheard")).await;
    test.settle().await;
    assert_eq!(test.document("customers", WITNESS).await["name"], "Unheard");
    assert_eq!(checkpoint::read(&test.pool).await.unwrap().lease, lease + 1, "it leads again, once");
    test.stop().await;
}

#[tokio::test]
async fn killed_leaders_lose_nothing() {
    let mut test = Synced::started_with(&["--sync-batch-size", "50"]).await;
    for round in 0..5 {
        test.insert(crowd(300, "Round")).await;
        test.sql("update customers set name = name || '!'").await;
        tokio::time::sleep(Duration::from_millis(30 * round)).await;
        test.kill();
        test.sql("delete from customers where id in (select id from customers order by id limit 20)").await;
        test.launch();
    }
    test.settle().await;
    test.expect_equal().await;
}

#[tokio::test]
async fn a_lost_slot_begins_a_new_epoch_and_rebuilds_every_index() {
    let mut test = Synced::started().await;
    test.insert(crowd(50, "Customer")).await;
    test.settle().await;
    let before = test.index("customers").await;
    test.stop().await;
    test.sql("select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = current_database()").await;
    test.sql("delete from customers where id in (select id from customers limit 10); update customers set name = 'New'").await;
    test.start().await;
    assert_ne!(test.index("customers").await, before);
    assert_eq!(checkpoint::read(&test.app.db.sync).await.unwrap().epoch.0, 2);
    test.expect_equal().await;
}

#[tokio::test]
async fn a_slot_advanced_by_another_process_begins_a_new_epoch() {
    let mut test = Synced::started().await;
    test.settle().await;
    test.stop().await;
    test.insert(person(1, "Skipped")).await;
    test.sql("select pg_replication_slot_advance(slot_name, pg_current_wal_lsn()) from pg_replication_slots where database = current_database()").await;
    test.start().await;
    assert_eq!(test.document("customers", WITNESS).await["name"], "Skipped");
    assert_eq!(checkpoint::read(&test.app.db.sync).await.unwrap().epoch.0, 2);
}

#[tokio::test]
async fn changes_during_an_outage_of_the_index_are_written_afterwards() {
    let (proxy, url) = Proxy::before(&std::env::var("ELASTICSEARCH_URL").unwrap()).await;
    let test = Synced::started_with(&["--elasticsearch-url", &url, "--bulk-timeout", "2s"]).await;
    for mode in [Mode::Refuse, Mode::Hang] {
        proxy.set(mode);
        test.insert(crowd(30, "While away")).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        test.sql("update customers set name = 'Still away'").await;
        proxy.set(Mode::Pass);
        test.settle().await;
        test.expect_equal().await;
    }
}

#[tokio::test]
async fn a_removed_index_is_rebuilt() {
    let test = Synced::started().await;
    test.insert(person(1, "Here")).await;
    test.settle().await;
    let removed = test.index("customers").await;
    test.raw(reqwest::Method::DELETE, &removed, None).await;
    test.sql("update customers set name = 'Again'").await;
    test.expect_replaced("customers", &removed).await;
    test.settle().await;
    assert_eq!(test.document("customers", WITNESS).await["name"], "Again");
    test.expect_equal().await;
}

#[tokio::test]
async fn a_standby_takes_over() {
    let mut first = Synced::started().await;
    let mut second = Synced::beside(&first);
    second.launch();
    eventually("the second stands by", async || second.app.watermark.status.report().role == Role::Standby).await;
    first.stop().await;
    first.insert(person(1, "Taken over")).await;
    second.settle().await;
    assert_eq!(second.document("customers", WITNESS).await["name"], "Taken over");
    second.stop().await;
}

#[tokio::test]
async fn a_reindex_during_writes_never_misses_a_hit() {
    let test = Synced::started_with(&["--sync-batch-size", "400"]).await;
    test.insert(person(1, "Witness")).await;
    test.insert(crowd(3000, "Customer")).await;
    test.settle().await;
    let before = test.index("customers").await;

    let done = Arc::new(AtomicBool::new(false));
    let reads = Arc::new(AtomicUsize::new(0));
    let alias = format!("{}-customers", test.app.config.search.index_prefix);
    let url = format!("{}/{alias}/_count?q=id:{WITNESS}", std::env::var("ELASTICSEARCH_URL").unwrap());
    let reader = tokio::spawn({
        let (done, reads) = (done.clone(), reads.clone());
        async move {
            let client = reqwest::Client::new();
            while !done.load(Ordering::Relaxed) {
                let answer: serde_json::Value = client.get(&url).send().await.unwrap().json().await.unwrap();
                assert_eq!(answer["count"], 1, "{answer}");
                reads.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    let writer = tokio::spawn({
        let (done, pool) = (done.clone(), test.pool.clone());
        async move {
            while !done.load(Ordering::Relaxed) {
                let work = r#"
                    update customers set name = 'Customer ' || random()
                    where id in (select id from customers where name <> 'Witness' order by random() limit 20);
                    update customers set tags = array[random()::text] where name = 'Witness';
                    delete from customers
                    where id in (select id from customers where name <> 'Witness' order by random() limit 3);
                    insert into customers (id, name) values (gen_random_uuid(), 'New');
                "#;
                sqlx::raw_sql(work).execute(&pool).await.unwrap();
            }
        }
    });

    reconcile::request(&test.app, find("customers").unwrap()).await.unwrap().expect("a new generation");
    eventually("the new index is live", async || test.index("customers").await != before).await;
    test.settle().await;
    done.store(true, Ordering::Relaxed);
    writer.await.unwrap();
    reader.await.unwrap();
    test.settle().await;
    assert!(reads.load(Ordering::Relaxed) > 10);
    test.expect_equal().await;
}

#[tokio::test]
async fn an_unreadable_row_is_quarantined_and_blocks_no_other() {
    let test = Synced::started().await;
    test.sql(
        r#"
        insert into customers (id, name) select gen_random_uuid(), 'One of many' from generate_series(1, 300);
        insert into customers (id, name, updated_at) values
          ('00000000-0000-0000-0000-000000000001', 'Too early', '-infinity');
        insert into customers (id, name, created_at) values
          ('00000000-0000-0000-0000-000000000002', 'Too late', 'infinity');
        "#,
    )
    .await;
    test.insert(crowd(300, "One of many")).await;
    test.settle().await;
    let bad = [Uuid::from_u128(1), Uuid::from_u128(2)];
    assert_eq!(refused(&test).await, bad);
    let mut differences: Vec<Uuid> = test.differences("customers").await.into_keys().collect();
    differences.sort();
    assert_eq!(differences, bad, "all others are there, and the comparison ends");

    // A rebuild goes live without them, as the live index has not got them either.
    let before = test.index("customers").await;
    reconcile::request(&test.app, find("customers").unwrap()).await.unwrap().expect("a new generation");
    test.expect_replaced("customers", &before).await;

    test.sql("update customers set metadata = '{}', created_at = now() where name like 'Too%'").await;
    test.settle().await;
    assert!(refused(&test).await.is_empty());
    test.expect_equal().await;
}

#[tokio::test]
async fn infinite_dates_are_refused_and_overflowing_sums_are_capped() {
    let test = Synced::started().await;
    test.insert(person(1, "Indebted").accounts(1)).await;
    for (table, column) in [("customers", "date_of_birth"), ("accounts", "due_date"), ("accounts", "next_action_at")] {
        let sql = format!("update {table} set {column} = 'infinity'");
        let refused = sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&test.pool).await.unwrap_err();
        let constraint = refused.as_database_error().and_then(|error| error.constraint().map(str::to_owned));
        assert_eq!(constraint, Some(format!("{table}_{column}_range")), "{refused}");
    }
    test.sql(
        "set session_replication_role = replica;
         insert into accounts (id, account_number, customer_id, currency, balance)
         select gen_random_uuid(), 'A-' || n, '00000000-0000-0000-0000-000000000001', 'EUR', 9000000000000000000
         from generate_series(1, 2) as n",
    )
    .await;
    test.settle().await;
    // One less than what Elasticsearch sorts in the place of a missing sum.
    assert_eq!(test.document("customers", Uuid::from_u128(1)).await["search"]["balance"], i64::MAX - 1);
    test.expect_equal().await;
}
