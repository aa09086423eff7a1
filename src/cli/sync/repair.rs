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
use crate::cli::NAME_WIDTH;
use crate::cli::connect::describe;
use crate::sync::integrity::repair::{self, Repaired};
use crate::sync::integrity::verify;
use crate::sync::store::checkpoint;

const PERIOD: Duration = Duration::from_millis(200);

/// Has the leader write documents that differ again, and waits for it. Removes documents of other programs.
#[derive(Args)]
pub(super) struct Repair {
    /// Only documents that Elasticsearch refused.
    #[arg(long)]
    dead_letters: bool,
    /// Only this collection.
    #[arg(long)]
    collection: Option<String>,
    /// Longest wait for the repair of a collection, in seconds. It goes on after that.
    #[arg(long, default_value_t = 60)]
    wait_s: u64,
    #[command(flatten)]
    options: Options,
}

/// The repair of a collection.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    enqueued: usize,
    repaired: usize,
    left: usize,
    /// Documents that another program wrote.
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
                    for (name, Report { enqueued, repaired, removed, summary, .. }) in &reports {
                        println!(
                            "{name:<NAME_WIDTH$} {enqueued} written again, {repaired} repaired, {removed} removed; left: {summary}"
                        );
                    }
                }
                Ok(if left == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
            }
            Err(fault) => {
                eprintln!("error: cannot tell whether the repair has worked: {}", describe(&fault));
                Ok(unknown())
            }
        }
    }

    async fn repair(self) -> anyhow::Result<BTreeMap<&'static str, Report>> {
        let (app, elastic, live) = open(self.options.config, self.collection.as_deref()).await?;
        let epoch = checkpoint::read(&app.db.sync).await?.epoch;
        let mut quarantined = verify::quarantined(&app).await?;
        let mut reports = BTreeMap::new();
        for live in live {
            let mut ids = quarantined.remove(live.collection.name).unwrap_or_default();
            let (mut strays, mut removed) = (0, 0);
            let mut has_more = !self.dead_letters;
            while has_more {
                let findings = verify::contents(&app, &elastic, live.collection, &live.index).await?;
                let gone = repair::remove_strays(&elastic, &live.index, &findings.strays).await?;
                (strays, removed) = (removed + findings.strays.len(), removed + gone);
                ids.extend(findings.differences.into_keys());
                // Those that are removed hide others.
                has_more = findings.has_more_strays && gone > 0;
            }
            let ids: Vec<Uuid> = ids.into_iter().collect();
            let mut transaction = app.db.sync.begin().await?;
            repair::enqueue(&mut transaction, epoch, live.collection, &ids).await?;
            transaction.commit().await?;
            wait(&app, &live, &ids, Instant::now() + Duration::from_secs(self.wait_s)).await?;
            let result = repair::check(&app, &elastic, epoch, live.collection, &live.index, &ids).await?;
            reports.insert(live.collection.name, report(&live, ids.len(), [strays, removed], &result));
        }
        Ok(reports)
    }
}

/// Waits until the leader has written what was enqueued.
async fn wait(app: &App, live: &Live, ids: &[Uuid], until: Instant) -> anyhow::Result<()> {
    let bar = ProgressBar::new(ids.len() as u64)
        .with_message(live.collection.name)
        .with_style(ProgressStyle::with_template("{msg:>20} {bar:30} {pos}/{len} written again")?);
    loop {
        let pending = repair::pending(&app.db.sync, live.collection, ids).await?;
        if pending == 0 {
            bar.finish_and_clear();
            return Ok(());
        }
        bar.set_position(bar.length().unwrap_or_default().saturating_sub(u64::try_from(pending)?));
        anyhow::ensure!(
            Instant::now() < until,
            "{pending} {} still wait to be written: no process leads the sync, or it is far behind",
            live.collection.name
        );
        sleep(PERIOD).await;
    }
}

fn report(live: &Live, enqueued: usize, [strays, removed]: [usize; 2], result: &Repaired) -> Report {
    for (id, difference) in result.left.iter().filter(|(id, _)| result.beyond.contains(*id)) {
        eprintln!("{} {id} cannot be repaired: {}", live.collection.name, repair::advice(live.collection, *difference));
    }
    let left = result.left.len() + strays - removed;
    let summary = format!("{}, {} of other programs", verify::summary(&result.left), strays - removed);
    Report { enqueued, repaired: result.repaired, left, removed, summary }
}
