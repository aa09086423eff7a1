//! The log: JSON lines in production, short lines for people elsewhere, and JSON lines in files if there is a folder for them.

use std::io::{self, IsTerminal};
use std::panic::PanicHookInfo;
use std::sync::Arc;

use anyhow::Context;
use tracing::Metadata;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::FilterFn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt};

use super::files::Files;
use super::line::OneLine;
use super::statements::{self, Statements};
use crate::config::{Environment, Telemetry};
use crate::values::clock::Clock;

pub(super) fn start(config: &Telemetry, environment: Environment) -> anyhow::Result<()> {
    let directives = std::env::var("RUST_LOG").ok().filter(|directives| !directives.is_empty());
    let directives = directives.unwrap_or_else(|| config.log_level.clone());
    let ours = |lines: Box<dyn Layer<Registry> + Send + Sync>| -> anyhow::Result<_> {
        Ok(lines.with_filter(FilterFn::new(is_ours_to_tell)).with_filter(EnvFilter::try_new(&directives)?).boxed())
    };
    let is_terminal = io::stdout().is_terminal();
    let lines = fmt::layer().with_ansi(is_terminal).with_writer(|| OneLine(io::stdout()));
    let lines = if environment == Environment::Production {
        lines.json().flatten_event(true).boxed()
    } else {
        lines.compact().with_target(false).boxed()
    };
    let mut layers = vec![ours(lines)?];
    if let Some(folder) = config.log_dir() {
        let files = Files::open(&folder, Clock::default());
        let files = Arc::new(files.with_context(|| format!("cannot write to {} (LOG_DIR)", folder.display()))?);
        let lines = fmt::layer().json().flatten_event(true).with_writer(move || OneLine(files.writer()));
        layers.push(ours(lines.boxed())?);
    }
    // Last, because it logs slow statements itself: the other layers are done with the event then.
    let events = FilterFn::new(statements::is_statement).with_max_level_hint(LevelFilter::DEBUG);
    layers.push(Statements.with_filter(events).boxed());
    tracing_subscriber::registry().with(layers).init();
    Ok(())
}

/// Libraries that log what clients send: the router every segment of a path, sockets every message with names and tokens in it. No level
/// and no directive brings that back.
const SILENCED: [&str; 2] = ["tungstenite", "warp"];

/// Whether an event is no client's text. Slow statements have a log of their own.
fn is_ours_to_tell(metadata: &Metadata<'_>) -> bool {
    let is_slow_statement = statements::is_statement(metadata) && *metadata.level() < tracing::Level::DEBUG;
    let is_silenced = metadata.target().split("::").next().is_some_and(|library| SILENCED.contains(&library));
    !is_silenced && !is_slow_statement
}

/// Tells the place of a panic without its message, which may quote a record: in the log, or on standard error if there is none.
pub fn tell_panic(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    if tracing::dispatcher::has_been_set() {
        tracing::error!(place, "a task panicked");
    } else {
        eprintln!("error: a task panicked at {place}");
    }
}
