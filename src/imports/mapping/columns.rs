//! Which column of a sheet holds which field: what is proposed, what a request says, and what is wrong with it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::fields::{Field, Target};
use super::super::headings::{is_own, plain};
use super::super::store;
use super::likeness::{self, Guess, How, TAKEN};
use crate::error::Violations;
use crate::sheets::column_name;

/// A column of the sheet.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "MappedColumn")]
pub struct Column {
    /// As a spreadsheet names it: `A`, `B`, …
    pub column: String,
    pub heading: String,
    /// The first values below the heading.
    pub samples: Vec<String>,
    /// What it holds; null if it is left out.
    pub field: Option<&'static str>,
    /// How it has got its field, or its suggestion.
    pub how: Option<How>,
    /// From 0 to 1.
    pub confidence: Option<f64>,
    /// What a column that is left out may hold. It is for the user to say so.
    pub suggestion: Option<&'static str>,
}

/// What a request or an earlier import says of one column.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "ImportChoice")]
pub struct Choice {
    /// The column as a spreadsheet names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 3))]
    pub column: Option<String>,
    /// Or its heading.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32_767))]
    pub heading: Option<String>,
    /// What it holds; null leaves it out.
    pub field: Option<String>,
}

/// Columns that all hold one field, of which one has to be chosen.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[schemars(rename = "ImportConflict")]
pub struct Conflict {
    pub field: &'static str,
    pub columns: Vec<String>,
}

/// Columns with the same heading.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[schemars(rename = "RepeatedHeading")]
pub struct Repeated {
    pub heading: String,
    pub columns: Vec<String>,
}

impl Column {
    /// Takes the field that an earlier mapping gave to the same heading.
    pub(super) fn keep(&mut self, target: Target, saved: &store::Column) {
        let field = saved.field.as_deref().and_then(|name| target.fields().iter().find(|field| field.name == name));
        // A field may be gone since.
        if field.is_some() == saved.field.is_some() {
            (self.field, self.suggestion) = (field.map(|field| field.name), None);
            (self.how, self.confidence) = (Some(How::Saved), field.map(|_| 1.0));
        }
    }
}

/// Proposes a field for each heading. Of several columns that mean one field the best match keeps it; equal ones all do, and that is
/// a conflict.
pub(super) fn propose(target: Target, headings: &[String]) -> Vec<Column> {
    let mut guesses: Vec<Option<Guess>> = headings.iter().map(|heading| guess(target, heading)).collect();
    for field in target.fields() {
        let of_field = |guess: &Guess| guess.field.name == field.name && guess.confidence >= TAKEN;
        let Some(best) = guesses.iter().flatten().filter(|guess| of_field(guess)).map(|guess| guess.how).max() else { continue };
        for guess in
            guesses.iter_mut().filter(|guess| guess.is_some_and(|guess| guess.field.name == field.name && guess.how < best))
        {
            *guess = None;
        }
    }
    headings.iter().zip(guesses).enumerate().map(|(at, (heading, guess))| column(at, heading, guess)).collect()
}

fn guess(target: Target, heading: &str) -> Option<Guess> {
    if is_own(heading) { None } else { likeness::guess(target, heading) }
}

fn column(at: usize, heading: &str, guess: Option<Guess>) -> Column {
    let taken = guess.filter(|guess| guess.confidence >= TAKEN);
    Column {
        column: column_name(at),
        heading: heading.to_owned(),
        samples: Vec::new(),
        field: taken.map(|guess| guess.field.name),
        how: guess.map(|guess| guess.how),
        confidence: guess.map(|guess| (guess.confidence * 100.0).round() / 100.0),
        suggestion: guess.filter(|_| taken.is_none()).map(|guess| guess.field.name),
    }
}

/// Applies what is said of columns. What cannot be applied is a violation of its place in the list.
pub(super) fn apply(target: Target, columns: &mut [Column], choices: &[Choice], how: How, violations: &mut Violations) {
    for (at, choice) in choices.iter().enumerate() {
        let pointer = |member: &str| format!("/columns/{at}/{member}");
        let Some(field) = chosen(target, choice) else {
            let known: Vec<&str> = target.fields().iter().map(|field| field.name).collect();
            violations.add(pointer("field"), "unknown_field", format!("takes null or one of {}", known.join(", ")));
            continue;
        };
        let is_it = |column: &Column| match (&choice.column, &choice.heading) {
            (Some(name), _) => column.column.eq_ignore_ascii_case(name.trim()),
            (None, Some(heading)) => plain(&column.heading) == plain(heading),
            (None, None) => false,
        };
        let mut found = false;
        for column in columns.iter_mut().filter(|column| is_it(column)) {
            found = true;
            *column = Column {
                field: field.map(|field| field.name),
                how: Some(how),
                confidence: field.map(|_| 1.0),
                suggestion: None,
                ..column.clone()
            };
        }
        if !found {
            let member = if choice.column.is_some() { "column" } else { "heading" };
            violations.add(pointer(member), "unknown_column", "the sheet has no such column");
        }
    }
    let said: Vec<&'static str> =
        columns.iter().filter(|column| column.how == Some(how)).filter_map(|column| column.field).collect();
    // What was only proposed gives way to what was said.
    for column in columns.iter_mut().filter(|column| column.how != Some(how)) {
        if column.field.is_some_and(|field| said.contains(&field)) {
            column.field = None;
        }
    }
}

