//! A random generator that yields the same data from the same seed on every machine.

use uuid::{Builder, Uuid};

/// SplitMix64. The generators of the `rand` crate may change with its version.
pub(super) struct Random {
    state: u64,
    millis: u64,
}

impl Random {
    /// Starts the numbers of one customer, which do not depend on other customers.
    pub(super) fn new(seed: u32, index: u64) -> Self {
        // Identifiers sort by customer, from 2020 on, before those of rows that users create.
        let mut numbers = Self { state: (u64::from(seed) << 40) ^ index, millis: 1_577_836_800_000 + index };
        numbers.state = numbers.next();
        numbers
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number from 0 up to the bound, which is excluded.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        let wide = u128::from(self.next()) * u128::from(bound);
        u64::try_from(wide >> 64).unwrap_or(0)
    }

    /// Returns a number between two others, which are included.
    pub(super) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// Returns true with this probability in percent.
    pub(super) fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }

    /// Picks an item, all with the same probability.
    pub(super) fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len() as u64) as usize]
    }

    /// Picks an index by Zipf's law: the second is half as likely as the first, the third a third.
    pub(super) fn rank(&mut self, length: usize) -> usize {
        let chance = self.below(1 << 32) as f64 / (1u64 << 32) as f64;
        ((length as f64 + 1.0).powf(chance) as usize - 1).min(length - 1)
    }

    /// Replaces each `#` by a digit and each `N` by a digit from 2 on.
    pub(super) fn digits(&mut self, pattern: &str) -> String {
        pattern
            .chars()
            .map(|place| match place {
                '#' => char::from(b'0' + self.below(10) as u8),
                'N' => char::from(b'2' + self.below(8) as u8),
                other => other,
            })
            .collect()
    }

    /// Returns an identifier in the form of UUID version 7.
    pub(super) fn id(&mut self) -> Uuid {
        let random = (u128::from(self.next()) << 64 | u128::from(self.next())).to_be_bytes();
        let mut tail = [0; 10];
        tail.copy_from_slice(&random[..10]);
        Builder::from_unix_timestamp_millis(self.millis, &tail).into_uuid()
    }
}
