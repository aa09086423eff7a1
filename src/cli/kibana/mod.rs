//! `collections kibana`: checks, imports and exports the dashboards for analysts.

mod check;
mod transfer;

use std::process::ExitCode;

use clap::{Args, Subcommand};

/// Checks the saved objects of Kibana, imports them, or writes those of a Kibana into the files.
#[derive(Args)]
pub(super) struct Kibana {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check references, fields and types, and try every panel where there are indices: exit with 1 if something is wrong.
    Check(check::Check),
    /// Create the objects that are missing, with a space and a role; what is there stays.
    Import(transfer::Import),
    /// Write the objects of a Kibana into the files of a folder.
    Export(transfer::Export),
}

impl Kibana {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Check(check) => check.run().await,
            Command::Import(import) => import.run().await,
            Command::Export(export) => export.run().await,
        }
    }
}