/// The outer none is a field that is not there.
fn chosen(target: Target, choice: &Choice) -> Option<Option<&'static Field>> {
    match choice.field.as_deref().map(str::trim) {
        None | Some("") => Some(None),
        Some(name) => target.fields().iter().find(|field| plain(field.name) == plain(name)).map(Some),
    }
}

/// The columns that hold a field which another one holds too.
pub(super) fn conflicts(columns: &[Column]) -> Vec<Conflict> {
    let mut holders: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
    for column in columns {
        if let Some(field) = column.field {
            holders.entry(field).or_default().push(column.column.clone());
        }
    }
    let shared = holders.into_iter().filter(|(_, columns)| columns.len() > 1);
    shared.map(|(field, columns)| Conflict { field, columns }).collect()
}

pub(super) fn repeated(columns: &[Column]) -> Vec<Repeated> {
    let mut places: BTreeMap<String, Vec<&Column>> = BTreeMap::new();
    for column in columns.iter().filter(|column| !plain(&column.heading).is_empty()) {
        places.entry(plain(&column.heading)).or_default().push(column);
    }
    let twice = places.into_values().filter(|columns| columns.len() > 1);
    let name = |columns: Vec<&Column>| Repeated {
        heading: columns[0].heading.clone(),
        columns: columns.iter().map(|column| column.column.clone()).collect(),
    };
    twice.map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headings(text: &str) -> Vec<String> {
        text.split(',').map(str::to_owned).collect()
    }

    fn shown(columns: &[Column]) -> String {
        let show = |column: &Column| match (column.field, column.suggestion) {
            (Some(field), _) => field.to_owned(),
            (None, Some(suggestion)) => format!("{suggestion}?"),
            (None, None) => "-".to_owned(),
        };
        columns.iter().map(show).collect::<Vec<_>>().join(",")
    }

    fn choose(place: &str, field: Option<&str>) -> Choice {
        let is_letter = place.len() == 1;
        Choice {
            column: is_letter.then(|| place.to_owned()),
            heading: (!is_letter).then(|| place.to_owned()),
            field: field.map(str::to_owned),
        }
    }

    #[test]
    fn columns_are_proposed_fields() {
        for (text, expected) in [
            ("Id, First Name ,Surname,Shoe size", "externalId,givenName,familyName,-"),
            ("id,name,mobile,phone", "externalId,name,-,phone"),
            ("id,name,tel,mobile", "externalId,name,phone,phone"),
            ("id,surnmae,_errors,", "externalId,familyName?,-,-"),
            ("id,name,name", "externalId,name,name"),
        ] {
            assert_eq!(shown(&propose(Target::Customers, &headings(text))), expected, "{text}");
        }
    }

    #[test]
    fn what_is_said_wins_over_what_was_proposed() {
        let check = |text: &str, choices: &[Choice], expected: &str| {
            let (mut columns, mut violations) = (propose(Target::Customers, &headings(text)), Violations::default());
            apply(Target::Customers, &mut columns, choices, How::Given, &mut violations);
            assert_eq!((shown(&columns).as_str(), violations.len()), (expected, 0), "{text}");
        };
        check("Cust,name", &[choose("cust", Some("externalId"))], "externalId,name");
        check("id,name,mobile,phone", &[choose("C", Some("phone"))], "externalId,name,phone,-");
        check("id,name,tel,mobile", &[choose("tel", None)], "externalId,name,-,phone");
        check("id,surnmae", &[choose("B", Some("familyname"))], "externalId,familyName");
    }

    #[test]
    fn what_cannot_be_said_is_named_with_its_place() {
        let (mut columns, mut violations) = (propose(Target::Customers, &headings("id,name")), Violations::default());
        let choices = [
            choose("Z", Some("email")),
            choose("name", Some("colour")),
            choose("shoe", None),
            Choice { heading: None, ..choose("xx", None) },
        ];
        apply(Target::Customers, &mut columns, &choices, How::Given, &mut violations);
        let wrong: Vec<String> = violations.iter().map(|wrong| format!("{} {}", wrong.pointer, wrong.code)).collect();
        assert_eq!(
            wrong,
            [
                "/columns/0/column unknown_column",
                "/columns/1/field unknown_field",
                "/columns/2/heading unknown_column",
                "/columns/3/heading unknown_column",
            ]
        );
        assert_eq!(shown(&columns), "externalId,name");
    }

    #[test]
    fn conflicts_and_repetitions_are_found() {
        let columns = propose(Target::Customers, &headings("tel,mobile,Shoe,shoe"));
        let conflict = Conflict { field: "phone", columns: vec!["A".into(), "B".into()] };
        assert_eq!(conflicts(&columns), [conflict]);
        assert_eq!(repeated(&columns), [Repeated { heading: "Shoe".into(), columns: vec!["C".into(), "D".into()] }]);
    }
}
