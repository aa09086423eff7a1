//! Reads the query parameters of a list. Each wrong one is refused by name, with what would be right.

use chrono::{DateTime, Offset, Utc};

use super::filter::{Filter, Test};
use super::phrase::Phrase;
use super::query::{Count, Page, Query, Sort, SortKey};
use super::{Collection, Field};
use crate::error::{Error, Result, Violations, clipped};
use crate::values::money::Currency;

mod calendar;
mod qualifier;
mod value;

pub use qualifier::Qualifier;
pub(crate) use value::flag;

use calendar::{Calendar, zone};
use value::ValueParser;

const MAX_CONDITIONS: usize = 30;
const MAX_SORT_KEYS: usize = 8;
/// Faults that the detail of an error repeats; all are in its list.
const DETAILED_FAULTS: usize = 10;
/// Parameters that the filter hash leaves out: a cursor stays valid when they change.
const UNHASHED: &[&str] = &["page", "limit", "pageSize", "per_page", "cursor", "count", "highlight", "syncToken"];
/// Parameters of every list that are no fields.
const COMMON: &str = "q, sort, page, limit, cursor, count, from, to, tz, highlight, includeDeleted, syncToken";

/// What the settings and the address say about reading parameters.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// Whether a page beyond the limit is refused; the older addresses cut it down.
    pub refuse_large_pages: bool,
    /// Region of phone numbers without a country code.
    pub region: &'a str,
    /// Currency of amounts if no filter names one.
    pub currency: Currency,
    /// Size of a page if none is named.
    pub page_default: u32,
    /// Largest page.
    pub page_limit: u32,
    /// Hits that are counted exactly and reached by page number.
    pub total_limit: u32,
    pub now: DateTime<Utc>,
}

#[derive(Debug)]
pub struct ParsedList {
    /// Its page is by number; a cursor is not read yet.
    pub query: Query,
    /// The page's number, unless there is a cursor.
    pub page: Option<u32>,
    /// As it was sent.
    pub cursor: Option<String>,
    /// The parameters that the filter hash covers, sorted.
    pub hashed: Vec<(String, String)>,
    /// Whether each record says why the phrase has found it.
    pub highlight: bool,
}

/// Reads the parameters of a list of a collection; a violation for each that is wrong.
pub fn parse(collection: &'static Collection, parameters: Vec<(String, String)>, rules: &Rules) -> Result<ParsedList> {
    let mut parser = Parser::new(collection, rules, &parameters);
    for (name, value) in &parameters {
        if let Err((code, message)) = parser.parameter(name, value) {
            parser.violations.add(clipped(name), code, message);
        }
    }
    let mut hashed: Vec<_> = parameters.into_iter().filter(|(name, _)| !UNHASHED.contains(&name.as_str())).collect();
    hashed.sort();
    parser.finish(hashed)
}

/// The conditions in the text of the search box that a collection takes.
#[must_use]
pub fn qualifiers(collection: &'static Collection, typed: &str, rules: &Rules) -> Vec<Qualifier> {
    let parser = Parser::new(collection, rules, &[]);
    qualifier::split(collection, typed, |name, value| parser.takes(name, value)).1
}

/// Code and message of a violation.
type ParameterError = (&'static str, String);

struct Parser<'a> {
    collection: &'static Collection,
    rules: &'a Rules<'a>,
    values: ValueParser,
    filters: Vec<Filter>,
    phrase: Option<Phrase>,
    sort: Vec<Sort>,
    sort_by: Option<Sort>,
    descending: Option<bool>,
    page: Option<u32>,
    limit: u32,
    count: Count,
    cursor: Option<String>,
    include_deleted: bool,
    highlight: bool,
    violations: Violations,
}

impl<'a> Parser<'a> {
    /// Currency and time zone say how other parameters are read, in any order.
    fn new(collection: &'static Collection, rules: &'a Rules<'a>, parameters: &[(String, String)]) -> Self {
        let last = |wanted: &str| parameters.iter().rev().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
        let currency = last("currency").and_then(|code| code.parse().ok()).unwrap_or(rules.currency);
        let zone = last("tz").and_then(zone).unwrap_or_else(|| Utc.fix());
        Self {
            collection,
            rules,
            values: ValueParser { currency, calendar: Calendar { zone, now: rules.now } },
            filters: Vec::new(),
            phrase: None,
            sort: Vec::new(),
            sort_by: None,
            descending: None,
            page: None,
            limit: rules.page_default,
            count: Count::Bounded(rules.total_limit),
            cursor: None,
            include_deleted: false,
            highlight: false,
            violations: Violations::default(),
        }
    }

