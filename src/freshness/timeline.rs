//! When the log was at which LSN, so that an LSN says how old the index is.

use std::collections::VecDeque;

use chrono::{DateTime, Utc};

use crate::values::lsn::Lsn;

/// Heartbeats kept: more than two hours of them. Beyond that every second one is dropped, as an old one need not be exact.
const LIMIT: usize = 8_192;

/// Heartbeats in the log with their moments, oldest first.
#[derive(Debug, Default)]
pub struct Timeline(VecDeque<(Lsn, DateTime<Utc>)>);

impl Timeline {
    /// Adds a heartbeat: every commit before the moment has a lower LSN.
    pub fn add(&mut self, lsn: Lsn, at: DateTime<Utc>) {
        self.0.push_back((lsn, at));
        if self.0.len() > LIMIT {
            let mut number = 0;
            self.0.retain(|_| {
                number += 1;
                number % 2 == 1
            });
        }
    }

    /// The moment before which every commit has a lower LSN than this; none if no heartbeat is that old.
    #[must_use]
    pub fn at(&self, lsn: Lsn) -> Option<DateTime<Utc>> {
        let later = self.0.partition_point(|(heartbeat, _)| *heartbeat <= lsn);
        later.checked_sub(1).and_then(|last| self.0.get(last)).map(|(_, at)| *at)
    }

    /// Forgets what only LSNs before this one need.
    pub fn forget_before(&mut self, lsn: Lsn) {
        while self.0.get(1).is_some_and(|(second, _)| *second <= lsn) {
            self.0.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(seconds: usize) -> DateTime<Utc> {
        DateTime::from_timestamp(i64::try_from(seconds).unwrap(), 0).unwrap()
    }

    fn timeline(seconds: usize) -> Timeline {
        let mut timeline = Timeline::default();
        for number in 1..=seconds {
            timeline.add(Lsn(10 * number as u64), second(number));
        }
        timeline
    }

    #[test]
    fn an_lsn_is_as_old_as_the_last_heartbeat_up_to_it() {
        let mut timeline = timeline(3);
        let at = |timeline: &Timeline| [9, 10, 19, 20, 35].map(|lsn| timeline.at(Lsn(lsn)));
        assert_eq!(at(&timeline), [None, Some(second(1)), Some(second(1)), Some(second(2)), Some(second(3))]);
        timeline.forget_before(Lsn(25));
        assert_eq!(at(&timeline), [None, None, None, Some(second(2)), Some(second(3))]);
        timeline.forget_before(Lsn(99));
        assert_eq!(timeline.at(Lsn(99)), Some(second(3)));
    }

    #[test]
    fn heartbeats_of_a_long_outage_are_bounded_and_never_make_an_lsn_younger() {
        let timeline = timeline(3 * LIMIT);
        assert!(timeline.0.len() <= LIMIT);
        assert_eq!(timeline.at(Lsn(10)), Some(second(1)), "the oldest stays");
        for number in [5, LIMIT, 2 * LIMIT, 3 * LIMIT] {
            assert!(timeline.at(Lsn(10 * number as u64)).unwrap() <= second(number));
        }
    }
}
