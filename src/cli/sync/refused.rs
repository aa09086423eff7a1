//! `collections sync refused`.

use std::process::ExitCode;

use clap::Args;

use super::Options;
use crate::app::App;
use crate::sync::store::dead_letters;
use crate::values::clock::Clock;

/// Lists the documents that the index refused.
#[derive(Args)]
pub(super) struct Refused {
    /// Documents to list at most, oldest first.
    #[arg(long, default_value_t = 100)]
    limit: u32,
    #[command(flatten)]
    options: Options,
}

impl Refused {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let app = App::open(self.options.config, Clock::default())?;
        let refused = dead_letters::list(&app.db.sync, self.limit).await?;
        if self.options.json {
            println!("{}", serde_json::to_string(&refused)?);
            return Ok(ExitCode::SUCCESS);
        }
        for one in &refused {
            println!(
                "{:<12} {} version {}, {} attempts since {}: {}",
                one.collection, one.id, one.version, one.attempts, one.since, one.reason
            );
        }
        println!("{} documents", refused.len());
        Ok(ExitCode::SUCCESS)
    }
}
