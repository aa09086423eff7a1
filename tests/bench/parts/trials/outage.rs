//! Elasticsearch is away while writes go on: what Postgres keeps, what the server holds, how fast it catches up.

use std::time::{Duration, Instant};

use super::writers::{Work, Writers};
use crate::harness::context::{Context, TRIAL};
use crate::harness::http::switchable_proxy::SwitchableProxy;
use crate::harness::report::measure::{Goal, Measure};
use crate::harness::server::{Server, command};
use crate::harness::{catch_up, verify};

/// Connections that write.
const CONNECTIONS: usize = 4;

/// Closes the way to Elasticsearch for so many seconds at the full rate of writes.
pub async fn measure(context: &mut Context<'_>, seconds: u64) -> anyhow::Result<Vec<Measure>> {
    let pool = context.sandbox.pool.clone();
    context.stop_server().await?;
    let proxy = SwitchableProxy::before(&context.sandbox.raw.address).await?;
    let mut serve = command(context.sandbox, &["serve"]);
    serve.env("ELASTICSEARCH_URL", &proxy.url);
    context.server = Some(Server::run(serve, context.log).await?);

    let work = Work::on_accounts(&pool, 1).await?;
    let writers = Writers::new();
    proxy.close();
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
    let keys: i64 = sqlx::query_scalar("select count(*) from sync_spill").fetch_one(&pool).await?;

    proxy.open();
    let back = Instant::now();
    catch_up::caught_up(&pool).await?;
    let caught_up = back.elapsed().as_secs_f64();
    let how = format!(
        "No way to Elasticsearch for {seconds} s, in which {} changes of one account each, on {} accounts, were committed over \
         {CONNECTIONS} connections (not waiting for the disk), {inflow:.0} per second; {keys} documents were in the backlog at the end.",
        writers.count(),
        work.ids.len()
    );
    // Its way to Elasticsearch ends with the proxy.
    context.stop_server().await?;
    context.server = Some(Server::start(context.sandbox, context.log).await?);
    let outage = format!("Elasticsearch away for {seconds} s");
    Ok(vec![
        context.trial_result(&format!("{outage}: log kept for the slot, most"), "MB", retained, Goal::AtMost(64.0), &how),
        context.trial_result(&format!("{outage}: memory of the server, most"), "MB", memory, Goal::AtMost(300.0), &how),
        context.trial_result(&format!("{outage}: writes"), "changes/s", inflow, Goal::None, &how),
        context.trial_result("until everything could be found again", "s", caught_up, Goal::AtMost(seconds as f64 / 3.0), &how),
        verify::differences(context, TRIAL).await?,
    ])
}
