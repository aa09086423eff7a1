//! Counters, gauges and histograms of the process, in Prometheus' text format.

use std::sync::LazyLock;

use hyper::Method;
use prometheus::core::Collector;
use prometheus::{
    Encoder, Gauge, GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
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

/// A gauge of the sync: its name, and what it says.
pub type Meaning = (&'static str, &'static str);

/// Whether this process leads the sync.
pub const SYNC_LEADING: Meaning = ("collections_sync_leading", "Whether this process leads the sync.");

/// Whether Postgres has told the state of the sync, which all below is.
pub const SYNC_KNOWN: Meaning = ("collections_sync_known", "Whether Postgres has told the state of the sync.");

/// How long changes have been waiting to be found.
pub const SYNC_LAG_SECONDS: Meaning = ("collections_sync_lag_seconds", "How long changes have waited to be found.");

/// Change stream that the index does not have yet.
pub const SYNC_LAG_BYTES: Meaning = ("collections_sync_lag_bytes", "Change stream that the index lacks.");

/// Write-ahead log that Postgres keeps for the sync.
pub const SYNC_RETAINED_BYTES: Meaning = ("collections_sync_retained_bytes", "Log that Postgres keeps for the sync.");

/// Documents that the index refused.
pub const SYNC_REFUSED: Meaning = ("collections_sync_refused", "Documents that the index refused.");

/// For how long the oldest open transaction has been writing; Postgres keeps its log for so long.
pub const SYNC_OLDEST_TRANSACTION_SECONDS: Meaning =
    ("collections_sync_oldest_transaction_seconds", "For how long the oldest open transaction has been writing.");

/// Documents that are to be written again.
pub const SYNC_SPILLED: Meaning = ("collections_sync_spilled", "Documents that are to be written again.");

/// Rows whose children are being written again.
pub const SYNC_FANOUTS: Meaning = ("collections_sync_fanouts", "Rows whose children are being written again.");

/// Time since all documents of a collection had been compared with their rows.
pub const SYNC_VERIFIED_SECONDS: Meaning = ("collections_sync_verified_seconds", "Time since all documents had been compared.");

/// Documents that were found to differ from their rows, ever.
pub const SYNC_DRIFT_FOUND: Meaning = ("collections_sync_drift_found", "Documents that were found to differ, ever.");

/// How many of those are as they should be since.
pub const SYNC_DRIFT_REPAIRED: Meaning = ("collections_sync_drift_repaired", "Documents that differed and were repaired, ever.");

/// What one answer tells of the sync. What is not known is absent: a gauge that stays would go on telling what was true once.
#[derive(Default)]
pub struct Gauges(Registry);

impl Gauges {
    /// Tells a value.
    pub fn tell(&self, (name, help): Meaning, value: f64) {
        registered_in(&self.0, Gauge::new(name, help)).set(value);
    }

    /// Tells a value of each collection.
    pub fn tell_each<'a>(&self, (name, help): Meaning, values: impl IntoIterator<Item = (&'a str, f64)>) {
        let gauge = registered_in(&self.0, GaugeVec::new(Opts::new(name, help), &["collection"]));
        for (collection, value) in values {
            gauge.with_label_values(&[collection]).set(value);
        }
    }
}

/// Registers a metric under its name.
///
/// # Panics
/// With a name that is taken or not a name, which is a mistake in the program that its first use shows.
pub fn registered<M: Collector + Clone + 'static>(metric: prometheus::Result<M>) -> M {
    registered_in(prometheus::default_registry(), metric)
}

fn registered_in<M: Collector + Clone + 'static>(registry: &Registry, metric: prometheus::Result<M>) -> M {
    let metric = metric.expect("a metric has a valid name");
    registry.register(Box::new(metric.clone())).expect("a metric is registered once");
    metric
}

/// The content type of [`render`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Writes all metrics, with what is told of the sync.
///
/// # Errors
/// None in practice: the encoder writes to memory.
pub fn render(sync: &Gauges) -> prometheus::Result<String> {
    if let Some(bytes) = resident_bytes() {
        RESIDENT_BYTES.set(bytes);
    }
    let mut text = Vec::new();
    let mut metrics = prometheus::gather();
    metrics.extend(sync.0.gather());
    TextEncoder::new().encode(&metrics, &mut text)?;
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
