//! `collections sync repair`.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::{Live, Options, open, unknown};
use crate::app::App;
use crate::sync::integrity::repair::{self, Mended};
use crate::sync::integrity::verify;
use crate::sync::store::checkpoint;

const PERIOD: Duration = Duration::from_millis(200);

/// Has what differs written again, by whoever leads the sync, and waits for it. Removes what somebody else wrote.
#[derive(Args)]
pub(super) struct Repair {
    /// Only what the index refused before.
    #[arg(long)]
    refused: bool,
    /// Only this collection.
    #[arg(long)]
    collection: Option<String>,
    /// Longest wait for the repair of a collection, in seconds. It goes on also when nobody waits.
    #[arg(long, default_value_t = 60)]
    wait_s: u64,
    #[command(flatten)]
    options: Options,
}

/// What became of a collection.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    marked: usize,
    repaired: usize,
    left: usize,
    /// Documents that somebody else wrote, which are gone.
    removed: usize,
    #[serde(skip)]
    summary: String,
}

impl Repair {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let json = self.options.json;
        match self.repair().await {
            Ok(reports) => {
                let left: usize = reports.values().map(|report| report.left).sum();
                if json {
                    println!("{}", serde_json::json!({ "left": left, "collections": reports }));
                } else {
                    for (name, Report { marked, repaired, removed, summary, .. }) in &reports {
                        println!("{name:<12} {marked} written again, {repaired} repaired, {removed} removed; left: {summary}");
                    }
                }
                Ok(if left == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
            }
            Err(fault) => {
                eprintln!("error: cannot tell whether the repair has worked: {fault:#}");
                Ok(unknown())
            }
        }
    }

    async fn repair(self) -> anyhow::Result<BTreeMap<&'static str, Report>> {
        let (app, elastic, live) = open(self.options.config, self.collection.as_deref()).await?;
        let epoch = checkpoint::read(&app.db.sync).await?.epoch;
        let mut refused = verify::refused(&app).await?;
        let mut reports = BTreeMap::new();
        for live in live {
            let mut ids = refused.remove(live.collection.name).unwrap_or_default();
            let mut removed = 0;
            if !self.refused {
                let findings = verify::contents(&app, &elastic, live.collection, &live.index).await?;
                removed = repair::discard(&elastic, &live.index, &findings.strays).await?;
                ids.extend(findings.differences.into_keys());
            }
            let ids: Vec<Uuid> = ids.into_iter().collect();
            let mut transaction = app.db.sync.begin().await?;
            repair::mark(&mut transaction, epoch, live.collection, &ids).await?;
            transaction.commit().await?;
            wait(&app, &live, &ids, Instant::now() + Duration::from_secs(self.wait_s)).await?;
            let mended = repair::look(&app, &elastic, epoch, live.collection, &live.index, &ids).await?;
            reports.insert(live.collection.name, report(&live, ids.len(), removed, &mended));
        }
        Ok(reports)
    }
}

/// Waits until the leader has written what was marked.
async fn wait(app: &App, live: &Live, ids: &[Uuid], until: Instant) -> anyhow::Result<()> {
    let bar = ProgressBar::new(ids.len() as u64)
        .with_message(live.collection.name)
        .with_style(ProgressStyle::with_template("{msg:>10} {bar:30} {pos}/{len} written again")?);
    loop {
        let waiting = repair::waiting(&app.db.sync, live.collection, ids).await?;
        if waiting == 0 {
            bar.finish_and_clear();
            return Ok(());
        }
        bar.set_position(bar.length().unwrap_or_default().saturating_sub(u64::try_from(waiting)?));
        anyhow::ensure!(
            Instant::now() < until,
            "{waiting} {} still wait to be written: no process leads the sync, or it is far behind",
            live.collection.name
        );
        sleep(PERIOD).await;
    }
}

fn report(live: &Live, marked: usize, removed: usize, mended: &Mended) -> Report {
    for id in &mended.beyond {
        eprintln!("{} {id} cannot be repaired: {}", live.collection.name, repair::advice(live.collection));
    }
    Report { marked, repaired: mended.repaired, left: mended.left.len(), removed, summary: verify::summary(&mended.left) }
}
