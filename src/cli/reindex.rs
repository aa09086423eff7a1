//! `collections reindex`: builds new indices beside the live ones and swaps them in, or rolls back.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{connect, wanted};
use crate::app::App;
use crate::config::Config;
use crate::error::is_away;
use crate::search::Collection;
use crate::sync;
use crate::sync::generations::reconcile;
use crate::sync::store::generations::{self, Generation, State};

const PERIOD: Duration = Duration::from_millis(50);
/// Pause between two lines without a terminal.
const LINE: Duration = Duration::from_secs(1);
/// Longest wait for a Postgres that is away: a rebuild goes on where it was.
const PATIENCE: Duration = Duration::from_secs(300);

/// Rebuilds indices from the rows and swaps them in when they are complete.
#[derive(Args)]
pub(super) struct Reindex {
    /// Only this collection.
    #[arg(long)]
    collection: Option<String>,
    /// Roll back to the previous generation, which is kept current for SYNC_KEEP.
    #[arg(long, conflicts_with = "cancel")]
    rollback: bool,
    /// Cancel the rebuild under way.
    #[arg(long)]
    cancel: bool,
    #[command(flatten)]
    config: Config,
}

impl Reindex {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let wanted = wanted(self.collection.as_deref(), &self.config.search)?;
        let app = connect::open(self.config).await?;
        ensure!(app.search.elastic().is_some(), "ELASTICSEARCH_URL is not set, so there is no index to build");
        let awaited = match (self.rollback, self.cancel) {
            (true, _) => request_rollback(&app, &wanted).await?,
            (_, true) => return cancel(&app, &wanted).await,
            _ => request(&app, &wanted).await?,
        };
        // The leader does the work; without one this process leads.
        let stop = CancellationToken::new();
        let syncing = tokio::spawn(sync::run(app.clone(), stop.clone()));
        let ended = follow(&app, &awaited).await;
        stop.cancel();
        syncing.await?;
        ended.map(|()| ExitCode::SUCCESS)
    }
}

/// Requests rebuilds; waits for one that is under way already.
async fn request(app: &App, wanted: &[&'static Collection]) -> anyhow::Result<Vec<String>> {
    let mut awaited = Vec::new();
    for collection in wanted {
        let index = match reconcile::request(app, collection).await? {
            Some(index) => index,
            None => {
                building(app, collection).await?.with_context(|| format!("{} are being changed; try again", collection.name))?
            }
        };
        awaited.push(index);
    }
    Ok(awaited)
}

async fn request_rollback(app: &App, wanted: &[&'static Collection]) -> anyhow::Result<Vec<String>> {
    let mut awaited = Vec::new();
    for collection in wanted {
        awaited.extend(generations::request_rollback(&app.db.sync, collection.name).await?);
    }
    ensure!(!awaited.is_empty(), "no previous generation is kept; SYNC_KEEP says for how long");
    Ok(awaited)
}

async fn cancel(app: &App, wanted: &[&'static Collection]) -> anyhow::Result<ExitCode> {
    let mut count = 0;
    for collection in wanted {
        count += usize::from(generations::cancel(&app.db.sync, collection.name).await?);
    }
    ensure!(count > 0, "nothing is being built");
    println!("{count} cancelled");
    Ok(ExitCode::SUCCESS)
}

/// Shows progress until all indices are live.
async fn follow(app: &App, awaited: &[String]) -> anyhow::Result<()> {
    for index in awaited {
        if std::io::stdout().is_terminal() {
            show_bar(app, index).await?;
        } else {
            print_lines(app, index).await?;
        }
    }
    Ok(())
}

async fn show_bar(app: &App, index: &str) -> anyhow::Result<()> {
    let bar = ProgressBar::no_length().with_style(ProgressStyle::with_template("{msg:>20} {bar:30} {pos}/{len} {prefix}")?);
    loop {
        let generation = progress(app, index).await?;
        bar.set_message(generation.collection.clone());
        bar.set_length(u64::try_from(generation.total.max(generation.documents))?);
        bar.set_position(u64::try_from(generation.documents)?);
        let left = generation.eta_seconds.map_or("waiting".to_owned(), |seconds| format!("{seconds:.0} s left"));
        bar.set_prefix(format!("{:.0}/s {left}", generation.rate));
        if generation.state == State::Live {
            bar.finish_and_clear();
            println!("{}: {index} is live", generation.collection);
            return Ok(());
        }
        sleep(PERIOD).await;
    }
}

async fn print_lines(app: &App, index: &str) -> anyhow::Result<()> {
    let mut printed: Option<Instant> = None;
    loop {
        let generation = progress(app, index).await?;
        let is_live = generation.state == State::Live;
        if is_live || printed.is_none_or(|at| at.elapsed() >= LINE) {
            printed = Some(Instant::now());
            println!("{}", serde_json::to_string(&generation)?);
        }
        if is_live {
            return Ok(());
        }
        sleep(PERIOD).await;
    }
}

/// Reads a generation that is awaited.
async fn progress(app: &App, index: &str) -> anyhow::Result<Generation> {
    let generations = patiently_read(app).await?;
    let Some(generation) = generations.into_iter().find(|generation| generation.index == index) else {
        bail!("the index {index} has gone");
    };
    if let Some(reason) = &generation.reason {
        bail!("the rebuild of {} failed: {reason}", generation.collection);
    }
    Ok(generation)
}

/// Reads the generations, through a restart of Postgres.
async fn patiently_read(app: &App) -> sqlx::Result<Vec<Generation>> {
    let mut away_since = None;
    loop {
        match generations::all(&app.db.sync).await {
            Err(error) if is_away(&error) => {
                let since = *away_since.get_or_insert_with(|| {
                    eprintln!("postgres cannot be reached; waiting for it");
                    Instant::now()
                });
                if since.elapsed() > PATIENCE {
                    return Err(error);
                }
                sleep(LINE).await;
            }
            read => return read,
        }
    }
}

async fn building(app: &App, collection: &Collection) -> anyhow::Result<Option<String>> {
    let generations = generations::all(&app.db.sync).await?;
    let building = generations.into_iter().find(|one| one.collection == collection.name && one.state == State::Building);
    Ok(building.map(|generation| generation.index))
}
