//! `collections reindex`: builds new indices beside the live ones, while the server goes on, and swaps them in.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::clock::Clock;
use crate::collections;
use crate::config::Config;
use crate::search::{Collection, Elastic};
use crate::sync::{self, catalog, generations};

const PERIOD: Duration = Duration::from_millis(200);

/// Builds indices anew from the rows, and swaps them in when they are complete.
#[derive(Args)]
pub(super) struct Reindex {
    /// Only this collection.
    #[arg(long)]
    collection: Option<String>,
    #[command(flatten)]
    config: Config,
}

impl Reindex {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let wanted: Vec<&'static Collection> = match &self.collection {
            None => collections::ALL.to_vec(),
            Some(name) => vec![collections::find(name).with_context(|| {
                let names: Vec<_> = collections::ALL.iter().map(|collection| collection.name).collect();
                format!("there is no collection {name}; there are {}", names.join(", "))
            })?],
        };
        let app = App::open(self.config, Clock::default())?;
        let elastic =
            Elastic::open(&app.config.search)?.context("ELASTICSEARCH_URL is not set, so there is no index to build")?;
        // Whoever leads does the work. If nobody does, it is this process, which otherwise stands by.
        let stop = CancellationToken::new();
        let syncing = tokio::spawn(sync::run(app.clone(), stop.clone()));
        let rebuilt = rebuild(&app, &elastic, &wanted).await;
        stop.cancel();
        syncing.await?;
        rebuilt.map(|()| ExitCode::SUCCESS)
    }
}

async fn rebuild(app: &App, elastic: &Elastic, wanted: &[&'static Collection]) -> anyhow::Result<()> {
    let mut awaited = BTreeMap::new();
    for collection in wanted {
        let index = match generations::request(app, elastic, collection).await? {
            Some(index) => index,
            None => {
                building(app, collection).await?.with_context(|| format!("{} are being changed; try again", collection.name))?
            }
        };
        awaited.insert(index, *collection);
    }
    for (index, collection) in awaited {
        let total = generations::rows(app, collection).await?;
        let bar = ProgressBar::new(total)
            .with_message(collection.name)
            .with_style(ProgressStyle::with_template("{msg:>10} {bar:30} {pos}/{len} {per_sec} {eta} left")?);
        loop {
            let generations = catalog::all(&app.db.sync).await?;
            let Some(generation) = generations.into_iter().find(|generation| generation.index == index) else {
                bail!("the rebuild of {} was given up because its index has gone", collection.name);
            };
            if let Some(reason) = generation.reason {
                bail!("the rebuild of {} failed: {reason}", collection.name);
            }
            bar.set_position(u64::try_from(generation.documents).unwrap_or_default());
            if generation.state != "building" {
                break;
            }
            tokio::time::sleep(PERIOD).await;
        }
        bar.finish_and_clear();
        println!("{}: {index} is live", collection.name);
    }
    Ok(())
}

async fn building(app: &App, collection: &Collection) -> anyhow::Result<Option<String>> {
    let generations = catalog::all(&app.db.sync).await?;
    let building = generations.into_iter().find(|one| one.collection == collection.name && one.state == "building");
    Ok(building.map(|generation| generation.index))
}
