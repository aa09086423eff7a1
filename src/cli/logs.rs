//! The log: JSON lines in production, short lines for people elsewhere. It holds no personal data of debtors.

use std::io::IsTerminal;
use std::panic::PanicHookInfo;

use tracing_subscriber::EnvFilter;

use crate::config::{Config, Environment};

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
    Ok(())
}

/// Tells the place of a panic without its message, which may quote a record: in the log, or on standard error if there is none.
pub(super) fn tell_panic(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    if tracing::dispatcher::has_been_set() {
        tracing::error!(place, "a task panicked");
    } else {
        eprintln!("error: a task panicked at {place}");
    }
}
