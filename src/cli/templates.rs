//! `collections templates`: the index templates of this program, and what Elasticsearch has.

use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};
use serde_json::{Map, Value};

use super::connect::describe;
use super::{NAME_WIDTH, wanted};
use crate::config;
use crate::search::index::{self, Alias};
use crate::search::{Collection, Difference, Elastic};

/// Shows the index templates, compares them with Elasticsearch, or puts them.
#[derive(Args)]
pub(super) struct Templates {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Print the index templates of this program as JSON, by their names.
    Show(Options),
    /// Compare index templates and live indices with this program: exit with 1 if they differ and with 2 if that cannot be told.
    Diff(Options),
    /// Put the index templates that differ, and say which live indices need a reindex.
    Apply(Options),
}

#[derive(Args)]
struct Options {
    /// Only this collection.
    #[arg(long)]
    collection: Option<String>,
    #[command(flatten)]
    search: config::Search,
}

impl Templates {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Show(options) => options.show(),
            Command::Diff(options) => match options.diff().await {
                Ok(true) => Ok(ExitCode::SUCCESS),
                Ok(false) => Ok(ExitCode::FAILURE),
                Err(fault) => {
                    eprintln!("error: cannot tell whether they differ: {}", describe(&fault));
                    Ok(ExitCode::from(2))
                }
            },
            Command::Apply(options) => options.apply().await,
        }
    }
}

impl Options {
    fn show(self) -> anyhow::Result<ExitCode> {
        let templates = wanted(self.collection.as_deref(), &self.search)?;
        let templates = templates.into_iter().map(|collection| index::index_template(&self.search.index_prefix, collection));
        let templates: Map<String, Value> = templates.collect::<Result<_, _>>()?;
        println!("{}", serde_json::to_string_pretty(&templates)?);
        Ok(ExitCode::SUCCESS)
    }

    /// Returns whether nothing differs.
    async fn diff(self) -> anyhow::Result<bool> {
        let (elastic, wanted) = self.open()?;
        let mut is_equal = true;
        for collection in wanted {
            match index::compare_template(&elastic, collection).await? {
                Some(differences) if differences.is_empty() => println!("{:<NAME_WIDTH$} template is equal", collection.name),
                found => {
                    is_equal = false;
                    let is = if found.is_some() { "differs" } else { "is missing" };
                    println!("{:<NAME_WIDTH$} template {is}; `collections templates apply` puts it", collection.name);
                    tell(&found.unwrap_or_default());
                }
            }
            is_equal &= compare_live(&elastic, collection).await?;
        }
        Ok(is_equal)
    }

    async fn apply(self) -> anyhow::Result<ExitCode> {
        let (elastic, wanted) = self.open()?;
        for collection in wanted {
            let before = index::compare_template(&elastic, collection).await?;
            index::ensure_template(&elastic, collection).await?;
            let done = match before {
                Some(differences) if differences.is_empty() => "is equal already",
                Some(_) => "is replaced",
                None => "is created",
            };
            println!("{:<NAME_WIDTH$} template {done}", collection.name);
            compare_live(&elastic, collection).await?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn open(&self) -> anyhow::Result<(Elastic, Vec<&'static Collection>)> {
        let elastic = Elastic::open(&self.search)?;
        let elastic = elastic.context("ELASTICSEARCH_URL is not set, so there are no index templates")?;
        Ok((elastic, wanted(self.collection.as_deref(), &self.search)?))
    }
}

/// Says how the live index of a collection differs; returns true if it does not, or if there is none.
async fn compare_live(elastic: &Elastic, collection: &Collection) -> anyhow::Result<bool> {
    let name = collection.name;
    let index = match index::inspect(elastic, collection).await? {
        Alias::Live(index) => index,
        Alias::Missing => {
            println!("{name:<NAME_WIDTH$} no index is live");
            return Ok(true);
        }
        Alias::Occupied | Alias::Ambiguous(_) => {
            let alias = index::alias(elastic, collection);
            println!("{name:<NAME_WIDTH$} {alias} is not an alias of one index; `collections sync status` tells more");
            return Ok(false);
        }
    };
    let differences = index::compare_index(elastic, collection, &index).await?;
    if differences.is_empty() {
        println!("{name:<NAME_WIDTH$} index {index} is equal");
    } else {
        println!("{name:<NAME_WIDTH$} index {index} differs and needs a reindex: `collections reindex --collection {name}`");
        tell(&differences);
    }
    Ok(differences.is_empty())
}

fn tell(differences: &[Difference]) {
    for difference in differences {
        println!("{:<NAME_WIDTH$} {difference}", "");
    }
}
