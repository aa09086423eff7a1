//! One bucket as this process knows it.

use std::time::Duration;

use super::Budget;

/// Microseconds after which a request that asked for an allowance is thought to have got none.
const LONGEST_ASKING: u64 = 50_000;

/// How much a bucket holds and how fast it fills.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quota {
    pub(super) policy: &'static str,
    pub(super) limit: u32,
    window: Duration,
    /// Microseconds in which the bucket gets back one request, rounded up.
    pub(super) interval: u64,
}

impl Quota {
    /// Of a key that only shows whether Redis grants allowances: it is full again at once.
    pub(super) const PROBE: Self = Self { policy: "probe", limit: 1, window: Duration::from_micros(1), interval: 1 };

    /// None if the limit is 0, which is no limit.
    pub(super) fn new(policy: &'static str, limit: u32, window: Duration) -> Option<Self> {
        let interval = micros(window).div_ceil(u64::from(limit).max(1));
        (limit > 0).then_some(Self { policy, limit, window, interval })
    }

    /// Microseconds in which an empty bucket fills up.
    fn filling(&self) -> u64 {
        self.interval * u64::from(self.limit)
    }
}

/// What Redis has granted of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Allowance {
    /// Requests to spend; none if the bucket is empty.
    pub(super) requests: u32,
    /// Microseconds until the bucket is full.
    pub(super) full_in: u64,
}

/// Moments are in microseconds since any moment of this process.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bucket {
    /// When the bucket is full, as far as this process knows: the theoretical arrival time of the algorithm.
    full_at: u64,
    allowed: u32,
    allowed_until: u64,
    /// Until when a request is thought to ask for an allowance.
    asking_until: u64,
}

/// What this process can say of a request by itself.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Known {
    Taken(Budget),
    Ask(Size),
}

/// How much to ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Size {
    /// A 32nd of what is left.
    Share,
    /// One request: another one of the same key asks for a share already.
    One,
}

impl Bucket {
    /// Spends of the allowance, or tells that the bucket is known to be empty, or what to ask Redis for.
    pub(super) fn take_known(&mut self, quota: &Quota, now: u64) -> Known {
        if self.allowed_until <= now {
            self.allowed = 0;
        }
        if self.allowed > 0 || self.free(quota, now) == 0 {
            return Known::Taken(self.take_allowed(quota, now));
        }
        if self.asking_until > now {
            return Known::Ask(Size::One);
        }
        self.asking_until = now + LONGEST_ASKING;
        Known::Ask(Size::Share)
    }

    /// Adds an allowance that was asked for at a moment, and spends of it.
    pub(super) fn take_from(&mut self, allowance: Allowance, asked: u64, quota: &Quota, now: u64) -> Budget {
        self.asking_until = 0;
        // Answers come in any order, and an emptied Redis knows less than this process.
        self.full_at = self.full_at.max(asked + allowance.full_in);
        if allowance.requests > 0 {
            self.allowed += allowance.requests;
            self.allowed_until = now + micros(quota.window);
        }
        self.take_allowed(quota, now)
    }

    /// Takes a request in this process alone.
    pub(super) fn take_alone(&mut self, quota: &Quota, now: u64) -> Budget {
        if self.allowed == 0 && self.free(quota, now) > 0 {
            self.full_at = self.full_at.max(now) + quota.interval;
            self.allowed = 1;
        }
        self.take_allowed(quota, now)
    }

    fn take_allowed(&mut self, quota: &Quota, now: u64) -> Budget {
        let is_exceeded = self.allowed == 0;
        self.allowed = self.allowed.saturating_sub(1);
        let until_full = self.full_at.saturating_sub(now);
        let until_one = until_full.saturating_sub(quota.filling() - quota.interval);
        Budget {
            policy: quota.policy,
            limit: quota.limit,
            window: quota.window,
            remaining: if is_exceeded { 0 } else { (self.allowed + self.free(quota, now)).min(quota.limit) },
            reset_seconds: if is_exceeded { until_one.div_ceil(1_000_000).max(1) } else { until_full.div_ceil(1_000_000) },
            is_exceeded,
        }
    }

