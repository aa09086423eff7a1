//! `collections jobs`, `collections serve --only worker`, and the metrics.

use collections::jobs::State;
use collections::values::ids::JobId;

use super::kinds::{Count, Workers, enqueue, prepare, until};
use crate::harness::app::TestApp;
use crate::harness::database::Database;
use crate::harness::process;

/// Runs `collections jobs` with arguments; answers what it prints.
async fn run(database: &Database, arguments: &[&str]) -> String {
    let output = process::command(database).arg("jobs").args(arguments).output().await.unwrap();
    let (printed, errors) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    if output.status.success() { printed } else { errors }
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_list_show_cancel_and_retry_jobs() {
    let database = Database::create().await;
    prepare(&database).await;
    let waiting = enqueue(&database, &Count { items: 10, chunk: 3, ..Count::default() }).await.to_string();
    assert!(run(&database, &["list", "--status", "queued"]).await.contains(&waiting));
    assert!(run(&database, &["cancel", &waiting]).await.contains("cancelled"));
    assert_eq!(run(&database, &["list", "--status", "queued"]).await, "");
    assert!(run(&database, &["retry", &waiting]).await.contains("only what has failed can be retried"));
    let partial = enqueue(&database, &Count { items: 10, chunk: 3, failing: 5, ..Count::default() }).await;
    let workers = Workers::start(&database);
    until(&database, partial, State::Partial).await;
    workers.stop().await;
    let shown = run(&database, &["show", &partial.to_string()]).await;
    for expected in ["partial", "10 of 10, 2 failed", "result: /counted", "failed     5  as every so often"] {
        assert!(shown.contains(expected), "{expected}: {shown}");
    }
    assert!(run(&database, &["retry", &partial.to_string()]).await.contains("8 of 10, 0 failed"));
    assert!(run(&database, &["show", &JobId::new().to_string()]).await.contains("no such job"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_process_runs_a_scheduled_job_at_once_when_it_is_asked_to() {
    let database = Database::create().await;
    let enqueued = run(&database, &["run-now", "remove_ended_sessions"]).await;
    let id: JobId = enqueued.trim().strip_prefix("enqueued ").unwrap().parse().unwrap();
    assert!(run(&database, &["run-now", "remove_ended_sessions"]).await.contains("not finished yet"));
    assert!(run(&database, &["run-now", "nothing"]).await.contains("there are remove_ended_sessions, remove_old_jobs"));
    let mut worker = process::command(&database);
    let mut worker = worker.args(["serve", "--only", "worker"]).stdout(std::process::Stdio::null()).spawn().unwrap();
    until(&database, id, State::Succeeded).await;
    worker.kill().await.unwrap();
}

#[tokio::test]
async fn metrics_count_unfinished_jobs_by_lane() {
    let test = TestApp::start_api(&[]).await;
    for _ in 0..3 {
        enqueue(&test.database, &Count::default()).await;
    }
    let text = test.anonymous().get("/metrics").await.text;
    for line in [
        r#"collections_jobs{lane="bulk",status="queued"} 3"#,
        r#"collections_jobs{lane="bulk",status="running"} 0"#,
        r#"collections_jobs{lane="quick",status="queued"} 0"#,
        r#"collections_job_waiting_seconds{lane="bulk"}"#,
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
}
