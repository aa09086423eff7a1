//! Conditions in the text of the search box: `status:open smith`, `balance:>100`, `-status:closed`, `creditor:"Bank of X"`.
//!
//! Only what a collection's fields take is a condition; every other colon is part of the words, as in text that was pasted.

use super::{ParameterError, Parser, Rules, bad};
use crate::search::{Collection, Field, Phrase};
use crate::values::personal::Disclosure;

/// A piece of what was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Piece<'a> {
    typed: &'a str,
    /// The name before the colon and what is behind it, if both are there.
    parts: Option<(&'a str, &'a str)>,
}

/// A condition in the form of a parameter of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Qualifier {
    /// As it was typed.
    pub typed: String,
    /// `status`, `balance[gt]`
    name: String,
    value: String,
}

/// The conditions in the text of the search box that a collection takes.
#[must_use]
pub fn qualifiers(collection: &'static Collection, typed: &str, rules: &Rules) -> Vec<Qualifier> {
    let parser = Parser::new(collection, rules, None);
    split(collection, typed, |name, value| parser.takes(name, value)).1
}

impl Parser<'_> {
    /// Reads the text of the search box: a phrase, and conditions.
    pub(super) fn text(&mut self, typed: &str) -> Result<(), ParameterError> {
        let (words, qualifiers) = split(self.collection, typed, |name, value| self.takes(name, value));
        let phrase = Phrase::new(&words, self.rules.region).map_err(bad)?;
        let phrase = phrase.map(|phrase| phrase.with_spans(&words, self.collection.fields, self.rules.region));
        self.phrase = match self.rules.disclosure {
            Disclosure::Full => phrase,
            Disclosure::Masked => phrase.map(Phrase::literal),
        };
        typed.trim().clone_into(&mut self.typed);
        qualifiers.iter().try_for_each(|condition| self.condition(&condition.name, &condition.value))
    }

    /// Whether a condition is one of this list.
    fn takes(&self, name: &str, value: &str) -> bool {
        let mut trial = Self::new(self.collection, self.rules, None);
        let is_read = trial.condition(name, value).is_ok();
        trial.filter();
        is_read && trial.violations.is_empty()
    }
}

/// Takes the conditions out of a text. `takes` says whether a list has a parameter of this name and value.
fn split(collection: &Collection, typed: &str, takes: impl Fn(&str, &str) -> bool) -> (String, Vec<Qualifier>) {
    let (mut words, mut qualifiers) = (Vec::new(), Vec::new());
    for piece in pieces(typed) {
        match piece.parts.and_then(|(name, value)| parameter(collection, name, value)) {
            Some((name, value)) if takes(&name, &value) => {
                qualifiers.push(Qualifier { typed: piece.typed.to_owned(), name, value });
            }
            _ => words.push(piece.typed),
        }
    }
    (words.join(" "), qualifiers)
}

/// Cuts a text at its blanks, but for those in quotes behind a colon.
fn pieces(typed: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = typed.trim_start();
    while !rest.is_empty() {
        let word = rest.split(char::is_whitespace).next().unwrap_or_default();
        let (name, value) = word.split_once(':').unwrap_or_default();
        let quoted = value.starts_with('"').then(|| &rest[name.len() + 2..]);
        // A quote that nothing closes is part of the words.
        let closing = quoted.and_then(|quoted| quoted.find('"')).filter(|_| is_name(name));
        let (length, value) = match (quoted, closing) {
            (Some(quoted), Some(end)) => (name.len() + end + 3, &quoted[..end]),
            _ => (word.len(), value),
        };
        let is_open = quoted.is_some() && closing.is_none();
        let parts = (is_name(name) && !value.trim().is_empty() && !is_open).then_some((name, value));
        pieces.push(Piece { typed: &rest[..length], parts });
        rest = rest[length..].trim_start();
    }
    pieces
}

fn is_name(name: &str) -> bool {
    let name = name.strip_prefix('-').unwrap_or(name);
    !name.is_empty() && name.bytes().all(|letter| letter.is_ascii_alphabetic())
}

