//! Reads what a client asks of a list, from an address or a body. Each wrong part is refused by name, with what would be right.

use std::collections::BTreeSet;

use super::Collection;
use super::aggregate::Aggregates;
use super::collection::Include;
use super::document::Projection;
use super::field::Field;
use super::filter::{Filter, Test};
use super::phrase::Phrase;
use super::query::{Count, Page, Query, Sort};
use crate::error::{Error, Result, Violations, clipped};
use crate::values::aging::AsOf;
use crate::values::json::Object;
use crate::values::personal::Disclosure;
use crate::values::zone::Zone;

mod aggregate;
mod body;
mod calendar;
mod condition;
mod names;
mod order;
mod parsed;
mod past_due;
mod period;
mod qualifier;
mod value;

pub use parsed::{ParsedList, Rules, Shape, View};
pub use period::{Period, period};
pub use qualifier::{Qualifier, qualifiers};
pub(crate) use value::flag;

use aggregate::Requested;
use calendar::Calendar;
use condition::{Condition, Leaf, Reader};
use names::{COMMON, did_you_mean};
use value::ValueParser;

const MAX_CONDITIONS: usize = 30;
const MAX_SORT_KEYS: usize = 8;
/// Parameters and conditions that are looked at: to look for the name that each of thousands may mean would keep a processor busy.
const MAX_PARAMETERS: usize = 500;
/// Faults that the detail of an error repeats; all are in its list.
const DETAILED_FAULTS: usize = 10;
/// The names that older clients have for the size of a page, and ours.
pub(crate) const PAGE_SIZE: [&str; 3] = ["limit", "pageSize", "per_page"];

/// Reads the parameters of a list of a collection; a violation for each that is wrong.
pub fn parse(collection: &'static Collection, parameters: Vec<(String, String)>, rules: &Rules) -> Result<ParsedList> {
    Parser::of_address(collection, &parameters, rules, |_| true).finish()
}

/// Reads the body of a search: the same as parameters, with a tree of conditions as `filter`.
pub fn parse_body(collection: &'static Collection, body: &Object, rules: &Rules) -> Result<ParsedList> {
    let zone = body.get("tz").and_then(|zone| zone.as_str());
    let mut parser = Parser::new(collection, rules, zone);
    parser.body(body);
    parser.finish()
}

/// Reads how a single record is to be shown; other parameters are not looked at.
pub fn parse_shape(collection: &'static Collection, parameters: &[(String, String)], rules: &Rules) -> Result<Shape> {
    let is_of_shape = |name: &str| matches!(name, "fields" | "include" | "includeDeleted" | "tz");
    let parser = Parser::of_address(collection, parameters, rules, is_of_shape);
    parser.check()?;
    Ok(parser.shape)
}

/// Code and message of a violation.
type ParameterError = (&'static str, String);

/// The code of what needs the permission to see personal data.
const PERSONAL: &str = "personal";

/// Refuses to compare with personal data that a client does not see: it could be found out by asking often enough.
fn check_disclosed(field: &Field, disclosure: Disclosure) -> Result<(), ParameterError> {
    match disclosure {
        Disclosure::Masked if field.personal.is_some() => {
            Err((PERSONAL, format!("{} is personal data, which this needs the permission {PERSONAL} for", field.name)))
        }
        _ => Ok(()),
    }
}

fn bad(message: impl Into<String>) -> ParameterError {
    ("bad_value", message.into())
}

struct Parser<'a> {
    collection: &'static Collection,
    rules: &'a Rules<'a>,
    zone: Zone,
    conditions: Vec<Condition>,
    requested: Requested,
    typed: String,
    phrase: Option<Phrase>,
    /// With their normal forms.
    sort: Vec<(String, Sort)>,
    sort_by: Option<String>,
    descending: Option<bool>,
    page: Option<u32>,
    limit: u32,
    count: Count,
    cursor: Option<String>,
    view: View,
    shape: Shape,
    violations: Violations,
}

impl<'a> Parser<'a> {
    /// The zone says how everything else is read.
    fn new(collection: &'static Collection, rules: &'a Rules<'a>, zone: Option<&str>) -> Self {
        let zone = zone.and_then(|zone| zone.parse().ok()).unwrap_or(rules.zone);
        let today = zone.day_of(rules.now);
        Self {
            collection,
            rules,
            zone,
            conditions: Vec::new(),
            requested: Requested::default(),
            typed: String::new(),
            phrase: None,
            sort: Vec::new(),
            sort_by: None,
            descending: None,
            page: None,
            limit: rules.page_default,
            count: Count::Bounded(rules.total_limit),
            cursor: None,
            view: View::Live,
            shape: Shape { members: None, includes: Vec::new(), includes_deleted: false, highlight: false, today },
            violations: Violations::default(),
        }
    }

