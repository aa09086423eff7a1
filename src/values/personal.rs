//! Personal data of debtors: who sees it, and what others see in its place.

/// What stands for letters that are not shown. Always the same, so that it does not tell how many there are.
pub const MASK: &str = "•••";

/// Fewest characters of a number of which the last four are shown; fewer would leave little to hide.
const LONG_NUMBER: usize = 8;
const SHORT_NUMBER: usize = 5;

/// How much of the personal data of debtors an answer shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Disclosure {
    Full,
    #[default]
    Masked,
}

/// What a personal text is, and so what its mask keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Personal {
    /// The first letter of each word: `J••• S•••`.
    Name,
    /// The last digits: `•••4567`.
    Number,
    /// `j•••@•••.com`
    Email,
    /// Nothing: `•••`.
    Text,
}

impl Personal {
    #[must_use]
    pub fn mask(self, text: &str) -> String {
        match self {
            Self::Name => text.split_whitespace().map(initial).collect::<Vec<_>>().join(" "),
            Self::Number => format!("{MASK}{}", ending(text)),
            Self::Email => match text.rsplit_once('@') {
                Some((local, domain)) => {
                    let top = domain.rsplit_once('.').map_or(String::new(), |(_, top)| format!(".{top}"));
                    format!("{}@{MASK}{top}", initial(local))
                }
                None => MASK.to_owned(),
            },
            Self::Text => MASK.to_owned(),
        }
    }
}

fn initial(word: &str) -> String {
    word.chars().take(1).chain(MASK.chars()).collect()
}

/// The last letters and digits: four of a long number, two of a shorter one.
fn ending(number: &str) -> String {
    let letters: Vec<char> = number.chars().filter(|letter| letter.is_alphanumeric()).collect();
    let shown = match letters.len() {
        LONG_NUMBER.. => 4,
        SHORT_NUMBER.. => 2,
        _ => 0,
    };
    letters[letters.len() - shown..].iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_keeps_little_and_no_length() {
        for (personal, text, masked) in [
            (Personal::Name, "Jane van Smith", "J••• v••• S•••"),
            (Personal::Name, "  Łukasz ", "Ł•••"),
            (Personal::Name, "", ""),
            (Personal::Number, "+1 (415) 555-2671", "•••2671"),
            (Personal::Number, "555-26", "•••26"),
            (Personal::Number, "5552", "•••"),
            (Personal::Number, "AB 12/345-X", "•••345X"),
            (Personal::Email, "jane.doe@mail.example.com", "j•••@•••.com"),
            (Personal::Email, "jane@localhost", "j•••@•••"),
            (Personal::Email, "jane", "•••"),
            (Personal::Text, "paid by his mother", "•••"),
        ] {
            assert_eq!(personal.mask(text), masked, "{text}");
        }
    }
}
