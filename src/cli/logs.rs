//! The log: JSON lines in production, short lines for people elsewhere. It holds no personal data of debtors.

use std::io::IsTerminal;
use std::panic::PanicHookInfo;

use tracing_subscriber::filter::FilterFn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use crate::config::{Config, Environment};

pub(super) fn start(config: &Config) -> anyhow::Result<()> {
    let filter = match std::env::var("RUST_LOG") {
        Ok(directives) if !directives.is_empty() => EnvFilter::try_new(directives)?,
        _ => EnvFilter::try_new(&config.log_level)?,
    };
    let lines = tracing_subscriber::fmt::layer().with_ansi(std::io::stdout().is_terminal());
    let lines = if config.environment == Environment::Production {
        lines.json().flatten_event(true).boxed()
    } else {
        lines.compact().with_target(false).boxed()
    };
    tracing_subscriber::registry().with(lines.with_filter(FilterFn::new(is_ours_to_tell))).with(filter).init();
    Ok(())
}

/// The router logs every segment of a path, and paths hold what clients searched for: no level and no directive brings that back.
fn is_ours_to_tell(metadata: &tracing::Metadata<'_>) -> bool {
    metadata.target().split("::").next() != Some("warp")
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
