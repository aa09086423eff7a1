//! What a database and a network can do to the sync: prepared transactions, lost slots, restored backups, answers that never come.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use collections::collections::find;
use collections::freshness::status::Role;
use collections::search::{Elastic, index};
use collections::sync::leader::high_water_mark;
use collections::sync::store::{checkpoint, generations};
use collections::sync::stream::batch::Batch;
use collections::sync::writer::apply::IndexTarget;
use collections::sync::writer::{Target, Writer};
use collections::values::lsn::Version;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection};
use uuid::Uuid;

use crate::harness::cluster::Cluster;
use crate::harness::eventually::eventually;
use crate::harness::proxy::{Mode, Proxy};
use crate::harness::synced::Synced;

const WITNESS: Uuid = Uuid::from_u128(1);
const INSERT: &str = "insert into customers (id, name) values ('00000000-0000-0000-0000-000000000001', 'Before')";

/// A sync on a server of its own, with a witness.
async fn alone(settings: &str) -> (Synced, Cluster) {
    let cluster = Cluster::start_with(settings).await;
    collections::db::MIGRATIONS.run_direct(None, &mut cluster.connect().await, false).await.unwrap();
    let name = format!("it_{}", collections::values::ids::new().simple());
    let mut test = Synced::at(&cluster.url(), &name, &[]);
    test.sql(INSERT).await;
    test.start().await;
    (test, cluster)
}

async fn epoch(test: &Synced) -> u16 {
    checkpoint::read(&test.pool).await.unwrap().epoch.0
}

#[tokio::test]
async fn a_prepared_transaction_counts_from_its_second_phase() {
    let (mut test, _cluster) = alone("max_prepared_transactions = 5").await;
    test.sql("begin; update customers set name = 'Prepared'; prepare transaction 'one'").await;
    test.sql("insert into customers (id, name) values (gen_random_uuid(), 'Later')").await;
    test.settle().await;
    assert_eq!(test.document("customers", WITNESS).await["name"], "Before");
    test.sql("commit prepared 'one'").await;
    test.settle().await;
    assert_eq!(test.document("customers", WITNESS).await["name"], "Prepared");

    test.sql("begin; delete from customers; prepare transaction 'two'").await;
    test.sql("rollback prepared 'two'").await;
    test.settle().await;
    assert_eq!(test.document("customers", WITNESS).await["name"], "Prepared");
    test.expect_equal().await;
    test.stop().await;
}

#[tokio::test]
async fn a_slot_that_the_server_gave_up_is_made_anew_and_everything_rebuilt() {
    let (mut test, cluster) = alone("").await;
    test.stop().await;
    test.sql("delete from customers; insert into customers (id, name) values (gen_random_uuid(), 'Unseen')").await;
    cluster.execute("alter system set max_slot_wal_keep_size = '1MB'").await;
    cluster.execute("select pg_reload_conf()").await;
    eventually("the server has given up the slot", async || {
        cluster.execute("create table if not exists filler (); drop table filler; select pg_switch_wal()").await;
        cluster.execute("checkpoint").await;
        let lost: Option<bool> =
            sqlx::query_scalar("select wal_status = 'lost' from pg_replication_slots").fetch_one(&test.pool).await.unwrap();
        lost == Some(true)
    })
    .await;
    test.start().await;
    assert!(test.document("customers", WITNESS).await.is_null());
    assert_eq!(epoch(&test).await, 2);
    test.expect_equal().await;
    test.stop().await;
}

/// Copies the data and goes on without the copy: changes what it was made of, and adds more. Returns the copy.
async fn copy_and_go_on(test: &mut Synced, cluster: &Cluster) -> PathBuf {
    test.stop().await;
    cluster.stop("fast");
    let copy = cluster.copy();
    cluster.launch();
    test.start().await;
    test.sql("update customers set name = 'Lost'; insert into customers (id, name) values (gen_random_uuid(), 'Ghost')").await;
    test.sql("insert into customers (id, name) select gen_random_uuid(), 'Many' from generate_series(1, 500)").await;
    test.settle().await;
    copy
}

