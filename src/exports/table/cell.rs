//! Cells: the members of a record in the order of columns, each with its type.

use std::borrow::Cow;
use std::collections::HashMap;

use chrono::{DateTime, FixedOffset, NaiveDateTime, SecondsFormat, Utc};

use crate::search::{Collection, Field, FieldKind, document};
use crate::values::text::table::join_words;
use crate::values::zone::Zone;

/// A column of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Column {
    /// The member of the record.
    pub(super) name: &'static str,
    pub(super) heading: &'static str,
    kind: Kind,
}

/// What the values of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Number,
    Flag,
    Day,
    Moment,
    Words,
    /// Objects and lists, which stay JSON.
    Json,
}

/// One value; texts as they are, numbers digit by digit.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell<'a> {
    Blank,
    Text(Cow<'a, str>),
    Number(&'a str),
    Flag(bool),
    /// `2026-01-31`
    Day(Cow<'a, str>),
    Moment(DateTime<Utc>),
}

impl Column {
    pub(super) fn new(collection: &'static Collection, name: &'static str, heading: &'static str) -> Self {
        let field = collection.fields.iter().find(|field| field.name == name);
        Self { name, heading, kind: kind(name, field) }
    }

    fn cell<'a>(&self, value: &'a [u8]) -> serde_json::Result<Cell<'a>> {
        if matches!(value, b"null" | b"[]" | b"{}") {
            return Ok(Cell::Blank);
        }
        Ok(match self.kind {
            Kind::Text => Cell::Text(text(value)?),
            Kind::Day => Cell::Day(text(value)?),
            Kind::Number => Cell::Number(std::str::from_utf8(value).unwrap_or_default()),
            Kind::Flag => Cell::Flag(value == b"true"),
            Kind::Moment => Cell::Moment(serde_json::from_slice(value)?),
            Kind::Words => Cell::Text(join_words(&serde_json::from_slice::<Vec<String>>(value)?).into()),
            Kind::Json => Cell::Text(String::from_utf8_lossy(value)),
        })
    }
}

/// Members that are no fields follow from the day, or are names.
fn kind(name: &str, field: Option<&Field>) -> Kind {
    match field.map(|field| field.kind) {
        Some(FieldKind::Money | FieldKind::Integer) => Kind::Number,
        Some(FieldKind::Flag) => Kind::Flag,
        Some(FieldKind::Day) => Kind::Day,
        Some(FieldKind::Moment) => Kind::Moment,
        Some(FieldKind::Tags) => Kind::Words,
        Some(FieldKind::Object | FieldKind::Parts(_)) => Kind::Json,
        Some(FieldKind::Keyword(_) | FieldKind::Text | FieldKind::Folded | FieldKind::Currency | FieldKind::Id) => Kind::Text,
        None if name == "isOverdue" => Kind::Flag,
        None if name == "daysPastDue" => Kind::Number,
        None => Kind::Text,
    }
}

/// Reads a text, most of which has nothing escaped.
fn text(value: &[u8]) -> serde_json::Result<Cow<'_, str>> {
    match serde_json::from_slice::<&str>(value) {
        Ok(text) => Ok(Cow::Borrowed(text)),
        Err(_) => serde_json::from_slice::<String>(value).map(Cow::Owned),
    }
}

/// Columns, and where each member of a record goes.
#[derive(Clone, Debug)]
pub(super) struct Columns {
    pub(super) all: Vec<Column>,
    places: HashMap<&'static [u8], usize>,
}

impl Columns {
    pub(super) fn new(all: Vec<Column>) -> Self {
        let places = all.iter().enumerate().map(|(place, column)| (column.name.as_bytes(), place)).collect();
        Self { all, places }
    }

    /// Reads the cells of a record: JSON as lists show it.
    pub(super) fn cells<'a>(&self, record: &'a [u8]) -> serde_json::Result<Vec<Cell<'a>>> {
        let mut cells = vec![Cell::Blank; self.all.len()];
        for (name, value) in document::members(record) {
            if let Some(place) = self.places.get(name) {
                cells[*place] = self.all[*place].cell(value)?;
            }
        }
        Ok(cells)
    }
}

/// Writes a moment as the wire has it, or with the offset of a zone.
pub(super) fn moment(at: DateTime<Utc>, zone: Option<Zone>) -> String {
    let Some(zone) = zone else { return at.to_rfc3339_opts(SecondsFormat::Millis, true) };
    let seconds = (local(at, Some(zone)) - at.naive_utc()).num_seconds();
    let offset = i32::try_from(seconds).ok().and_then(FixedOffset::east_opt);
    offset.map_or_else(
        || at.to_rfc3339_opts(SecondsFormat::Millis, true),
        |offset| at.with_timezone(&offset).to_rfc3339_opts(SecondsFormat::Millis, false),
    )
}

/// What clocks show; in UTC without a zone.
pub(super) fn local(at: DateTime<Utc>, zone: Option<Zone>) -> NaiveDateTime {
    zone.map_or(at.naive_utc(), |zone| zone.local(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_has_the_offset_of_its_zone() {
        let at: DateTime<Utc> = "2026-07-01T12:00:00.250Z".parse().unwrap();
        for (zone, expected) in [
            (None, "2026-07-01T12:00:00.250Z"),
            (Some("Europe/Berlin"), "2026-07-01T14:00:00.250+02:00"),
            (Some("-03:30"), "2026-07-01T08:30:00.250-03:30"),
        ] {
            assert_eq!(moment(at, zone.map(|zone| zone.parse().unwrap())), expected);
        }
    }

    #[test]
    fn members_go_to_their_columns_whatever_their_order() {
        let column = |name, kind| Column { name, heading: name, kind };
        let columns = Columns::new(vec![
            column("tags", Kind::Words),
            column("amount", Kind::Number),
            column("name", Kind::Text),
            column("absent", Kind::Text),
            column("custom", Kind::Json),
        ]);
        let cells = columns.cells(br#"{"id":1,"name":"a \"b\"","amount":-100.00,"custom":{"a":[1,"}"]},"tags":["x","y"]}"#);
        let text = |text: &'static str| Cell::Text(text.into());
        assert_eq!(
            cells.unwrap(),
            [text("x; y"), Cell::Number("-100.00"), text("a \"b\""), Cell::Blank, text(r#"{"a":[1,"}"]}"#)]
        );
    }
}
