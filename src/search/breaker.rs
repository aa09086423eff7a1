//! A circuit breaker: after failures in a row the server is not asked until a probe has succeeded.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

#[derive(Debug)]
pub(super) struct Breaker {
    threshold: u32,
    interval: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    /// When the last probe began, while the breaker is open.
    probed: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Circuit {
    /// Ask the server.
    Closed,
    /// Do not ask it.
    Open,
    /// Do not ask it, but probe it in the background.
    HalfOpen,
}

impl Breaker {
    /// Opens after `threshold` failures in a row and asks for a probe once in `interval`.
    #[must_use]
    pub(super) fn new(threshold: u32, interval: Duration) -> Self {
        Self { threshold: threshold.max(1), interval, state: Mutex::default() }
    }

    /// Returns whether to ask the server; while the circuit is open, one caller in an interval probes it.
    pub(super) fn circuit(&self, now: Instant) -> Circuit {
        let mut state = self.state.lock();
        match state.probed {
            None => Circuit::Closed,
            Some(probed) if now.duration_since(probed) < self.interval => Circuit::Open,
            Some(_) => {
                state.probed = Some(now);
                Circuit::HalfOpen
            }
        }
    }

    /// Closes the breaker.
    pub(super) fn succeeded(&self) {
        *self.state.lock() = State::default();
    }

    /// Counts a failure. Returns whether it opened the breaker.
    pub(super) fn failed(&self, now: Instant) -> bool {
        let mut state = self.state.lock();
        state.failures = state.failures.saturating_add(1);
        let opens = state.failures >= self.threshold && state.probed.is_none();
        if opens {
            state.probed = Some(now);
        }
        opens
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(1);

    #[test]
    fn it_opens_after_failures_in_a_row_only() {
        let (breaker, now) = (Breaker::new(3, INTERVAL), Instant::now());
        assert!(!breaker.failed(now) && !breaker.failed(now));
        breaker.succeeded();
        assert!(!breaker.failed(now) && !breaker.failed(now));
        assert_eq!(breaker.circuit(now), Circuit::Closed);
        assert!(breaker.failed(now));
        assert_eq!(breaker.circuit(now), Circuit::Open);
    }

    #[test]
    fn one_caller_in_an_interval_is_told_to_probe() {
        let (breaker, opened) = (Breaker::new(1, INTERVAL), Instant::now());
        breaker.failed(opened);
        let due = opened + INTERVAL;
        assert_eq!([breaker.circuit(due), breaker.circuit(due)], [Circuit::HalfOpen, Circuit::Open]);
        assert!(!breaker.failed(due), "a failed probe does not open it again");
        assert_eq!(breaker.circuit(due + INTERVAL), Circuit::HalfOpen);
        breaker.succeeded();
        assert_eq!(breaker.circuit(due + INTERVAL), Circuit::Closed);
    }
}
