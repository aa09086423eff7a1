//! What a person has to know of each field: its title, meaning, limits and an example, as far as they follow from the tables of fields
//! and the records.

use std::sync::LazyLock;

use clap::ValueEnum;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::fields::{Field, Kind, Target};
use crate::features::accounts::Account;
use crate::features::activities::Activity;
use crate::features::customers::Customer;
use crate::features::payments::Payment;
use crate::operation::inline;
use crate::search::{self, FieldKind};

/// A field that a column can hold.
#[derive(Clone, Debug, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ImportField")]
pub struct Guide {
    /// As in the API. A column with this heading holds it.
    pub name: &'static str,
    /// The name as words.
    pub title: String,
    pub meaning: String,
    /// What a cell holds.
    pub kind: CellKind,
    /// The words that it takes, if it takes only some.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schemars(default)]
    pub words: &'static [&'static str],
    /// Most characters of a text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_length: Option<usize>,
    /// Whether a file needs a column that holds it, or one of those that can stand in for it.
    pub is_required: bool,
    /// Whether it identifies the record of a row.
    pub is_key: bool,
    pub example: String,
    /// Other headings that mean it, in lower case without blanks and signs.
    pub headings: &'static [&'static str],
}

/// What a cell holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "ImportCellKind")]
pub enum CellKind {
    Text,
    /// A number that is a name, and so a text.
    Identifier,
    Phone,
    Day,
    Moment,
    Amount,
    /// One of some words.
    Choice,
    /// Words between commas.
    Words,
}

impl CellKind {
    /// Whether a spreadsheet would spoil it by reading it as a number.
    #[must_use]
    pub fn is_kept_as_text(self) -> bool {
        matches!(self, Self::Identifier | Self::Phone)
    }
}

/// All fields of a target, in the order of a template.
pub fn guides(target: Target) -> &'static [Guide] {
    static ALL: LazyLock<Vec<Vec<Guide>>> =
        LazyLock::new(|| Target::value_variants().iter().map(|target| all(*target)).collect());
    &ALL[target as usize]
}

/// The guide of one field.
pub fn of(target: Target, name: &str) -> Option<&'static Guide> {
    guides(target).iter().find(|guide| guide.name == name)
}

fn all(target: Target) -> Vec<Guide> {
    let described = described(target);
    target.fields().iter().map(|field| guide(target, field, &described)).collect()
}

fn guide(target: Target, field: &Field, described: &[Value]) -> Guide {
    let own = target.table().iter().find(|own| own.name == field.name && own.cell.is_some());
    let kind = kind(field, own);
    let words = match own.map(|own| own.kind) {
        Some(FieldKind::Keyword(words)) => words.known,
        _ => &[],
    };
    Guide {
        name: field.name,
        title: title(field.name),
        meaning: meaning(field.name, if own.is_some() { described } else { &described[1..] }),
        kind,
        words,
        max_length: own.map(|own| own.limits.1).filter(|most| *most > 0),
        is_required: target.required().iter().any(|alternatives| alternatives.contains(&field.name)),
        is_key: target.key() == field.name,
        example: words.first().map_or_else(|| example(field.name, kind).to_owned(), |word| (*word).to_owned()),
        headings: field.synonyms,
    }
}

fn kind(field: &Field, own: Option<&search::Field>) -> CellKind {
    match field.kind {
        _ if matches!(own.map(|own| own.kind), Some(FieldKind::Keyword(_))) => CellKind::Choice,
        // Leading zeros count there too.
        _ if ["postalCode", "streetNumber"].contains(&field.name) => CellKind::Identifier,
        Kind::Text => CellKind::Text,
        Kind::Identifier => CellKind::Identifier,
        Kind::Phone => CellKind::Phone,
        Kind::Day | Kind::ForgivenDay => CellKind::Day,
        Kind::Moment => CellKind::Moment,
        Kind::Amount => CellKind::Amount,
        Kind::Words => CellKind::Words,
    }
}

/// `dateOfBirth` as "Date of birth".
fn title(name: &str) -> String {
    let mut title = String::new();
    for (at, sign) in name.chars().enumerate() {
        match sign {
            sign if at == 0 => title.extend(sign.to_uppercase()),
            sign if sign.is_uppercase() => {
                title.push(' ');
                title.extend(sign.to_lowercase());
            }
            sign if sign.is_ascii_digit() => title.extend([' ', sign]),
            sign => title.push(sign),
        }
    }
    title
}

