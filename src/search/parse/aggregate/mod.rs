//! Reads facets and aggregations: `status,balance(0,100)`, `stats(balance),histogram(dueDate,month)`.

use crate::error::{Violations, escaped};
use crate::search::Collection;
use crate::search::aggregate::{Aggregates, Aggregation, Choice, Group, Interval, Named, Scope, Stats};
use crate::search::field::{Field, FieldKind};
use crate::search::filter::{Bound, Filter, Test, Value};
use crate::values::aging::AsOf;
use crate::values::personal::Disclosure;

use super::condition::Condition;
use super::names::did_you_mean;
use super::past_due::PastDueField;
use super::value::ValueParser;
use super::{ParameterError, bad, check_disclosed};

mod call;
mod chosen;

use call::{Call, call, calls};
use chosen::mark;

/// Most facets of a list, and most aggregations: each reads every document that matches.
const MAX_AGGREGATES: usize = 10;
/// Values of a facet if no number is named, and most.
const DEFAULT_SIZE: u32 = 10;
const MAX_SIZE: u32 = 100;
/// Most bounds of ranges.
const MAX_BOUNDS: usize = 20;

/// Aggregations count all that the list has.
const ANY: Filter = Filter::All(Vec::new());

/// What aggregations are there, and how they are written.
const FORMS: [(&str, &str); 5] = [
    ("terms", "terms(field) or terms(field,amount)"),
    ("range", "range(field,bound,…) or range(field,bound,…,amount)"),
    ("histogram", "histogram(field,interval) or histogram(field,interval,amount)"),
    ("stats", "stats(field)"),
    ("cardinality", "cardinality(field)"),
];

/// What a client asks for, to be read when everything else is: a condition may name the currency of bounds.
#[derive(Default)]
pub(super) struct Requested {
    /// `status,balance(0,100)`.
    pub(super) facets: Vec<String>,
    /// `stats(balance),histogram(dueDate,month)`.
    pub(super) aggregations: Vec<String>,
    /// One each, with its name.
    pub(super) named: Vec<(String, String)>,
    size: Option<u32>,
}

impl Requested {
    pub(super) fn size(&mut self, text: &str) -> Result<(), ParameterError> {
        self.size = text.parse().ok().filter(|size| (1..=MAX_SIZE).contains(size));
        if self.size.is_some() { Ok(()) } else { Err(bad(format!("takes a whole number from 1 to {MAX_SIZE}"))) }
    }

    pub(super) fn read(
        self,
        collection: &'static Collection,
        values: ValueParser,
        as_of: AsOf<'_>,
        disclosure: Disclosure,
        violations: &mut Violations,
    ) -> Vec<Aggregation> {
        let size = self.size.unwrap_or(DEFAULT_SIZE);
        let mut reader = Reader { collection, values, as_of, disclosure, size, list: Vec::new() };
        let mut report = |name: &str, read: Result<(), ParameterError>| {
            if let Err((code, message)) = read {
                violations.add(name, code, message);
            }
        };
        for text in &self.facets {
            report("facets", reader.facets(text));
        }
        for text in &self.aggregations {
            report("aggs", reader.aggregations(text));
        }
        for (name, text) in &self.named {
            report(&format!("/aggregations/{}", escaped(name)), reader.named(name, text));
        }
        reader.list
    }
}

/// Splits the conditions on what has facets off the others, and marks the values that they choose.
pub(super) fn choose<'a>(
    mut list: Vec<Aggregation>,
    conditions: impl Iterator<Item = (&'a Condition, Filter)>,
) -> (Vec<Filter>, Aggregates) {
    let (mut filters, mut choices) = (Vec::new(), Vec::new());
    for (condition, filter) in conditions {
        let facets = list.iter().filter_map(|aggregation| match aggregation.scope {
            Scope::Facet(of) => Some(of),
            Scope::List => None,
        });
        match facets.into_iter().find(|of| condition.field() == Some(of)) {
            Some(of) => choices.push((condition, Choice { of, filter })),
            None => filters.push(filter),
        }
    }
    for aggregation in &mut list {
        let own = choices.iter().filter(|(_, choice)| aggregation.scope == Scope::Facet(choice.of));
        mark(&mut aggregation.group, &own.map(|(condition, choice)| (*condition, &choice.filter)).collect::<Vec<_>>());
    }
    (filters, Aggregates { choices: choices.into_iter().map(|(_, choice)| choice).collect(), list })
}

