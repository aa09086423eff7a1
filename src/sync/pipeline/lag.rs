//! How long changes wait.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::values::lsn::Lsn;

/// Samples kept, and the time between two; during a long outage the oldest is what matters.
const SAMPLES: usize = 10_000;
const SPACING: Duration = Duration::from_millis(10);

/// How long the oldest change has waited. A stream that never pauses is always a little behind, so the time since the last moment
/// without any change waiting would say nothing.
#[derive(Debug, Default)]
pub(crate) struct Lag {
    samples: VecDeque<(Lsn, Instant)>,
}

impl Lag {
    /// Records how far the stream is now, and how far its changes have come.
    pub(crate) fn record(&mut self, received: Lsn, done: Lsn) {
        while self.samples.front().is_some_and(|(lsn, _)| *lsn <= done) {
            self.samples.pop_front();
        }
        let now = Instant::now();
        let is_news = self.samples.back().is_none_or(|(last, at)| received > *last && now >= *at + SPACING);
        if is_news && received > done && self.samples.len() < SAMPLES {
            self.samples.push_back((received, now));
        }
    }

    /// Since when the oldest has waited.
    pub(crate) fn since(&self) -> Option<Instant> {
        self.samples.front().map(|(_, since)| *since)
    }

    pub(crate) fn wait(&self) -> Duration {
        self.since().map_or(Duration::ZERO, |since| since.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_lag_is_that_of_the_oldest_waiting_change() {
        let begin = Instant::now();
        let table = [
            // time, received, done, lag
            (0, 100, 100, 0),
            (10, 200, 100, 0),
            (20, 300, 100, 10),
            (50, 300, 100, 40),
            // A stream that never pauses: the first change is done, the second still waits.
            (60, 400, 200, 40),
            (70, 400, 300, 10),
            (80, 400, 400, 0),
            (900, 400, 400, 0),
        ];
        let mut lag = Lag::default();
        for (time, received, done, expected) in table {
            tokio::time::sleep_until(begin + Duration::from_millis(time)).await;
            lag.record(Lsn(received), Lsn(done));
            assert_eq!(lag.wait(), Duration::from_millis(expected), "at {time} ms");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn samples_of_a_long_outage_are_bounded() {
        let mut lag = Lag::default();
        for number in 0..2 * SAMPLES as u64 {
            lag.record(Lsn(number + 1), Lsn(0));
            sleep(SPACING).await;
        }
        assert_eq!(lag.samples.len(), SAMPLES);
        assert_eq!(lag.wait(), SPACING * 2 * SAMPLES as u32);
    }
}
