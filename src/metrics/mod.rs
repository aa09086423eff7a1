//! Counters, gauges and histograms of the process, in Prometheus' text format and as JSON.

mod report;
mod totals;

use std::sync::LazyLock;

use hyper::Method;
use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{
    Gauge, GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

pub use report::Report;
pub use totals::{Totals, totals};

/// Time to answer a request, by method, address pattern and class of status.
pub static HTTP_SECONDS: LazyLock<HistogramVec> = LazyLock::new(|| {
    let options = HistogramOpts::new("collections_http_seconds", "Time to answer a request.")
        .buckets(vec![0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0]);
    registered(HistogramVec::new(options, &["method", "route", "status"]))
});

/// Requests that are being answered.
pub static HTTP_IN_FLIGHT: LazyLock<IntGauge> =
    LazyLock::new(|| registered(IntGauge::new("collections_http_in_flight", "Requests that are being answered.")));

/// Time of an SQL statement, by verb and table.
pub static POSTGRES_SECONDS: LazyLock<HistogramVec> = LazyLock::new(|| {
    let options = HistogramOpts::new("collections_postgres_seconds", "Time of an SQL statement.").buckets(call_buckets());
    registered(HistogramVec::new(options, &["statement"]))
});

/// Time of a request to Elasticsearch, by operation and outcome.
pub static ELASTICSEARCH_SECONDS: LazyLock<HistogramVec> = LazyLock::new(|| {
    let options = HistogramOpts::new("collections_elasticsearch_seconds", "Time of a request to Elasticsearch.");
    registered(HistogramVec::new(options.buckets(call_buckets()), &["operation", "outcome"]))
});

/// Seconds; few, since there is a series of each for every kind of statement.
fn call_buckets() -> Vec<f64> {
    vec![0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0]
}

/// Open sockets and streams of events, by transport.
pub static SOCKETS: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    let options = Opts::new("collections_sockets", "Open sockets and streams of events.");
    registered(IntGaugeVec::new(options, &["transport"]))
});

/// Sockets and streams that the server has ended, by reason.
pub static SOCKETS_ENDED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let options = Opts::new("collections_sockets_ended_total", "Sockets and streams that the server has ended.");
    registered(IntCounterVec::new(options, &["reason"]))
});

/// Whether searches stay away from Elasticsearch.
pub static BREAKER_OPEN: LazyLock<IntGauge> = LazyLock::new(|| {
    registered(IntGauge::new(
        "collections_breaker_open",
        "Whether searches stay away from Elasticsearch, which fails or is slow.",
    ))
});

/// Connections to Postgres, by pool and whether they are in use.
pub static POOL_CONNECTIONS: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    let options = Opts::new("collections_postgres_connections", "Connections to Postgres.");
    registered(IntGaugeVec::new(options, &["pool", "state"]))
});

/// Records that left as files, by collection.
pub static EXPORTED_RECORDS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let options = Opts::new("collections_exported_records_total", "Records that left as files.");
    registered(IntCounterVec::new(options, &["collection"]))
});

/// Lists answered, by collection and engine; `degraded` ones should have come from the other engine.
pub static SEARCHES: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let options = Opts::new("collections_searches_total", "Lists answered.");
    registered(IntCounterVec::new(options, &["collection", "engine", "degraded"]))
});

/// Reads that are missing in the audit log.
pub static AUDIT_LOST: LazyLock<IntCounter> =
    LazyLock::new(|| registered(IntCounter::new("collections_audit_lost_total", "Reads that are missing in the audit log.")));

/// Requests refused by a limit of a user, an address or an account.
pub static REFUSED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let options = Opts::new("collections_refused_total", "Requests refused by a limit.");
    registered(IntCounterVec::new(options, &["policy"]))
});

/// Time from a job's begin to its end, by kind and final status.
pub static JOB_SECONDS: LazyLock<HistogramVec> = LazyLock::new(|| {
    let options = HistogramOpts::new("collections_job_seconds", "Time from a job's begin to its end.")
        .buckets(vec![0.01, 0.1, 1.0, 10.0, 60.0, 600.0, 3_600.0, 36_000.0]);
    registered(HistogramVec::new(options, &["kind", "status"]))
});

