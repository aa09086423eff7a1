//! `collections sync`: where the sync is, whether the index is true, and what to do if it is not.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};
use serde::Serialize;

use crate::app::App;
use crate::clock::Clock;
use crate::collections;
use crate::config::Config;
use crate::search::Elastic;
use crate::sync::verify::{self, Difference, Differences};
use crate::sync::{Writer, catalog, state};

/// Shows, checks and repairs the index.
#[derive(Args)]
pub(super) struct Sync {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show how far the sync is, its slot, its indices and what the index refused.
    Status(Options),
    /// Compare every document with its row; exit with 1 if any differs.
    Verify(Verify),
    /// Write again what differs, and what the index refused.
    Repair(Options),
}

#[derive(Args)]
struct Options {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: Config,
}

#[derive(Args)]
struct Verify {
    /// Also compare every balance with the sum of its ledger.
    #[arg(long)]
    ledger: bool,
    #[command(flatten)]
    options: Options,
}

/// What differs in one collection, counted.
#[derive(Debug, Default, PartialEq, Serialize)]
struct Counts {
    missing: usize,
    stale: usize,
    ghost: usize,
}

impl Sync {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Status(options) => status(options).await,
            Command::Verify(verify) => check(verify).await,
            Command::Repair(options) => repair(options).await,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Overview {
    leader: Option<String>,
    epoch: u16,
    applied: String,
    lag_bytes: Option<i64>,
    retained_bytes: Option<i64>,
    slot: Option<String>,
    slot_state: String,
    updated_seconds_ago: f64,
    generations: Vec<Generation>,
    refused: i64,
}

#[derive(Serialize)]
struct Generation {
    collection: String,
    index: String,
    state: String,
    documents: i64,
    /// Why its rebuild failed.
    reason: Option<String>,
}

async fn status(options: Options) -> anyhow::Result<ExitCode> {
    let app = App::open(options.config, Clock::default())?;
    let known = state::read(&app.db.sync).await?;
    let figures = state::figures(&app.db.sync, &app.config.sync.slot).await?;
    let generations = catalog::all(&app.db.sync).await?;
    let overview = Overview {
        leader: known.leader,
        epoch: known.epoch.0,
        applied: known.standing.searchable.to_string(),
        lag_bytes: figures.lag_bytes,
        retained_bytes: figures.retained_bytes,
        slot: known.origin.map(|origin| origin.slot),
        slot_state: figures.slot_state,
        updated_seconds_ago: figures.updated_seconds_ago,
        generations: generations
            .into_iter()
            .map(|one| Generation {
                collection: one.collection,
                index: one.index,
                state: one.state,
                documents: one.documents,
                reason: one.reason,
            })
            .collect(),
        refused: figures.refused,
    };
    if options.json {
        println!("{}", serde_json::to_string(&overview)?);
        return Ok(ExitCode::SUCCESS);
    }
    let bytes = |count: Option<i64>| count.map_or("unknown".to_owned(), |count| format!("{count} bytes"));
    println!("slot        {} ({})", overview.slot.as_deref().unwrap_or("none yet"), overview.slot_state);
    println!("leader      {}", overview.leader.as_deref().unwrap_or("none yet"));
    println!("applied     {} in epoch {}, {:.1} s ago", overview.applied, overview.epoch, overview.updated_seconds_ago);
    println!("lag         {}, {} kept by the server", bytes(overview.lag_bytes), bytes(overview.retained_bytes));
    println!("refused     {} documents", overview.refused);
    for generation in &overview.generations {
        let reason = generation.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
        println!("{:<11} {} {}{reason}", generation.collection, generation.state, generation.index);
    }
    Ok(ExitCode::SUCCESS)
}

async fn check(command: Verify) -> anyhow::Result<ExitCode> {
    let Options { json, config } = command.options;
    let app = App::open(config, Clock::default())?;
    let elastic = elastic(&app)?;
    let mut counts = BTreeMap::new();
    for collection in collections::ALL {
        let index = verify::live(&app, collection).await?.with_context(|| format!("{} have no index yet", collection.name))?;
        counts.insert(collection.name, count(&verify::contents(&app, &elastic, collection, &index).await?.differences));
    }
    let mut total = report(&counts, json)?;
    if command.ledger {
        let wrong = verify::ledger(&app).await?;
        println!("{wrong} balances differ from their ledger");
        total += usize::try_from(wrong)?;
    }
    Ok(if total == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn repair(options: Options) -> anyhow::Result<ExitCode> {
    let app = App::open(options.config, Clock::default())?;
    let epoch = state::read(&app.db.sync).await?.epoch;
    let writer = Writer::new(app.db.sync.clone(), elastic(&app)?, epoch, &app.config.sync);
    let refused = verify::refused(&app).await?;
    writer.remember(refused.iter().flat_map(|(name, ids)| ids.iter().map(|id| (*name, *id))));
    let mut counts = BTreeMap::new();
    for collection in collections::ALL {
        let index = verify::live(&app, collection).await?.with_context(|| format!("{} have no index yet", collection.name))?;
        let mut found = verify::contents(&app, &writer.elastic, collection, &index).await?.differences;
        for id in refused.get(collection.name).into_iter().flatten() {
            found.entry(*id).or_insert(Difference::Missing);
        }
        eprintln!("{}: writing {} documents again", collection.name, found.len());
        counts.insert(collection.name, count(&verify::repair(&app, &writer, collection, &index, &found).await?));
    }
    let total = report(&counts, options.json)?;
    Ok(if total == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn elastic(app: &App) -> anyhow::Result<Elastic> {
    Elastic::open(&app.config.search)?
        .context("ELASTICSEARCH_URL is not set: Postgres answers every search, and there is no index")
}

fn count(differences: &Differences) -> Counts {
    let mut counts = Counts::default();
    for difference in differences.values() {
        match difference {
            Difference::Missing => counts.missing += 1,
            Difference::Stale => counts.stale += 1,
            Difference::Ghost => counts.ghost += 1,
        }
    }
    counts
}

fn report(counts: &BTreeMap<&str, Counts>, json: bool) -> anyhow::Result<usize> {
    let total = counts.values().map(|one| one.missing + one.stale + one.ghost).sum();
    if json {
        println!("{}", serde_json::json!({ "differences": total, "collections": counts }));
        return Ok(total);
    }
    for (name, Counts { missing, stale, ghost }) in counts {
        println!("{name:<11} {missing} missing, {stale} stale, {ghost} without a row");
    }
    println!("{total} differences");
    Ok(total)
}
