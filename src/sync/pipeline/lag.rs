//! How long changes wait.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::values::lsn::Lsn;

/// Moments that are remembered, and the time between two; while the index is away for long, the oldest is what matters.
const MOMENTS: usize = 10_000;
const SPACING: Duration = Duration::from_millis(10);

/// How long the oldest change has waited that has not arrived. A stream that never rests is always a little behind, so it does not
/// do to ask since when it has been.
#[derive(Debug, Default)]
pub(crate) struct Lag {
    seen: VecDeque<(Lsn, Instant)>,
}

impl Lag {
    /// Takes in how far the stream is now, and what has arrived of it.
    pub(crate) fn note(&mut self, received: Lsn, arrived: Lsn) {
        while self.seen.front().is_some_and(|(position, _)| *position <= arrived) {
            self.seen.pop_front();
        }
        let now = Instant::now();
        let is_news = self.seen.back().is_none_or(|(last, at)| received > *last && now >= *at + SPACING);
        if is_news && received > arrived && self.seen.len() < MOMENTS {
            self.seen.push_back((received, now));
        }
    }

    /// Since when the oldest has waited.
    pub(crate) fn since(&self) -> Option<Instant> {
        self.seen.front().map(|(_, since)| *since)
    }

    /// How long it has.
    pub(crate) fn wait(&self) -> Duration {
        self.since().map_or(Duration::ZERO, |since| since.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_lag_is_that_of_the_oldest_change_that_has_not_arrived() {
        let begin = Instant::now();
        let table = [
            // moment, received, arrived, lag
            (0, 100, 100, 0),
            (10, 200, 100, 0),
            (20, 300, 100, 10),
            (50, 300, 100, 40),
            // A stream that never rests: the first change is in, the second still waits.
            (60, 400, 200, 40),
            (70, 400, 300, 10),
            (80, 400, 400, 0),
            (900, 400, 400, 0),
        ];
        let mut lag = Lag::default();
        for (moment, received, arrived, expected) in table {
            tokio::time::sleep_until(begin + Duration::from_millis(moment)).await;
            lag.note(Lsn(received), Lsn(arrived));
            assert_eq!(lag.wait(), Duration::from_millis(expected), "at {moment} ms");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_remembered_of_a_long_outage_is_bounded() {
        let mut lag = Lag::default();
        for moment in 0..2 * MOMENTS as u64 {
            lag.note(Lsn(moment + 1), Lsn(0));
            sleep(SPACING).await;
        }
        assert_eq!(lag.seen.len(), MOMENTS);
        assert_eq!(lag.wait(), SPACING * 2 * MOMENTS as u32);
    }
}