/// Writes a condition as the parameter that means it; none if no field has this name.
fn parameter(collection: &Collection, name: &str, value: &str) -> Option<(String, String)> {
    let (is_negated, name) = name.strip_prefix('-').map_or((false, name), |name| (true, name));
    let listed = |field: &&Field| field.is_listed() && field.name.eq_ignore_ascii_case(name);
    let operators = match collection.fields.iter().find(listed) {
        Some(field) => field.operators(),
        None => vec!["eq"],
    };
    let name = collection.fields.iter().find(listed).map_or(name, |field| field.name);
    let takes = |operator: &str| operators.contains(&operator);
    let (operator, value) = match comparison(value) {
        Some((operator, value)) if takes(operator) => (operator, value),
        _ if is_negated => ("ne", value.to_owned()),
        _ => match (value.strip_suffix('*'), value.strip_prefix('*')) {
            (Some(start), _) if takes("prefix") && !start.is_empty() => ("prefix", start.to_owned()),
            (_, Some(end)) if takes("suffix") && !end.is_empty() => ("suffix", end.to_owned()),
            _ if takes("match") => ("match", value.to_owned()),
            _ => return Some((name.to_owned(), value.to_owned())),
        },
    };
    Some((format!("{name}[{operator}]"), value))
}

/// Reads `>100`, `>=100`, `<100`, `<=100`, `100..200`, `100..`, `..200`.
fn comparison(value: &str) -> Option<(&'static str, String)> {
    let signs = [(">=", "gte"), ("<=", "lte"), (">", "gt"), ("<", "lt")];
    if let Some((rest, operator)) = signs.into_iter().find_map(|(sign, operator)| Some((value.strip_prefix(sign)?, operator))) {
        return Some((operator, rest.trim().to_owned()));
    }
    match value.split_once("..")? {
        ("", "") => None,
        (from, "") => Some(("gte", from.to_owned())),
        ("", to) => Some(("lte", to.to_owned())),
        (from, to) => Some(("between", format!("{from},{to}"))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn typed_and_parts(typed: &str) -> Vec<(&str, Option<(&str, &str)>)> {
        pieces(typed).into_iter().map(|piece| (piece.typed, piece.parts)).collect()
    }

    #[test]
    fn a_name_with_a_colon_and_a_value_is_a_condition() {
        assert_eq!(
            typed_and_parts(r#"smith  status:open -kind:company creditor:"Bank of X" x"#),
            [
                ("smith", None),
                ("status:open", Some(("status", "open"))),
                ("-kind:company", Some(("-kind", "company"))),
                (r#"creditor:"Bank of X""#, Some(("creditor", "Bank of X"))),
                ("x", None),
            ]
        );
    }

    #[test]
    fn a_colon_that_is_no_condition_is_text() {
        for typed in ["Name:", ":", "12:30", ":open", "http:", r#"a:""#, r#"a:"""#, "-:x", "ä:x", "::"] {
            assert_eq!(typed_and_parts(typed), [(typed, None)], "{typed}");
        }
        assert_eq!(typed_and_parts(r#"a:"b c"#), [(r#"a:"b"#, None), ("c", None)]);
    }

    #[test]
    fn signs_and_dots_are_operators() {
        for (value, expected) in [
            (">100", Some(("gt", "100"))),
            (">=100", Some(("gte", "100"))),
            ("<1.5", Some(("lt", "1.5"))),
            ("<= 5", Some(("lte", "5"))),
            ("1..2", Some(("between", "1,2"))),
            ("1..", Some(("gte", "1"))),
            ("..2", Some(("lte", "2"))),
            ("..", None),
            ("open", None),
        ] {
            assert_eq!(comparison(value), expected.map(|(operator, value)| (operator, value.to_owned())), "{value}");
        }
    }

    proptest! {
        #[test]
        fn no_letter_is_lost(typed in "\\PC{0,60}|[a-c:\"\\- ]{0,40}") {
            let letters = |text: &str| text.split_whitespace().collect::<String>();
            let pieces: String = pieces(&typed).iter().map(|piece| piece.typed).collect();
            prop_assert_eq!(letters(&pieces), letters(&typed));
        }
    }
}
