//! How fast a rebuild may go: as fast as it can while live changes arrive in time, and ever slower while they do not.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::app::App;

/// The first pause, the longest, and the least by which it shrinks with each chunk that goes well.
const FIRST: Duration = Duration::from_millis(20);
const LONGEST: Duration = Duration::from_secs(2);
const STEP: Duration = Duration::from_millis(5);
/// The part of the pause by which it shrinks with each chunk that goes well.
const PART: u32 = 10;
/// How many times smaller chunks are once a live change has waited too long, and for how long after the last that did. A live
/// change waits behind the chunks that are under way, large ones cost less, and without live changes nobody waits.
const SMALLER: usize = 4;
const WARY: Duration = Duration::from_secs(60);

/// The pause between two chunks, doubled while live changes wait too long and shortened part by part while they do not; and the
/// size of the chunks.
#[derive(Debug)]
pub struct Throttle {
    limit: Duration,
    pause: Duration,
    doubled: Option<Instant>,
    late: Option<Instant>,
}

impl Throttle {
    /// Begins at full speed.
    #[must_use]
    pub fn new(limit: Duration) -> Self {
        Self { limit, pause: Duration::ZERO, doubled: None, late: None }
    }

    /// Returns the pause before the next chunk, given how long live changes wait now. A pause has the time of the limit to help
    /// before it is doubled again: several workers see the same change wait.
    pub fn next(&mut self, lag: Duration, now: Instant) -> Duration {
        if lag <= self.limit {
            self.pause = self.pause.saturating_sub(STEP.max(self.pause / PART));
            return self.pause;
        }
        self.late = Some(now);
        if self.doubled.is_none_or(|doubled| now.duration_since(doubled) >= self.limit) {
            self.pause = (self.pause * 2).clamp(FIRST, LONGEST);
            self.doubled = Some(now);
        }
        self.pause
    }

    /// Returns how large the next chunk is, of those that are `full` where nobody waits.
    #[must_use]
    pub fn chunk(&self, full: usize, now: Instant) -> usize {
        match self.late.is_some_and(|late| now.duration_since(late) < WARY) {
            true => full / SMALLER,
            false => full,
        }
        .max(1)
    }
}

/// Holds back those who fill while live changes wait.
#[derive(Debug)]
pub(crate) struct Brake(Mutex<Throttle>);

impl Brake {
    pub(crate) fn new(limit: Duration) -> Self {
        Self(Mutex::new(Throttle::new(limit)))
    }

    /// Waits as long as it takes for live changes to get through.
    pub(crate) async fn hold(&self, app: &App) {
        let lag = app.watermark.status.report().write_lag();
        let pause = self.throttle().next(lag, Instant::now());
        if !pause.is_zero() {
            sleep(pause).await;
        }
    }

    /// Returns how large the next chunk is.
    pub(crate) fn chunk(&self, full: usize) -> usize {
        self.throttle().chunk(full, Instant::now())
    }

    fn throttle(&self) -> MutexGuard<'_, Throttle> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_while_changes_wait_and_shrinks_by_parts() {
        let table = [
            // moment, lag, pause that follows
            (0, 0, 0),
            (0, 250, 0),
            (0, 251, 20),
            // The other workers see the same change.
            (10, 261, 20),
            (240, 491, 20),
            (250, 501, 40),
            (400, 0, 35),
            (500, 9_000, 70),
            (740, 9_000, 70),
            (750, 9_000, 140),
            (1_000, 260, 280),
            (1_250, 260, 560),
            (1_500, 260, 1_120),
            (1_750, 260, 2_000),
            (2_000, 260, 2_000),
            (2_010, 10, 1_800),
            (2_020, 10, 1_620),
            (2_250, 260, 2_000),
        ];
        let begin = Instant::now();
        let mut throttle = Throttle::new(Duration::from_millis(250));
        for (moment, lag, pause) in table {
            let next = throttle.next(Duration::from_millis(lag), begin + Duration::from_millis(moment));
            assert_eq!(next, Duration::from_millis(pause), "at {moment} ms");
        }
    }

    #[test]
    fn chunks_are_small_for_a_while_after_a_change_was_late() {
        let begin = Instant::now();
        let mut throttle = Throttle::new(Duration::from_millis(100));
        assert_eq!(throttle.chunk(500, begin), 500);
        throttle.next(Duration::from_millis(100), begin);
        assert_eq!(throttle.chunk(500, begin), 500);
        throttle.next(Duration::from_millis(101), begin);
        assert_eq!([500, 3, 0].map(|full| throttle.chunk(full, begin)), [125, 1, 1]);
        throttle.next(Duration::ZERO, begin + WARY / 2);
        assert_eq!(throttle.chunk(500, begin + WARY - Duration::from_millis(1)), 125);
        assert_eq!(throttle.chunk(500, begin + WARY), 500);
    }

    #[test]
    fn a_long_pause_is_soon_over() {
        let mut throttle = Throttle::new(Duration::from_millis(100));
        let begin = Instant::now();
        for doubling in 0..20 {
            throttle.next(Duration::from_secs(1), begin + Duration::from_secs(doubling));
        }
        let pauses = std::iter::from_fn(|| Some(throttle.next(Duration::ZERO, begin)).filter(|pause| !pause.is_zero()));
        assert!(pauses.sum::<Duration>() < 10 * LONGEST);
    }
}
