//! `collections sync status`.

use std::process::ExitCode;

use clap::Args;

use super::Options;
use crate::app::App;
use crate::sync::overview::{self, COUNTED, Overview};
use crate::sync::store::sweep_runs::Swept;
use crate::values::clock::Clock;

/// Shows how far the sync is.
#[derive(Args)]
pub(super) struct Status {
    #[command(flatten)]
    options: Options,
}

impl Status {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let app = App::open(self.options.config, Clock::default())?;
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
    let bytes = |count: Option<i64>| count.map_or("an unknown number of bytes".to_owned(), |count| format!("{count} bytes"));
    let mut lines = vec![
        format!("leader       {}", overview.leader.as_deref().unwrap_or("none yet")),
        format!("problem      {}", overview.problem.as_deref().unwrap_or("none")),
        format!("position     {} in epoch {}", overview.applied, overview.epoch),
        format!("lag          {} ms, {}", overview.lag_ms, bytes(overview.lag_bytes)),
        format!("slot         {} is {}, {} kept", overview.slot.name, overview.slot.state, bytes(overview.slot.retained_bytes)),
        format!(
            "transaction  {}",
            overview
                .oldest_transaction_seconds
                .map_or("none is open".to_owned(), |age| format!("the oldest is open for {age:.1} s"))
        ),
        format!("refused      {} documents", counted(overview.refused)),
        format!("backlog      {} documents, {} fan-outs", counted(overview.spilled), counted(overview.fanouts)),
        String::new(),
    ];
    for one in &overview.generations {
        let reason = one.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
        lines.push(format!("{:<12} {} {}{reason}", one.collection, one.state, one.index));
    }
    lines.push(String::new());
    lines.extend(overview.sweeps.iter().map(sweep));
    lines.join("\n") + "\n"
}

fn sweep(swept: &Swept) -> String {
    let verified = match swept.verified_seconds_ago {
        Some(age) => {
            let Swept { last_checked, last_found, last_repaired, .. } = swept;
            format!("verified {age:.0} s ago: {last_checked} compared, {last_found} differed, {last_repaired} repaired")
        }
        None => "not verified yet".to_owned(),
    };
    let running = if swept.started_at.is_some() {
        format!("; running: {} compared, {} differed, {} repaired", swept.checked, swept.found, swept.repaired)
    } else {
        String::new()
    };
    format!("{:<12} {verified}{running}", swept.collection)
}

fn counted(count: i64) -> String {
    if count == COUNTED { format!("{count} or more") } else { count.to_string() }
}
