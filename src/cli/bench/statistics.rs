//! What a list of measurements says: medians and percentiles, never means.

use std::time::Duration;

/// The latencies of one run.
#[derive(Clone, Debug, Default)]
pub(super) struct Latencies(Vec<Duration>);

impl Latencies {
    /// Sorts the latencies, so that percentiles can be read off.
    pub(super) fn new(mut latencies: Vec<Duration>) -> Self {
        latencies.sort_unstable();
        Self(latencies)
    }

    /// The smallest latency that so many in a hundred do not exceed (nearest rank), in milliseconds; 0 if there are none.
    pub(super) fn percentile(&self, percent: f64) -> f64 {
        let rank = (self.0.len() as f64 * percent / 100.0).ceil() as usize;
        self.0.get(rank.saturating_sub(1)).map_or(0.0, |latency| latency.as_secs_f64() * 1e3)
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }
}

/// The value in the middle; between two, half-way. 0 if there are none.
pub(super) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => 0.0,
        length if length % 2 == 1 => sorted[length / 2],
        length => f64::midpoint(sorted[length / 2 - 1], sorted[length / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_latency_that_occurred() {
        let hundred = Latencies::new((1..=100).rev().map(Duration::from_millis).collect());
        for (percent, expected) in [(0.0, 1.0), (50.0, 50.0), (99.0, 99.0), (99.1, 100.0), (100.0, 100.0)] {
            assert!((hundred.percentile(percent) - expected).abs() < 1e-9, "p{percent}");
        }
        let three = Latencies::new([30, 10, 20].map(Duration::from_millis).to_vec());
        assert!((three.percentile(50.0) - 20.0).abs() < 1e-9);
        assert!((three.percentile(99.0) - 30.0).abs() < 1e-9);
        assert!(Latencies::default().percentile(50.0).abs() < 1e-9);
    }

    #[test]
    fn a_median_ignores_how_far_out_the_outliers_are() {
        for (values, expected) in
            [(&[][..], 0.0), (&[3.0][..], 3.0), (&[9e9, 1.0, 2.0][..], 2.0), (&[4.0, 1.0, 2.0, 9e9][..], 3.0)]
        {
            assert!((median(values) - expected).abs() < 1e-9, "{values:?}");
        }
    }
}
