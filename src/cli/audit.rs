//! `collections audit`: verifies the audit log.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::connect::{self, describe};
use crate::audit::{self, Head, Report};
use crate::config::Config;

/// Verifies the audit log, and shows its head.
#[derive(Args)]
pub(super) struct Audit {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Compute the chain again: exit with 1 at the first entry that is not as it was sealed, and with 2 if that cannot be told.
    Verify {
        /// A head that was kept elsewhere, as `head` prints it: without one, an end that was cut off is not noticed.
        #[arg(long, value_name = "NUMBER:HASH")]
        head: Option<Head>,
        #[command(flatten)]
        config: Config,
    },
    /// Print the newest head, to be kept elsewhere.
    Head {
        #[command(flatten)]
        config: Config,
    },
}

impl Audit {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Verify { head, config } => match verify(config, head).await {
                Ok(report) => Ok(print(&report)),
                Err(error) => {
                    eprintln!("error: {}", describe(&error));
                    Ok(ExitCode::from(2))
                }
            },
            Command::Head { config } => {
                let app = connect::open(config).await?;
                match audit::head(&app.db.server).await? {
                    Some(head) => println!("{head}"),
                    None => anyhow::bail!("nothing is sealed yet; `collections serve` seals the log"),
                }
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

async fn verify(config: Config, head: Option<Head>) -> anyhow::Result<Report> {
    let app = connect::open(config).await?;
    Ok(audit::verify(&app.db.server, &app.audit.keys, head.as_ref()).await?)
}

fn print(report: &Report) -> ExitCode {
    let head = report.head.as_ref().map_or("none".to_owned(), ToString::to_string);
    println!("{} entries are as they were sealed, {} wait to be sealed; head {head}", report.entries, report.unsealed);
    match &report.fault {
        None => ExitCode::SUCCESS,
        Some(fault) => {
            println!("the audit log was changed: {fault}");
            ExitCode::FAILURE
        }
    }
}
