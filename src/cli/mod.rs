//! The commands, one file each.

mod audit;
mod connect;
mod export;
mod health;
mod import;
mod jobs;
mod kibana;
mod migrate;
mod reindex;
mod seed;
mod serve;
mod settings;
mod sync;
mod tail;
mod templates;
mod user;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::ensure;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use futures_util::FutureExt;

use crate::search::Collection;
use crate::sheets;
use crate::telemetry;
use crate::{collections, config};
use connect::describe;

/// A search-first collections API.
#[derive(Parser)]
#[command(name = "collections", version, about)]
pub struct Cli {
    /// File with settings, one KEY=value per line; the environment and the command line override it.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the API, the sync and the worker.
    Serve(serve::Serve),
    /// Check whether the server on this machine is ready.
    Health(health::Health),
    /// Apply migrations, or list them.
    Migrate(migrate::Migrate),
    /// Print all settings as a Markdown page.
    Settings,
    /// Add users, change their passwords and roles, disable and list them.
    User(user::User),
    /// Rebuild indices while the server runs.
    Reindex(reindex::Reindex),
    /// Show, check and repair the index.
    Sync(sync::Sync),
    /// Show the index templates, compare them with Elasticsearch, or put them.
    Templates(templates::Templates),
    /// Import a CSV file of customers, accounts or payments.
    Import(import::Import),
    /// Export a list as a file.
    Export(export::Export),
    /// Verify the audit log, or print its head.
    Audit(audit::Audit),
    /// List, show, cancel and retry background jobs, and run scheduled ones now.
    Jobs(jobs::JobCommand),
    /// Print events while they happen.
    Tail(tail::Tail),
    /// Check, import and export the dashboards of Kibana.
    Kibana(kibana::Kibana),
    /// Read the workbook on standard input, for the server that began this process.
    #[command(hide = true)]
    ReadWorkbook(sheets::Reader),
    /// Fill the database with synthetic customers.
    Seed(seed::Seed),
}

/// All settings as a Markdown page, `docs/settings.md`.
#[must_use]
pub fn settings_page() -> String {
    settings::page(&Cli::command())
}

/// Runs the command; an error goes to standard error.
pub async fn main() -> ExitCode {
    std::panic::set_hook(Box::new(telemetry::tell_panic));
    match parse() {
        Ok(cli) => run(cli).await,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn parse() -> anyhow::Result<Cli> {
    let arguments: Vec<_> = std::env::args_os().collect();
    let mut command = Cli::command();
    for (name, meant) in settings::suspects(&command, environment().map(|(name, _)| name)) {
        eprintln!("warning: the environment variable {name} is not a setting; did you mean {meant}?");
    }
    let file = settings::file_argument(&arguments).map(|path| settings::read_file(&command, path)).transpose()?;
    let file = file.unwrap_or_default();
    let translation = settings::translate(&file.clone().into_iter().chain(environment()).collect());
    for warning in translation.warnings {
        eprintln!("warning: {warning}");
    }
    let translated = translation.settings.into_iter().map(|(name, value)| (name.to_owned(), value));
    command = settings::with_defaults(command, file.into_iter().chain(translated));
    let matches = command.get_matches_from(arguments);
    Ok(Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit()))
}

/// The variables that are text, as all settings are.
fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

async fn run(cli: Cli) -> ExitCode {
    let outcome = match cli.command {
        Command::Serve(serve) => serve.run().boxed_local().await,
        Command::Health(health) => health.run().boxed_local().await,
        Command::Migrate(migrate) => migrate.run().boxed_local().await,
        Command::Settings => {
            print!("{}", settings_page());
            Ok(ExitCode::SUCCESS)
        }
        Command::User(user) => user.run().boxed_local().await,
        Command::Reindex(reindex) => reindex.run().boxed_local().await,
        Command::Sync(sync) => sync.run().boxed_local().await,
        Command::Templates(templates) => templates.run().boxed_local().await,
        Command::Import(import) => import.run().boxed_local().await,
        Command::Export(export) => export.run().boxed_local().await,
        Command::Audit(audit) => audit.run().boxed_local().await,
        Command::Jobs(jobs) => jobs.run().boxed_local().await,
        Command::Tail(tail) => tail.run().boxed_local().await,
        Command::Kibana(kibana) => kibana.run().boxed_local().await,
        Command::ReadWorkbook(reader) => reader.run().map(|()| ExitCode::SUCCESS).map_err(Into::into),
        Command::Seed(seed) => seed.run().boxed_local().await,
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {}", describe(&error));
            ExitCode::FAILURE
        }
    }
}

/// The collection of that name, or all that have an index.
fn wanted(collection: Option<&str>, settings: &config::Search) -> anyhow::Result<Vec<&'static Collection>> {
    let mut indexed = collections::indexed(settings.analytics);
    if let Some(name) = collection {
        let names: Vec<&str> = indexed.iter().map(|collection| collection.name).collect();
        ensure!(names.contains(&name), "there is no collection {name}; there are {}", names.join(", "));
        indexed.retain(|collection| collection.name == name);
    }
    Ok(indexed)
}
