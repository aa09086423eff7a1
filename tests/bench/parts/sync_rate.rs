//! P5: throughput of the live sync against the same documents written straight to `_bulk`.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use collections::collections::find;
use collections::sync::store::checkpoint;
use collections::values::lsn::Lsn;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::harness::bulk::{self, Scratch};
use crate::harness::context::Context;
use crate::harness::cpu::CpuTime;
use crate::harness::report::measure::{Goal, Measure};
use crate::harness::server::Server;
use crate::harness::{catch_up, rows};

/// Small transactions, like live traffic.
const ROWS_PER_COMMIT: usize = 10;
const TIMEOUT: Duration = Duration::from_secs(60);

/// A kind of change and the documents that it makes dirty.
struct Change {
    what: &'static str,
    /// Changes the rows `$1`; `$2` is a number that differs each time.
    statement: &'static str,
    table: &'static str,
    /// Collections, and a query for the ids of their dirty documents by the changed rows `$1`.
    dirty: &'static [(&'static str, &'static str)],
}

const CHANGES: [Change; 2] = [
    Change {
        what: "live sync of payments",
        statement: "update payments set description = 'bench ' || $2 where id = any($1)",
        table: "payments",
        dirty: &[("payments", "select unnest($1::uuid[])")],
    },
    Change {
        what: "live sync of accounts and their customers",
        statement: "update accounts set due_date = date '2026-01-01' + $2::integer where id = any($1)",
        table: "accounts",
        dirty: &[
            ("accounts", "select unnest($1::uuid[])"),
            ("customers", "select distinct customer_id from accounts where id = any($1)"),
        ],
    },
];

/// Builds a backlog of changes while no server runs, and measures how fast a fresh server drains it.
pub async fn measure(context: &mut Context<'_>) -> anyhow::Result<Vec<Measure>> {
    let mut measures = Vec::new();
    for change in &CHANGES {
        measures.push(one_change(context, change).await?);
    }
    Ok(measures)
}

async fn one_change(context: &mut Context<'_>, change: &Change) -> anyhow::Result<Measure> {
    let pool = &context.sandbox.pool;
    let ids = rows::random(pool, change.table, context.sizes.changes).await?;
    let mut sides = Vec::new();
    for (name, sql) in change.dirty {
        let collection = find(name).context("no such collection")?;
        let ids: Vec<Uuid> = sqlx::query_scalar(AssertSqlSafe((*sql).to_owned())).bind(&ids).fetch_all(pool).await?;
        let scratch = Scratch::create(context.sandbox, collection).await?;
        // The reference replaces documents too, so they must exist.
        bulk::fill(context, collection, &scratch.index).await?;
        sides.push((collection, ids, scratch));
    }
    let documents: usize = sides.iter().map(|(_, ids, _)| ids.len()).sum();

    let (mut ours, mut reference) = (Vec::new(), Vec::new());
    let (mut our_cpu, mut raw_cpu) = (CpuTime::default(), CpuTime::default());
    for round in 0..context.rounds {
        let target = build_backlog(context, change.statement, &ids, ROWS_PER_COMMIT, &round.to_string()).await?;
        let mut requests = Vec::new();
        for (collection, ids, scratch) in &sides {
            let fresh = bulk::documents(pool, collection, ids).await?;
            requests.append(&mut bulk::requests(
                &context.sandbox.raw,
                context.sync,
                &scratch.index,
                &fresh,
                2 + i64::try_from(round)?,
            )?);
        }
        let write_raw = async |cpu: &mut CpuTime| {
            let write = async {
                let begin = Instant::now();
                bulk::send(&context.sandbox.raw, context.sync, &requests).await?;
                for (_, _, scratch) in &sides {
                    scratch.refresh().await?;
                }
                Ok(documents as f64 / begin.elapsed().as_secs_f64())
            };
            cpu.add(&context.sandbox.raw, write).await
        };
        // The order alternates, so that neither side always finds warm caches.
        if round % 2 == 1 {
            reference.push(write_raw(&mut raw_cpu).await?);
        }
        let elapsed = our_cpu.add(&context.sandbox.raw, drain_backlog(context, target)).await?;
        ours.push(documents as f64 / elapsed.as_secs_f64());
        if round % 2 == 0 {
            reference.push(write_raw(&mut raw_cpu).await?);
        }
    }
    for (_, _, scratch) in sides {
        scratch.remove().await?;
    }
    let how = format!(
        "{} distinct rows changed by SQL, {ROWS_PER_COMMIT} per commit, while no server runs, make {documents} documents dirty. \
         Ours: from the opening of the stream until everything is searchable. Reference: the same documents with external \
         versions over {} connections, {} per request, then a refresh. {}",
        ids.len(),
        context.sync.in_flight,
        context.sync.batch_size,
        our_cpu.compare(raw_cpu, [documents * context.rounds; 2])
    );
    Ok(Measure {
        id: "P5",
        what: change.what.into(),
        unit: "docs/s",
        ours,
        reference,
        goal: Goal::RatioAtLeast(0.9),
        how,
        ..context.measure()
    })
}

/// Stops the server, changes the rows and returns a position after all changes.
pub async fn build_backlog(
    context: &mut Context<'_>,
    statement: &str,
    ids: &[Uuid],
    rows_per_commit: usize,
    value: &str,
) -> anyhow::Result<Lsn> {
    let pool = &context.sandbox.pool;
    // Earlier changes must not count.
    catch_up::wait(pool).await?;
    context.stop_server().await?;
    rows::change(pool, statement, ids, rows_per_commit, value).await?;
    Ok(checkpoint::request_flush(pool).await?)
}

/// Starts a server and returns the time from the opening of its stream until the target is searchable.
pub async fn drain_backlog(context: &mut Context<'_>, target: Lsn) -> anyhow::Result<Duration> {
    let pool = &context.sandbox.pool;
    let work = async {
        let begin = Instant::now();
        let sql = "select active from pg_replication_slots where slot_name = $1";
        while !sqlx::query_scalar::<_, bool>(sql).bind(&context.sandbox.name).fetch_one(pool).await? {
            ensure!(begin.elapsed() < TIMEOUT, "the stream is not open after {TIMEOUT:?}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let opened = Instant::now();
        catch_up::wait_for(pool, target).await?;
        anyhow::Ok(opened.elapsed())
    };
    let (server, elapsed) = tokio::try_join!(Server::start(context.sandbox, context.log), work)?;
    context.server = Some(server);
    Ok(elapsed)
}
