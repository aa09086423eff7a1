//! Chance that can be repeated: the same seed gives the same throws.

/// A pair of dice with a seed.
#[derive(Clone)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `sides`.
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) % sides
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::try_from(self.roll(from.len() as u64)).unwrap()]
    }

    /// The seed of the environment variable, or one of its own.
    pub fn seed(variable: &str) -> u64 {
        let given = std::env::var(variable).ok().map(|text| text.parse().expect("the seed is a number"));
        given.unwrap_or_else(|| u64::from(collections::values::ids::new().as_u128() as u32))
    }
}
