//! `collections kibana check`: what is wrong with the saved objects, and whether Elasticsearch answers every panel.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use serde_json::Value;

use crate::cli::connect::describe;
use crate::config::{self, Analytics};
use crate::kibana::{self, Panel, SavedObject, check};
use crate::search::Elastic;
use crate::search::elastic::Verb;
use crate::search::index::{self, Alias};

#[derive(Args)]
pub(super) struct Check {
    /// A folder of files such as `kibana`, in place of those that were built in.
    folder: Option<PathBuf>,
    #[command(flatten)]
    search: config::Search,
}

impl Check {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let files = self.folder.as_deref().map_or_else(kibana::files, kibana::files_in)?;
        let objects: Vec<SavedObject> = files.into_iter().flat_map(|file| file.objects).collect();
        let mut faults = check::check(&objects);
        let mut tried = 0;
        if let Some(elastic) = Elastic::open(&self.search)?
            && self.search.analytics != Analytics::Off
        {
            for panel in objects.iter().filter_map(|object| Panel::read(object, &objects).ok().flatten()) {
                match try_panel(&elastic, &panel).await {
                    Ok(is_tried) => tried += usize::from(is_tried),
                    Err(error) => faults.push(format!("{}: elasticsearch does not answer it: {}", panel.id, describe(&error))),
                }
            }
        }
        faults.iter().for_each(|fault| println!("{fault}"));
        println!("{} objects, {tried} panels tried, {} faults", objects.len(), faults.len());
        Ok(if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// Asks what a panel asks; false if there is no index yet.
async fn try_panel(elastic: &Elastic, panel: &Panel) -> anyhow::Result<bool> {
    let collection = crate::collections::find(panel.collection).context("an unknown collection")?;
    let Alias::Live(index) = index::inspect(elastic, collection).await? else { return Ok(false) };
    let body = panel.search("UTC", ("now-30d", "now")).to_string();
    let path = format!("{index}/_search?allow_partial_search_results=false");
    elastic.read::<Value>(Verb::Post, &path, Some(body.into()), elastic.write_deadline).await?;
    Ok(true)
}
