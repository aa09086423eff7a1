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

/// A rebuild that is not over by then never will be.
const PATIENCE: Duration = Duration::from_secs(3_600);
/// Pause between two looks at a rebuild's progress.
const PAUSE: Duration = Duration::from_millis(20);

/// How fast a reindex was.
pub struct Pace {
    /// The whole command.
    pub elapsed: Duration,
    /// Documents per second between the first and the last chunk; absent if there was only one.
    filling: Option<f64>,
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
    let (mut paces, mut reference) = (Vec::new(), Vec::new());
    let (mut our_cpu, mut raw_cpu) = (CpuTime::default(), CpuTime::default());
    let endpoint = &context.sandbox.raw;
    for round in 0..context.rounds {
        if round % 2 == 0 {
            paces.push(our_cpu.add(endpoint, reindex(context, collection)).await?);
        }
        let scratch = Scratch::create(context.sandbox, collection).await?;
        let calls = bulk::calls(endpoint, context.sync, &scratch.index, &documents, 1)?;
        let write = async {
            let begin = Instant::now();
            bulk::send(endpoint, context.sync, &calls).await?;
            scratch.refresh().await?;
            Ok(documents.len() as f64 / begin.elapsed().as_secs_f64())
        };
        reference.push(raw_cpu.add(endpoint, write).await?);
        scratch.remove().await?;
        if round % 2 == 1 {
            paces.push(our_cpu.add(endpoint, reindex(context, collection)).await?);
        }
    }
    let cpu = our_cpu.against(raw_cpu, [usize::try_from(rows)?, documents.len()].map(|count| count * context.rounds));
    let against = format!(
        "Reference: {} with external versions over {} connections, {} to a request, then a refresh.",
        if (documents.len() as i64) < rows {
            format!("the first {} of the same documents into a smaller index, which is in its favour,", documents.len())
        } else {
            "the same documents".to_owned()
        },
        context.sync.in_flight,
        context.sync.batch_size
    );
    let row = |what: String, ours: Vec<f64>, goal, how: &str| Measure {
        id: "P9",
        what,
        customers: context.customers,
        unit: "docs/s",
        ours,
        reference: reference.clone(),
        goal,
        how: format!("{rows} documents. Ours: {how} {against} {cpu}"),
    };
    let whole = paces.iter().map(|pace| rows as f64 / pace.elapsed.as_secs_f64()).collect();
    let filling: Vec<f64> = paces.iter().filter_map(|pace| pace.filling).collect();
    let mut measures = vec![row(
        format!("reindex of {}", collection.name),
        whole,
        Goal::RatioAtLeast(0.95),
        "the whole run of `collections reindex` beside a running server, until the new index is checked and behind the alias.",
    )];
    if !filling.is_empty() {
        measures.push(row(
            format!("reindex of {}, the filling alone", collection.name),
            filling,
            Goal::None,
            "the same runs, from the first chunk to the last: without the start, the checks and the swap, which weigh the more the \
             fewer documents there are.",
        ));
    }
    Ok(measures)
}

/// Runs a reindex to its end.
pub async fn reindex(context: &Context<'_>, collection: &Collection) -> anyhow::Result<Pace> {
    follow(context, collection, &mut Progress::default()).await
}

/// Runs a reindex to its end, and keeps what it had done also if it is given up.
pub async fn follow(context: &Context<'_>, collection: &Collection, progress: &mut Progress) -> anyhow::Result<Pace> {
    let begin = Instant::now();
    let mut child = command(context.sandbox, &["reindex", "--collection", collection.name]).stdout(Stdio::null()).spawn()?;
    let ended = loop {
        tokio::select! {
            ended = child.wait() => break ended?,
            () = tokio::time::sleep(PAUSE) => progress.look(&context.sandbox.pool, collection).await?,
        }
        ensure!(begin.elapsed() < PATIENCE, "the reindex of {} is not over after {PATIENCE:?}", collection.name);
    };
    let elapsed = begin.elapsed();
    ensure!(ended.success(), "the reindex of {} failed", collection.name);
    Ok(Pace { elapsed, filling: progress.rate().filter(|rate| rate.is_finite()) })
}

/// Gives up a reindex, if one is under way.
pub async fn cancel(context: &Context<'_>, collection: &Collection) -> anyhow::Result<()> {
    let arguments = ["reindex", "--cancel", "--collection", collection.name];
    // It fails where there is none, which is as good.
    command(context.sandbox, &arguments).stdout(Stdio::null()).stderr(Stdio::null()).status().await?;
    Ok(())
}

/// When the first chunk was seen, and when the latest: documents so far, and the moment.
#[derive(Default)]
pub struct Progress {
    first: Option<(i64, Instant)>,
    latest: Option<(i64, Instant)>,
}

impl Progress {
    async fn look(&mut self, pool: &PgPool, collection: &Collection) -> anyhow::Result<()> {
        let sql = "select documents from index_generations where collection = $1 and state = 'building'";
        let written: Option<i64> = sqlx::query_scalar(sql)
            .bind(collection.name)
            .fetch_optional(pool)
            .await
            .context("cannot see how far the reindex is")?;
        if let Some(written) = written.filter(|written| *written > self.latest.map_or(0, |(before, _)| before)) {
            let seen = (written, Instant::now());
            self.first.get_or_insert(seen);
            self.latest = Some(seen);
        }
        Ok(())
    }

    /// Documents so far.
    pub fn documents(&self) -> i64 {
        self.latest.map_or(0, |(documents, _)| documents)
    }

    fn rate(&self) -> Option<f64> {
        let ((first, begin), (last, end)) = (self.first?, self.latest?);
        Some((last - first) as f64 / end.duration_since(begin).as_secs_f64())
    }
}
