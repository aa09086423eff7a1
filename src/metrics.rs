//! Counters, gauges and histograms of the process, in Prometheus' text format.

use std::sync::LazyLock;

use hyper::Method;
use prometheus::{
    Encoder, Gauge, GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, TextEncoder,
};

/// Time to answer a request, by method, address pattern and class of status.
pub static HTTP_SECONDS: LazyLock<HistogramVec> = LazyLock::new(|| {
    let options = HistogramOpts::new("collections_http_seconds", "Time to answer a request.")
        .buckets(vec![0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0]);
    registered(HistogramVec::new(options, &["method", "route", "status"]))
});

/// Connections to Postgres, by pool and whether they are in use.
pub static POOL_CONNECTIONS: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    let options = Opts::new("collections_postgres_connections", "Connections to Postgres.");
    registered(IntGaugeVec::new(options, &["pool", "state"]))
});

/// Lists answered, by collection and engine; `degraded` ones should have come from the other engine.
pub static SEARCHES: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let options = Opts::new("collections_searches_total", "Lists answered.");
    registered(IntCounterVec::new(options, &["collection", "engine", "degraded"]))
});

/// Memory of the process that is in RAM.
pub static RESIDENT_BYTES: LazyLock<IntGauge> =
    LazyLock::new(|| registered(IntGauge::new("process_resident_memory_bytes", "Memory of the process that is in RAM.")));

/// Whether this process leads the sync.
pub static SYNC_LEADING: LazyLock<IntGauge> =
    LazyLock::new(|| registered(IntGauge::new("collections_sync_leading", "Whether this process leads the sync.")));

/// How long changes have been waiting to be found.
pub static SYNC_LAG_SECONDS: LazyLock<Gauge> =
    LazyLock::new(|| registered(Gauge::new("collections_sync_lag_seconds", "How long changes have waited to be found.")));

/// Change stream that the index does not have yet.
pub static SYNC_LAG_BYTES: LazyLock<IntGauge> =
    LazyLock::new(|| registered(IntGauge::new("collections_sync_lag_bytes", "Change stream that the index lacks.")));

/// Write-ahead log that Postgres keeps for the sync.
pub static SYNC_RETAINED_BYTES: LazyLock<IntGauge> =
    LazyLock::new(|| registered(IntGauge::new("collections_sync_retained_bytes", "Log that Postgres keeps for the sync.")));

/// Documents that the index refused.
pub static SYNC_REFUSED: LazyLock<IntGauge> =
    LazyLock::new(|| registered(IntGauge::new("collections_sync_refused", "Documents that the index refused.")));

/// For how long the oldest open transaction has been writing; Postgres keeps its log for so long.
pub static SYNC_OLDEST_TRANSACTION_SECONDS: LazyLock<Gauge> = LazyLock::new(|| {
    let name = "collections_sync_oldest_transaction_seconds";
    registered(Gauge::new(name, "For how long the oldest open transaction has been writing."))
});

/// Documents that are to be written again.
pub static SYNC_SPILLED: LazyLock<IntGauge> =
    LazyLock::new(|| registered(IntGauge::new("collections_sync_spilled", "Documents that are to be written again.")));

/// Rows whose children are being written again.
pub static SYNC_FANOUTS: LazyLock<IntGauge> =
    LazyLock::new(|| registered(IntGauge::new("collections_sync_fanouts", "Rows whose children are being written again.")));

/// Time since all documents of a collection had been compared with their rows.
pub static SYNC_VERIFIED_SECONDS: LazyLock<GaugeVec> = LazyLock::new(|| {
    let options = Opts::new("collections_sync_verified_seconds", "Time since all documents had been compared.");
    registered(GaugeVec::new(options, &["collection"]))
});

/// Documents that were found to differ from their rows, ever.
pub static SYNC_DRIFT_FOUND: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    let options = Opts::new("collections_sync_drift_found", "Documents that were found to differ, ever.");
    registered(IntGaugeVec::new(options, &["collection"]))
});

/// How many of those are as they should be since.
pub static SYNC_DRIFT_REPAIRED: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    let options = Opts::new("collections_sync_drift_repaired", "Documents that differed and were repaired, ever.");
    registered(IntGaugeVec::new(options, &["collection"]))
});

/// Registers a metric under its name.
///
/// # Panics
/// With a name that is taken or not a name, which is a mistake in the program that its first use shows.
pub fn registered<M: prometheus::core::Collector + Clone + 'static>(metric: prometheus::Result<M>) -> M {
    let metric = metric.expect("a metric has a valid name");
    prometheus::register(Box::new(metric.clone())).expect("a metric is registered once");
    metric
}

/// The content type of [`render`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Writes all metrics.
///
/// # Errors
/// None in practice: the encoder writes to memory.
pub fn render() -> prometheus::Result<String> {
    if let Some(bytes) = resident_bytes() {
        RESIDENT_BYTES.set(bytes);
    }
    let mut text = Vec::new();
    TextEncoder::new().encode(&prometheus::gather(), &mut text)?;
    String::from_utf8(text).map_err(|error| prometheus::Error::Msg(error.to_string()))
}

/// The method as a label; whatever a client invents is one value, so that it cannot make new series.
#[must_use]
pub fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// Memory in RAM, where the kernel tells (`proc_pid_statm(5)`; pages are 4 KiB on the machines that this runs on).
fn resident_bytes() -> Option<i64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: i64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * 4096)
}
