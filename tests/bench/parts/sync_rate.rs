//! P5: the live sync against the same documents written straight to `_bulk`.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use collections::collections::find;
use collections::position::Position;
use collections::sync::state;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::harness::bulk::{self, Scratch};
use crate::harness::context::Context;
use crate::harness::cpu::CpuTime;
use crate::harness::report::measure::{Goal, Measure};
use crate::harness::server::Server;
use crate::harness::{catch_up, rows};

/// Changes to a commit: small transactions, as live traffic makes them.
const TOGETHER: usize = 10;
/// A stream that is not opened by then never will be.
const PATIENCE: Duration = Duration::from_secs(60);

/// A kind of change and the documents that follow it.
struct Kind {
    what: &'static str,
    /// Changes the rows `$1` in a way that `$2`, a number, makes new each time.
    change: &'static str,
    table: &'static str,
    /// Each collection that follows, and its documents by the changed rows `$1`.
    follow: &'static [(&'static str, &'static str)],
}

const KINDS: [Kind; 2] = [
    Kind {
        what: "live sync of payments",
        change: "update payments set description = 'bench ' || $2 where id = any($1)",
        table: "payments",
        follow: &[("payments", "select unnest($1::uuid[])")],
    },
    Kind {
        what: "live sync of accounts and their customers",
        change: "update accounts set due_date = date '2026-01-01' + $2::integer where id = any($1)",
        table: "accounts",
        follow: &[
            ("accounts", "select unnest($1::uuid[])"),
            ("customers", "select distinct customer_id from accounts where id = any($1)"),
        ],
    },
];

/// Lets changes pile up while no server runs, and measures how fast a fresh one works them off. The server that it is given is
/// stopped; the one that it leaves is returned.
pub async fn measure(context: &mut Context<'_>) -> anyhow::Result<Vec<Measure>> {
    let mut measures = Vec::new();
    for kind in &KINDS {
        measures.push(one_kind(context, kind).await?);
    }
    Ok(measures)
}

async fn one_kind(context: &mut Context<'_>, kind: &Kind) -> anyhow::Result<Measure> {
    let pool = &context.sandbox.pool;
    let ids = rows::random(pool, kind.table, context.sizes.changes).await?;
    let mut sides = Vec::new();
    for (name, sql) in kind.follow {
        let collection = find(name).context("no such collection")?;
        let ids: Vec<Uuid> = sqlx::query_scalar(AssertSqlSafe((*sql).to_owned())).bind(&ids).fetch_all(pool).await?;
        let scratch = Scratch::create(context.sandbox, collection).await?;
        // The reference replaces documents too, so all of them have to be there before.
        bulk::fill(context, collection, &scratch.index).await?;
        sides.push((collection, ids, scratch));
    }
    let documents: usize = sides.iter().map(|(_, ids, _)| ids.len()).sum();

    let (mut ours, mut reference) = (Vec::new(), Vec::new());
    let (mut our_cpu, mut raw_cpu) = (CpuTime::default(), CpuTime::default());
    for round in 0..context.rounds {
        let target = pile_up(context, kind.change, &ids, TOGETHER, &round.to_string()).await?;
        let mut calls = Vec::new();
        for (collection, ids, scratch) in &sides {
            let fresh = bulk::documents(pool, collection, ids).await?;
            calls.append(&mut bulk::calls(
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
                bulk::send(&context.sandbox.raw, context.sync, &calls).await?;
                for (_, _, scratch) in &sides {
                    scratch.refresh().await?;
                }
                Ok(documents as f64 / begin.elapsed().as_secs_f64())
            };
            cpu.add(&context.sandbox.raw, write).await
        };
        // The order changes from round to round, so that neither side always finds the warmer server.
        if round % 2 == 1 {
            reference.push(write_raw(&mut raw_cpu).await?);
        }
        let elapsed = our_cpu.add(&context.sandbox.raw, work_off(context, target)).await?;
        ours.push(documents as f64 / elapsed.as_secs_f64());
        if round % 2 == 0 {
            reference.push(write_raw(&mut raw_cpu).await?);
        }
    }
    for (_, _, scratch) in sides {
        scratch.remove().await?;
    }
    let how = format!(
        "{} distinct rows changed by SQL, {TOGETHER} to a commit, while no server runs; {documents} documents follow. Ours: from the \
         opening of the stream until everything can be found. Reference: the same documents with external versions over {} \
         connections, {} to a request, then a refresh. {}",
        ids.len(),
        context.sync.in_flight,
        context.sync.batch_size,
        our_cpu.against(raw_cpu, [documents * context.rounds; 2])
    );
    Ok(Measure {
        id: "P5",
        what: kind.what.into(),
        customers: context.customers,
        unit: "docs/s",
        ours,
        reference,
        goal: Goal::RatioAtLeast(0.9),
        how,
    })
}

/// Stops the server, changes the rows and returns a position behind all changes.
pub async fn pile_up(
    context: &mut Context<'_>,
    change: &str,
    ids: &[Uuid],
    together: usize,
    value: &str,
) -> anyhow::Result<Position> {
    let pool = &context.sandbox.pool;
    // Everything before is in the index, so that only the new changes are counted.
    catch_up::caught_up(pool).await?;
    context.stop_server().await?;
    rows::change(pool, change, ids, together, value).await?;
    Ok(state::want(pool).await?)
}

/// Starts a server and returns the time from the opening of its stream until everything up to a position can be found.
pub async fn work_off(context: &mut Context<'_>, target: Position) -> anyhow::Result<Duration> {
    let pool = &context.sandbox.pool;
    let work = async {
        let begin = Instant::now();
        let sql = "select active from pg_replication_slots where slot_name = $1";
        while !sqlx::query_scalar::<_, bool>(sql).bind(&context.sandbox.name).fetch_one(pool).await? {
            ensure!(begin.elapsed() < PATIENCE, "the stream is not opened after {PATIENCE:?}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let opened = Instant::now();
        catch_up::passed(pool, target).await?;
        anyhow::Ok(opened.elapsed())
    };
    let (server, elapsed) = tokio::try_join!(Server::start(context.sandbox, context.log), work)?;
    context.server = Some(server);
    Ok(elapsed)
}
