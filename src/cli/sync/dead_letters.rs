//! `collections sync dead-letters`.

use std::process::ExitCode;

use clap::Args;

use super::Options;
use crate::cli::{NAME_WIDTH, connect};
use crate::sync::store::dead_letters;

/// Lists the documents that Elasticsearch refused.
#[derive(Args)]
pub(super) struct DeadLetters {
    /// Documents to list at most, oldest first.
    #[arg(long, default_value_t = 100)]
    limit: u32,
    #[command(flatten)]
    options: Options,
}

impl DeadLetters {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let app = connect::open(self.options.config).await?;
        let documents = dead_letters::list(&app.db.sync, self.limit).await?;
        if self.options.json {
            println!("{}", serde_json::to_string(&documents)?);
            return Ok(ExitCode::SUCCESS);
        }
        for one in &documents {
            println!(
                "{:<NAME_WIDTH$} {} version {}, {} attempts since {}: {}",
                one.collection, one.id, one.version, one.attempts, one.since, one.reason
            );
        }
        println!("{} documents", documents.len());
        Ok(ExitCode::SUCCESS)
    }
}
