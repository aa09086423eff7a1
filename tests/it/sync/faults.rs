//! Bad days of the sync: commits that are streamed before they are visible, killed leaders, lost slots, an index that goes away.

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
use crate::harness::proxy::{Mode, Proxy};
use crate::harness::synced::Synced;
use crate::sync::reindex::refused;

const WITNESS: Uuid = Uuid::from_u128(1);

/// A customer whose name is changed by a commit that Postgres holds back: it waits for a standby that there is not.
pub(crate) struct HeldBack {
    pub(crate) test: Synced,
    /// The version of its document before.
    before: i64,
    commit: tokio::task::JoinHandle<()>,
    cluster: Cluster,
}

impl HeldBack {
    pub(crate) async fn start() -> Self {
        let cluster = Cluster::start().await;
        collections::db::MIGRATIONS.run_direct(None, &mut cluster.connect().await, false).await.unwrap();
        let name = format!("it_{}", collections::values::ids::new().simple());
        let mut test = Synced::at(&cluster.url(), &name, &[]);
        test.sql("insert into customers (id, name) values ('00000000-0000-0000-0000-000000000001', 'Before')").await;
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
        held.wait("select count(*) > 0 from pg_stat_activity where wait_event = 'SyncRep'").await;
        // The stream has gone by the commit.
        held.wait("select bool_and(sent_lsn >= pg_current_wal_flush_lsn()) from pg_stat_replication").await;
        held
    }

