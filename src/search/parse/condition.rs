//! Conditions: as clients write them, in one form, and as a filter.

use std::collections::BTreeSet;

use super::names::{PARAMETERS, did_you_mean};
use super::past_due::PastDueField;
use super::value::{ValueParser, flag};
use super::{ParameterError, check_disclosed};
use crate::error::Violations;
use crate::search::filter::Filter;
use crate::search::{Collection, Field, FieldKind, PastDue};
use crate::values::aging::AsOf;
use crate::values::money::Currency;
use crate::values::personal::Disclosure;

/// A tree of conditions whose names and values are not read yet. Cursors belong to it, and not to what it means at some moment.
pub(super) enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Not(Box<Condition>),
    Leaf(Leaf),
}

pub(super) struct Leaf {
    /// Where it is, for errors.
    pub(super) pointer: String,
    pub(super) field: String,
    pub(super) operator: String,
    pub(super) values: Vec<String>,
}

impl Condition {
    pub(super) fn leaves(&self) -> usize {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().map(Self::leaves).sum(),
            Self::Not(part) => part.leaves(),
            Self::Leaf(_) => 1,
        }
    }

    /// Returns the name of the field that all of it is about, if it is one.
    pub(super) fn field(&self) -> Option<&str> {
        match self {
            Self::All(parts) | Self::Any(parts) => {
                let field = parts.first()?.field()?;
                parts.iter().all(|part| part.field() == Some(field)).then_some(field)
            }
            Self::Not(part) => part.field(),
            Self::Leaf(leaf) => Some(if leaf.field == "overdue" { "isOverdue" } else { &leaf.field }),
        }
    }

    /// Adds the names of the fields that it is about.
    pub(super) fn name_fields(&self, names: &mut BTreeSet<String>) {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().for_each(|part| part.name_fields(names)),
            Self::Not(part) => part.name_fields(names),
            Self::Leaf(leaf) => {
                names.insert(leaf.field.clone());
            }
        }
    }

    /// Whether one of its values is this one. A plus sign at the end may be missing: in an address it means a blank.
    pub(super) fn names(&self, value: &str) -> bool {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().any(|part| part.names(value)),
            Self::Not(_) => false,
            Self::Leaf(leaf) => {
                let is_same = |named: &String| named.trim().trim_end_matches('+') == value.trim_end_matches('+');
                matches!(leaf.operator.as_str(), "eq" | "in") && leaf.values.iter().any(is_same)
            }
        }
    }

    /// Writes the condition alike however its parts are ordered, and whether it came from an address or a body.
    pub(super) fn normalized(&self) -> String {
        let group = |parts: &[Self]| {
            let mut parts: Vec<String> = parts.iter().map(Self::normalized).collect();
            parts.sort();
            parts.join(" ")
        };
        match self {
            Self::All(parts) => format!("and({})", group(parts)),
            Self::Any(parts) => format!("or({})", group(parts)),
            Self::Not(part) => format!("not({})", part.normalized()),
            Self::Leaf(Leaf { field, operator, values, .. }) => {
                let field = if field == "overdue" { "isOverdue" } else { field };
                let mut values: Vec<&str> = values.iter().map(|value| value.trim()).collect();
                let operator = match operator.as_str() {
                    "eq" | "in" => "in",
                    "ne" | "nin" => "nin",
                    other => other,
                };
                if matches!(operator, "in" | "nin") {
                    values.sort_unstable();
                }
                format!("{field:?}{operator:?}{values:?}")
            }
        }
    }
}

/// What a condition is about.
enum Subject {
    Stored(&'static Field),
    PastDue(PastDueField),
}

/// Reads conditions of a collection; collects what is wrong with them.
pub(super) struct Reader<'a> {
    pub(super) collection: &'static Collection,
    pub(super) as_of: AsOf<'a>,
    pub(super) disclosure: Disclosure,
    pub(super) violations: &'a mut Violations,
}

