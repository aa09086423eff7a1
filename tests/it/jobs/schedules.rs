//! Schedules: caught up once, whichever worker asks; the jobs that run every day.

use chrono::{NaiveTime, TimeDelta};
use collections::auth::Role;
use collections::jobs::schedule::tick;
use collections::jobs::{Schedule, State};
use serde_json::json;
use tokio::task::JoinSet;

use super::kinds::{Count, Quick, Workers, enqueue, kinds, prepare, until};
use crate::harness::app::TestApp;
use crate::harness::database::Database;
use crate::harness::eventually::eventually;

async fn jobs_of(database: &Database, kind: &str) -> i64 {
    sqlx::query_scalar("select count(*) from jobs where kind = $1").bind(kind).fetch_one(&database.pool).await.unwrap()
}

async fn finish_all(database: &Database) {
    sqlx::query("update jobs set state = 'succeeded', finished_at = now() where finished_at is null")
        .execute(&database.pool)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn missed_days_run_once_and_on_one_worker() {
    let test = TestApp::start_api(&[]).await;
    let half_past_two = NaiveTime::from_hms_opt(2, 30, 0).unwrap();
    let schedules = vec![Schedule::daily::<Quick>(half_past_two, "Europe/Berlin".parse().unwrap()).unwrap()];
    assert_eq!(tick(&test.app, &schedules).await.unwrap(), 0, "a new schedule has missed nothing");
    for days in [1, 3, 1] {
        test.clock.advance(TimeDelta::days(days));
        let before = jobs_of(&test.database, "it_quick").await;
        let mut ticks = JoinSet::new();
        for _ in 0..6 {
            let (app, schedules) = (test.app.clone(), schedules.clone());
            ticks.spawn(async move { tick(&app, &schedules).await.unwrap() });
        }
        assert_eq!(ticks.join_all().await.into_iter().sum::<usize>(), 1, "after {days} days");
        assert_eq!(jobs_of(&test.database, "it_quick").await, before + 1);
        finish_all(&test.database).await;
    }
    test.clock.advance(TimeDelta::days(1));
    tick(&test.app, &schedules).await.unwrap();
    test.clock.advance(TimeDelta::days(1));
    tick(&test.app, &schedules).await.unwrap();
    assert_eq!(jobs_of(&test.database, "it_quick").await, 4, "one that is not finished is enough");
}

#[tokio::test(flavor = "multi_thread")]
async fn old_jobs_and_ended_sessions_are_removed_every_day() {
    let test = TestApp::start_api(&[]).await;
    prepare(&test.database).await;
    let manager = test.client(Role::Manager).await;
    manager.post("/auth/logout", &json!({})).await;
    let workers = Workers::start(&test.database);
    let partial = enqueue(&test.database, &Count { items: 10, chunk: 3, failing: 5, ..Count::default() }).await;
    until(&test.database, partial, State::Partial).await;
    workers.stop().await;
    let paused = enqueue(&test.database, &Quick::default()).await;
    sqlx::query("update jobs set state = 'paused', created_at = created_at - interval '1 year' where id = $1")
        .bind(paused.0)
        .execute(&test.database.pool)
        .await
        .unwrap();

    let schedules = collections::worker::schedules(&test.app).unwrap();
    tick(&test.app, &schedules).await.unwrap();
    test.clock.advance(TimeDelta::days(40));
    assert_eq!(tick(&test.app, &schedules).await.unwrap(), schedules.len());
    let _worker = tokio::spawn(collections::jobs::run(test.app.clone(), kinds(), Vec::new()));
    eventually("old jobs are removed", async || jobs_of(&test.database, "it_count").await == 0).await;
    eventually("ended sessions are removed", async || {
        let left: i64 = sqlx::query_scalar("select count(*) from sessions").fetch_one(&test.database.pool).await.unwrap();
        left == 0
    })
    .await;
    assert_eq!(jobs_of(&test.database, "it_quick").await, 1, "what has not finished stays");
    let left: i64 = sqlx::query_scalar("select count(*) from job_items").fetch_one(&test.database.pool).await.unwrap();
    assert_eq!(left, 0);
}