/// The members of the record that a row becomes, and of those that belong to it, as their schemas describe them.
fn described(target: Target) -> Vec<Value> {
    let members = |schema: schemars::Schema| schema.to_value()["properties"].take();
    match target {
        Target::Customers => {
            let mut customer = members(inline::<Customer>());
            let address = customer["addresses"]["items"]["properties"].take();
            vec![customer, address, members(inline::<Account>())]
        }
        Target::Accounts => vec![members(inline::<Account>())],
        Target::Payments => vec![members(inline::<Payment>()), members(inline::<Account>())],
        Target::Activities => vec![members(inline::<Activity>()), members(inline::<Account>())],
    }
}

/// A sentence about a field: what is special in a file, else what the record says of it.
fn meaning(name: &str, described: &[Value]) -> String {
    let special = match name {
        "streetNumber" => "The number of the house, if it has a column of its own.",
        "amountDue" => "What a new customer owes; an account is opened for it.",
        "customerExternalId" => "The creditor's name for the customer who owes it.",
        "customerName" => "The name of a customer who is not there yet, and is made.",
        "customerPhone" => "The phone number of a customer who is not there yet.",
        "customerEmail" => "The e-mail address of a customer who is not there yet.",
        _ => "",
    };
    if !special.is_empty() {
        return special.to_owned();
    }
    let sentence = described.iter().find_map(|members| members[name]["description"].as_str()).unwrap_or_default();
    sentence.split('\n').next().unwrap_or_default().to_owned()
}

fn example(name: &str, kind: CellKind) -> &'static str {
    match name {
        "externalId" | "customerExternalId" => "C-1001",
        "accountNumber" => "A-2001",
        "reference" => "TX-3001",
        "name" | "customerName" => "Renée Zwickelbauer",
        "givenName" => "Renée",
        "familyName" => "Zwickelbauer",
        "companyName" => "Zwickelbauer Ltd",
        "taxId" => "078-05-1120",
        "language" => "en",
        "timeZone" => "Europe/Vienna",
        "currency" => "EUR",
        "streetNumber" => "12a",
        "line1" => "1 High Street",
        "city" => "Vienna",
        "postalCode" => "01067",
        "country" => "AT",
        "receiver" => "Front desk",
        "creditor" => "First Bank",
        "type" => "call",
        "note" => "Will pay on Friday",
        "email" | "customerEmail" => "renee@example.com",
        _ => match kind {
            CellKind::Phone => "+1 415 555 2671",
            CellKind::Day => "2026-01-31",
            CellKind::Moment => "2026-01-31 12:00",
            CellKind::Amount => "129.90",
            CellKind::Words => "vip, spring",
            CellKind::Identifier => "0042",
            CellKind::Text | CellKind::Choice => "",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imports::headings::plain;

    #[test]
    fn every_field_has_a_meaning_and_a_title() {
        for target in Target::value_variants() {
            for guide in guides(*target) {
                assert!(guide.meaning.len() > 5, "{target:?} {}", guide.name);
                assert_eq!(plain(&guide.title), plain(guide.name));
            }
        }
    }

    #[test]
    fn titles_are_words() {
        for (name, expected) in
            [("externalId", "External id"), ("line1", "Line 1"), ("dateOfBirth", "Date of birth"), ("name", "Name")]
        {
            assert_eq!(title(name), expected);
        }
    }

    #[test]
    fn a_field_says_what_its_cells_take() {
        let kind = of(Target::Customers, "kind").unwrap();
        assert_eq!((kind.kind, kind.words, kind.example.as_str()), (CellKind::Choice, &["person", "company"][..], "person"));
        let phone = of(Target::Customers, "phone").unwrap();
        assert!(phone.kind.is_kept_as_text() && !phone.is_required);
        let number = of(Target::Accounts, "accountNumber").unwrap();
        assert!(number.is_key && number.is_required && number.max_length == Some(64));
        assert_eq!(of(Target::Payments, "amount").unwrap().kind, CellKind::Amount);
    }
}
