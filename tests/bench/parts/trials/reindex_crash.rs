//! A reindex beside thousands of writes a second; the server is killed twice while a reader queries one account.

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

/// Commits per second.
const RATE: f64 = 550.0;
const ROWS_PER_COMMIT: usize = 10;
const CONNECTIONS: usize = 4;
const READ_INTERVAL: Duration = Duration::from_millis(10);
/// Pauses before each kill.
const KILLS: [Duration; 2] = [Duration::from_secs(3), Duration::from_secs(4)];
const TIMEOUT: Duration = Duration::from_secs(1200);

pub async fn measure(context: &mut Context<'_>) -> anyhow::Result<Vec<Measure>> {
    let pool = context.sandbox.pool.clone();
    let collection = find("accounts").context("no accounts")?;
    let work = Work::on_accounts(&pool, ROWS_PER_COMMIT).await?;
    let account = work.ids[0];
    let alias = index::alias(&context.sandbox.elastic, collection);
    let search = context.sandbox.raw.get(&format!("/{alias}/_count?q=id:{account}&filter_path=count"))?;
    let (writers, ended) = (Writers::new(), AtomicBool::new(false));
    let (reads, misses) = (AtomicU64::new(0), AtomicU64::new(0));

    let read = async {
        let mut client = Client::open(&context.sandbox.raw).await?;
        while !ended.load(Ordering::Relaxed) {
            // An error counts as a miss.
            let is_hit = client.read(&search).await.is_ok_and(|answer| *answer == *br#"{"count":1}"#);
            reads.fetch_add(1, Ordering::Relaxed);
            misses.fetch_add(u64::from(!is_hit), Ordering::Relaxed);
            tokio::time::sleep(READ_INTERVAL).await;
        }
        anyhow::Ok(())
    };
    let (sandbox, log, server) = (context.sandbox, context.log, &mut context.server);
    let rebuild = async {
        let outcome = async {
            let before = live_index(&pool).await?;
            let mut reindex = command(sandbox, &["reindex", "--collection", "accounts"]);
            let mut reindexing = reindex.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
            let begin = Instant::now();
            let mut progress = Vec::new();
            for pause in KILLS {
                tokio::time::sleep(pause).await;
                progress.push(documents(&pool).await?);
                // Otherwise the command would take over the rebuild.
                reindexing.kill().await?;
                if let Some(mut running) = server.take() {
                    running.kill().await?;
                }
                *server = Some(Server::start(sandbox, log).await?);
            }
            while live_index(&pool).await? == before {
                ensure!(begin.elapsed() < TIMEOUT, "no new index within {TIMEOUT:?}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            let elapsed = begin.elapsed();
            anyhow::Ok((elapsed, progress))
        }
        .await;
        ended.store(true, Ordering::Relaxed);
        writers.stop();
        outcome
    };
    let begin = Instant::now();
    let (written, read, rebuilt) = tokio::join!(writers.run(&pool, CONNECTIONS, Some(RATE), &work), read, rebuild);
    written?;
    read?;
    let (elapsed, progress) = rebuilt?;
    let rate = writers.count() as f64 / begin.elapsed().as_secs_f64();
    catch_up::wait(&pool).await?;
    let how = format!(
        "`collections reindex --collection accounts` beside {rate:.0} changes/s, {ROWS_PER_COMMIT} per commit; the server was \
         killed (-9) and restarted twice, when the new index had {progress:?} documents; it was live \
         after {:.0} s. One account was queried {} times through the alias.",
        elapsed.as_secs_f64(),
        reads.load(Ordering::Relaxed)
    );
    Ok(vec![
        context.trial_result("reindex with crashes: writes", "changes/s", rate, Goal::AtLeast(5_000.0), &how),
        context.trial_result(
            "reindex with crashes: misses and errors",
            "reads",
            misses.load(Ordering::Relaxed) as f64,
            Goal::AtMost(0.0),
            &how,
        ),
        verify::differences(context, TRIAL).await?,
    ])
}

async fn live_index(pool: &sqlx::PgPool) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar("select index_name from index_generations where collection = 'accounts' and state = 'live'")
        .fetch_optional(pool)
        .await
}

/// Documents in the index under construction.
async fn documents(pool: &sqlx::PgPool) -> sqlx::Result<i64> {
    let sql = "select coalesce(max(documents), 0) from index_generations where collection = 'accounts' and state = 'building'";
    sqlx::query_scalar(sql).fetch_one(pool).await
}