/// Puts a copy of the disk back, once the index was told how far the database had come since.
async fn put_back(test: &mut Synced, cluster: &Cluster) {
    let copy = copy_and_go_on(test, cluster).await;
    let before = checkpoint::read(&test.pool).await.unwrap();
    eventually("the index is told how far the database is", async || {
        high_water_mark::epoch_ahead(&test.app, &test.elastic, &before).await.is_ok_and(|ahead| ahead.is_some())
    })
    .await;
    test.stop().await;
    cluster.stop("fast");
    cluster.put_back(&copy);
    cluster.launch();
}

/// Starts a sync that has to notice that the database went back, and that later writes count.
async fn expect_new_epoch(test: &mut Synced) {
    test.launch();
    eventually("it is noticed", async || epoch(test).await == 2).await;
    test.settle().await;
    assert_eq!(test.document("customers", WITNESS).await["name"], "Before");
    test.sql("update customers set name = 'After'").await;
    test.settle().await;
    assert_eq!(test.document("customers", WITNESS).await["name"], "After");
    test.expect_equal().await;
    test.stop().await;
}

#[tokio::test]
async fn a_disk_that_was_put_back_is_noticed_by_what_the_index_has_seen() {
    let (mut test, cluster) = alone("").await;
    put_back(&mut test, &cluster).await;
    expect_new_epoch(&mut test).await;
}

#[tokio::test]
async fn a_disk_that_was_put_back_while_the_index_is_away_is_noticed_later() {
    let (mut test, cluster) = alone("").await;
    put_back(&mut test, &cluster).await;
    let (proxy, url) = Proxy::before(&std::env::var("ELASTICSEARCH_URL").unwrap()).await;
    proxy.set(Mode::Refuse);
    let mut late = Synced::beside_with(&test, &["--elasticsearch-url", &url]);
    late.launch();
    eventually("it leads", async || late.app.watermark.status.report().role == Role::Leading).await;
    late.sql("update customers set name = 'After'").await;
    assert_eq!(epoch(&late).await, 1);
    proxy.set(Mode::Pass);
    eventually("it is noticed", async || epoch(&late).await == 2).await;
    late.settle().await;
    assert_eq!(late.document("customers", WITNESS).await["name"], "After");
    late.expect_equal().await;
    late.stop().await;
}

#[tokio::test]
async fn after_a_backup_was_restored_later_writes_count() {
    let (mut test, cluster) = alone("").await;
    let backup = copy_and_go_on(&mut test, &cluster).await;
    test.stop().await;
    cluster.stop("fast");
    cluster.restore(&backup);
    cluster.launch();
    eventually("the restored server takes writes", async || {
        let recovering: Option<bool> = sqlx::query_scalar("select pg_is_in_recovery()").fetch_one(&test.pool).await.ok();
        recovering == Some(false)
    })
    .await;
    // The same process: what it believed of the positions before is of no use.
    expect_new_epoch(&mut test).await;
}

/// Waits until what a row of the generations remembers of an index passes.
async fn expect_remembered(test: &Synced, index: &str, condition: &str) {
    let sql = format!("select coalesce({condition}, false) from index_generations where index_name = '{index}'");
    eventually("it is remembered how far the index is", async || {
        sqlx::query_scalar::<_, bool>(AssertSqlSafe(sql.clone())).fetch_one(&test.pool).await.unwrap()
    })
    .await;
}

/// The index was replaced, and the new one equals the rows.
async fn expect_built_anew(test: &Synced, lost: &str) {
    test.expect_replaced("customers", lost).await;
    test.settle().await;
    assert_eq!(test.document("customers", WITNESS).await["name"], "After");
    assert!(!index::exists(&test.elastic, lost).await.unwrap());
    test.expect_equal().await;
}

