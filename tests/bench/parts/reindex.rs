//! P9: a reindex against the same documents written straight to `_bulk`.

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use collections::collections::ALL;
use collections::search::Collection;
use sqlx::{AssertSqlSafe, PgPool};

use crate::harness::bulk::{self, Scratch};
use crate::harness::context::Context;
use crate::harness::cpu::CpuTime;
use crate::harness::report::measure::{Goal, Measure};
use crate::harness::server::command;

const TIMEOUT: Duration = Duration::from_secs(3_600);
const POLL_INTERVAL: Duration = Duration::from_millis(20);

pub struct Reindex {
    /// Of the whole command.
    pub elapsed: Duration,
    /// Documents per second from the first to the last chunk; absent if there was only one chunk.
    fill_rate: Option<f64>,
}

/// Rebuilds every collection while the server runs.
pub async fn measure(context: &Context<'_>) -> anyhow::Result<Vec<Measure>> {
    let mut measures = Vec::new();
    for collection in ALL {
        measures.append(&mut one_collection(context, collection).await?);
    }
    Ok(measures)
}

async fn one_collection(context: &Context<'_>, collection: &'static Collection) -> anyhow::Result<Vec<Measure>> {
    let pool = &context.sandbox.pool;
    let rows: i64 =
        sqlx::query_scalar(AssertSqlSafe(format!("select count(*) from {}", collection.name))).fetch_one(pool).await?;
    let ids = bulk::ids(pool, collection, Some(context.sizes.documents)).await?;
    let documents = bulk::documents(pool, collection, &ids).await?;
    let (mut reindexes, mut reference) = (Vec::new(), Vec::new());
    let (mut our_cpu, mut raw_cpu) = (CpuTime::default(), CpuTime::default());
    let endpoint = &context.sandbox.raw;
    for round in 0..context.rounds {
        if round % 2 == 0 {
            reindexes.push(our_cpu.add(endpoint, run(context, collection)).await?);
        }
        let scratch = Scratch::create(context.sandbox, collection).await?;
        let requests = bulk::requests(endpoint, context.sync, &scratch.index, &documents, 1)?;
        let write = async {
            let begin = Instant::now();
            bulk::send(endpoint, context.sync, &requests).await?;
            scratch.refresh().await?;
            Ok(documents.len() as f64 / begin.elapsed().as_secs_f64())
        };
        reference.push(raw_cpu.add(endpoint, write).await?);
        scratch.remove().await?;
        if round % 2 == 1 {
            reindexes.push(our_cpu.add(endpoint, run(context, collection)).await?);
        }
    }
    let cpu = our_cpu.compare(raw_cpu, [usize::try_from(rows)?, documents.len()].map(|count| count * context.rounds));
    let against = format!(
        "Reference: {} with external versions over {} connections, {} per request, then a refresh.",
        if (documents.len() as i64) < rows {
            format!("the first {} of the same documents into a smaller index, which favours it,", documents.len())
        } else {
            "the same documents".to_owned()
        },
        context.sync.in_flight,
        context.sync.batch_size
    );
    let row = |what: String, ours: Vec<f64>, goal, how: &str| Measure {
        id: "P9",
        what,
        unit: "docs/s",
        ours,
        reference: reference.clone(),
        goal,
        how: format!("{rows} documents. Ours: {how} {against} {cpu}"),
        ..context.measure()
    };
    let whole = reindexes.iter().map(|reindex| rows as f64 / reindex.elapsed.as_secs_f64()).collect();
    let fill_rates: Vec<f64> = reindexes.iter().filter_map(|reindex| reindex.fill_rate).collect();
    let mut measures = vec![row(
        format!("reindex of {}", collection.name),
        whole,
        Goal::RatioAtLeast(0.95),
        "the whole run of `collections reindex` beside a running server, until the new index is checked and live.",
    )];
    if !fill_rates.is_empty() {
        measures.push(row(
            format!("reindex of {}, filling alone", collection.name),
            fill_rates,
            Goal::None,
            "the same runs from the first chunk to the last, without start, checks and swap, which weigh more with fewer \
             documents.",
        ));
    }
    Ok(measures)
}

/// Runs a reindex to its end.
pub async fn run(context: &Context<'_>, collection: &Collection) -> anyhow::Result<Reindex> {
    run_with_progress(context, collection, &mut Progress::default()).await
}

/// Runs a reindex to its end; the progress stays known if it is cancelled.
pub async fn run_with_progress(
    context: &Context<'_>,
    collection: &Collection,
    progress: &mut Progress,
) -> anyhow::Result<Reindex> {
    let begin = Instant::now();
    let mut child = command(context.sandbox, &["reindex", "--collection", collection.name]).stdout(Stdio::null()).spawn()?;
    let ended = loop {
        tokio::select! {
            ended = child.wait() => break ended?,
            () = tokio::time::sleep(POLL_INTERVAL) => progress.update(&context.sandbox.pool, collection).await?,
        }
        ensure!(begin.elapsed() < TIMEOUT, "the reindex of {} is not over after {TIMEOUT:?}", collection.name);
    };
    let elapsed = begin.elapsed();
    ensure!(ended.success(), "the reindex of {} failed", collection.name);
    Ok(Reindex { elapsed, fill_rate: progress.rate().filter(|rate| rate.is_finite()) })
}

/// Cancels the running reindex, if any.
pub async fn cancel(context: &Context<'_>, collection: &Collection) -> anyhow::Result<()> {
    let arguments = ["reindex", "--cancel", "--collection", collection.name];
    // It fails if none runs.
    command(context.sandbox, &arguments).stdout(Stdio::null()).stderr(Stdio::null()).status().await?;
    Ok(())
}

/// Documents so far and the time, when the first and the latest chunk were seen.
#[derive(Default)]
pub struct Progress {
    first: Option<(i64, Instant)>,
    latest: Option<(i64, Instant)>,
}

impl Progress {
    async fn update(&mut self, pool: &PgPool, collection: &Collection) -> anyhow::Result<()> {
        let sql = "select documents from index_generations where collection = $1 and state = 'building'";
        let written: Option<i64> = sqlx::query_scalar(sql)
            .bind(collection.name)
            .fetch_optional(pool)
            .await
            .context("cannot read the progress of the reindex")?;
        if let Some(written) = written.filter(|written| *written > self.latest.map_or(0, |(before, _)| before)) {
            let seen = (written, Instant::now());
            self.first.get_or_insert(seen);
            self.latest = Some(seen);
        }
        Ok(())
    }

    pub fn documents(&self) -> i64 {
        self.latest.map_or(0, |(documents, _)| documents)
    }

    fn rate(&self) -> Option<f64> {
        let ((first, begin), (last, end)) = (self.first?, self.latest?);
        Some((last - first) as f64 / end.duration_since(begin).as_secs_f64())
    }
}
