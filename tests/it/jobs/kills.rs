//! Workers are killed and frozen: each item is done once, and none is left out.

use std::time::Duration;

use collections::jobs::State;
use sqlx::Row;

use super::kinds::{Count, Process, Workers, assert_counted, enqueue, job, prepare, until};
use crate::harness::database::Database;
use crate::harness::dice::Dice;
use crate::harness::eventually::eventually;

const COUNT: Count = Count { items: 400, chunk: 7, pause_ms: 5, failing: 0 };

#[tokio::test(flavor = "multi_thread")]
async fn every_item_is_done_once_in_fifty_kills_of_two_workers() {
    const KILLS: usize = 50;
    let database = Database::create().await;
    prepare(&database).await;
    let seed = Dice::seed("JOBS_SEED");
    let mut dice = Dice::new(seed);
    let mut all = vec![enqueue(&database, &COUNT).await];
    let mut processes = [Process::start(&database), Process::start(&database)];
    let mut interrupted = 0;
    for kill in 0..KILLS {
        let last = all[all.len() - 1];
        eventually("a worker works", async || job(&database, last).await.status != State::Queued).await;
        tokio::time::sleep(Duration::from_millis(dice.roll(200))).await;
        let process = std::mem::replace(&mut processes[kill % 2], Process::start(&database));
        process.kill().await;
        if job(&database, last).await.status.is_finished() {
            all.push(enqueue(&database, &COUNT).await);
        } else {
            interrupted += 1;
        }
    }
    for id in all {
        let job = until(&database, id, State::Succeeded).await;
        assert_eq!((job.total, job.processed, job.succeeded, job.failed), (Some(400), 400, 400, 0), "seed {seed}");
        assert_counted(&database, id, 400).await;
    }
    assert!(interrupted > KILLS / 4, "the kills hit jobs under way: {interrupted}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_worker_that_wakes_up_changes_nothing_of_a_job_that_another_has_taken() {
    let database = Database::create().await;
    prepare(&database).await;
    let id = enqueue(&database, &Count { items: 40, chunk: 5, pause_ms: 300, ..Count::default() }).await;
    let frozen = Process::start(&database);
    eventually("it has done a chunk", async || job(&database, id).await.processed > 0).await;
    frozen.signal("STOP").await;
    let lease = lease_of(&database, id).await;
    let _other = Workers::start(&database);
    eventually("the other took it", async || lease_of(&database, id).await > lease).await;
    // In the middle of the other's work.
    frozen.signal("CONT").await;
    until(&database, id, State::Succeeded).await;
    assert_counted(&database, id, 40).await;
    // It is alive and takes the next.
    let next = enqueue(&database, &COUNT).await;
    until(&database, next, State::Succeeded).await;
    assert_counted(&database, id, 40).await;
    frozen.kill().await;
}

async fn lease_of(database: &Database, id: collections::values::ids::JobId) -> i64 {
    sqlx::query("select lease from jobs where id = $1").bind(id.0).fetch_one(&database.pool).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_kills_every_worker_is_given_up() {
    use super::kinds::{Fault, Quick};
    let database = Database::create().await;
    prepare(&database).await;
    let id = enqueue(&database, &Quick { fault: Some(Fault::Aborts) }).await;
    for _ in 0..3 {
        Process::start(&database).ended().await;
    }
    let _last = Process::start(&database);
    let job = until(&database, id, State::Failed).await;
    assert_eq!(job.error.as_deref(), Some("its worker was killed at every attempt"));
    assert_counted(&database, id, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_item_is_done_once_wherever_a_worker_is_killed() {
    let database = Database::create().await;
    prepare(&database).await;
    for point in ["job-taken", "job-worked", "job-recorded", "job-committed"] {
        for passes in [0, 1, 5] {
            let id = enqueue(&database, &Count { items: 60, chunk: 7, ..Count::default() }).await;
            if point == "job-taken" && passes > 0 {
                // It is reached once for each time that a job is taken.
                for _ in 0..passes {
                    enqueue(&database, &Count { items: 1, chunk: 1, ..Count::default() }).await;
                }
            }
            Process::start_with(&database, &format!("{point}={passes}*off->return")).ended().await;
            let after = Workers::start(&database);
            until(&database, id, State::Succeeded).await;
            assert_counted(&database, id, 60).await;
            after.stop().await;
        }
    }
}
