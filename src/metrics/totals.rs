//! What the process has counted since its start, summed.

use prometheus::core::Collector;

use super::{HTTP_SECONDS, SEARCHES};

/// Counts of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Totals {
    /// Lists answered.
    pub lists: i64,
    /// Those that should have come from the other engine.
    pub fallbacks: i64,
    /// Requests answered.
    pub requests: i64,
    /// Seconds that they took, summed.
    pub seconds: f64,
}

impl Totals {
    /// What was counted since then.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self {
            lists: self.lists - before.lists,
            fallbacks: self.fallbacks - before.fallbacks,
            requests: self.requests - before.requests,
            seconds: self.seconds - before.seconds,
        }
    }

    /// Mean time of a request in milliseconds; none without requests.
    #[must_use]
    pub fn mean_ms(self) -> Option<i64> {
        (self.requests > 0).then(|| (self.seconds * 1_000.0 / self.requests as f64).round() as i64)
    }
}

/// Reads the counters.
#[must_use]
pub fn totals() -> Totals {
    let mut totals = Totals::default();
    for metric in SEARCHES.collect().iter().flat_map(|family| family.get_metric()) {
        let count = metric.get_counter().get_value() as i64;
        let is_degraded = metric.get_label().iter().any(|label| label.name() == "degraded" && label.value() == "true");
        totals.lists += count;
        totals.fallbacks += if is_degraded { count } else { 0 };
    }
    for metric in HTTP_SECONDS.collect().iter().flat_map(|family| family.get_metric()) {
        let times = metric.get_histogram();
        totals.requests += i64::try_from(times.get_sample_count()).unwrap_or(i64::MAX);
        totals.seconds += times.get_sample_sum();
    }
    totals
}
