//! Writes go on while Elasticsearch is unreachable: retained WAL, memory, and time to catch up.

use std::time::{Duration, Instant};

use super::writers::{Work, Writers};
use crate::harness::context::{Context, TRIAL};
use crate::harness::http::switchable_proxy::SwitchableProxy;
use crate::harness::report::measure::{Goal, Measure};
use crate::harness::server::{Server, command};
use crate::harness::{catch_up, verify};

const CONNECTIONS: usize = 4;

/// Disables the connection to Elasticsearch for so many seconds at the full rate of writes.
pub async fn measure(context: &mut Context<'_>, seconds: u64) -> anyhow::Result<Vec<Measure>> {
    let pool = context.sandbox.pool.clone();
    context.stop_server().await?;
    let proxy = SwitchableProxy::open(&context.sandbox.raw.address).await?;
    let mut serve = command(context.sandbox, &["serve"]);
    serve.env("ELASTICSEARCH_URL", &proxy.url);
    context.server = Some(Server::run(serve, context.log).await?);

    let work = Work::on_accounts(&pool, 1).await?;
    let writers = Writers::new();
    proxy.disable();
    let begin = Instant::now();
    let watch = async {
        let (mut retained, mut memory) = (0.0_f64, 0.0_f64);
        while begin.elapsed() < Duration::from_secs(seconds) {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let sql =
                "select (pg_current_wal_lsn() - restart_lsn)::double precision from pg_replication_slots where slot_name = $1";
            let bytes: f64 = sqlx::query_scalar(sql).bind(&context.sandbox.name).fetch_one(&pool).await?;
            retained = retained.max(bytes / 1e6);
            memory = memory.max(context.server()?.memory()?);
        }
        writers.stop();
        anyhow::Ok((retained, memory))
    };
    let (writing, watched) = tokio::join!(writers.run(&pool, CONNECTIONS, None, &work), watch);
    writing?;
    let (retained, memory) = watched?;
    let inflow = writers.count() as f64 / begin.elapsed().as_secs_f64();
    let keys: i64 = sqlx::query_scalar("select count(*) from sync_backlog").fetch_one(&pool).await?;

    proxy.enable();
    let back = Instant::now();
    catch_up::wait(&pool).await?;
    let caught_up = back.elapsed().as_secs_f64();
    let how = format!(
        "Elasticsearch unreachable for {seconds} s, while {} changes of {} accounts were committed, one per commit, over \
         {CONNECTIONS} connections (without waiting for the disk), {inflow:.0} per second; the backlog had {keys} documents at the \
         end.",
        writers.count(),
        work.ids.len()
    );
    // The proxy ends here.
    context.stop_server().await?;
    context.server = Some(Server::start(context.sandbox, context.log).await?);
    let outage = format!("Elasticsearch unreachable for {seconds} s");
    Ok(vec![
        context.trial_result(&format!("{outage}: WAL retained for the slot, peak"), "MB", retained, Goal::AtMost(64.0), &how),
        context.trial_result(&format!("{outage}: memory of the server, peak"), "MB", memory, Goal::AtMost(300.0), &how),
        context.trial_result(&format!("{outage}: writes"), "changes/s", inflow, Goal::None, &how),
        context.trial_result(
            "time until everything was searchable again",
            "s",
            caught_up,
            Goal::AtMost(seconds as f64 / 3.0),
            &how,
        ),
        verify::differences(context, TRIAL).await?,
    ])
}
