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

/// The gauges of one answer. An unknown value is absent: a registered gauge would go on showing its last one.
#[derive(Default)]
pub struct Gauges(Registry);

impl Gauges {
    pub fn set(&self, name: &str, help: &str, value: f64) {
        registered_in(&self.0, Gauge::new(name, help)).set(value);
    }

    pub fn set_each<'a>(&self, name: &str, help: &str, values: impl IntoIterator<Item = (&'a str, f64)>) {
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
