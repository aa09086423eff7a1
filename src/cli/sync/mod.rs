//! `collections sync`: where the sync is, whether the index is true, and what to do if it is not.

mod refused;
mod repair;
mod status;
mod verify;

use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};

use crate::app::App;
use crate::collections;
use crate::config::Config;
use crate::search::{Collection, Elastic};
use crate::sync::integrity::verify as comparison;
use crate::values::clock::Clock;

/// Shows, checks and repairs the index.
#[derive(Args)]
pub(super) struct Sync {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show how far the sync is, its slot, its indices, what the index refused and when all was last compared.
    Status(status::Status),
    /// Compare the index with the rows: exit with 1 if they differ and with 2 if that cannot be told.
    Verify(verify::Verify),
    /// Have what differs, and what the index refused, written again.
    Repair(repair::Repair),
    /// List the documents that the index refused, and why.
    Refused(refused::Refused),
}

impl Sync {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Status(status) => status.run().await,
            Command::Verify(verify) => verify.run().await,
            Command::Repair(repair) => repair.run().await,
            Command::Refused(refused) => refused.run().await,
        }
    }
}

/// What all of them take.
#[derive(Args)]
struct Options {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: Config,
}

/// Something that could not be told, which is neither yes nor no.
fn unknown() -> ExitCode {
    ExitCode::from(2)
}

/// An index that lists read, with what it takes to look into it.
struct Live {
    collection: &'static Collection,
    index: String,
}

/// Opens what a comparison needs: the application, Elasticsearch and the live index of each collection that was asked for.
async fn open(config: Config, collection: Option<&str>) -> anyhow::Result<(App, Elastic, Vec<Live>)> {
    let wanted: Vec<&'static Collection> = match collection {
        None => collections::ALL.to_vec(),
        Some(name) => vec![collections::find(name).with_context(|| {
            let names: Vec<_> = collections::ALL.iter().map(|collection| collection.name).collect();
            format!("there is no collection {name}; there are {}", names.join(", "))
        })?],
    };
    let app = App::open(config, Clock::default())?;
    let elastic = Elastic::open(&app.config.search)?
        .context("ELASTICSEARCH_URL is not set: Postgres answers every search, and there is no index")?;
    let mut live = Vec::new();
    for collection in wanted {
        let index = comparison::live(&app, collection).await?;
        let index =
            index.with_context(|| format!("{} have no index yet; `collections sync status` tells more", collection.name))?;
        live.push(Live { collection, index });
    }
    Ok((app, elastic, live))
}