    fn parameter(&mut self, name: &str, value: &str) -> Result<(), ParameterError> {
        let bad = |message: String| ("bad_value", message);
        // Postgres stores no NUL, so no value has one.
        if value.contains('\0') {
            return Err(("unstorable_text", "must not contain NUL".into()));
        }
        match name {
            "q" | "search" => {
                let (words, qualifiers) = qualifier::split(self.collection, value, |name, value| self.takes(name, value));
                let phrase = Phrase::new(&words, self.rules.region).map_err(bad)?;
                self.phrase = phrase.map(|phrase| phrase.with_spans(&words, self.collection.fields, self.rules.region));
                qualifiers.iter().try_for_each(|condition| self.condition(&condition.name, &condition.value))?;
            }
            "sort" => {
                for key in value.split(',').filter(|key| !key.trim().is_empty()) {
                    let (name, descending) = key.trim().strip_prefix('-').map_or((key.trim(), false), |name| (name, true));
                    let key = self.sort_key(name.trim_start_matches('+').trim())?;
                    self.sort.push(Sort { key, descending: descending || matches!(key, SortKey::Score) });
                }
            }
            "sortBy" => self.sort_by = Some(Sort { key: self.sort_key(value.trim())?, descending: false }),
            "sortOrder" => {
                self.descending = Some(match value.to_ascii_lowercase().as_str() {
                    "asc" | "ascending" | "1" => false,
                    "desc" | "descending" | "-1" => true,
                    _ => return Err(bad("takes asc or desc".into())),
                });
            }
            "page" => {
                let page = value.parse().ok().filter(|page| *page >= 1);
                self.page = Some(page.ok_or_else(|| bad("takes a whole number from 1".into()))?);
            }
            "limit" | "pageSize" | "per_page" => self.limit = self.limit(value).map_err(bad)?,
            "cursor" => self.cursor = Some(value.to_owned()).filter(|cursor| !cursor.is_empty()),
            "count" => {
                self.count = match value {
                    "none" => Count::None,
                    "bounded" => Count::Bounded(self.rules.total_limit),
                    "exact" => Count::Exact,
                    _ => return Err(bad("takes none, bounded or exact".into())),
                }
            }
            "from" | "startDate" => {
                let created = self.field("createdAt")?;
                self.filters.push(Filter::Leaf(created, Test::Range(Some(self.values.calendar.from(value).map_err(bad)?), None)));
            }
            "to" | "endDate" => {
                let created = self.field("createdAt")?;
                self.filters.push(Filter::Leaf(created, Test::Range(None, Some(self.values.calendar.to(value).map_err(bad)?))));
            }
            "tz" if zone(value).is_none() => return Err(bad("takes an offset from -12:00 to +14:00, or Z".into())),
            // Read before the others.
            "tz" => {}
            "includeDeleted" => self.include_deleted = flag(value).map_err(bad)?,
            "highlight" => self.highlight = flag(value).map_err(bad)?,
            // Every read takes it, also those that are no lists.
            "syncToken" => {}
            _ => return self.condition(name, value),
        }
        Ok(())
    }

    /// Whether a condition is one of this list.
    fn takes(&self, name: &str, value: &str) -> bool {
        Self::new(self.collection, self.rules, &[]).condition(name, value).is_ok()
    }

    /// `status=open`, `balance[gte]=10`, `overdue=true`.
    fn condition(&mut self, name: &str, value: &str) -> Result<(), ParameterError> {
        let bad = |message: String| ("bad_value", message);
        if let Some(shortcut) = self.collection.shortcuts.iter().find(|shortcut| shortcut.name == name) {
            let filter = (shortcut.filter)(self.rules.now.date_naive());
            self.filters.push(if flag(value).map_err(bad)? { filter } else { filter.negated() });
            return Ok(());
        }
        let (name, operator) = match name.split_once('[') {
            Some((field, rest)) => match rest.strip_suffix(']') {
                Some(operator) => (field, operator),
                None => return Err(unknown_parameter()),
            },
            None => (name, "eq"),
        };
        let field = self.field(name)?;
        let operators = field.operators();
        if !operators.contains(&operator) {
            return Err(("unknown_operator", format!("{name} takes {}", operators.join(", "))));
        }
        let filter = match (operator, flag(value)) {
            ("exists", Ok(false)) => Filter::Leaf(field, Test::Exists).negated(),
            _ => Filter::Leaf(field, self.values.test(field, operator, value).map_err(bad)?),
        };
        self.filters.push(if matches!(operator, "ne" | "nin") { filter.negated() } else { filter });
        Ok(())
    }