#[tokio::test]
async fn an_index_that_was_restored_from_a_snapshot_is_built_anew() {
    let mut test = Synced::started().await;
    test.sql(INSERT).await;
    test.settle().await;
    let first = test.index("customers").await;
    let owner = generations::owner(&test.app.db.sync).await.unwrap();
    for is_running in [true, false] {
        let live = test.index("customers").await;
        let (version, source) = (test.version("customers", WITNESS).await, test.document("customers", WITNESS).await);
        test.sql("update customers set name = 'After'").await;
        test.settle().await;
        expect_remembered(&test, &live, "(shard_checkpoints -> '0' ->> 'global_checkpoint')::bigint >= 1").await;
        if !is_running {
            test.stop().await;
        }
        // What a restore leaves: the same name, alias and mapping, and the documents of an earlier day.
        index::remove(&test.elastic, &live).await.unwrap();
        index::create(&test.elastic, find("customers").unwrap(), &live, &owner).await.unwrap();
        let old = format!("{live}/_doc/{WITNESS}?version={version}&version_type=external&refresh=true");
        test.raw(reqwest::Method::PUT, &old, Some(source)).await;
        index::swap(&test.elastic, find("customers").unwrap(), &live).await.unwrap();
        if !is_running {
            test.launch();
        }
        expect_built_anew(&test, &live).await;
        test.sql("update customers set name = 'Before'").await;
        test.settle().await;
    }
    assert_ne!(test.index("customers").await, first);
}

#[tokio::test]
async fn an_index_that_has_fewer_writes_than_it_acknowledged_is_built_anew() {
    let mut test = Synced::started().await;
    test.sql(INSERT).await;
    test.sql("update customers set name = 'After'").await;
    test.settle().await;
    let live = test.index("customers").await;
    expect_remembered(&test, &live, "shard_checkpoints is not null").await;
    test.stop().await;
    test.sql("update index_generations set shard_checkpoints = jsonb_set(shard_checkpoints, '{0,global_checkpoint}', '1000') where collection = 'customers'")
        .await;
    test.launch();
    expect_built_anew(&test, &live).await;
    test.stop().await;
}

#[tokio::test]
async fn the_log_kept_for_an_idle_database_stays_small_beside_a_busy_one() {
    const BUSY: i64 = 64 << 20;
    let (mut test, cluster) = alone("max_wal_size = 4GB\ncheckpoint_timeout = 1h").await;
    if checkpoint::may_log_snapshots(&test.pool).await.unwrap() {
        // Postgres lists what is running at a checkpoint and every 15 seconds. Without that only the sync does.
        let writer: i32 = sqlx::query_scalar("select pid from pg_stat_activity where backend_type = 'background writer'")
            .fetch_one(&test.pool)
            .await
            .unwrap();
        assert!(std::process::Command::new("kill").args(["-STOP", &writer.to_string()]).status().unwrap().success());
    }
    let kept = async || -> i64 {
        let sql = "select (pg_current_wal_lsn() - restart_lsn)::bigint from pg_replication_slots";
        sqlx::query_scalar(sql).fetch_one(&test.pool).await.unwrap()
    };
    let log_end = async || -> i64 {
        sqlx::query_scalar("select (pg_current_wal_lsn() - '0/0')::bigint").fetch_one(&test.pool).await.unwrap()
    };

    let before = log_end().await;
    cluster.execute("create database busy").await;
    let mut busy = cluster.connect_to("busy").await;
    // Written as it is: text of one pattern would be compressed to next to nothing.
    let table = "create table filler (text text); alter table filler alter text set storage external";
    sqlx::raw_sql(table).execute(&mut busy).await.unwrap();
    for _ in 0..6 {
        let fill = "insert into filler select repeat(md5(n::text), 100) from generate_series(1, 4000) as n; truncate filler";
        sqlx::raw_sql(fill).execute(&mut busy).await.unwrap();
    }
    assert!(log_end().await - before > BUSY);
    eventually("less than half of it is kept", async || kept().await < BUSY / 2).await;
    test.stop().await;
}

