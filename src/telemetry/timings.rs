//! How long statements and requests to Elasticsearch take: histograms, the slow log, and traces.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::{Span, traces};
use crate::metrics;

/// Microseconds from which something is slow; as the setting's default until the program starts.
static SLOW: AtomicU64 = AtomicU64::new(250_000);

pub(super) fn log_slower_than(duration: Duration) {
    SLOW.store(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
}

fn is_slow(took: Duration) -> bool {
    took.as_micros() >= u128::from(SLOW.load(Ordering::Relaxed))
}

/// Counts an SQL statement of this class, such as `select accounts`.
pub(super) fn statement(class: &str, took: Duration) {
    metrics::POSTGRES_SECONDS.with_label_values(&[class]).observe(took.as_secs_f64());
    let span = Span::current();
    if is_slow(took) {
        let request_id = span.as_ref().map(Span::id);
        tracing::info!(statement = class, ms = took.as_micros() as f64 / 1000.0, request_id, "slow statement");
    }
    if let Some(trace) = span.as_ref().and_then(Span::trace) {
        traces::record(trace, "postgresql", class, took, "ok");
    }
}

/// Counts a request to Elasticsearch: the operation, such as `search`, its path without parameters, and how it ended.
pub fn elasticsearch(operation: &'static str, path: &str, took: Duration, outcome: &'static str) {
    metrics::ELASTICSEARCH_SECONDS.with_label_values(&[operation, outcome]).observe(took.as_secs_f64());
    let span = Span::current();
    if is_slow(took) {
        let request_id = span.as_ref().map(Span::id);
        let ms = took.as_micros() as f64 / 1000.0;
        tracing::info!(operation, path, outcome, ms, request_id, "slow request to elasticsearch");
    }
    if let Some(trace) = span.as_ref().and_then(Span::trace) {
        traces::record(trace, "elasticsearch", operation, took, outcome);
    }
}
