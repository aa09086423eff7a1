//! Hazards of databases and networks: prepared transactions, lost slots, restored backups, lost responses.

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
use sqlx::Connection;
use uuid::Uuid;

use crate::harness::cluster::Cluster;
use crate::harness::eventually::eventually;
use crate::harness::people::{crowd, person};
use crate::harness::proxy::{Mode, Proxy};
use crate::harness::synced::Synced;

const WITNESS: Uuid = Uuid::from_u128(1);

/// A sync on a server of its own, with the witness.
async fn alone(settings: &str) -> (Synced, Cluster) {
    let cluster = Cluster::start_with(settings).await;
    let mut test = Synced::on(&cluster, &[]).await;
    test.insert(person(1, "Before")).await;
    test.start().await;
    (test, cluster)
}

async fn epoch(test: &Synced) -> u16 {
    checkpoint::read(&test.pool).await.unwrap().epoch.0
}

#[tokio::test]
async fn a_prepared_transaction_is_indexed_when_it_commits() {
    let (mut test, _cluster) = alone("max_prepared_transactions = 5").await;
    test.sql("begin; update customers set name = 'Prepared'; prepare transaction 'one'").await;
    test.insert(crowd(1, "Later")).await;
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
async fn an_invalidated_slot_is_recreated_and_every_index_rebuilt() {
    let (mut test, cluster) = alone("").await;
    test.stop().await;
    test.sql("delete from customers").await;
    test.insert(crowd(1, "Unseen")).await;
    cluster.execute("alter system set max_slot_wal_keep_size = '1MB'").await;
    cluster.execute("select pg_reload_conf()").await;
    eventually("the server has invalidated the slot", async || {
        cluster.execute("create table if not exists filler (); drop table filler; select pg_switch_wal()").await;
        cluster.execute("checkpoint").await;
        test.scalar::<Option<bool>>("select wal_status = 'lost' from pg_replication_slots").await == Some(true)
    })
    .await;
    test.start().await;
    assert!(test.document("customers", WITNESS).await.is_null());
    assert_eq!(epoch(&test).await, 2);
    test.expect_equal().await;
    test.stop().await;
}

/// Copies the data directory, then changes and adds rows. Returns the copy.
async fn copy_and_go_on(test: &mut Synced, cluster: &Cluster) -> PathBuf {
    test.stop().await;
    cluster.stop("fast");
    let copy = cluster.copy();
    cluster.launch();
    test.start().await;
    test.sql("update customers set name = 'Lost'").await;
    test.insert(crowd(500, "Ghost")).await;
    test.settle().await;
    copy
}

/// Restores a copy of the disk after the index has recorded a later high-water mark.
async fn restore_disk(test: &mut Synced, cluster: &Cluster) {
    let copy = copy_and_go_on(test, cluster).await;
    let before = checkpoint::read(&test.pool).await.unwrap();
    eventually("the index has the high-water mark", async || {
        high_water_mark::epoch_ahead(&test.app, &test.elastic, &before).await.is_ok_and(|ahead| ahead.is_some())
    })
    .await;
    test.stop().await;
    cluster.stop("fast");
    cluster.put_back(&copy);
    cluster.launch();
}

/// Starts a sync that has to detect the restore, and expects later writes to be indexed.
async fn expect_new_epoch(test: &mut Synced) {
    test.launch();
    eventually("a new epoch begins", async || epoch(test).await == 2).await;
    test.settle().await;
    assert_eq!(test.document("customers", WITNESS).await["name"], "Before");
    test.sql("update customers set name = 'After'").await;
    test.settle().await;
    assert_eq!(test.document("customers", WITNESS).await["name"], "After");
    test.expect_equal().await;
    test.stop().await;
}

#[tokio::test]
async fn a_restored_disk_is_detected_by_the_high_water_mark() {
    let (mut test, cluster) = alone("").await;
    restore_disk(&mut test, &cluster).await;
    expect_new_epoch(&mut test).await;
}

#[tokio::test]
async fn a_restored_disk_is_detected_after_an_outage_of_the_index() {
    let (mut test, cluster) = alone("").await;
    restore_disk(&mut test, &cluster).await;
    let (proxy, url) = Proxy::before(&std::env::var("ELASTICSEARCH_URL").unwrap()).await;
    proxy.set(Mode::Refuse);
    let mut late = Synced::beside_with(&test, &["--elasticsearch-url", &url]);
    late.launch();
    eventually("it leads", async || late.app.watermark.status.report().role == Role::Leading).await;
    late.sql("update customers set name = 'After'").await;
    assert_eq!(epoch(&late).await, 1);
    proxy.set(Mode::Pass);
    eventually("a new epoch begins", async || epoch(&late).await == 2).await;
    late.settle().await;
    assert_eq!(late.document("customers", WITNESS).await["name"], "After");
    late.expect_equal().await;
    late.stop().await;
}

#[tokio::test]
async fn a_restored_backup_begins_a_new_epoch() {
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
    // The same process, whose LSNs from before the restore mean nothing now.
    expect_new_epoch(&mut test).await;
}

/// Waits until the row of an index in `index_generations` meets a condition.
async fn expect_recorded(test: &Synced, index: &str, condition: &str) {
    test.wait_for(&format!("select {condition} from index_generations where index_name = '{index}'")).await;
}

/// The lost index was replaced by one that equals the rows.
async fn expect_rebuilt(test: &Synced, lost: &str) {
    test.expect_replaced("customers", lost).await;
    test.settle().await;
    assert_eq!(test.document("customers", WITNESS).await["name"], "After");
    assert!(!index::exists(&test.elastic, lost).await.unwrap());
    test.expect_equal().await;
}

#[tokio::test]
async fn an_index_restored_from_a_snapshot_is_rebuilt() {
    let mut test = Synced::started().await;
    test.insert(person(1, "Before")).await;
    test.settle().await;
    let first = test.index("customers").await;
    let owner = generations::owner(&test.app.db.sync).await.unwrap();
    for is_running in [true, false] {
        let live = test.index("customers").await;
        let (version, source) = (test.version("customers", WITNESS).await, test.document("customers", WITNESS).await);
        test.sql("update customers set name = 'After'").await;
        test.settle().await;
        expect_recorded(&test, &live, "(shard_checkpoints -> '0' ->> 'global_checkpoint')::bigint >= 1").await;
        if !is_running {
            test.stop().await;
        }
        // As after a restore: the same name, alias and mapping, but older documents.
        index::remove(&test.elastic, &live).await.unwrap();
        index::create(&test.elastic, find("customers").unwrap(), &live, &owner).await.unwrap();
        let old = format!("{live}/_doc/{WITNESS}?version={version}&version_type=external&refresh=true");
        test.raw(reqwest::Method::PUT, &old, Some(source)).await;
        index::swap(&test.elastic, find("customers").unwrap(), &live).await.unwrap();
        if !is_running {
            test.launch();
        }
        expect_rebuilt(&test, &live).await;
        test.sql("update customers set name = 'Before'").await;
        test.settle().await;
    }
    assert_ne!(test.index("customers").await, first);
}

#[tokio::test]
async fn an_index_behind_its_shard_checkpoints_is_rebuilt() {
    let mut test = Synced::started().await;
    test.insert(person(1, "Before")).await;
    test.sql("update customers set name = 'After'").await;
    test.settle().await;
    let live = test.index("customers").await;
    expect_recorded(&test, &live, "shard_checkpoints is not null").await;
    test.stop().await;
    test.sql("update index_generations set shard_checkpoints = jsonb_set(shard_checkpoints, '{0,global_checkpoint}', '1000') where collection = 'customers'")
        .await;
    test.launch();
    expect_rebuilt(&test, &live).await;
    test.stop().await;
}

#[tokio::test]
async fn an_idle_database_retains_little_wal_beside_a_busy_one() {
    const BUSY: i64 = 64 << 20;
    let (mut test, cluster) = alone("max_wal_size = 4GB\ncheckpoint_timeout = 1h").await;
    if checkpoint::may_log_snapshots(&test.pool).await.unwrap() {
        // Stops the snapshots that Postgres itself logs every 15 seconds, so that only the sync logs any.
        let writer: i32 = test.scalar("select pid from pg_stat_activity where backend_type = 'background writer'").await;
        assert!(std::process::Command::new("kill").args(["-STOP", &writer.to_string()]).status().unwrap().success());
    }
    let log_end = async || test.scalar::<i64>("select (pg_current_wal_lsn() - '0/0')::bigint").await;

    let before = log_end().await;
    cluster.execute("create database busy").await;
    let mut busy = cluster.connect_to("busy").await;
    // Not compressed: text of one pattern would shrink to nothing.
    let table = "create table filler (text text); alter table filler alter text set storage external";
    sqlx::raw_sql(table).execute(&mut busy).await.unwrap();
    for _ in 0..6 {
        let fill = "insert into filler select repeat(md5(n::text), 100) from generate_series(1, 4000) as n; truncate filler";
        sqlx::raw_sql(fill).execute(&mut busy).await.unwrap();
    }
    assert!(log_end().await - before > BUSY);
    test.wait_for(&format!("select pg_current_wal_lsn() - restart_lsn < {} from pg_replication_slots", BUSY / 2)).await;
    test.stop().await;
}

#[tokio::test]
async fn a_bulk_request_without_a_response_is_retried() {
    let (proxy, url) = Proxy::before(&std::env::var("ELASTICSEARCH_URL").unwrap()).await;
    let test = Synced::started_with(&["--elasticsearch-url", &url, "--bulk-timeout", "1500ms"]).await;
    test.insert(person(1, "Before")).await;
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
    test.insert(crowd(1, "Other")).await;
    proxy.set(Mode::Pass);
    test.settle().await;
    assert!(test.document("customers", WITNESS).await.is_null());
    test.expect_equal().await;
}

#[tokio::test]
async fn a_late_write_does_not_undo_a_deletion() {
    let test = Synced::started().await;
    test.insert(person(1, "Before")).await;
    test.settle().await;
    let index = test.index("customers").await;
    let (version, source) = (test.version("customers", WITNESS).await, test.document("customers", WITNESS).await);
    test.sql("delete from customers").await;
    test.settle().await;
    let late = format!("{index}/_doc/{WITNESS}?version={version}&version_type=external&refresh=true");
    assert_eq!(test.try_raw(reqwest::Method::PUT, &late, Some(source)).await, 409);
    assert!(test.document("customers", WITNESS).await.is_null());
    // Longer than the life of any request.
    let settings = test.raw(reqwest::Method::GET, &format!("{index}/_settings/index.gc_deletes"), None).await;
    assert_eq!(settings[&index]["settings"]["index"], json!({ "gc_deletes": "1h" }));
    assert!(test.app.config.search.bulk_timeout * 10 < Duration::from_secs(3600));
}

#[tokio::test]
async fn indexed_tables_commit_durably_even_with_synchronous_commit_off() {
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
    assert_eq!(setting, "off", "transactions without indexed tables keep their setting");
}

#[tokio::test]
async fn document_versions_come_from_the_commit_not_from_the_read() {
    let mut test = Synced::started().await;
    test.insert(person(1, "Before")).await;
    test.settle().await;
    test.stop().await;
    let (name, index, epoch) = ("customers", test.index("customers").await, checkpoint::read(&test.pool).await.unwrap().epoch);
    let elastic = Elastic::open(&test.app.config.search).unwrap().unwrap();
    let writer = Writer::new(test.app.db.sync.clone(), elastic, epoch, &test.app.config);
    writer.add_index(find(name).unwrap(), &index);
    let servers = IndexTarget { writer: Arc::new(writer), fanout_inline: 10 };
    let commit = checkpoint::heartbeat(&test.pool).await.unwrap();
    // A reader at the same LSN may see this row or not, so the LSN of the read is no version.
    test.sql("update customers set name = 'After'").await;
    let batch = Batch { keys: [(name, [WITNESS].into())].into(), newest: commit, ..Batch::default() };
    assert!(servers.write(batch).await.unwrap().unwritten.is_empty());
    assert_eq!(test.version(name, WITNESS).await, Version::new(epoch, commit).0);
    assert_eq!(test.document(name, WITNESS).await["name"], "After");
}
