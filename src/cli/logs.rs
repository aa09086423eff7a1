//! The log: one JSON object to a line in production, short lines for people elsewhere. Nothing in it is about a debtor.

use std::io::IsTerminal;
use std::panic::PanicHookInfo;

use tracing_subscriber::EnvFilter;

use crate::config::{Config, Environment};

/// Starts the log.
///
/// # Errors
/// A level that is none.
pub(super) fn start(config: &Config) -> anyhow::Result<()> {
    let filter = match std::env::var("RUST_LOG") {
        Ok(directives) if !directives.is_empty() => EnvFilter::try_new(directives)?,
        _ => EnvFilter::try_new(&config.log_level)?,
    };
    let log = tracing_subscriber::fmt().with_ansi(std::io::stdout().is_terminal()).with_env_filter(filter);
    if config.environment == Environment::Production {
        log.json().flatten_event(true).init();
    } else {
        log.compact().with_target(false).init();
    }
    std::panic::set_hook(Box::new(note_panic));
    Ok(())
}

/// Where it happened and not what it said: the text of a panic may quote a record.
fn note_panic(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    tracing::error!(place, "a task panicked");
}
