//! P5: the live sync against the same documents written straight to `_bulk`.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use sqlx::{AssertSqlSafe, PgPool};
use uuid::Uuid;

use super::effort::Effort;
use super::raw::{self, Scratch};
use super::report::{Goal, Measure};
use super::server::Server;
use super::{Scene, backlog};
use crate::collections;
use crate::sync::store::checkpoint;
use crate::values::lsn::Lsn;

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
pub(super) async fn measure(scene: &mut Scene<'_>) -> anyhow::Result<Vec<Measure>> {
    let mut measures = Vec::new();
    for kind in &KINDS {
        measures.push(one_kind(scene, kind).await?);
    }
    Ok(measures)
}

async fn one_kind(scene: &mut Scene<'_>, kind: &Kind) -> anyhow::Result<Measure> {
    let pool = &scene.stage.pool;
    let ids = rows(pool, kind.table, scene.sizes.changes).await?;
    let mut sides = Vec::new();
    for (name, sql) in kind.follow {
        let collection = collections::find(name).context("no such collection")?;
        let ids: Vec<Uuid> = sqlx::query_scalar(AssertSqlSafe((*sql).to_owned())).bind(&ids).fetch_all(pool).await?;
        let scratch = Scratch::create(scene.stage, collection).await?;
        // The reference replaces documents too, so all of them have to be there before.
        raw::fill(scene, collection, &scratch.index).await?;
        sides.push((collection, ids, scratch));
    }
    let documents: usize = sides.iter().map(|(_, ids, _)| ids.len()).sum();

    let (mut ours, mut reference) = (Vec::new(), Vec::new());
    let (mut our_effort, mut raw_effort) = (Effort::default(), Effort::default());
    for round in 0..scene.rounds {
        let target = pile_up(scene, kind.change, &ids, TOGETHER, &round.to_string()).await?;
        let mut calls = Vec::new();
        for (collection, ids, scratch) in &sides {
            let fresh = raw::documents(pool, collection, ids).await?;
            calls.append(&mut raw::calls(&scene.stage.raw, scene.sync, &scratch.index, &fresh, 2 + i64::try_from(round)?)?);
        }
        let write_raw = async |effort: &mut Effort| {
            let write = async {
                let begin = Instant::now();
                raw::send(&scene.stage.raw, scene.sync, &calls).await?;
                for (_, _, scratch) in &sides {
                    scratch.refresh().await?;
                }
                Ok(documents as f64 / begin.elapsed().as_secs_f64())
            };
            effort.add(&scene.stage.raw, write).await
        };
        // The order changes from round to round, so that neither side always finds the warmer server.
        if round % 2 == 1 {
            reference.push(write_raw(&mut raw_effort).await?);
        }
        let elapsed = our_effort.add(&scene.stage.raw, work_off(scene, target)).await?;
        ours.push(documents as f64 / elapsed.as_secs_f64());
        if round % 2 == 0 {
            reference.push(write_raw(&mut raw_effort).await?);
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
        scene.sync.in_flight,
        scene.sync.batch_size,
        our_effort.against(raw_effort, [documents * scene.rounds; 2])
    );
    Ok(Measure {
        id: "P5",
        what: kind.what.into(),
        customers: scene.customers,
        unit: "docs/s",
        ours,
        reference,
        goal: Goal::RatioAtLeast(0.9),
        how,
    })
}

/// Selects rows in random order, because live changes do not come in the order of the index.
pub(super) async fn rows(pool: &PgPool, table: &str, limit: i64) -> anyhow::Result<Vec<Uuid>> {
    let sql = format!("select id from {table} order by md5(id::text) limit $1");
    Ok(sqlx::query_scalar(AssertSqlSafe(sql)).bind(limit).fetch_all(pool).await?)
}

/// Stops the server, changes the rows and returns a position behind all changes.
pub(super) async fn pile_up(
    scene: &mut Scene<'_>,
    change: &str,
    ids: &[Uuid],
    together: usize,
    value: &str,
) -> anyhow::Result<Lsn> {
    let pool = &scene.stage.pool;
    // Everything before is in the index, so that only the new changes are counted.
    backlog::caught_up(pool).await?;
    scene.stop_server().await?;
    change_rows(pool, change, ids, together, value).await?;
    Ok(checkpoint::request_flush(pool).await?)
}

/// Changes rows, so many to a commit.
pub(super) async fn change_rows(pool: &PgPool, change: &str, ids: &[Uuid], together: usize, value: &str) -> anyhow::Result<()> {
    let mut connection = pool.acquire().await?;
    // Only the preparation does not wait for the disk.
    sqlx::query("set synchronous_commit = off").execute(&mut *connection).await?;
    for chunk in ids.chunks(together) {
        sqlx::query(AssertSqlSafe(change.to_owned())).bind(chunk).bind(value).execute(&mut *connection).await?;
    }
    sqlx::query("reset synchronous_commit").execute(&mut *connection).await?;
    Ok(())
}

/// Starts a server and returns the time from the opening of its stream until everything up to a position can be found.
pub(super) async fn work_off(scene: &mut Scene<'_>, target: Lsn) -> anyhow::Result<Duration> {
    let pool = &scene.stage.pool;
    let work = async {
        let begin = Instant::now();
        let sql = "select active from pg_replication_slots where slot_name = $1";
        while !sqlx::query_scalar::<_, bool>(sql).bind(&scene.stage.name).fetch_one(pool).await? {
            ensure!(begin.elapsed() < PATIENCE, "the stream is not opened after {PATIENCE:?}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let opened = Instant::now();
        backlog::passed(pool, target).await?;
        anyhow::Ok(opened.elapsed())
    };
    let (server, elapsed) = tokio::try_join!(Server::start(scene.stage, scene.log), work)?;
    scene.server = Some(server);
    Ok(elapsed)
}