    /// Requests that the bucket holds.
    fn free(&self, quota: &Quota, now: u64) -> u32 {
        let free = quota.filling().saturating_sub(self.full_at.saturating_sub(now)) / quota.interval;
        u32::try_from(free).unwrap_or(u32::MAX)
    }

    pub(super) fn full_at(&self) -> u64 {
        self.full_at
    }
}

pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000;

    fn quota(limit: u32, seconds: u64) -> Quota {
        Quota::new("user", limit, Duration::from_secs(seconds)).unwrap()
    }

    #[test]
    fn a_bucket_admits_its_limit_and_then_one_each_interval() {
        let quota = quota(100, 900);
        let (mut bucket, now) = (Bucket::default(), 77 * SECOND);
        for taken in 1..=100 {
            let budget = bucket.take_alone(&quota, now);
            assert_eq!((budget.is_exceeded, budget.remaining, budget.reset_seconds), (false, 100 - taken, u64::from(taken) * 9));
        }
        let refused = bucket.take_alone(&quota, now);
        assert_eq!((refused.is_exceeded, refused.remaining, refused.reset_seconds), (true, 0, 9));
        assert!(bucket.take_alone(&quota, now + 9 * SECOND - 1).is_exceeded);
        assert!(!bucket.take_alone(&quota, now + 9 * SECOND).is_exceeded);
        assert!(bucket.take_alone(&quota, now + 9 * SECOND).is_exceeded);
        assert_eq!(bucket.take_alone(&quota, now + 10_000 * SECOND).remaining, 99);
    }

    #[test]
    fn an_allowance_is_spent_without_asking_until_it_ends() {
        let quota = quota(1_000, 60);
        let mut bucket = Bucket::default();
        assert_eq!(bucket.take_known(&quota, 0), Known::Ask(Size::Share));
        assert_eq!(bucket.take_known(&quota, 5), Known::Ask(Size::One), "one share at a time");
        let allowance = Allowance { requests: 3, full_in: 180_000 };
        assert_eq!(bucket.take_from(allowance, 0, &quota, 10).remaining, 999);
        assert!(matches!(bucket.take_known(&quota, 20), Known::Taken(budget) if budget.remaining == 998));
        let mut late = bucket;
        assert_eq!(late.take_known(&quota, 61 * SECOND), Known::Ask(Size::Share), "the allowance has ended");
        assert!(matches!(bucket.take_known(&quota, 30), Known::Taken(_)));
        assert_eq!(bucket.take_known(&quota, 40), Known::Ask(Size::Share), "the allowance is spent");
    }

    #[test]
    fn an_empty_bucket_is_known_to_be_empty() {
        let quota = quota(10, 60);
        let mut bucket = Bucket::default();
        let empty = Allowance { requests: 0, full_in: 58 * SECOND };
        let refused = bucket.take_from(empty, SECOND, &quota, SECOND);
        assert!(refused.is_exceeded && refused.reset_seconds == 4, "{refused:?}");
        assert!(matches!(bucket.take_known(&quota, 4 * SECOND), Known::Taken(budget) if budget.is_exceeded));
        assert_eq!(bucket.take_known(&quota, 5 * SECOND), Known::Ask(Size::Share));
        assert!(bucket.take_alone(&quota, 4 * SECOND).is_exceeded, "what Redis said last counts without it");
        assert!(!bucket.take_alone(&quota, 5 * SECOND).is_exceeded);
    }

    proptest! {
        #[test]
        fn no_schedule_admits_more_than_the_limit_and_what_time_refills(
            limit in 1..2_000_u32,
            seconds in 1..1_000_u64,
            pauses in proptest::collection::vec(0..2 * SECOND, 1..300),
        ) {
            let quota = quota(limit, seconds);
            let (mut bucket, mut now, mut admitted) = (Bucket::default(), 0, 0);
            for pause in pauses {
                now += pause;
                let budget = bucket.take_alone(&quota, now);
                admitted += u64::from(!budget.is_exceeded);
                prop_assert!(admitted <= u64::from(limit) + now / quota.interval);
                prop_assert!(!budget.is_exceeded || budget.remaining == 0);
                // Waiting as long as told is enough.
                let mut later = bucket;
                prop_assert!(!later.take_alone(&quota, now + budget.reset_seconds * SECOND).is_exceeded);
            }
        }
    }
}
