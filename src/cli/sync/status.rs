//! `collections sync status`.

use std::process::ExitCode;

use clap::Args;

use super::Options;
use crate::cli::{NAME_WIDTH, connect};
use crate::sync::overview::{self, COUNTED, Health, Overview};
use crate::sync::store::sweep_runs::Summary;

/// Shows the state of the sync.
#[derive(Args)]
pub(super) struct Status {
    #[command(flatten)]
    options: Options,
}

impl Status {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let app = connect::open(self.options.config).await?;
        let overview = overview::read(&app, &app.db.sync).await?;
        if self.options.json {
            println!("{}", serde_json::to_string(&overview)?);
        } else {
            print!("{}", table(&overview));
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn table(overview: &Overview) -> String {
    let Overview { health, reasons, epoch, searchable, generations } = overview;
    let bytes = |count: Option<i64>| count.map_or("an unknown number of bytes".to_owned(), |count| format!("{count} bytes"));
    let oldest = health.oldest_transaction_seconds;
    let slot = &health.slot;
    let mut lines = vec![format!("status       {}", if reasons.is_empty() { "ok" } else { "degraded" })];
    lines.extend(reasons.iter().map(|reason| format!("             {reason}")));
    lines.extend([
        format!("leader       {}", leader(health)),
        format!("problem      {}", health.problem.as_deref().unwrap_or("none")),
        format!("searchable   {searchable} in epoch {epoch}"),
        format!(
            "lag          {}, {}",
            health.lag_ms.map_or("unknown".to_owned(), |lag| format!("{lag} ms")),
            bytes(health.lag_bytes)
        ),
        format!("slot         {} is {}, {} retained", slot.name, lowercase(slot.state), bytes(slot.retained_bytes)),
        format!("transaction  {}", oldest.map_or("none is open".to_owned(), |age| format!("the oldest is open for {age:.1} s"))),
        format!("dead letters {} documents", counted(health.dead_letters)),
        format!("backlog      {} documents, {} fan-outs", counted(health.backlog), counted(health.fanouts)),
        String::new(),
    ]);
    for one in generations {
        let reason = one.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
        lines.push(format!("{:<NAME_WIDTH$} {} {}{reason}", one.collection, lowercase(one.state), one.index));
    }
    lines.push(String::new());
    lines.extend(health.sweeps.iter().map(sweep));
    lines.join("\n") + "\n"
}

fn leader(health: &Health) -> String {
    match &health.leader {
        None => "none yet".to_owned(),
        Some(name) if health.has_leader() => name.clone(),
        Some(name) => format!("none; {name} was last heard {} s ago", health.leader_heard_ms / 1_000),
    }
}

fn sweep(summary: &Summary) -> String {
    let Summary { last_checked, last_found, last_repaired, checked, found, repaired, .. } = summary;
    let verified = match summary.verified_seconds_ago {
        Some(age) => {
            format!("verified {age:.0} s ago: {last_checked} compared, {last_found} differed, {last_repaired} repaired")
        }
        None => "not verified yet".to_owned(),
    };
    let running = match summary.started_at {
        Some(_) => format!("; running: {checked} compared, {found} differed, {repaired} repaired"),
        None => String::new(),
    };
    format!("{:<NAME_WIDTH$} {verified}{running}", summary.collection)
}

fn lowercase(state: impl std::fmt::Debug) -> String {
    format!("{state:?}").to_lowercase()
}

fn counted(count: i64) -> String {
    if count == COUNTED { format!("{count} or more") } else { count.to_string() }
}
