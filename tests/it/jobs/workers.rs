//! What workers do of their own accord: begin, give up, hand back, keep out of each other's way.

use chrono::TimeDelta;
use collections::jobs::{self, Enqueued, State, Terms};
use sqlx::Connection;

use super::kinds::{Count, Fault, Quick, Workers, assert_counted, enqueue, enqueue_as, job, prepare, until};
use crate::harness::database::Database;
use crate::harness::eventually::eventually;

#[tokio::test]
async fn a_job_exists_exactly_if_its_cause_was_committed() {
    let database = Database::create().await;
    prepare(&database).await;
    let mut connection = database.pool.acquire().await.unwrap();
    let mut transaction = connection.begin().await.unwrap();
    jobs::enqueue(&mut transaction, &Quick::default(), Terms::default()).await.unwrap();
    transaction.rollback().await.unwrap();
    let jobs: i64 = sqlx::query_scalar("select count(*) from jobs").fetch_one(&database.pool).await.unwrap();
    assert_eq!(jobs, 0);
}

/// Without the notification it would begin within 30 seconds, the longest rest of a worker.
#[tokio::test]
async fn a_job_begins_soon_after_its_commit() {
    let database = Database::create().await;
    prepare(&database).await;
    let _workers = Workers::start(&database);
    until(&database, enqueue(&database, &Quick::default()).await, State::Succeeded).await;
    for _ in 0..3 {
        let id = enqueue(&database, &Quick::default()).await;
        let job = until(&database, id, State::Succeeded).await;
        let waited = job.started_at.unwrap() - job.created_at;
        assert!(waited < TimeDelta::seconds(8), "{waited}");
        assert_eq!((job.total, job.processed, job.error), (Some(1), 1, None));
        assert_counted(&database, id, 1).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_workers_share_the_jobs_and_do_none_twice() {
    let database = Database::create().await;
    prepare(&database).await;
    let mut all = Vec::new();
    for _ in 0..10 {
        all.push(enqueue(&database, &Count { items: 30, chunk: 4, pause_ms: 1, ..Count::default() }).await);
    }
    let _workers = [Workers::start(&database), Workers::start(&database), Workers::start(&database)];
    for id in all {
        until(&database, id, State::Succeeded).await;
        assert_counted(&database, id, 30).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_job_does_not_delay_a_small_one() {
    let database = Database::create().await;
    prepare(&database).await;
    let large = Count { items: 1_000_000, chunk: 1, pause_ms: 50, ..Count::default() };
    let mut all = Vec::new();
    for _ in 0..8 {
        all.push(enqueue(&database, &large).await);
    }
    let workers = Workers::start(&database);
    until(&database, all[0], State::Running).await;
    until(&database, enqueue(&database, &Quick::default()).await, State::Succeeded).await;
    assert_eq!(job(&database, all[0]).await.status, State::Running);
    assert_eq!(job(&database, all[7]).await.status, State::Queued, "as many run as the process does at once");
    workers.stop().await;
}

#[tokio::test]
async fn one_unfinished_job_is_admitted_for_a_key() {
    let database = Database::create().await;
    prepare(&database).await;
    let terms = Terms::default().once("file 7");
    let first = enqueue_as(&database, &Quick::default(), terms).await;
    assert!(matches!(first, Enqueued::New(_)));
    assert_eq!(enqueue_as(&database, &Quick::default(), terms).await, Enqueued::Unfinished(first.id()));
    assert!(matches!(enqueue_as(&database, &Quick::default(), Terms::default().once("file 8")).await, Enqueued::New(_)));
    let _workers = Workers::start(&database);
    until(&database, first.id(), State::Succeeded).await;
    assert!(matches!(enqueue_as(&database, &Quick::default(), terms).await, Enqueued::New(_)));
}

#[tokio::test]
async fn a_job_that_always_fails_is_given_up_and_says_why() {
    let database = Database::create().await;
    prepare(&database).await;
    let _workers = Workers::start(&database);
    let refused = enqueue(&database, &Quick { fault: Some(Fault::Refuses) }).await;
    let broken = enqueue(&database, &Quick { fault: Some(Fault::Breaks) }).await;
    let panicked = enqueue(&database, &Quick { fault: Some(Fault::Panics) }).await;
    let refused = until(&database, refused, State::Failed).await;
    assert_eq!(refused.error.as_deref(), Some("there is no such file"), "at once");
    for id in [broken, panicked] {
        let job = until(&database, id, State::Failed).await;
        assert_eq!(job.error.as_deref(), Some("internal error"), "what went wrong inside is in the log alone");
        assert!(job.finished_at.is_some());
        assert_counted(&database, id, 0).await;
    }
    let attempts: i32 =
        sqlx::query_scalar("select attempts from jobs where id = $1").bind(broken.0).fetch_one(&database.pool).await.unwrap();
    assert_eq!(attempts, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_stops_hands_its_job_to_the_next_at_a_chunk() {
    let database = Database::create().await;
    prepare(&database).await;
    let id = enqueue(&database, &Count { items: 60, chunk: 3, pause_ms: 30, ..Count::default() }).await;
    let workers = Workers::start(&database);
    eventually("it has done a chunk", async || job(&database, id).await.processed > 0).await;
    workers.stop().await;
    let handed = job(&database, id).await;
    assert_eq!((handed.status, handed.finished_at), (State::Queued, None));
    assert!(handed.processed < 60);
    let _next = Workers::start(&database);
    let job = until(&database, id, State::Succeeded).await;
    assert_eq!((job.processed, job.result_url.as_deref()), (60, Some("/counted")));
    assert_counted(&database, id, 60).await;
}
