//! How fast a rebuild may go: as fast as it can while live changes arrive in time, and ever slower while they do not.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::progress::Progress;
use crate::app::App;
use crate::position::Position;

/// How often the live path is looked at.
const LOOK: Duration = Duration::from_millis(25);
/// Moments that are remembered; while the index is away for long, the oldest is what matters.
const MOMENTS: usize = 10_000;
/// The first pause, the longest, and by how much it shrinks with each chunk that goes well.
const FIRST: Duration = Duration::from_millis(20);
const LONGEST: Duration = Duration::from_secs(2);
const STEP: Duration = Duration::from_millis(10);

/// The pause between two chunks: doubled while live changes wait too long, and shortened step by step while they do not.
#[derive(Debug)]
pub struct Throttle {
    limit: Duration,
    pause: Duration,
}

impl Throttle {
    /// Begins at full speed.
    #[must_use]
    pub fn new(limit: Duration) -> Self {
        Self { limit, pause: Duration::ZERO }
    }

    /// Returns the pause before the next chunk, given how long live changes wait now.
    pub fn next(&mut self, lag: Duration) -> Duration {
        self.pause = match lag > self.limit {
            true => (self.pause * 2).clamp(FIRST, LONGEST),
            false => self.pause.saturating_sub(STEP),
        };
        self.pause
    }
}

/// How long the oldest change has waited that the index does not have. A stream that never rests is always a little behind, so it
/// does not do to ask since when it has been.
#[derive(Debug, Default)]
pub struct Lag {
    seen: VecDeque<(Position, Instant)>,
}

impl Lag {
    /// Takes in how far the stream and the index are at a moment, and returns the wait.
    pub fn at(&mut self, now: Instant, received: Position, applied: Position) -> Duration {
        let is_news = self.seen.back().is_none_or(|(last, _)| received > *last);
        if is_news && self.seen.len() < MOMENTS {
            self.seen.push_back((received, now));
        }
        while self.seen.front().is_some_and(|(position, _)| *position <= applied) {
            self.seen.pop_front();
        }
        self.seen.front().map_or(Duration::ZERO, |(_, since)| now - *since)
    }
}

/// Watches the live path and holds back those who fill.
#[derive(Debug)]
pub(super) struct Brake {
    lag: Mutex<Duration>,
    throttle: Mutex<Throttle>,
}

impl Brake {
    pub(super) fn new(limit: Duration) -> Self {
        Self { lag: Mutex::default(), throttle: Mutex::new(Throttle::new(limit)) }
    }

    /// Looks at the live path until it is dropped.
    pub(super) async fn watch(&self, app: &App, progress: &Progress) -> ! {
        let mut lag = Lag::default();
        loop {
            let received = app.watermark.status.report().received;
            let wait = lag.at(Instant::now(), received, *progress.applied.borrow());
            *self.lag.lock().unwrap_or_else(PoisonError::into_inner) = wait;
            sleep(LOOK).await;
        }
    }

    /// Waits as long as it takes for live changes to get through.
    pub(super) async fn hold(&self) {
        let lag = *self.lag.lock().unwrap_or_else(PoisonError::into_inner);
        let pause = self.throttle.lock().unwrap_or_else(PoisonError::into_inner).next(lag);
        if !pause.is_zero() {
            sleep(pause).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_while_changes_wait_and_shrinks_in_steps() {
        let table = [
            // lag, pause that follows
            (0, 0),
            (250, 0),
            (251, 20),
            (300, 40),
            (9_000, 80),
            (250, 70),
            (0, 60),
            (260, 120),
            (260, 240),
            (260, 480),
            (260, 960),
            (260, 1_920),
            (260, 2_000),
            (260, 2_000),
            (10, 1_990),
        ];
        let mut throttle = Throttle::new(Duration::from_millis(250));
        for (step, (lag, pause)) in table.into_iter().enumerate() {
            assert_eq!(throttle.next(Duration::from_millis(lag)), Duration::from_millis(pause), "step {step}");
        }
    }

    #[test]
    fn the_lag_is_that_of_the_oldest_change_the_index_lacks() {
        let begin = Instant::now();
        let table = [
            // moment, received, applied, lag
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
        for (moment, received, applied, expected) in table {
            let now = begin + Duration::from_millis(moment);
            let found = lag.at(now, Position(received), Position(applied));
            assert_eq!(found, Duration::from_millis(expected), "at {moment} ms");
        }
    }

    #[test]
    fn what_is_remembered_of_a_long_outage_is_bounded() {
        let begin = Instant::now();
        let mut lag = Lag::default();
        for moment in 0..3 * MOMENTS as u64 {
            lag.at(begin + Duration::from_millis(moment), Position(moment + 1), Position(0));
        }
        assert_eq!(lag.seen.len(), MOMENTS);
        let later = begin + Duration::from_secs(3_600);
        assert_eq!(lag.at(later, Position(u64::MAX), Position(0)), Duration::from_secs(3_600));
    }
}