struct Reader<'a> {
    collection: &'static Collection,
    values: ValueParser,
    as_of: AsOf<'a>,
    disclosure: Disclosure,
    /// Values of a facet.
    size: u32,
    list: Vec<Aggregation>,
}

impl Reader<'_> {
    fn facets(&mut self, text: &str) -> Result<(), ParameterError> {
        for Call { text, name, arguments } in calls(text)? {
            let (of, group) = match self.computed(name) {
                Some(_) if !arguments.is_empty() => return Err(bad(format!("{name} takes no bounds"))),
                Some(named) => named,
                None if arguments.is_empty() => {
                    let field = self.field(name, "facet", |field| is_term(field) || is_ordered(field))?;
                    if is_ordered(field) {
                        return Err(bad(format!("{name} takes the bounds of its ranges: {name}(1,2)")));
                    }
                    (field.name, self.terms(field))
                }
                None => {
                    let field = self.field(name, "facet with bounds", is_ordered)?;
                    (field.name, self.ranges(field, &arguments)?)
                }
            };
            self.add(Aggregation { name: text.to_owned(), scope: Scope::Facet(of), among: ANY, group, stats: None })?;
        }
        Ok(())
    }

    fn aggregations(&mut self, text: &str) -> Result<(), ParameterError> {
        for call in calls(text)? {
            let (group, stats) = self.aggregation(&call)?;
            self.add(Aggregation { name: call.text.to_owned(), scope: Scope::List, among: ANY, group, stats })?;
        }
        Ok(())
    }

    fn named(&mut self, name: &str, text: &str) -> Result<(), ParameterError> {
        let (group, stats) = self.aggregation(&call(text.trim())?)?;
        self.add(Aggregation { name: name.to_owned(), scope: Scope::List, among: ANY, group, stats })
    }

    fn aggregation(&self, call: &Call<'_>) -> Result<(Group, Option<Stats>), ParameterError> {
        let known = FORMS.iter().find(|(name, _)| *name == call.name);
        let (_, form) = known.ok_or_else(|| {
            let names = FORMS.map(|(name, _)| name);
            ("unknown_aggregation", unknown(call.name, "aggregation", &names))
        })?;
        let (last, others) = call.arguments.split_last().ok_or_else(|| bad(format!("takes the form {form}")))?;
        // Behind its other arguments, a group can name what is added up.
        let stats = if others.is_empty() { None } else { self.measure(last).map(|field| self.stats(field)) };
        let arguments = if stats.is_some() { others } else { &call.arguments };
        let group = match (call.name, arguments) {
            ("terms", [field]) => match self.computed(field) {
                Some((_, group)) => group,
                None => self.terms(self.field(field, "terms", is_term)?),
            },
            ("range", [field, bounds @ ..]) if !bounds.is_empty() => {
                self.ranges(self.field(field, "ranges", is_ordered)?, bounds)?
            }
            ("histogram", [field, interval]) => {
                let field = self.field(field, "histogram", is_date)?;
                let found = Interval::ALL.into_iter().find(|known| known.name() == *interval);
                let names = || Interval::ALL.map(Interval::name).join(", ");
                let interval = found.ok_or_else(|| bad(format!("takes one of the intervals {}", names())))?;
                Group::Periods { field, interval, zone: self.values.calendar.zone }
            }
            ("stats", [name]) => {
                let field = self.field(name, "stats", is_number)?;
                return Ok((Group::Whole, Some(self.stats(field))));
            }
            ("cardinality", [field]) if stats.is_none() => Group::Distinct(self.field(field, "cardinality", is_term)?),
            ("terms", [_, name]) => return Err(unknown_field(name, "stats", self.fields(is_number))),
            ("histogram", [_, _, name]) => return Err(unknown_field(name, "stats", self.fields(is_number))),
            _ => return Err(bad(format!("takes the form {form}"))),
        };
        Ok((group, stats))
    }

    fn add(&mut self, aggregation: Aggregation) -> Result<(), ParameterError> {
        let is_alike = |other: &&Aggregation| (other.scope == Scope::List) == (aggregation.scope == Scope::List);
        let alike: Vec<_> = self.list.iter().filter(is_alike).collect();
        if alike.iter().any(|other| other.name == aggregation.name) {
            return Ok(());
        }
        if alike.len() == MAX_AGGREGATES {
            return Err(("too_many", format!("takes at most {MAX_AGGREGATES}")));
        }
        self.list.push(aggregation);
        Ok(())
    }

    /// Groups by what no document stores.
    fn computed(&self, name: &str) -> Option<(&'static str, Group)> {
        let (of, groups) = PastDueField::find(self.collection, name)?.groups(self.as_of)?;
        let list = groups.into_iter().map(|(name, filter)| Named { name, filter, is_chosen: false });
        Some((of, Group::Conditions { list: list.collect(), currency: None }))
    }

    fn terms(&self, field: &'static Field) -> Group {
        Group::Terms { field, size: self.size, chosen: Vec::new() }
    }

    /// From each bound to before the next, and what is before the first and from the last. An amount is compared with those of its
    /// own currency.
    fn ranges(&self, field: &'static Field, bounds: &[&str]) -> Result<Group, ParameterError> {
        if bounds.len() > MAX_BOUNDS {
            return Err(("too_many", format!("takes at most {MAX_BOUNDS} bounds")));
        }
        let values = bounds.iter().map(|bound| self.values.value(field, bound)).collect::<Result<Vec<_>, _>>().map_err(bad)?;
        if !values.is_sorted_by(|one, next| one < next) {
            return Err(bad("takes bounds that rise"));
        }
        let currency = self.currency_of(field);
        let edges = || std::iter::once(None).chain(bounds.iter().copied().zip(&values).map(Some)).chain([None]);
        let list = edges().zip(edges().skip(1)).map(|(from, to)| {
            let name = format!("{}..{}", from.map_or("", |(text, _)| text), to.map_or("", |(text, _)| text));
            let bound = |(_, value): (&str, &Value), inclusive| Bound { value: value.clone(), inclusive };
            let range = Test::Range(from.map(|from| bound(from, true)), to.map(|to| bound(to, false)));
            let mut filters = vec![Filter::Leaf(field, range)];
            filters.extend(currency.map(|field| {
                let currency = Value::Text(self.values.currency.to_string());
                Filter::Leaf(field, Test::In(vec![currency]))
            }));
            Named { name, filter: Filter::All(filters), is_chosen: false }
        });
        Ok(Group::Conditions { list: list.collect(), currency: currency.map(|_| self.values.currency) })
    }

    fn stats(&self, field: &'static Field) -> Stats {
        Stats { field, currency: self.currency_of(field) }
    }

    /// What can be added up under this name.
    fn measure(&self, name: &str) -> Option<&'static Field> {
        self.fields(is_number).find(|field| field.name == name)
    }

    fn currency_of(&self, amount: &Field) -> Option<&'static Field> {
        let mut fields = self.collection.fields.iter();
        fields.find(|field| matches!((amount.kind, field.kind), (FieldKind::Money, FieldKind::Currency)))
    }

    fn field(&self, name: &str, what: &str, is_fit: fn(&Field) -> bool) -> Result<&'static Field, ParameterError> {
        let found = self.fields(is_fit).find(|field| field.name == name);
        let field = found.ok_or_else(|| unknown_field(name, what, self.fields(is_fit)))?;
        check_disclosed(field, self.disclosure)?;
        Ok(field)
    }

    fn fields(&self, is_fit: fn(&Field) -> bool) -> impl Iterator<Item = &'static Field> + use<> {
        self.collection.fields.iter().filter(move |field| field.is_listed() && is_fit(field))
    }
}

fn unknown_field(name: &str, what: &str, known: impl Iterator<Item = &'static Field>) -> ParameterError {
    let known: Vec<&str> = known.map(|field| field.name).collect();
    ("unknown_facet", unknown(name, what, &known))
}

fn unknown(name: &str, what: &str, known: &[&str]) -> String {
    let meant = did_you_mean(name, known.iter().copied());
    format!("there is no such {what}; there are {}{meant}", known.join(", "))
}

/// Whether its values are few enough to be shown one by one.
fn is_term(field: &Field) -> bool {
    use FieldKind::{Currency, Flag, Id, Keyword, Tags, Text};
    matches!(field.kind, Keyword(_) | Text | Currency | Id | Flag | Tags)
}

fn is_ordered(field: &Field) -> bool {
    is_number(field) || is_date(field)
}

fn is_number(field: &Field) -> bool {
    matches!(field.kind, FieldKind::Money | FieldKind::Integer)
}

fn is_date(field: &Field) -> bool {
    matches!(field.kind, FieldKind::Day | FieldKind::Moment)
}
