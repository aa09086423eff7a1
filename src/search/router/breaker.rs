//! A circuit breaker: a failed search asks for a probe, a failed probe opens it, and a probe that succeeds closes it.
//!
//! A search that fails says little about the server: its own cost may have used up its deadline. A probe costs next to nothing.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

#[derive(Debug)]
pub(super) struct Breaker {
    interval: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    is_open: bool,
    /// When the last probe began.
    probed: Option<Instant>,
}

impl Breaker {
    /// Allows one probe in an interval.
    #[must_use]
    pub(super) fn new(interval: Duration) -> Self {
        Self { interval, state: Mutex::default() }
    }

    /// Whether searches stay away from the server.
    pub(super) fn is_open(&self) -> bool {
        self.state.lock().is_open
    }

    /// Returns true to one caller in an interval, who probes the server then.
    pub(super) fn is_probe_due(&self, now: Instant) -> bool {
        let mut state = self.state.lock();
        let is_due = state.probed.is_none_or(|probed| now.duration_since(probed) >= self.interval);
        if is_due {
            state.probed = Some(now);
        }
        is_due
    }

    /// Opens the breaker. Returns whether it was closed.
    pub(super) fn open(&self) -> bool {
        !std::mem::replace(&mut self.state.lock().is_open, true)
    }

    /// Closes the breaker. Returns whether it was open.
    pub(super) fn close(&self) -> bool {
        std::mem::take(&mut self.state.lock().is_open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_caller_in_an_interval_probes() {
        let (breaker, now) = (Breaker::new(Duration::from_secs(1)), Instant::now());
        let due = |seconds: f32| breaker.is_probe_due(now + Duration::from_secs_f32(seconds));
        assert_eq!([due(0.0), due(0.5), due(1.0), due(1.9), due(2.0)], [true, false, true, false, true]);
    }

    #[test]
    fn it_tells_of_each_change_once() {
        let breaker = Breaker::new(Duration::ZERO);
        assert!(!breaker.close(), "it begins closed");
        assert!(breaker.open() && !breaker.open() && breaker.is_open());
        assert!(breaker.close() && !breaker.close() && !breaker.is_open());
    }
}
