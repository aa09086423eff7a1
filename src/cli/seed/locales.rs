//! Names, streets and numbers of a dozen countries.

use serde::Deserialize;

use super::random::Random;
use crate::values::money::Currency;

/// One country: its share of the customers, and its names and formats.
#[derive(Deserialize)]
pub(super) struct Locale {
    pub(super) region: String,
    pub(super) language: String,
    pub(super) currency: Currency,
    /// In percent of all customers.
    weight: u64,
    pub(super) phones: Vec<String>,
    pub(super) given: Vec<String>,
    surnames: Vec<String>,
    stems: Vec<String>,
    endings: Vec<String>,
    pub(super) streets: Vec<String>,
    /// Name, region and pattern of the postal code.
    pub(super) cities: Vec<[String; 3]>,
    pub(super) companies: Vec<String>,
}

impl Locale {
    /// Returns a surname by Zipf's law: a few frequent ones, and a long tail of stems with endings.
    pub(super) fn surname(&self, random: &mut Random) -> String {
        let rank = random.rank(self.surnames.len() + self.stems.len() * self.endings.len());
        match rank.checked_sub(self.surnames.len()) {
            None => self.surnames[rank].clone(),
            Some(tail) => format!("{}{}", self.stems[tail % self.stems.len()], self.endings[tail / self.stems.len()]),
        }
    }
}

pub(super) fn read() -> serde_json::Result<Vec<Locale>> {
    serde_json::from_str(include_str!("locales.json"))
}

/// Picks a country by weight.
pub(super) fn pick<'a>(locales: &'a [Locale], random: &mut Random) -> &'a Locale {
    let mut left = random.below(locales.iter().map(|locale| locale.weight).sum());
    let found = locales.iter().find(|locale| {
        let here = left < locale.weight;
        left = left.saturating_sub(locale.weight);
        here
    });
    found.unwrap_or(&locales[0])
}
