//! What part of a timeline a request asks for.

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::kind::Kind;
use crate::api::Request;
use crate::api::paging::{self, PAGE_DEFAULT};
use crate::error::{Error, Result, Violations, clipped};
use crate::operation::{Operation, Takes};
use crate::search::parse::{self, PAGE_SIZE};
use crate::search::query::{Key, SortPosition};

/// The parameters of a timeline.
pub(super) struct Parameters;

impl Takes for Parameters {
    fn describe(operation: &mut Operation<'_>) {
        operation.pages();
        let kinds = json!({ "type": "array", "items": { "type": "string", "enum": Kind::ALL.map(Kind::name) }, "minItems": 1 });
        operation.query("types", "Of which types.", kinds);
        let text = || -> Value { json!({ "type": "string" }) };
        operation.query("from", "From this day or moment on.", text());
        operation.query("to", "Until this day or moment.", text());
        operation.query("tz", "Time zone of days.", text());
    }
}

pub(super) struct Asked {
    pub(super) limit: u32,
    pub(super) kinds: Vec<Kind>,
    /// The first moment.
    pub(super) from: DateTime<Utc>,
    /// Where the page begins: behind this place.
    pub(super) behind: Place,
    /// What a cursor belongs to, besides the address.
    about: Vec<(String, String)>,
}

/// A place in the order of a timeline: its entries come by moment, those of one moment by kind, and then by id.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) at: DateTime<Utc>,
    pub(super) rank: i32,
    pub(super) id: Uuid,
}

impl Asked {
    pub(super) fn read(request: &Request) -> Result<Self> {
        let (mut limit, mut kinds, mut violations) = (PAGE_DEFAULT, Vec::new(), Violations::default());
        for (name, value) in request.parameters() {
            match &*name {
                size if PAGE_SIZE.contains(&size) => match paging::rules(request).page_size(&value) {
                    Ok(size) => limit = size,
                    Err(message) => violations.add(size, "bad_value", message),
                },
                "types" => {
                    for word in value.split(',') {
                        match Kind::named(word.trim()) {
                            Some(kind) => kinds.push(kind),
                            None => {
                                violations.add("types", "bad_value", format!("takes {}", Kind::ALL.map(Kind::name).join(", ")))
                            }
                        }
                    }
                }
                "from" | "to" | "tz" | "cursor" | "syncToken" => {}
                name => violations.add(
                    clipped(name),
                    "unknown_parameter",
                    "known are types, from, to, tz, limit, cursor and syncToken",
                ),
            }
        }
        if let Some(first) = violations.first() {
            let detail = format!("{}: {}", first.pointer, first.message);
            return Err(Error::Malformed { code: "bad_parameter", detail, violations });
        }
        if kinds.is_empty() {
            kinds.extend(Kind::ALL);
        }
        kinds.sort_unstable();
        kinds.dedup();
        let [from, to, zone] = ["from", "to", "tz"].map(|name| request.parameter(name));
        let about = ["types", "from", "to", "tz"].map(|name| {
            let value = request.parameter(name).unwrap_or_default().into_owned();
            (name.to_owned(), value)
        });
        let period = parse::period(from.as_deref(), to.as_deref(), zone.as_deref(), &paging::rules(request))?;
        // Behind all that is at the end itself.
        let end = Place { at: period.before.unwrap_or_else(|| midnight(9999)), rank: i32::MAX, id: Uuid::nil() };
        let cursor = request.parameter("cursor").filter(|cursor| !cursor.is_empty());
        let behind = cursor.map(|cursor| Place::read(&paging::resume_at(request, &about, &cursor)?)).transpose()?;
        let from = period.from.unwrap_or_else(|| midnight(1));
        Ok(Self { limit, kinds, from, behind: behind.unwrap_or(end), about: about.into() })
    }

    /// Writes the cursor of the page behind a place.
    pub(super) fn cursor(&self, request: &Request, last: Place) -> Result<String> {
        let keys = vec![Key::Integer(last.at.timestamp_micros()), Key::Integer(last.rank.into())];
        paging::cursor_at(request, &self.about, SortPosition { keys, id: last.id, loose: None })
    }
}

impl Place {
    fn read(position: &SortPosition) -> Result<Self> {
        let place = match position.keys[..] {
            [Key::Integer(at), Key::Integer(rank)] => DateTime::from_timestamp_micros(at).zip(i32::try_from(rank).ok()),
            _ => None,
        };
        let (at, rank) = place.ok_or_else(|| Error::malformed("bad_cursor", "cursor: takes the nextCursor of this timeline"))?;
        Ok(Self { at, rank, id: position.id })
    }
}

/// The first moment of a year; entries are in years of four digits.
fn midnight(year: i32) -> DateTime<Utc> {
    NaiveDate::from_ymd_opt(year, 1, 1).unwrap_or_default().and_time(NaiveTime::MIN).and_utc()
}
