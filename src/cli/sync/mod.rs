//! `collections sync`: shows, verifies and repairs the index.

mod dead_letters;
mod repair;
mod status;
mod verify;

use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};

use crate::app::App;
use crate::cli::{connect, wanted};
use crate::config::Config;
use crate::search::{Collection, Elastic, index};
use crate::sync::store::generations;

/// Shows, verifies and repairs the index.
#[derive(Args)]
pub(super) struct Sync {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show the state of the sync: leader, problem, lag, slot, backlog, indices and sweeps.
    Status(status::Status),
    /// Compare the index with the rows: exit with 1 if they differ and with 2 if that cannot be told.
    Verify(verify::Verify),
    /// Write documents again that differ or that Elasticsearch refused.
    Repair(repair::Repair),
    /// List the documents that Elasticsearch refused, and why.
    DeadLetters(dead_letters::DeadLetters),
}

impl Sync {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Status(status) => status.run().await,
            Command::Verify(verify) => verify.run().await,
            Command::Repair(repair) => repair.run().await,
            Command::DeadLetters(dead_letters) => dead_letters.run().await,
        }
    }
}

#[derive(Args)]
struct Options {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: Config,
}

/// The exit code when the answer is neither yes nor no.
fn unknown() -> ExitCode {
    ExitCode::from(2)
}

/// The live index of a collection.
struct Live {
    collection: &'static Collection,
    index: String,
}

/// Opens the application, Elasticsearch and the live index of one collection or of all.
async fn open(config: Config, collection: Option<&str>) -> anyhow::Result<(App, Elastic, Vec<Live>)> {
    let wanted = wanted(collection, &config.search)?;
    let app = connect::open(config).await?;
    let elastic = Elastic::open(&app.config.search)?
        .context("ELASTICSEARCH_URL is not set: Postgres answers every search, and there is no index")?;
    let mut live = Vec::new();
    for collection in wanted {
        let index = generations::live(&app.db.sync, collection.name).await?;
        let index =
            index.with_context(|| format!("{} have no index yet; `collections sync status` tells more", collection.name))?;
        // Neither could a difference be told from a change that cannot be written.
        if let Some(block) = index::write_block(&elastic, &index).await? {
            bail!("writes are blocked: the index {index} by {block}; remove the block or free disk");
        }
        live.push(Live { collection, index });
    }
    Ok((app, elastic, live))
}
