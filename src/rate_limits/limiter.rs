//! The buckets of all keys that one limit knows of.

use std::collections::HashMap;
use std::fmt::Display;
use std::hash::Hash;
use std::time::Instant;

use parking_lot::Mutex;

use super::Budget;
use super::bucket::{Bucket, Known, Quota, micros};
use super::shared::SharedBuckets;

/// Most buckets of one limit, of some 50 bytes each.
const CAPACITY: usize = 50_000;

pub(super) struct Limiter<K> {
    quota: Quota,
    start: Instant,
    buckets: Mutex<HashMap<K, Bucket>>,
}

impl<K: Copy + Eq + Hash + Display> Limiter<K> {
    pub(super) fn new(quota: Quota) -> Self {
        Self { quota, start: Instant::now(), buckets: Mutex::default() }
    }

    /// Takes one request of a key: of its allowance, or else of a new one, or else by what this process knows alone.
    pub(super) async fn take(&self, key: K, shared: Option<&SharedBuckets>) -> Budget {
        let quota = &self.quota;
        let asked = self.now();
        if let Some(shared) = shared {
            let size = match self.change(key, asked, |bucket| bucket.take_known(quota, asked)) {
                Known::Taken(budget) => return budget,
                Known::Ask(size) => size,
            };
            if let Some(allowance) = shared.take(&key, quota, size).await {
                let now = self.now();
                return self.change(key, now, |bucket| bucket.take_from(allowance, asked, quota, now));
            }
        }
        let now = self.now();
        self.change(key, now, |bucket| bucket.take_alone(quota, now))
    }

    fn change<T>(&self, key: K, now: u64, change: impl FnOnce(&mut Bucket) -> T) -> T {
        let mut buckets = self.buckets.lock();
        if buckets.len() >= CAPACITY && !buckets.contains_key(&key) {
            make_room(&mut buckets, now);
        }
        change(buckets.entry(key).or_default())
    }

    fn now(&self) -> u64 {
        micros(self.start.elapsed())
    }
}

/// Forgets buckets that are full again, which changes nothing; if too few are, also the half that is nearest to it, so that an
/// attacker with many addresses cannot have a used-up bucket forgotten.
fn make_room<K>(buckets: &mut HashMap<K, Bucket>, now: u64) {
    buckets.retain(|_, bucket| bucket.full_at() > now);
    if buckets.len() > CAPACITY / 2 {
        let mut moments: Vec<u64> = buckets.values().map(Bucket::full_at).collect();
        let middle = moments.len() / 2;
        let (_, &mut middle, _) = moments.select_nth_unstable(middle);
        buckets.retain(|_, bucket| bucket.full_at() > middle);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_used_up_bucket_survives_a_flood_of_others() {
        let limiter = Limiter::new(Quota::new("address", 3, Duration::from_secs(3_600)).unwrap());
        for _ in 0..3 {
            assert!(!limiter.take(0, None).await.is_exceeded);
        }
        for other in 1..3 * CAPACITY {
            limiter.take(other, None).await;
        }
        assert!(limiter.take(0, None).await.is_exceeded);
        assert!(limiter.buckets.lock().len() <= CAPACITY);
    }
}
