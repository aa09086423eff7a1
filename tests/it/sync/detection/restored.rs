//! A database that went back while Elasticsearch was away, and has written more since than it had lost.

use collections::freshness::status::Role;
use collections::sync::leader::high_water_mark;
use collections::sync::store::checkpoint;
use collections::values::lsn::Lsn;
use uuid::Uuid;

use super::epoch;
use crate::harness::cluster::Cluster;
use crate::harness::eventually::eventually;
use crate::harness::proxy::{Mode, Proxy};
use crate::harness::synced::Synced;

const WITNESS: Uuid = Uuid::from_u128(1);

async fn confirmed(test: &Synced) -> Lsn {
    checkpoint::read(&test.pool).await.unwrap().checkpoint.confirmed
}

/// Leads without Elasticsearch until more is confirmed than the database had lost.
async fn overtake(test: &Synced, lost: Lsn) {
    eventually("it leads", async || test.app.watermark.status.report().role == Role::Leading).await;
    eventually("more is confirmed than was lost", async || {
        test.sql("update customers set metadata = jsonb_build_object('note', random()::text || repeat('x', 2000))").await;
        confirmed(test).await > lost
    })
    .await;
}

#[tokio::test]
async fn a_database_that_went_back_is_detected_however_much_it_writes_before_the_index_returns() {
    let cluster = Cluster::start().await;
    collections::db::MIGRATIONS.run_direct(None, &mut cluster.connect().await, false).await.unwrap();
    let name = format!("it_{}", collections::values::ids::new().simple());
    let mut test = Synced::at(&cluster.url(), &name, &[]);
    test.sql("insert into customers (id, name) values ('00000000-0000-0000-0000-000000000001', 'Before')").await;
    test.sql("insert into customers (id, name) select gen_random_uuid(), 'Kept' from generate_series(1, 50)").await;
    test.start().await;
    test.stop().await;
    cluster.stop("fast");
    let copy = cluster.copy();
    cluster.launch();
    let copied = checkpoint::read(&test.pool).await.unwrap();
    test.start().await;
    test.sql("insert into customers (id, name) select gen_random_uuid(), 'Lost' from generate_series(1, 50)").await;
    test.settle().await;
    eventually("the index has a later high-water mark than the copy", async || {
        high_water_mark::epoch_ahead(&test.app, &test.elastic, &copied).await.is_ok_and(|ahead| ahead.is_some())
    })
    .await;
    test.stop().await;
    let lost = confirmed(&test).await;
    cluster.stop("fast");
    cluster.put_back(&copy);
    cluster.launch();

    let (proxy, url) = Proxy::before(&std::env::var("ELASTICSEARCH_URL").unwrap()).await;
    proxy.set(Mode::Refuse);
    let away = ["--elasticsearch-url", &url, "--sync-retain-bytes", "100000"];
    let mut late = Synced::beside_with(&test, &away);
    late.launch();
    overtake(&late, lost).await;
    // What a leader knew of this survives it.
    late.stop().await;
    late.launch();
    eventually("it leads again", async || late.app.watermark.status.report().role == Role::Leading).await;
    assert_eq!(epoch(&late).await, 1);
    proxy.set(Mode::Pass);
    eventually("it is detected", async || epoch(&late).await == 2).await;
    late.settle().await;
    assert_eq!(late.document("customers", WITNESS).await["name"], "Before");
    late.expect_equal().await;
    late.stop().await;
}

#[tokio::test]
async fn an_outage_alone_begins_no_epoch() {
    let (proxy, url) = Proxy::before(&std::env::var("ELASTICSEARCH_URL").unwrap()).await;
    let mut test = Synced::with(&["--elasticsearch-url", &url, "--sync-retain-bytes", "100000"]).await;
    test.sql("insert into customers (id, name) select gen_random_uuid(), 'Kept' from generate_series(1, 50)").await;
    test.start().await;
    for _ in 0..2 {
        test.stop().await;
        proxy.set(Mode::Refuse);
        test.launch();
        overtake(&test, confirmed(&test).await).await;
        assert!(!checkpoint::read(&test.pool).await.unwrap().is_certain());
        proxy.set(Mode::Pass);
        test.settle().await;
        assert!(checkpoint::read(&test.pool).await.unwrap().is_certain());
        test.expect_equal().await;
    }
    assert_eq!(epoch(&test).await, 1);
    test.stop().await;
}