#[tokio::test]
async fn a_bulk_whose_answer_is_lost_is_written_once_more() {
    let (proxy, url) = Proxy::before(&std::env::var("ELASTICSEARCH_URL").unwrap()).await;
    let test = Synced::started_with(&["--elasticsearch-url", &url, "--bulk-timeout", "1500ms"]).await;
    test.sql(INSERT).await;
    test.settle().await;
    let path = format!("{}/_doc/{WITNESS}", test.index("customers").await);
    proxy.set(Mode::Swallow);
    test.sql("update customers set name = 'Arrived'").await;
    eventually("the write has arrived", async || {
        test.raw(reqwest::Method::GET, &path, None).await["_source"]["name"] == "Arrived"
    })
    .await;
    assert!(test.app.watermark.status.report().behind_since.is_some(), "no heartbeat has confirmed it");
    test.sql("delete from customers").await;
    test.sql("insert into customers (id, name) values (gen_random_uuid(), 'Other')").await;
    proxy.set(Mode::Pass);
    test.settle().await;
    assert!(test.document("customers", WITNESS).await.is_null());
    test.expect_equal().await;
}

#[tokio::test]
async fn a_write_that_arrives_after_the_deletion_brings_nothing_back() {
    let test = Synced::started().await;
    test.sql(INSERT).await;
    test.settle().await;
    let index = test.index("customers").await;
    let (version, source) = (test.version("customers", WITNESS).await, test.document("customers", WITNESS).await);
    test.sql("delete from customers").await;
    test.settle().await;
    let late = format!("{index}/_doc/{WITNESS}?version={version}&version_type=external&refresh=true");
    assert_eq!(test.try_raw(reqwest::Method::PUT, &late, Some(source)).await, 409);
    assert!(test.document("customers", WITNESS).await.is_null());
    // Longer than any request lives.
    let settings = test.raw(reqwest::Method::GET, &format!("{index}/_settings/index.gc_deletes"), None).await;
    assert_eq!(settings[&index]["settings"]["index"], json!({ "gc_deletes": "1h" }));
    assert!(test.app.config.search.bulk_timeout * 10 < Duration::from_secs(3600));
}

#[tokio::test]
async fn what_the_index_shows_is_on_the_disk_of_the_database_first() {
    let test = Synced::new().await;
    let mut hasty = test.pool.acquire().await.unwrap();
    sqlx::raw_sql("set synchronous_commit = off").execute(&mut *hasty).await.unwrap();
    for change in [
        "insert into customers (id, name) values ('00000000-0000-0000-0000-000000000001', 'New')",
        "update customers set name = 'Changed'",
        "delete from customers",
        "truncate addresses",
    ] {
        let mut transaction = hasty.begin().await.unwrap();
        sqlx::raw_sql(change).execute(&mut *transaction).await.unwrap();
        let setting: String = sqlx::query_scalar("show synchronous_commit").fetch_one(&mut *transaction).await.unwrap();
        assert_eq!(setting, "local", "{change}");
        transaction.commit().await.unwrap();
    }
    let setting: String = sqlx::query_scalar("show synchronous_commit").fetch_one(&mut *hasty).await.unwrap();
    assert_eq!(setting, "off", "what is no concern of the index stays as it was asked for");
}

#[tokio::test]
async fn documents_have_the_version_of_the_commit_and_not_of_the_reading() {
    let mut test = Synced::started().await;
    test.sql(INSERT).await;
    test.settle().await;
    test.stop().await;
    let (name, index, epoch) = ("customers", test.index("customers").await, checkpoint::read(&test.pool).await.unwrap().epoch);
    let elastic = Elastic::open(&test.app.config.search).unwrap().unwrap();
    let writer = Writer::new(test.app.db.sync.clone(), elastic, epoch, &test.app.config);
    writer.add_index(find(name).unwrap(), &index);
    let servers = IndexTarget { writer: Arc::new(writer), fanout_inline: 10 };
    let commit = checkpoint::heartbeat(&test.pool).await.unwrap();
    // Another reader at the same place in the log, of which two may see different rows, would have this one.
    test.sql("update customers set name = 'After'").await;
    let batch = Batch { keys: [(name, [WITNESS].into())].into(), newest: commit, ..Batch::default() };
    assert!(servers.write(batch).await.unwrap().unwritten.is_empty());
    assert_eq!(test.version(name, WITNESS).await, Version::new(epoch, commit).0);
    assert_eq!(test.document(name, WITNESS).await["name"], "After");
}
