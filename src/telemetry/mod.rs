//! What the process tells of its work: the log, slow statements and searches, traces. No personal data of debtors is in it.

mod files;
mod line;
mod log;
mod span;
mod statements;
mod timings;
mod traces;

use crate::config::{Environment, Telemetry};

pub use log::tell_panic;
pub use span::Span;
pub use timings::elasticsearch;
pub use traces::Exporter;

/// Starts the log and, if there is a collector, traces.
///
/// # Errors
/// A level that cannot be read, a folder that cannot be written, an address that is none.
pub fn start(config: &Telemetry, environment: Environment) -> anyhow::Result<Exporter> {
    timings::log_slower_than(config.slow_log);
    log::start(config, environment)?;
    Exporter::start(config.traces_to())
}
