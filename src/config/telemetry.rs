//! Settings of the log and of traces.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::range::{HOUR, MILLISECOND, duration};

#[derive(Args, Clone, Debug)]
pub struct Telemetry {
    /// Lowest level that is logged: `error`, `warn`, `info`, `debug` or `trace`; `RUST_LOG` is finer.
    #[arg(id = "log-level", long = "log-level", env = "LOG_LEVEL", default_value = "info")]
    pub log_level: String,
    /// Folder for the log besides standard output: a file of JSON lines for each day, at most 20 files of 50 MB.
    #[arg(id = "log-dir", long = "log-dir", env = "LOG_DIR")]
    pub log_dir: Option<PathBuf>,
    /// SQL statements and requests to Elasticsearch that take longer are logged, without their values.
    #[arg(
        id = "slow-log",
        long = "slow-log",
        env = "SLOW_LOG",
        default_value = "250ms",
        value_parser = duration(MILLISECOND..=HOUR)
    )]
    pub slow_log: Duration,
    /// Collector of traces (OTLP over HTTP), such as `http://localhost:4318`; none are made without one. The other standard variables
    /// hold too: `OTEL_TRACES_SAMPLER`, `OTEL_TRACES_SAMPLER_ARG`, `OTEL_SERVICE_NAME`, `OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_BSP_…`.
    #[arg(id = "otel-exporter-otlp-endpoint", long = "otel-exporter-otlp-endpoint", env = "OTEL_EXPORTER_OTLP_ENDPOINT")]
    pub traces_to: Option<String>,
}

impl Telemetry {
    /// The folder of the log; an empty variable is none.
    #[must_use]
    pub fn log_dir(&self) -> Option<PathBuf> {
        self.log_dir.clone().filter(|folder| !folder.as_os_str().is_empty())
    }

    /// The address that traces are sent to; an empty variable is none.
    #[must_use]
    pub fn traces_to(&self) -> Option<String> {
        let endpoint = self.traces_to.as_deref().filter(|endpoint| !endpoint.is_empty())?;
        Some(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
    }
}
