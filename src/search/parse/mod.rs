//! Reads the parameters of a list into a question. Whatever is not known is refused by name, with what is known.

use chrono::{DateTime, FixedOffset, Offset, Utc};

use super::filter::{Filter, Test};
use super::phrase::Phrase;
use super::query::{Count, Page, Query, Sort, SortKey};
use super::{Collection, Field};
use crate::error::{Error, Fault, Result};
use crate::values::money::Currency;

mod value;

pub(crate) use value::flag;

use value::Reading;

/// Most conditions of one list.
const MOST_CONDITIONS: usize = 30;
/// Parameters that say how to answer and not what is asked; a cursor holds across their changes.
const MANNERS: &[&str] = &["page", "limit", "pageSize", "per_page", "cursor", "count", "syncToken"];
/// Parameters of every list that are no fields.
const COMMON: &str = "q, sort, page, limit, cursor, count, from, to, tz, includeDeleted, syncToken";

/// By what parameters are read.
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
    /// What `now` is.
    pub now: DateTime<Utc>,
}

/// What a client asked.
#[derive(Debug)]
pub struct Asked {
    /// The question; its page is by number.
    pub query: Query,
    /// The page's number, unless a cursor says where to go on.
    pub page: Option<u32>,
    /// The cursor as it was sent.
    pub cursor: Option<String>,
    /// The parameters that make the question what it is.
    pub question: Vec<(String, String)>,
}

/// Reads the parameters of a list of a collection.
///
/// # Errors
/// 400 with a fault for each parameter that is wrong.
pub fn parse(collection: &'static Collection, pairs: Vec<(String, String)>, rules: &Rules) -> Result<Asked> {
    let mut list = List::new(collection, rules, &pairs);
    for (name, value) in &pairs {
        if let Err((code, message)) = list.parameter(name, value) {
            list.faults.push(Fault { pointer: name.clone(), code: code.into(), message });
        }
    }
    let mut question: Vec<_> = pairs.into_iter().filter(|(name, _)| !MANNERS.contains(&name.as_str())).collect();
    question.sort();
    list.finish(question)
}

type Wrong = (&'static str, String);

struct List<'a> {
    collection: &'static Collection,
    rules: &'a Rules<'a>,
    reading: Reading,
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
    faults: Vec<Fault>,
}

impl<'a> List<'a> {
    /// Some parameters change how others are read, whatever the order.
    fn new(collection: &'static Collection, rules: &'a Rules<'a>, pairs: &[(String, String)]) -> Self {
        let last = |wanted: &str| pairs.iter().rev().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
        let currency = last("currency").and_then(|code| code.parse().ok()).unwrap_or(rules.currency);
        let zone = last("tz").and_then(zone).unwrap_or_else(|| Utc.fix());
        Self {
            collection,
            rules,
            reading: Reading { currency, zone, now: rules.now },
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
            faults: Vec::new(),
        }
    }

