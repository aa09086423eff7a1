//! The only source of wall-clock time, so that tests can move it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, NaiveDate, SecondsFormat, SubsecRound, TimeDelta, Utc};
use serde::Serializer;

/// The system's clock, shifted by what a test has added.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    shift_ms: Arc<AtomicI64>,
}

impl Clock {
    /// Returns the current time in whole microseconds, the resolution of Postgres.
    #[expect(clippy::disallowed_methods, reason = "the one place where the system's clock is read")]
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        (Utc::now() + TimeDelta::milliseconds(self.shift_ms.load(Ordering::Relaxed))).trunc_subsecs(6)
    }

    /// Returns the current day in UTC.
    #[must_use]
    pub fn today(&self) -> NaiveDate {
        self.now().date_naive()
    }

    /// Moves this clock and all its clones.
    pub fn advance(&self, by: TimeDelta) {
        self.shift_ms.fetch_add(by.num_milliseconds(), Ordering::Relaxed);
    }
}

/// Serialises a moment, or none, as the wire has it: UTC, always with milliseconds.
pub fn milliseconds<S: Serializer>(at: &(impl Into<Option<DateTime<Utc>>> + Copy), serializer: S) -> Result<S::Ok, S::Error> {
    match (*at).into() {
        Some(at) => serializer.serialize_str(&at.to_rfc3339_opts(SecondsFormat::Millis, true)),
        None => serializer.serialize_none(),
    }
}