    fn of_address(
        collection: &'static Collection,
        parameters: &[(String, String)],
        rules: &'a Rules<'a>,
        is_wanted: impl Fn(&str) -> bool,
    ) -> Self {
        let zone = parameters.iter().rev().find(|(name, _)| name == "tz").map(|(_, zone)| zone.as_str());
        let mut parser = Self::new(collection, rules, zone);
        if parameters.len() > MAX_PARAMETERS {
            parser.violations.add("", "too_many", format!("takes at most {MAX_PARAMETERS} parameters"));
            return parser;
        }
        for (name, value) in parameters.iter().filter(|(name, _)| is_wanted(name)) {
            if let Err((code, message)) = parser.parameter(name, value) {
                parser.violations.add(clipped(name), code, message);
            }
        }
        parser
    }

    fn parameter(&mut self, name: &str, value: &str) -> Result<(), ParameterError> {
        // Postgres stores no NUL, so no value has one.
        if value.contains('\0') {
            return Err(("unstorable_text", "must not contain NUL".into()));
        }
        match name {
            "q" | "search" => self.text(value)?,
            "sort" => {
                for key in value.split(',').filter(|key| !key.trim().is_empty()) {
                    let key = self.sort_key(key)?;
                    self.sort.push(key);
                }
            }
            "sortBy" => {
                self.sort_key(value)?;
                self.sort_by = Some(value.trim().to_owned());
            }
            "sortOrder" => {
                self.descending = Some(match value.to_ascii_lowercase().as_str() {
                    "asc" | "ascending" | "1" => false,
                    "desc" | "descending" | "-1" => true,
                    _ => return Err(bad("takes asc or desc")),
                });
            }
            "page" => {
                let page = value.parse().ok().filter(|page| *page >= 1);
                self.page = Some(page.ok_or_else(|| bad("takes a whole number from 1"))?);
            }
            name if PAGE_SIZE.contains(&name) => self.limit = self.rules.page_size(value).map_err(bad)?,
            "cursor" => self.cursor = Some(value.to_owned()).filter(|cursor| !cursor.is_empty()),
            "count" => {
                self.count = match value {
                    "none" => Count::None,
                    "bounded" => Count::Bounded(self.rules.total_limit),
                    "exact" => Count::Exact,
                    _ => return Err(bad("takes none, bounded or exact")),
                }
            }
            "view" => {
                self.view = match value {
                    "live" => View::Live,
                    "frozen" => View::Frozen,
                    _ => return Err(bad("takes live or frozen")),
                }
            }
            "from" | "startDate" => self.leaf(name, "createdAt", "gte", vec![value.to_owned()]),
            "to" | "endDate" => self.leaf(name, "createdAt", "lte", vec![value.to_owned()]),
            // Its value was read before.
            "tz" => {
                value.parse::<Zone>().map_err(bad)?;
            }
            "filter" => self.tree_of_text(value)?,
            "facets" => self.requested.facets.push(value.to_owned()),
            "facetSize" => self.requested.size(value)?,
            "aggs" => self.requested.aggregations.push(value.to_owned()),
            "fields" => self.shape.members = Some(self.members(value)?),
            "include" => self.shape.includes = self.includes(value)?,
            "includeDeleted" => self.shape.includes_deleted = flag(value).map_err(bad)?,
            "highlight" => self.shape.highlight = flag(value).map_err(bad)?,
            // Every read takes it, also those that are no lists.
            "syncToken" => {}
            _ => return self.condition(name, value),
        }
        Ok(())
    }

    /// `status=open`, `balance[gte]=10`, `isOverdue=true`.
    fn condition(&mut self, name: &str, value: &str) -> Result<(), ParameterError> {
        let (field, operator) = match name.split_once('[') {
            Some((field, rest)) => {
                let unfinished = || ("unknown_parameter", "takes an operator in brackets, as in balance[gte]".into());
                (field, rest.strip_suffix(']').ok_or_else(unfinished)?)
            }
            None => (name, "eq"),
        };
        let is_list = matches!(operator, "eq" | "ne" | "in" | "nin" | "between");
        let values = if is_list { value.split(',').map(str::to_owned).collect() } else { vec![value.to_owned()] };
        self.leaf(&clipped(name), field, operator, values);
        Ok(())
    }

    fn leaf(&mut self, pointer: &str, field: &str, operator: &str, values: Vec<String>) {
        let (pointer, field, operator) = (pointer.to_owned(), field.to_owned(), operator.to_owned());
        self.conditions.push(Condition::Leaf(Leaf { pointer, field, operator, values }));
    }

    /// The id is always shown: a client knows records by it.
    fn members(&self, value: &str) -> Result<Projection, ParameterError> {
        let find = |name: &str| {
            let meant = || did_you_mean(name, self.collection.members());
            let unknown = || ("unknown_member", format!("records have no {}{}", clipped(name), meant()));
            self.collection.members().find(|known| *known == name).ok_or_else(unknown)
        };
        let named = value.split(',').map(|name| find(name.trim())).collect::<Result<Vec<_>, _>>()?;
        Ok(Projection::new(["id"].into_iter().chain(named)))
    }