/// Attempts of jobs that failed, by kind; most are repeated.
pub static JOB_FAILURES: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let options = Opts::new("collections_job_failures_total", "Attempts of jobs that failed.");
    registered(IntCounterVec::new(options, &["kind"]))
});

/// A gauge that is read for each scrape: its name and its help text.
pub type Description = (&'static str, &'static str);

pub const JOBS: Description = ("collections_jobs", "Jobs that wait for a worker or have one.");
pub const JOB_WAITING_SECONDS: Description =
    ("collections_job_waiting_seconds", "How long the oldest job that is due has waited for a worker.");

pub const SYNC_LEADING: Description = ("collections_sync_leading", "Whether this process leads the sync.");
pub const SYNC_KNOWN: Description = ("collections_sync_known", "Whether the state of the sync could be read from Postgres.");
pub const SYNC_LAG_SECONDS: Description = ("collections_sync_lag_seconds", "How long changes have waited to become searchable.");
pub const SYNC_LAG_BYTES: Description = ("collections_sync_lag_bytes", "Bytes of the log that the index lacks.");
pub const SYNC_RETAINED_BYTES: Description =
    ("collections_sync_retained_bytes", "Bytes of the log that Postgres retains for the sync.");
pub const SYNC_DEAD_LETTERS: Description = ("collections_sync_dead_letters", "Documents that Elasticsearch refused.");
pub const SYNC_OLDEST_TRANSACTION_SECONDS: Description =
    ("collections_sync_oldest_transaction_seconds", "How long the oldest open transaction has been writing.");
pub const SYNC_BACKLOG: Description = ("collections_sync_backlog", "Documents to write again.");
pub const SYNC_FANOUTS: Description = ("collections_sync_fanouts", "Rows whose children are being written.");
pub const SYNC_VERIFIED_SECONDS: Description =
    ("collections_sync_verified_seconds", "Time since all documents had been compared.");
pub const SYNC_DRIFT_FOUND: Description = ("collections_sync_drift_found", "Documents that were found to differ, ever.");
pub const SYNC_DRIFT_REPAIRED: Description =
    ("collections_sync_drift_repaired", "Documents that differed and were repaired, ever.");

/// The gauges of one scrape. Unknown values are absent: a registered gauge would keep showing an old value.
#[derive(Default)]
pub struct Gauges(Registry);

impl Gauges {
    pub fn set(&self, (name, help): Description, value: f64) {
        registered_in(&self.0, Gauge::new(name, help)).set(value);
    }

    /// Sets one value for each combination of labels.
    pub fn set_by<'a, const N: usize>(
        &self,
        (name, help): Description,
        labels: [&str; N],
        values: impl IntoIterator<Item = ([&'a str; N], f64)>,
    ) {
        let gauge = registered_in(&self.0, GaugeVec::new(Opts::new(name, help), &labels));
        for (labels, value) in values {
            gauge.with_label_values(&labels).set(value);
        }
    }

    /// Sets one value for each collection.
    pub fn set_each<'a>(&self, (name, help): Description, values: impl IntoIterator<Item = (&'a str, f64)>) {
        self.set_by((name, help), ["collection"], values.into_iter().map(|(collection, value)| ([collection], value)));
    }
}

/// Registers a metric. Panics if its name is invalid or taken, which the first use shows.
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

/// Writes all metrics, the sync's gauges included.
pub fn render(sync: &Gauges) -> prometheus::Result<String> {
    TextEncoder::new().encode_to_string(&gather(sync))
}

/// The same for people, as JSON: see `docs/metrics.md`.
#[must_use]
pub fn report(sync: &Gauges) -> Report {
    Report::new(&gather(sync))
}

fn gather(sync: &Gauges) -> Vec<MetricFamily> {
    let mut metrics = prometheus::gather();
    metrics.extend(sync.0.gather());
    metrics
}

/// The method as a label. Unknown methods share one value, so that a client cannot create new series.
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
