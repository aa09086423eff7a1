//! Names, streets and numbers of a dozen countries.

use serde::Deserialize;

use super::dice::Dice;
use crate::values::money::Currency;

/// One country's share of the synthetic people and what they are called.
#[derive(Deserialize)]
pub(super) struct Locale {
    pub(super) region: String,
    pub(super) language: String,
    pub(super) currency: Currency,
    /// Customers in a hundred.
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
    /// A surname by Zipf's law: a few that everybody knows, and a long tail that is put together from a stem and an ending.
    pub(super) fn surname(&self, dice: &mut Dice) -> String {
        let rank = dice.rank(self.surnames.len() + self.stems.len() * self.endings.len());
        match rank.checked_sub(self.surnames.len()) {
            None => self.surnames[rank].clone(),
            Some(tail) => format!("{}{}", self.stems[tail % self.stems.len()], self.endings[tail / self.stems.len()]),
        }
    }
}

/// Reads the table of countries.
pub(super) fn read() -> serde_json::Result<Vec<Locale>> {
    serde_json::from_str(include_str!("locales.json"))
}

/// One of the countries, by their weights.
pub(super) fn pick<'a>(locales: &'a [Locale], dice: &mut Dice) -> &'a Locale {
    let mut left = dice.below(locales.iter().map(|locale| locale.weight).sum());
    let found = locales.iter().find(|locale| {
        let here = left < locale.weight;
        left = left.saturating_sub(locale.weight);
        here
    });
    found.unwrap_or(&locales[0])
}
