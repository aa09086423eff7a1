//! How fast a rebuild may go: as fast as it can while live changes arrive in time, and ever slower while they do not.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::sleep;

use crate::app::App;

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

/// Holds back those who fill while live changes wait.
#[derive(Debug)]
pub(super) struct Brake(Mutex<Throttle>);

impl Brake {
    pub(super) fn new(limit: Duration) -> Self {
        Self(Mutex::new(Throttle::new(limit)))
    }

    /// Waits as long as it takes for live changes to get through.
    pub(super) async fn hold(&self, app: &App) {
        let lag = app.watermark.status.report().write_lag();
        let pause = self.0.lock().unwrap_or_else(PoisonError::into_inner).next(lag);
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
}
