//! Lists read only the index that the leader vouches for, from the first moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use collections::collections::find;
use collections::search::index;
use collections::sync::leader::high_water_mark;
use collections::sync::store::{checkpoint, generations};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::{Beside, Leader, beside_leader, beside_leader_on, create, is_marked, list, live, until_fresh, until_total};
use crate::harness::app::{TestApp, elasticsearch};
use crate::harness::client::Client;
use crate::harness::cluster::Cluster;
use crate::harness::database::Database;
use crate::harness::eventually::eventually;

/// A client that lists all the time; each unmarked list has to show what the rows say.
struct Reader {
    stop: Arc<AtomicBool>,
    lists: Arc<AtomicUsize>,
    reading: JoinHandle<()>,
}

impl Reader {
    /// `is_right` judges the body of an unmarked list that was asked for since `counts`.
    fn start(client: &Client, counts: &Arc<AtomicBool>, is_right: impl Fn(&Value) -> bool + Send + 'static) -> Self {
        let (stop, lists) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let reading = tokio::spawn({
            let (client, counts, stop, lists) = (client.clone(), counts.clone(), stop.clone(), lists.clone());
            async move {
                while !stop.load(Ordering::Relaxed) {
                    let counts = counts.load(Ordering::Relaxed);
                    let answer = client.get("/customers?count=exact&sort=name").await;
                    let is_list = answer.status == 200;
                    assert!(
                        !counts || !is_list || is_marked(&answer.body) || is_right(&answer.body),
                        "wrong and unmarked: {}",
                        answer.body
                    );
                    lists.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        Self { stop, lists, reading }
    }

    /// Waits until some more lists were read.
    async fn progress(&self) {
        let before = self.lists.load(Ordering::Relaxed);
        eventually("lists are read", async || self.reading.is_finished() || self.lists.load(Ordering::Relaxed) > before + 3)
            .await;
    }

    async fn finish(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.reading.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_read_the_live_index_wherever_its_alias_leads() {
    let test = TestApp::start().await;
    let client = test.admin().await;
    create(&client, "Ada").await;
    test.settle().await;
    let (alias, live) = (format!("{}-customers", test.database.name), live(&test).await);
    let empty = format!("{}-elsewhere", test.database.name);
    elasticsearch(Method::PUT, &format!("/{empty}"), None).await;
    let actions = json!({ "actions": [
        { "remove": { "index": live, "alias": alias } },
        { "add": { "index": empty, "alias": alias } },
    ] });
    assert_eq!(elasticsearch(Method::POST, "/_aliases", Some(actions)).await["acknowledged"], true);
    let mut lists = 0;
    eventually("the leader has repointed the alias", async || {
        let list = list(&client).await;
        assert_eq!((&list["engine"], &list["total"]), (&json!("elasticsearch"), &json!(1)), "{list}");
        lists += 1;
        elasticsearch(Method::GET, &format!("/_alias/{alias}"), None).await.get(&live).is_some()
    })
    .await;
    assert!(lists > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_is_put_back_is_not_read() {
    let test = TestApp::start().await;
    let client = test.admin().await;
    create(&client, "Before").await;
    test.settle().await;
    let (elastic, index) = (test.app.search.elastic().unwrap(), live(&test).await);
    let id = list(&client).await["data"][0]["id"].as_str().unwrap().to_owned();
    let old = elasticsearch(Method::GET, &format!("/{index}/_doc/{id}"), None).await;
    client.patch(&format!("/customers/{id}"), &json!({ "name": "After" })).await.expect(200);
    test.settle().await;

    let reader = Reader::start(&client, &Arc::new(AtomicBool::new(true)), |list| list["data"][0]["name"] == "After");
    reader.progress().await;
    let owner = generations::owner(&test.app.db.sync).await.unwrap();
    index::remove(elastic, &index).await.unwrap();
    reader.progress().await;
    // What a restore leaves: the same name, alias and mapping, and the documents of an earlier day.
    index::create(elastic, find("customers").unwrap(), &index, &owner).await.unwrap();
    let version = old["_version"].as_i64().unwrap();
    let path = format!("/{index}/_doc/{id}?version={version}&version_type=external&refresh=true");
    assert_eq!(elasticsearch(Method::PUT, &path, Some(old["_source"].clone())).await["result"], "created");
    index::swap(elastic, find("customers").unwrap(), &index).await.unwrap();
    until_fresh(&client).await;
    reader.finish().await;
    assert_ne!(live(&test).await, index);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_put_back_shows_nothing_from_its_future() {
    let cluster = Cluster::start().await;
    let database = Database::create_on(cluster.url()).await;
    // The age of the copy alone is no reason for a mark.
    let (test, mut leader, client) = beside_leader_on(database, &["--stale-after", "1h"]).await;
    create(&client, "Before").await;
    until_total(&client, 1).await;
    cluster.stop("fast");
    let copy = cluster.copy();
    cluster.launch();
    eventually("writes go on", async || client.post("/customers", &json!({ "name": "Lost" })).await.status == 201).await;
    until_total(&client, 2).await;
    let before = checkpoint::read(&test.database.pool).await.unwrap();
    let elastic = test.app.search.elastic().unwrap();
    eventually("the index is told how far the database is", async || {
        high_water_mark::epoch_ahead(&test.app, elastic, &before).await.unwrap().is_some()
    })
    .await;
    leader.0.kill().await.unwrap();

    let is_back = Arc::new(AtomicBool::new(false));
    let reader = Reader::start(&client, &is_back, |list| list["total"] == 1);
    reader.progress().await;
    cluster.stop("fast");
    cluster.put_back(&copy);
    is_back.store(true, Ordering::Relaxed);
    cluster.launch();
    // What the database says of its index is as old as the copy, and no leader has compared them yet.
    eventually("lists are answered", async || client.get("/customers").await.status == 200).await;
    reader.progress().await;
    let _leader = Leader::start(&test.database);
    eventually("a new epoch begins", async || {
        checkpoint::read(&test.database.pool).await.is_ok_and(|state| state.epoch > before.epoch)
    })
    .await;
    until_fresh(&client).await;
    reader.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_starts_without_a_leader_does_not_read_an_old_index() {
    let (test, mut leader, client) = beside_leader(&[]).await;
    create(&client, "Ada").await;
    until_fresh(&client).await;
    leader.0.kill().await.unwrap();
    create(&client, "Grace").await;
    let token = test.token(collections::auth::Role::Admin).await;
    for _ in 0..3 {
        let other = Beside::start(&test).await;
        let list = list(&other.client(&token)).await;
        assert_eq!((&list["engine"], &list["total"]), (&json!("postgres"), &json!(2)), "{list}");
        assert_eq!(list["degraded"], true);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_starts_beside_a_leader_reads_the_index_with_its_first_list() {
    let (test, _leader, client) = beside_leader(&[]).await;
    let made = client.post("/customers", &json!({ "name": "Ada" })).await;
    let other = Beside::start(&test).await;
    let token = test.token(collections::auth::Role::Admin).await;
    let list = list(&other.client(&token).with("x-sync-token", made.header("x-sync-token"))).await;
    assert_eq!((&list["engine"], &list["total"]), (&json!("elasticsearch"), &json!(1)), "{list}");
}