    async fn wait(&self, condition: &str) {
        eventually(condition, async || {
            let met: Option<bool> =
                sqlx::query_scalar(sqlx::AssertSqlSafe(condition.to_owned())).fetch_one(&self.test.pool).await.unwrap();
            met == Some(true)
        })
        .await;
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
async fn a_commit_that_is_not_visible_yet_is_waited_for_and_not_lost() {
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
#[cfg(feature = "failpoints")]
struct OpenBarrier;

#[cfg(feature = "failpoints")]
impl OpenBarrier {
    fn new() -> Self {
        fail::cfg("sync-barrier-open", "return").unwrap();
        Self
    }
}

#[cfg(feature = "failpoints")]
impl Drop for OpenBarrier {
    fn drop(&mut self) {
        fail::remove("sync-barrier-open");
    }
}

/// What the visibility barrier is for.
#[cfg(feature = "failpoints")]
#[tokio::test]
#[ignore = "turns off the visibility barrier of every test beside it; .ci/run and bin/soak run it alone"]
async fn without_the_barrier_the_commit_would_be_lost() {
    let _open = OpenBarrier::new();
    let held = HeldBack::start().await;
    eventually("the row is written as it was", async || held.test.version("customers", WITNESS).await > held.before).await;
    let (mut test, _cluster) = held.release().await;
    assert_eq!(test.document("customers", WITNESS).await["name"], "Before");
    test.stop().await;
}

#[tokio::test]
async fn a_change_stream_that_falls_silent_is_opened_anew() {
    let database = Database::create().await;
    let (proxy, url) = Proxy::before(&database.url).await;
    // Longer than two heartbeats are apart.
    let mut test = Synced::at_tuned(&url, &database.name, &[], |config| config.sync.silence = Duration::from_secs(7));
    test.start().await;
    let lease = checkpoint::read(&test.pool).await.unwrap().lease;
    let port: i32 = sqlx::query_scalar(
        "select client_port from pg_stat_replication where pid = (select active_pid from pg_replication_slots where slot_name = $1)",
    )
    .bind(&database.name)
    .fetch_one(&test.pool)
    .await
    .unwrap();
    // Neither an answer nor an end comes any more; every other connection of the leader is well.
    proxy.set(Mode::AbandonOne(u16::try_from(port).unwrap()));
    test.sql("insert into customers (id, name) values ('00000000-0000-0000-0000-000000000001', 'Unheard')").await;
    test.settle().await;
    assert_eq!(test.document("customers", WITNESS).await["name"], "Unheard");
    assert_eq!(checkpoint::read(&test.pool).await.unwrap().lease, lease + 1, "it leads again, once");
    test.stop().await;
}

#[tokio::test]
async fn killed_leaders_lose_nothing() {
    let mut test = Synced::started_with(&["--sync-batch-size", "50"]).await;
    for round in 0..5 {
        test.sql(&format!(
            "insert into customers (id, name) select gen_random_uuid(), 'Round {round}' from generate_series(1, 300)"
        ))
        .await;
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
async fn a_lost_slot_raises_the_epoch_and_every_index_is_built_anew() {
    let mut test = Synced::started().await;
    test.sql("insert into customers (id, name) select gen_random_uuid(), 'Customer ' || n from generate_series(1, 50) as n")
        .await;
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
async fn a_slot_that_another_process_moved_is_noticed() {
    let mut test = Synced::started().await;
    test.settle().await;
    test.stop().await;
    test.sql("insert into customers (id, name) values ('00000000-0000-0000-0000-000000000001', 'Skipped')").await;
    test.sql("select pg_replication_slot_advance(slot_name, pg_current_wal_lsn()) from pg_replication_slots where database = current_database()").await;
    test.start().await;
    assert_eq!(test.document("customers", WITNESS).await["name"], "Skipped");
    assert_eq!(checkpoint::read(&test.app.db.sync).await.unwrap().epoch.0, 2);
}

#[tokio::test]
async fn an_index_that_goes_away_is_written_when_it_is_back() {
    let (proxy, url) = Proxy::before(&std::env::var("ELASTICSEARCH_URL").unwrap()).await;
    let test = Synced::started_with(&["--elasticsearch-url", &url, "--bulk-timeout", "2s"]).await;
    for mode in [Mode::Refuse, Mode::Hang] {
        proxy.set(mode);
        test.sql("insert into customers (id, name) select gen_random_uuid(), 'While away' from generate_series(1, 30)").await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        test.sql("update customers set name = 'Still away'").await;
        proxy.set(Mode::Pass);
        test.settle().await;
        test.expect_equal().await;
    }
}

#[tokio::test]
async fn an_index_that_was_removed_is_built_again() {
    let test = Synced::started().await;
    test.sql("insert into customers (id, name) values ('00000000-0000-0000-0000-000000000001', 'Here')").await;
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
async fn a_process_that_stands_by_takes_over() {
    let mut first = Synced::started().await;
    let mut second = Synced::beside(&first);
    second.launch();
    eventually("the second stands by", async || second.app.watermark.status.report().role == Role::Standby).await;
    first.stop().await;
    first.sql("insert into customers (id, name) values ('00000000-0000-0000-0000-000000000001', 'Taken over')").await;
    second.settle().await;
    assert_eq!(second.document("customers", WITNESS).await["name"], "Taken over");
    second.stop().await;
}

#[tokio::test]
async fn a_reindex_during_writes_never_misses_a_hit() {
    let test = Synced::started_with(&["--sync-batch-size", "400"]).await;
    test.sql("insert into customers (id, name) values ('00000000-0000-0000-0000-000000000001', 'Witness')").await;
    test.sql("insert into customers (id, name) select gen_random_uuid(), 'Customer ' || n from generate_series(1, 3000) as n")
        .await;
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
async fn a_row_that_cannot_be_read_holds_up_no_other() {
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
    test.settle().await;
    let bad = [Uuid::from_u128(1), Uuid::from_u128(2)];
    assert_eq!(refused(&test).await, bad);
    let mut differences: Vec<Uuid> = test.differences("customers").await.into_keys().collect();
    differences.sort();
    assert_eq!(differences, bad, "all others are there, and the comparison comes to its end");

    // Neither does it keep a new index from going live, as the one before has no more of it.
    let before = test.index("customers").await;
    reconcile::request(&test.app, find("customers").unwrap()).await.unwrap().expect("a new generation");
    test.expect_replaced("customers", &before).await;

    test.sql("update customers set metadata = '{}', created_at = now() where name like 'Too%'").await;
    test.settle().await;
    assert!(refused(&test).await.is_empty());
    test.expect_equal().await;
}

#[tokio::test]
async fn dates_beyond_every_calendar_are_refused_and_sums_beyond_every_number_are_cut() {
    let test = Synced::started().await;
    test.sql(
        "insert into customers (id, name) values ('00000000-0000-0000-0000-000000000001', 'Indebted');
         insert into accounts (id, account_number, customer_id, currency)
         values (gen_random_uuid(), 'A', '00000000-0000-0000-0000-000000000001', 'EUR')",
    )
    .await;
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
    assert_eq!(test.document("customers", Uuid::from_u128(1)).await["search"]["balance"], i64::MAX);
    test.expect_equal().await;
}