impl Reader<'_> {
    pub(super) fn filter(&mut self, condition: &Condition, values: ValueParser) -> Filter {
        match condition {
            Condition::All(parts) => self.all(parts, values),
            Condition::Any(parts) => Filter::Any(parts.iter().map(|part| self.filter(part, values)).collect()),
            Condition::Not(part) => self.filter(part, values).negated(),
            Condition::Leaf(leaf) => self.leaf(leaf, values).unwrap_or_else(|(code, message)| {
                self.violations.add(leaf.pointer.as_str(), code, message);
                Filter::Any(Vec::new())
            }),
        }
    }

    fn all(&mut self, parts: &[Condition], values: ValueParser) -> Filter {
        let currency = currency(parts, values.currency);
        Filter::All(parts.iter().map(|part| self.filter(part, ValueParser { currency, ..values })).collect())
    }

    fn leaf(&self, leaf: &Leaf, values: ValueParser) -> Result<Filter, ParameterError> {
        let subject = self.subject(&leaf.field)?;
        let operators = match &subject {
            Subject::Stored(field) => field.operators(),
            Subject::PastDue(field) => field.operators(),
        };
        let operator = leaf.operator.as_str();
        if !operators.contains(&operator) {
            let meant = did_you_mean(operator, operators.iter().copied());
            return Err(("unknown_operator", format!("{} takes {}{meant}", leaf.field, operators.join(", "))));
        }
        if let Subject::Stored(field) = &subject
            && !is_look_up(field, operator)
        {
            check_disclosed(field, self.disclosure)?;
        }
        let bad = |message| ("bad_value", message);
        let filter = match subject {
            Subject::Stored(field) => Filter::Leaf(field, values.test(field, operator, &leaf.values).map_err(bad)?),
            Subject::PastDue(field) => field.filter(self.as_of, operator, &leaf.values).map_err(bad)?,
        };
        let is_opposite = match operator {
            "ne" | "nin" => true,
            "exists" => !leaf.values.first().map_or(Ok(true), |value| flag(value)).map_err(bad)?,
            _ => false,
        };
        Ok(if is_opposite { filter.negated() } else { filter })
    }

    fn subject(&self, name: &str) -> Result<Subject, ParameterError> {
        let mut listed = self.collection.fields.iter().filter(|field| field.is_listed());
        let stored = listed.find(|field| field.name == name).map(Subject::Stored);
        stored.or_else(|| PastDueField::find(self.collection, name).map(Subject::PastDue)).ok_or_else(|| {
            let known = names(self.collection).chain(PARAMETERS.iter().copied());
            let meant = did_you_mean(name, known);
            ("unknown_parameter", format!("is neither a parameter of lists nor a field of this one{meant}"))
        })
    }
}

/// Whether a condition only looks for what a client knows already: a whole text. There are too few days to be guessed one by one.
fn is_look_up(field: &Field, operator: &str) -> bool {
    matches!(field.kind, FieldKind::Text | FieldKind::Folded) && matches!(operator, "eq" | "ne" | "in" | "nin" | "exists")
}

/// What lists of a collection are filtered by.
pub(super) fn names(collection: &'static Collection) -> impl Iterator<Item = &'static str> {
    let listed = collection.fields.iter().filter(|field| field.is_listed()).map(|field| field.name);
    listed.chain(collection.past_due.iter().flat_map(|_| PastDue::FIELDS))
}

/// Returns the currency of amounts: a condition on it says what those beside it are in.
pub(super) fn currency(beside: &[Condition], otherwise: Currency) -> Currency {
    let named = |condition: &Condition| match condition {
        Condition::Leaf(Leaf { field, values, .. }) if field == "currency" => {
            values.first().and_then(|code| code.trim().parse().ok())
        }
        _ => None,
    };
    beside.iter().rev().find_map(named).unwrap_or(otherwise)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(field: &str, operator: &str, values: &[&str]) -> Condition {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        Condition::Leaf(Leaf { pointer: String::new(), field: field.into(), operator: operator.into(), values })
    }

    #[test]
    fn the_normal_form_knows_no_order_and_no_second_name() {
        let same = |one: Condition, other: Condition| assert_eq!(one.normalized(), other.normalized());
        same(leaf("status", "eq", &["open"]), leaf("status", "in", &["open"]));
        same(leaf("status", "in", &["open", "paused"]), leaf("status", "in", &[" paused", "open "]));
        same(leaf("overdue", "eq", &["true"]), leaf("isOverdue", "eq", &["true"]));
        let pair = || (leaf("a", "eq", &["1"]), leaf("b", "lt", &["2"]));
        let ((a, b), (c, d)) = (pair(), pair());
        same(Condition::All(vec![a, b]), Condition::All(vec![d, c]));
    }

    #[test]
    fn the_normal_form_tells_conditions_apart() {
        let differ = |one: Condition, other: Condition| assert_ne!(one.normalized(), other.normalized());
        differ(leaf("a", "between", &["1", "2"]), leaf("a", "between", &["2", "1"]));
        differ(leaf("a", "in", &["1\",\"2"]), leaf("a", "in", &["1", "2"]));
        differ(Condition::All(vec![leaf("a", "eq", &["1"])]), Condition::Any(vec![leaf("a", "eq", &["1"])]));
        differ(leaf("a", "eq", &["1"]), Condition::Not(Box::new(leaf("a", "eq", &["1"]))));
    }
}
