//! A reindex under fire: thousands of writes a second, readers that look for a witness, the server killed twice midway.

use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use collections::collections::find;
use collections::search::index;

use super::writers::{Work, Writers};
use crate::harness::context::{Context, TRIAL};
use crate::harness::http::client::Client;
use crate::harness::report::measure::{Goal, Measure};
use crate::harness::server::{Server, command};
use crate::harness::{catch_up, verify};

/// Commits per second times rows to a commit are the writes per second.
const RATE: f64 = 550.0;
const TOGETHER: usize = 10;
const CONNECTIONS: usize = 4;
/// Pause between two looks for the witness.
const LOOK: Duration = Duration::from_millis(10);
/// When the server is killed, after the reindex was asked for.
const KILLS: [Duration; 2] = [Duration::from_secs(3), Duration::from_secs(4)];
const PATIENCE: Duration = Duration::from_secs(1200);

/// Rebuilds the accounts while they are changed.
pub async fn measure(context: &mut Context<'_>) -> anyhow::Result<Vec<Measure>> {
    let pool = context.sandbox.pool.clone();
    let collection = find("accounts").context("no accounts")?;
    let work = Work::on_accounts(&pool, TOGETHER).await?;
    let witness = work.ids[0];
    let alias = index::alias(&context.sandbox.elastic, collection);
    let search = context.sandbox.raw.get(&format!("/{alias}/_count?q=id:{witness}&filter_path=count"))?;
    let (writers, over) = (Writers::new(), AtomicBool::new(false));
    let (reads, misses) = (AtomicU64::new(0), AtomicU64::new(0));

    let read = async {
        let mut client = Client::open(&context.sandbox.raw).await?;
        while !over.load(Ordering::Relaxed) {
            // An error of the index counts as a miss.
            let is_hit = client.read(&search).await.is_ok_and(|answer| *answer == *br#"{"count":1}"#);
            reads.fetch_add(1, Ordering::Relaxed);
            misses.fetch_add(u64::from(!is_hit), Ordering::Relaxed);
            tokio::time::sleep(LOOK).await;
        }
        anyhow::Ok(())
    };
    let (sandbox, log, server) = (context.sandbox, context.log, &mut context.server);
    let rebuild = async {
        let outcome = async {
            let before = live(&pool).await?;
            let mut ask = command(sandbox, &["reindex", "--collection", "accounts"]);
            let mut asked = ask.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
            let begin = Instant::now();
            let mut cursors = Vec::new();
            for pause in KILLS {
                tokio::time::sleep(pause).await;
                cursors.push(documents(&pool).await?);
                // Whoever asked would take over.
                asked.kill().await?;
                if let Some(mut running) = server.take() {
                    running.kill().await?;
                }
                *server = Some(Server::start(sandbox, log).await?);
            }
            while live(&pool).await? == before {
                ensure!(begin.elapsed() < PATIENCE, "no new index within {PATIENCE:?}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            let elapsed = begin.elapsed();
            anyhow::Ok((elapsed, cursors))
        }
        .await;
        over.store(true, Ordering::Relaxed);
        writers.stop();
        outcome
    };
    let begin = Instant::now();
    let (written, read, rebuilt) = tokio::join!(writers.run(&pool, CONNECTIONS, Some(RATE), &work), read, rebuild);
    written?;
    read?;
    let (elapsed, cursors) = rebuilt?;
    let rate = writers.count() as f64 / begin.elapsed().as_secs_f64();
    catch_up::caught_up(&pool).await?;
    let how = format!(
        "`collections reindex --collection accounts` beside {rate:.0} changes/s, {TOGETHER} to a commit; the server was killed (-9) twice, \
         when {cursors:?} documents were in the new index, and started again; it was live after {:.0} s. {} looks for one account \
         through the alias.",
        elapsed.as_secs_f64(),
        reads.load(Ordering::Relaxed)
    );
    Ok(vec![
        context.trial_result("reindex under fire: writes", "changes/s", rate, Goal::AtLeast(5_000.0), &how),
        context.trial_result(
            "reindex under fire: missed hits and errors",
            "looks",
            misses.load(Ordering::Relaxed) as f64,
            Goal::AtMost(0.0),
            &how,
        ),
        verify::differences(context, TRIAL).await?,
    ])
}

async fn live(pool: &sqlx::PgPool) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar("select index_name from index_generations where collection = 'accounts' and state = 'live'")
        .fetch_optional(pool)
        .await
}

/// What the index that is being built has so far.
async fn documents(pool: &sqlx::PgPool) -> sqlx::Result<i64> {
    let sql = "select coalesce(max(documents), 0) from index_generations where collection = 'accounts' and state = 'building'";
    sqlx::query_scalar(sql).fetch_one(pool).await
}