    fn includes(&self, value: &str) -> Result<Vec<&'static Include>, ParameterError> {
        let known = || self.collection.includes.iter().map(|include| include.name);
        let find = |name: &str| {
            let unknown = || ("unknown_member", format!("takes one of {}", known().collect::<Vec<_>>().join(", ")));
            self.collection.includes.iter().find(|include| include.name == name).ok_or_else(unknown)
        };
        value.split(',').map(|name| find(name.trim())).collect()
    }

    fn as_of(&self) -> AsOf<'a> {
        AsOf { today: self.shape.today, aging: self.rules.aging }
    }

    fn finish(mut self) -> Result<ParsedList> {
        let conditions: usize = self.conditions.iter().map(Condition::leaves).sum();
        if conditions > MAX_CONDITIONS {
            self.violations.add("", "too_many_conditions", format!("a list takes at most {MAX_CONDITIONS} conditions"));
            if conditions > MAX_PARAMETERS {
                self.conditions.clear();
            }
        }
        let page = self.page.unwrap_or(1);
        if u64::from(page) * u64::from(self.limit) > u64::from(self.rules.total_limit) {
            let limit = self.rules.total_limit;
            let message = format!("page numbers reach the first {limit} hits; use cursor=, from nextCursor");
            self.violations.add("page", "too_deep", message);
        }
        if self.cursor.is_some() && self.page.is_some() {
            self.violations.add("page", "contradiction", "cursor and page cannot be combined");
        }
        self.finish_order();
        let (filter, aggregates) = self.filter();
        self.check()?;
        let hashed = self.hashed();
        let mut about = BTreeSet::new();
        self.conditions.iter().for_each(|condition| condition.name_fields(&mut about));
        Ok(ParsedList {
            query: Query {
                filter,
                phrase: self.phrase,
                sort: self.sort.into_iter().map(|(_, sort)| sort).collect(),
                page: Page::Number(page),
                limit: self.limit,
                count: self.count,
                aggregates,
            },
            page: self.cursor.is_none().then_some(page),
            cursor: self.cursor,
            view: self.view,
            hashed,
            shape: self.shape,
            about,
            typed: self.typed,
        })
    }

    fn filter(&mut self) -> (Filter, Aggregates) {
        let as_of = self.as_of();
        let calendar = Calendar { zone: self.zone, now: self.rules.now };
        let values = ValueParser { currency: condition::currency(&self.conditions, self.rules.currency), calendar };
        let mut reader =
            Reader { collection: self.collection, as_of, disclosure: self.rules.disclosure, violations: &mut self.violations };
        let filters: Vec<Filter> = self.conditions.iter().map(|condition| reader.filter(condition, values)).collect();
        let requested = std::mem::take(&mut self.requested);
        let aggregations = requested.read(self.collection, values, as_of, self.rules.disclosure, &mut self.violations);
        let (mut filters, aggregates) = aggregate::choose(aggregations, self.conditions.iter().zip(filters));
        let deleted = self.collection.fields.iter().find(|field| field.name == "deletedAt");
        if let Some(deleted) = deleted.filter(|_| !self.shape.includes_deleted) {
            filters.push(Filter::Leaf(deleted, Test::Exists).negated());
        }
        (Filter::All(filters), aggregates)
    }

    /// What decides which documents a list has, and in which order. Relative days are covered as they were written.
    fn hashed(&self) -> Vec<(String, String)> {
        let mut conditions: Vec<String> = self.conditions.iter().map(Condition::normalized).collect();
        conditions.sort();
        let sort: Vec<&str> = self.sort.iter().map(|(normalized, _)| normalized.as_str()).collect();
        let parts = [
            ("filter", conditions.join(" ")),
            ("q", self.typed.clone()),
            ("sort", sort.join(",")),
            ("tz", self.zone.to_string()),
            ("includeDeleted", self.shape.includes_deleted.to_string()),
        ];
        parts.map(|(name, value)| (name.to_owned(), value)).into()
    }

    fn check(&self) -> Result<()> {
        if self.violations.is_empty() {
            return Ok(());
        }
        if self.violations.iter().any(|violation| violation.code == PERSONAL) {
            return Err(Error::Forbidden(PERSONAL));
        }
        let violations = self.violations.clone();
        Err(Error::Malformed { code: "bad_parameter", detail: self.detail(&violations), violations })
    }

    /// The first faults, then what would be right of names: once, however many are wrong.
    fn detail(&self, violations: &Violations) -> String {
        let told = violations.iter().take(DETAILED_FAULTS);
        let mut told: Vec<String> = told.map(|violation| format!("{}: {}", violation.pointer, violation.message)).collect();
        let more = violations.len() + violations.untold() - told.len();
        if more > 0 {
            told.push(format!("and {more} more"));
        }
        if violations.iter().any(|violation| violation.code == "unknown_parameter") {
            let names: Vec<&str> = condition::names(self.collection).collect();
            told.push(format!("known are {COMMON} and the fields {}", names.join(", ")));
        }
        if violations.iter().any(|violation| violation.code == "unknown_field") {
            let names: Vec<&str> = order::names(self.collection).collect();
            told.push(format!("lists are sorted by {}", names.join(", ")));
        }
        told.join("; ")
    }
}