    fn parameter(&mut self, name: &str, value: &str) -> Result<(), Wrong> {
        let bad = |message: String| ("bad_value", message);
        match name {
            "q" | "search" => self.phrase = Phrase::new(value, self.rules.region),
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
                self.filters.push(Filter::Leaf(created, Test::Range(self.reading.from(value).map_err(bad)?, None)));
            }
            "to" | "endDate" => {
                let created = self.field("createdAt")?;
                self.filters.push(Filter::Leaf(created, Test::Range(None, self.reading.to(value).map_err(bad)?)));
            }
            "tz" => drop(zone(value).ok_or_else(|| bad("takes an offset such as +02:00, or Z".into()))?),
            "includeDeleted" => self.include_deleted = flag(value).map_err(bad)?,
            // Every read takes it, also those that are no lists.
            "syncToken" => {}
            _ => return self.condition(name, value),
        }
        Ok(())
    }

    /// `status=open`, `balance[gte]=10`, `overdue=true`.
    fn condition(&mut self, name: &str, value: &str) -> Result<(), Wrong> {
        let bad = |message: String| ("bad_value", message);
        if let Some(shortcut) = self.collection.shortcuts.iter().find(|shortcut| shortcut.name == name) {
            let filter = (shortcut.filter)(self.rules.now.date_naive());
            self.filters.push(if flag(value).map_err(bad)? { filter } else { filter.negated() });
            return Ok(());
        }
        let (name, operator) = match name.split_once('[') {
            Some((field, rest)) => match rest.strip_suffix(']') {
                Some(operator) => (field, operator),
                None => return Err(("unknown_parameter", format!("{COMMON} and the fields are parameters"))),
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
            _ => Filter::Leaf(field, self.reading.test(field, operator, value).map_err(bad)?),
        };
        self.filters.push(if matches!(operator, "ne" | "nin") { filter.negated() } else { filter });
        Ok(())
    }

    fn field(&self, name: &str) -> Result<&'static Field, Wrong> {
        let listed = || self.collection.fields.iter().filter(|field| field.is_listed());
        listed().find(|field| field.name == name).ok_or_else(|| {
            let known = listed().map(|field| field.name);
            let known: Vec<&str> = known.chain(self.collection.shortcuts.iter().map(|shortcut| shortcut.name)).collect();
            ("unknown_parameter", format!("known are {COMMON} and the fields {}", known.join(", ")))
        })
    }

    fn sort_key(&self, name: &str) -> Result<SortKey, Wrong> {
        if matches!(name, "score" | "_score" | "relevance") {
            return Ok(SortKey::Score);
        }
        let sortable = || self.collection.fields.iter().filter(|field| field.sortable);
        sortable().find(|field| field.name == name).map(SortKey::Field).ok_or_else(|| {
            let names: Vec<&str> = sortable().map(|field| field.name).collect();
            ("unknown_field", format!("lists are sorted by {} or score", names.join(", ")))
        })
    }

    fn limit(&self, value: &str) -> Result<u32, String> {
        let most = self.rules.page_limit;
        match value.parse::<u32>() {
            Ok(limit) if (1..=most).contains(&limit) => Ok(limit),
            Ok(limit) if limit > most && !self.rules.refuse_large_pages => Ok(most),
            _ => Err(format!("takes a whole number from 1 to {most}")),
        }
    }

    fn finish(mut self, question: Vec<(String, String)>) -> Result<Asked> {
        if self.filters.len() > MOST_CONDITIONS {
            self.fault("", "too_many_conditions", format!("a list takes at most {MOST_CONDITIONS} conditions"));
        }
        let page = self.page.unwrap_or(1);
        if u64::from(page) * u64::from(self.limit) > u64::from(self.rules.total_limit) {
            let limit = self.rules.total_limit;
            self.fault("page", "too_deep", format!("pages by number end at {limit} hits; go on with cursor=, from nextCursor"));
        }
        if self.cursor.is_some() && self.page.is_some() {
            self.fault("page", "contradiction", "a cursor says where to go on, so page cannot".into());
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
        if !self.faults.is_empty() {
            let detail = self.faults.iter().map(|fault| format!("{}: {}", fault.pointer, fault.message));
            let detail = detail.collect::<Vec<_>>().join("; ");
            return Err(Error::Malformed { code: "bad_parameter", detail, faults: self.faults });
        }
        Ok(Asked {
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
            question,
        })
    }

    fn fault(&mut self, pointer: &str, code: &'static str, message: String) {
        self.faults.push(Fault { pointer: pointer.into(), code: code.into(), message });
    }
}

/// Reads `+02:00`, `-0530`, `Z`, `UTC`.
fn zone(text: &str) -> Option<FixedOffset> {
    let text = text.trim();
    if matches!(text, "Z" | "z" | "UTC") {
        return FixedOffset::east_opt(0);
    }
    // A plus sign in an address means a blank, and clients forget to escape it.
    let text = if text.starts_with(|sign: char| sign.is_ascii_digit()) { format!("+{text}") } else { text.to_owned() };
    text.parse().ok()
}
