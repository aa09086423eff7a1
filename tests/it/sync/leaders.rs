//! Leadership: a frozen leader is replaced and does no harm when it resumes, and a slot in use is awaited.

use std::time::Duration;

use collections::freshness::status::Role;
use collections::sync::leader::follower;
use collections::sync::store::checkpoint;
use collections::sync::store::generations::{self, State};
use collections::values::lsn::Lsn;
use pgwire_replication::{ReplicationClient, ReplicationConfig};
use tokio::process::Child;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::harness::database::Database;
use crate::harness::eventually::eventually;
use crate::harness::people::{crowd, person};
use crate::harness::process;
use crate::harness::synced::Synced;

/// A `collections serve` that only syncs, as a process that can be frozen.
struct Frozen(Child);

impl Frozen {
    fn start(database: &Database) -> Self {
        let mut command = process::command(database);
        command.args(["serve", "--only", "sync"]).env("BULK_TIMEOUT", "5s");
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        Self(command.spawn().unwrap())
    }

    fn id(&self) -> u32 {
        self.0.id().unwrap()
    }

    /// Sends a signal that a child cannot send itself.
    fn signal(&self, name: &str) {
        let sent = std::process::Command::new("kill").args([format!("-{name}"), self.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }
}

#[tokio::test]
async fn a_follower_never_applies_the_checkpoint_of_a_new_epoch_to_old_indices() {
    let mut test = Synced::started().await;
    test.stop().await;
    let follower = Synced::beside(&test);
    let mut new_leader = test.pool.begin().await.unwrap();
    sqlx::raw_sql("lock table sync_state in access exclusive mode").execute(&mut *new_leader).await.unwrap();
    let stop = CancellationToken::new();
    let following = tokio::spawn(follower::run(follower.app.clone(), stop.clone()));
    // The follower is about to read the checkpoint.
    let waiting = "datname = current_database() and wait_event_type = 'Lock' and query like '%from sync_state%'";
    test.wait_for(&format!("exists (select from pg_stat_activity where {waiting})")).await;
    let begin = "update sync_state set epoch = epoch + 1, searchable_lsn = searchable_lsn + (1::bigint << 40);
                 update index_generations set state = 'retired', expires_at = now()";
    sqlx::raw_sql(begin).execute(&mut *new_leader).await.unwrap();
    let ahead = checkpoint::read(&mut *new_leader).await.unwrap().checkpoint.searchable;
    new_leader.commit().await.unwrap();
    assert!(!follower.app.watermark.reached("customers", ahead, Duration::from_millis(500)).await);
    stop.cancel();
    following.await.unwrap();
}

#[tokio::test]
async fn a_follower_drops_a_checkpoint_from_before_the_database_went_back() {
    let mut test = Synced::started().await;
    test.stop().await;
    let follower = Synced::beside(&test);
    let stop = CancellationToken::new();
    let following = tokio::spawn(follower::run(follower.app.clone(), stop.clone()));
    eventually("the follower knows how far the index is", async || follower.app.watermark.get() > Lsn::default()).await;
    test.sql(
        "update sync_state set epoch = epoch + 1, searchable_lsn = 8, confirmed_lsn = 8;
         update index_generations set state = 'retired', expires_at = now()",
    )
    .await;
    eventually("it knows of no index", async || follower.app.watermark.get() == Lsn::default()).await;
    stop.cancel();
    following.await.unwrap();
}

#[tokio::test]
async fn a_frozen_leader_is_replaced_and_does_no_harm_when_it_resumes() {
    let database = Database::create().await;
    let first = Frozen::start(&database);
    let leader = format!("process {}", first.id());
    let mut second = Synced::at(&database.url, &database.name, &[]);
    eventually("the process leads and every index is live", async || {
        let state = checkpoint::read(&second.pool).await.unwrap();
        let generations = generations::all(&second.pool).await.unwrap();
        state.leader.as_ref() == Some(&leader) && generations.iter().filter(|one| one.state == State::Live).count() == 3
    })
    .await;
    second.launch();
    eventually("the other one stands by", async || second.app.watermark.status.report().role == Role::Standby).await;

    // In the middle of something, wherever it is.
    second.insert(crowd(3000, "Before")).await;
    second.insert(person(1, "Before")).await;
    tokio::time::sleep(Duration::from_millis(30)).await;
    first.signal("STOP");
    let lease = checkpoint::read(&second.pool).await.unwrap().lease;
    second
        .sql("update customers set name = 'After'; delete from customers where id in (select id from customers limit 500)")
        .await;
    second
        .sql("insert into customers (id, name) values ('00000000-0000-0000-0000-000000000001', 'After') on conflict do nothing")
        .await;
    eventually("the other one leads", async || second.app.watermark.status.report().role == Role::Leading).await;
    second.settle().await;
    second.expect_equal().await;

    let state = checkpoint::read(&second.pool).await.unwrap();
    assert_eq!((state.leader, state.lease), (Some(format!("process {}", std::process::id())), lease + 1));
    first.signal("CONT");
    for round in 0..4 {
        second.sql(&format!("update customers set name = 'Round {round}' where name <> 'Gone' and random() < 0.2")).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    second.settle().await;
    second.expect_equal().await;
    let state = checkpoint::read(&second.pool).await.unwrap();
    assert_eq!((state.lease, state.epoch.0), (lease + 1, 1), "it neither leads again nor breaks the stream");
    second.stop().await;
}

#[tokio::test]
async fn a_leader_waits_for_a_slot_that_another_program_reads() {
    let mut test = Synced::started().await;
    test.insert(person(1, "Before")).await;
    test.settle().await;
    test.stop().await;

    let url = reqwest::Url::parse(&crate::harness::database::server_url()).unwrap();
    let password = url.password().unwrap_or_default();
    let slot = test.app.config.sync.slot.clone();
    let mut settings = ReplicationConfig::new(url.host_str().unwrap(), url.username(), password, &slot, &slot, "collections");
    settings.port = url.port().unwrap_or(5432);
    settings.application_name = Some("another process".into());
    let stranger = ReplicationClient::connect(settings).await.unwrap();
    test.wait_for(&format!("select active from pg_replication_slots where slot_name = '{slot}'")).await;
    test.launch();
    test.sql("update customers set name = 'Meanwhile'").await;
    eventually("it reports who reads the slot", async || {
        let problem = test.app.watermark.status.report().problem;
        problem.is_some_and(|problem| problem.contains("is in use by the server process"))
    })
    .await;
    drop(stranger);
    test.settle().await;
    assert_eq!(test.document("customers", Uuid::from_u128(1)).await["name"], "Meanwhile");
    assert_eq!(checkpoint::read(&test.pool).await.unwrap().epoch.0, 1);
}

#[tokio::test]
async fn a_slot_of_another_database_is_reported_and_its_stream_goes_on() {
    let first = Synced::started().await;
    let slot = first.app.config.sync.slot.clone();
    let sql = format!("select active_pid from pg_replication_slots where slot_name = '{slot}'");
    let reader = async || first.scalar::<Option<i32>>(&sql).await;
    let before = reader().await;
    let mut second = Synced::with(&["--sync-slot", &slot]).await;
    second.launch();
    eventually("it says what is wrong", async || {
        let problem = second.app.watermark.status.report().problem;
        problem.is_some_and(|problem| problem.contains("belongs to another database"))
    })
    .await;
    assert_eq!(reader().await, before);
    first.settle().await;
}
