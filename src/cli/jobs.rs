//! `collections jobs`: lists, shows and controls background jobs.

use std::process::ExitCode;

use anyhow::{Context, bail};
use chrono::SecondsFormat;
use clap::{Args, Subcommand};
use sqlx::Connection;

use super::connect;
use crate::app::App;
use crate::config::Config;
use crate::jobs::store::{self, Command, Filter, Owner};
use crate::jobs::{Enqueued, Job, State};
use crate::values::ids::JobId;
use crate::worker;

/// Failed items that are shown of a job.
const MOST_ITEMS: i64 = 100;

/// Lists, shows and controls background jobs.
#[derive(Args)]
pub(super) struct JobCommand {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    config: Config,
}

#[derive(Subcommand)]
enum Action {
    /// List jobs, the newest first.
    List {
        /// Only jobs of this kind.
        #[arg(long)]
        kind: Option<String>,
        /// Only jobs with this status: queued, running, paused, succeeded, partial, failed or cancelled.
        #[arg(long, value_parser = state)]
        status: Option<State>,
        /// How many.
        #[arg(long, default_value_t = 20)]
        limit: u32,
    },
    /// Show a job and what failed of it.
    Show {
        /// Id of the job.
        id: JobId,
    },
    /// End a job after the chunk under way; what is done stays done.
    Cancel {
        /// Id of the job.
        id: JobId,
    },
    /// Try again what failed of a job.
    Retry {
        /// Id of the job.
        id: JobId,
    },
    /// Enqueue a job now that otherwise runs every day.
    RunNow {
        /// Kind of the job.
        kind: String,
    },
}

impl JobCommand {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let app = connect::open(self.config).await?;
        match self.action {
            Action::List { kind, status, limit } => {
                let filter = Filter { owner: Owner::Anyone, kind, status };
                for job in store::page(&app.db.jobs, &filter, None, i64::from(limit)).await? {
                    println!("{}", line(&job));
                }
            }
            Action::Show { id } => show(&app, id).await?,
            Action::Cancel { id } => command(&app, id, Command::Cancel).await?,
            Action::Retry { id } => command(&app, id, Command::Retry).await?,
            Action::RunNow { kind } => run_now(&app, &kind).await?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn state(word: &str) -> Result<State, String> {
    let known = State::ALL.into_iter().find(|state| state.name() == word);
    known.ok_or_else(|| format!("takes one of {}", State::ALL.map(State::name).join(", ")))
}

fn line(job: &Job) -> String {
    let total = job.total.map_or_else(|| "?".to_owned(), |total| total.to_string());
    let created = job.created_at.to_rfc3339_opts(SecondsFormat::Secs, true);
    let counts = format!("{} of {total}, {} failed", job.processed, job.failed);
    format!("{}  {created}  {:<24} {:<10} {counts}", job.id, job.kind, job.status.name())
}

async fn show(app: &App, id: JobId) -> anyhow::Result<()> {
    let job = store::find(&app.db.jobs, id).await?.context("no such job")?;
    println!("{}", line(&job));
    for (name, value) in [("result", &job.result_url), ("error", &job.error)] {
        if let Some(value) = value {
            println!("{name}: {value}");
        }
    }
    for item in store::items(&app.db.jobs, id, None, None, MOST_ITEMS).await? {
        println!("{:<10} {}  {}", item.status.name(), item.item, item.message.unwrap_or_default());
    }
    Ok(())
}

async fn command(app: &App, id: JobId, command: Command) -> anyhow::Result<()> {
    let mut connection = app.db.jobs.acquire().await?;
    let mut transaction = connection.begin().await?;
    let job = store::command(&mut transaction, id, command).await?;
    transaction.commit().await?;
    println!("{}", line(&job));
    Ok(())
}

async fn run_now(app: &App, kind: &str) -> anyhow::Result<()> {
    let schedules = worker::schedules(app)?;
    let Some(schedule) = schedules.iter().find(|schedule| schedule.name == kind) else {
        let names: Vec<_> = schedules.iter().map(|schedule| schedule.name).collect();
        bail!("no job {kind} runs every day; there are {}", names.join(", "));
    };
    let mut connection = app.db.jobs.acquire().await?;
    match schedule.enqueue(&mut connection).await? {
        Enqueued::New(id) => println!("enqueued {id}"),
        Enqueued::Unfinished(id) => println!("{id} is not finished yet"),
    }
    Ok(())
}