    fn field(&self, name: &str) -> Result<&'static Field, ParameterError> {
        let mut listed = self.collection.fields.iter().filter(|field| field.is_listed());
        listed.find(|field| field.name == name).ok_or_else(unknown_parameter)
    }

    fn sort_key(&self, name: &str) -> Result<SortKey, ParameterError> {
        if matches!(name, "score" | "_score" | "relevance") {
            return Ok(SortKey::Score);
        }
        let mut sortable = self.collection.fields.iter().filter(|field| field.sortable);
        let found = sortable.find(|field| field.name == name).map(SortKey::Field);
        found.ok_or_else(|| ("unknown_field", "lists are not sorted by this".into()))
    }

    fn limit(&self, value: &str) -> Result<u32, String> {
        let most = self.rules.page_limit;
        match value.parse::<u32>() {
            Ok(limit) if (1..=most).contains(&limit) => Ok(limit),
            Ok(limit) if limit > most && !self.rules.refuse_large_pages => Ok(most),
            _ => Err(format!("takes a whole number from 1 to {most}")),
        }
    }

    fn finish(mut self, hashed: Vec<(String, String)>) -> Result<ParsedList> {
        if self.filters.len() > MAX_CONDITIONS {
            self.violations.add("", "too_many_conditions", format!("a list takes at most {MAX_CONDITIONS} conditions"));
        }
        if self.sort.len() > MAX_SORT_KEYS {
            self.violations.add("sort", "too_many_sort_keys", format!("a list is sorted by at most {MAX_SORT_KEYS} keys"));
        }
        let page = self.page.unwrap_or(1);
        if u64::from(page) * u64::from(self.limit) > u64::from(self.rules.total_limit) {
            let limit = self.rules.total_limit;
            self.violations.add(
                "page",
                "too_deep",
                format!("page numbers reach the first {limit} hits; use cursor=, from nextCursor"),
            );
        }
        if self.cursor.is_some() && self.page.is_some() {
            self.violations.add("page", "contradiction", "cursor and page cannot be combined");
        }
        if !self.include_deleted
            && let Ok(deleted) = self.field("deletedAt")
        {
            self.filters.push(Filter::Leaf(deleted, Test::Exists).negated());
        }
        if let Some(by) = self.sort_by.filter(|_| self.sort.is_empty()) {
            self.sort.push(Sort { descending: self.descending.unwrap_or(matches!(by.key, SortKey::Score)), ..by });
        }
        // Without a phrase everything matches alike.
        if self.phrase.is_none() {
            self.sort.retain(|sort| matches!(sort.key, SortKey::Field(_)));
        } else if self.sort.is_empty() {
            self.sort.push(Sort { key: SortKey::Score, descending: true });
        }
        if self.sort.is_empty()
            && let Ok(created) = self.field("createdAt")
        {
            self.sort.push(Sort { key: SortKey::Field(created), descending: true });
        }
        if !self.violations.is_empty() {
            let violations = std::mem::take(&mut self.violations);
            return Err(Error::Malformed { code: "bad_parameter", detail: self.detail(&violations), violations });
        }
        Ok(ParsedList {
            query: Query {
                filter: Filter::All(self.filters),
                phrase: self.phrase,
                sort: self.sort,
                page: Page::Number(page),
                limit: self.limit,
                count: self.count,
            },
            page: self.cursor.is_none().then_some(page),
            cursor: self.cursor,
            hashed,
            highlight: self.highlight,
        })
    }

    /// The first faults, then what would be right of names: once, however many are wrong.
    fn detail(&self, violations: &Violations) -> String {
        let told = violations.iter().take(DETAILED_FAULTS);
        let mut told: Vec<String> = told.map(|violation| format!("{}: {}", violation.pointer, violation.message)).collect();
        let more = violations.len() + violations.untold() - told.len();
        if more > 0 {
            told.push(format!("and {more} more"));
        }
        let fields = self.collection.fields.iter();
        if violations.iter().any(|violation| violation.code == "unknown_parameter") {
            let names = fields.clone().filter(|field| field.is_listed()).map(|field| field.name);
            let names: Vec<&str> = names.chain(self.collection.shortcuts.iter().map(|shortcut| shortcut.name)).collect();
            told.push(format!("known are {COMMON} and the fields {}", names.join(", ")));
        }
        if violations.iter().any(|violation| violation.code == "unknown_field") {
            let names: Vec<&str> = fields.filter(|field| field.sortable).map(|field| field.name).collect();
            told.push(format!("lists are sorted by {} or score", names.join(", ")));
        }
        told.join("; ")
    }
}

fn unknown_parameter() -> ParameterError {
    ("unknown_parameter", "is neither a parameter of lists nor a field of this one".into())
}
