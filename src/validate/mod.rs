//! Rules of request values that several features share.

pub mod json;

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::RangeInclusive;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer};

use crate::error::Violations;
use crate::values::json::{Object, Value};
use crate::values::money::{Amount, Currency};
use crate::values::text::is_invisible;

/// One member of a request: absent, a new value, or null, which clears.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Change<T> {
    /// The member is absent: what is there stays.
    #[default]
    Keep,
    /// The member is present; null is `None`.
    To(Option<T>),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Change<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::deserialize(deserializer).map(Self::To)
    }
}

/// A member that need not be there.
impl<T: JsonSchema> JsonSchema for Change<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        Option::<T>::schema_name()
    }

    fn json_schema(schemas: &mut SchemaGenerator) -> Schema {
        Option::<T>::json_schema(schemas)
    }
}

impl<T> Change<T> {
    /// A new value.
    pub fn new(value: T) -> Self {
        Self::To(Some(value))
    }

    /// Whether the member is present, be it null.
    pub fn is_present(&self) -> bool {
        matches!(self, Self::To(_))
    }

    /// Returns the value, none for null as for absence.
    pub fn value(self) -> Option<T> {
        match self {
            Self::Keep => None,
            Self::To(value) => value,
        }
    }

    /// Puts the new value in its place.
    pub fn apply(self, place: &mut Option<T>) {
        if let Self::To(value) = self {
            *place = value;
        }
    }
}

/// The words of an enumeration, the default first, and other words that clients use for them.
#[derive(Debug)]
pub struct Words {
    /// The words as they are stored and shown.
    pub known: &'static [&'static str],
    /// Other spellings: `("card", "credit_card")`.
    pub aliases: &'static [(&'static str, &'static str)],
}

impl Words {
    /// Finds the word that a client means, without regard to case, hyphens and blanks.
    #[must_use]
    pub fn find(&self, text: &str) -> Option<&'static str> {
        let text = text.trim().to_lowercase().replace([' ', '-'], "_");
        let alias = self.aliases.iter().find(|(alias, _)| *alias == text).map(|(_, word)| *word);
        alias.or_else(|| self.known.iter().find(|word| **word == text).copied())
    }
}

/// The most minor units of one amount: far beyond any debt, and a few hundred of them still fit a balance.
pub const MOST_MONEY: i64 = i64::MAX / 1_000;

/// The most tags of a record.
pub const TAGS: usize = 50;

/// The most keys of a free object, its depth, and its size as JSON in bytes.
pub const OBJECT_KEYS: usize = 50;
const OBJECT_DEPTH: usize = 5;
const OBJECT_SIZE: usize = 16_384;
/// The longest number in a free object: the greatest double has 309 digits, and Elasticsearch refuses more than 1000.
const NUMBER_DIGITS: usize = 400;

/// Each method checks what the client says of one field and puts it in its place; null brings the default back.
impl Violations {
    /// A text without blanks at its ends, of at least `min` and at most `max` characters, with one that can be seen.
    pub fn text(&mut self, pointer: &str, change: Change<String>, (min, max): (usize, usize), place: &mut Option<String>) {
        if let Change::To(text) = change {
            let text = text.map(|text| text.trim().to_owned());
            self.length(pointer, text.as_deref(), min, max);
            self.visible(pointer, text.as_deref().unwrap_or_default());
            *place = text;
        }
    }

    /// A text that shows nothing looks like a value that is missing.
    fn visible(&mut self, pointer: &str, text: &str) {
        if !text.is_empty() && text.chars().all(is_invisible) {
            self.add(pointer, "invisible", "needs a character that can be seen");
        }
    }

    /// A word of an enumeration.
    pub fn word(&mut self, pointer: &str, change: Change<String>, words: &Words, place: &mut String) {
        let Change::To(text) = change else { return };
        match text.map_or_else(|| words.known.first().copied(), |text| words.find(&text)) {
            Some(word) => word.clone_into(place),
            None => self.add(pointer, "unknown_value", format!("takes one of {}", words.known.join(", "))),
        }
    }

    /// A calendar day within a range.
    pub fn day(
        &mut self,
        pointer: &str,
        change: Change<String>,
        range: RangeInclusive<NaiveDate>,
        place: &mut Option<NaiveDate>,
    ) {
        let Change::To(text) = change else { return };
        *place = text.and_then(|text| match NaiveDate::parse_from_str(text.trim(), "%Y-%m-%d") {
            Ok(day) if range.contains(&day) => Some(day),
            read => {
                let code = if read.is_ok() { "out_of_range" } else { "not_a_day" };
                let (first, last) = (range.start(), range.end());
                self.add(pointer, code, format!("takes a calendar day from {first} to {last}, such as 2026-01-31"));
                None
            }
        });
    }

    /// A moment with its offset.
    pub fn moment(&mut self, pointer: &str, change: Change<String>, place: &mut Option<DateTime<Utc>>) {
        let Change::To(text) = change else { return };
        *place = text.and_then(|text| match DateTime::parse_from_rfc3339(text.trim()) {
            Ok(moment) if sensible_days().contains(&moment.to_utc().date_naive()) => Some(moment.to_utc()),
            read => {
                let code = if read.is_ok() { "out_of_range" } else { "not_a_moment" };
                let (first, last) = sensible_days().into_inner();
                self.add(pointer, code, format!("takes a moment from {first} to {last}, such as 2026-01-31T12:00:00Z"));
                None
            }
        });
    }

    /// A moment that has come, give or take the difference of two clocks.
    pub fn past(&mut self, pointer: &str, change: Change<String>, now: DateTime<Utc>, place: &mut Option<DateTime<Utc>>) {
        let present = change.is_present();
        self.moment(pointer, change, place);
        if present && place.is_some_and(|moment| moment > now + TimeDelta::minutes(5)) {
            self.add(pointer, "in_the_future", "takes a moment that has come");
        }
    }

    /// Up to 50 words of up to 50 characters; a repeated one is kept once.
    pub fn tags(&mut self, pointer: &str, change: Change<Vec<String>>, place: &mut Vec<String>) {
        let Change::To(tags) = change else { return };
        let tags = tags.unwrap_or_default();
        if self.are_too_many(pointer, tags.len(), TAGS) {
            return;
        }
        let (mut kept, mut seen) = (Vec::new(), HashSet::new());
        for (at, tag) in tags.into_iter().enumerate() {
            let tag = tag.trim().to_owned();
            self.length(&format!("{pointer}/{at}"), Some(&tag), 1, 50);
            self.visible(&format!("{pointer}/{at}"), &tag);
            if seen.insert(tag.clone()) {
                kept.push(tag);
            }
        }
        *place = kept;
    }

    /// Checks how many entries a list has. Before anything else: what follows must not be work for a list of any length.
    pub fn are_too_many(&mut self, pointer: &str, count: usize, most: usize) -> bool {
        if count > most {
            self.add(pointer, "too_many", format!("takes at most {most} entries"));
        }
        count > most
    }

    /// Free values, merged as RFC 7396 says: null removes a key.
    pub fn object(&mut self, pointer: &str, changes: Object, place: &mut Object) {
        // A client may remove all keys and set as many others.
        if changes.len() > 2 * OBJECT_KEYS {
            return self.add(pointer, "too_many", format!("takes at most {OBJECT_KEYS} keys"));
        }
        merge(place, changes);
        if place.len() > OBJECT_KEYS {
            self.add(pointer, "too_many", format!("takes at most {OBJECT_KEYS} keys"));
        }
        if place.values().any(|value| !is_plain(value, OBJECT_DEPTH - 1)) || place.keys().any(|key| !is_plain_key(key)) {
            self.add(
                pointer,
                "not_plain",
                format!("takes at most {OBJECT_DEPTH} levels, keys of 1 to 100 characters, numbers of {NUMBER_DIGITS} digits and no NUL"),
            );
        }
        if serde_json::to_vec(place).map_or(0, |json| json.len()) > OBJECT_SIZE {
            self.add(pointer, "too_long", format!("takes at most {OBJECT_SIZE} bytes of JSON"));
        }
    }

    /// A currency that is in use (ISO 4217).
    pub fn currency(&mut self, pointer: &str, text: Option<&str>, default: Currency) -> Currency {
        let Some(text) = text else { return default };
        match text.trim().parse::<Currency>() {
            Ok(currency) if currency.is_in_use() => currency,
            _ => {
                self.add(pointer, "unknown_currency", "takes a currency code of ISO 4217 such as EUR");
                default
            }
        }
    }

    /// An amount in minor units of a currency, within a range.
    pub fn amount(&mut self, pointer: &str, amount: &Amount, currency: Currency, range: RangeInclusive<i64>) -> i64 {
        match amount.minor(currency) {
            Ok(minor) if range.contains(&minor) => return minor,
            Ok(_) => {
                let (least, most) = (currency.format(*range.start()), currency.format(*range.end()));
                self.add(pointer, "out_of_range", format!("takes an amount from {least} to {most}"));
            }
            Err(error) => self.add(pointer, error.code(), error.to_string()),
        }
        *range.start()
    }
}

/// Days that a record of a living business can name; others are slips of the keyboard.
#[must_use]
pub fn sensible_days() -> RangeInclusive<NaiveDate> {
    let year = |year, day: u32| NaiveDate::from_ymd_opt(year, if day == 1 { 1 } else { 12 }, day).unwrap_or_default();
    year(1900, 1)..=year(2199, 31)
}

fn merge(place: &mut Object, changes: Object) {
    for (key, change) in changes {
        match (place.get_mut(&key), change) {
            (_, Value::Null) => drop(place.remove(&key)),
            (Some(Value::Object(inner)), Value::Object(changes)) => merge(inner, changes),
            (_, change) => drop(place.insert(key, change)),
        }
    }
}

fn is_plain(value: &Value, depth: usize) -> bool {
    match value {
        Value::String(text) => !text.contains('\0'),
        Value::Array(values) => depth > 0 && values.iter().all(|value| is_plain(value, depth - 1)),
        Value::Object(object) => depth > 0 && object.iter().all(|(key, value)| is_plain_key(key) && is_plain(value, depth - 1)),
        Value::Number(digits) => digits.len() <= NUMBER_DIGITS,
        Value::Null | Value::Bool(_) => true,
    }
}

fn is_plain_key(key: &str) -> bool {
    !key.contains('\0') && (1..=100).contains(&key.chars().count())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn absence_and_null_are_told_apart() {
        #[derive(Deserialize, Default)]
        #[serde(default)]
        struct Patch {
            name: Change<String>,
        }
        let read = |value| serde_json::from_value::<Patch>(value).unwrap().name;
        assert_eq!(read(json!({})), Change::Keep);
        assert_eq!(read(json!({ "name": null })), Change::To(None));
        assert_eq!(read(json!({ "name": "Ann" })), Change::new("Ann".to_owned()));
    }

    #[test]
    fn words_are_found_however_they_are_written() {
        let words = Words { known: &["credit_card", "cash"], aliases: &[("card", "credit_card")] };
        for text in ["credit_card", "CREDIT_CARD", "Credit Card", "credit-card", " card "] {
            assert_eq!(words.find(text), Some("credit_card"), "{text}");
        }
        assert_eq!(words.find("cheese"), None);
    }

    #[test]
    fn objects_are_merged_and_null_removes() {
        let mut place = object(json!({ "a": 1, "b": { "c": 2, "d": 3 } }));
        let changes = object(json!({ "a": null, "b": { "c": 5 }, "e": [1] }));
        let mut violations = Violations::default();
        violations.object("/metadata", changes, &mut place);
        assert_eq!(place, object(json!({ "b": { "c": 5, "d": 3 }, "e": [1] })));
        assert!(violations.take().is_empty());
    }

    fn object(value: serde_json::Value) -> Object {
        Value::from(value).into_object().unwrap()
    }

    fn check(value: serde_json::Value, codes: &[&str]) {
        let mut violations = Violations::default();
        violations.object("/metadata", object(value.clone()), &mut Object::new());
        assert_eq!(violations.take().iter().map(|violation| violation.code.as_ref()).collect::<Vec<_>>(), codes, "{value}");
    }

    #[test]
    fn objects_are_bounded_in_every_direction() {
        check(json!({ "a": { "b": { "c": { "d": { "e": 1 } } } } }), &[]);
        check(json!({ "a": { "b": { "c": { "d": { "e": {} } } } } }), &["not_plain"]);
        check(json!({ "a": "\0" }), &["not_plain"]);
        check(json!({ "": 1 }), &["not_plain"]);
        check(json!({ "a": "x".repeat(OBJECT_SIZE) }), &["too_long"]);
        check((0..51).map(|n| (n.to_string(), n)).collect(), &["too_many"]);
        let mut violations = Violations::default();
        let long = Object::from([("a".to_owned(), Value::Number("1".repeat(NUMBER_DIGITS + 1)))]);
        violations.object("/metadata", long, &mut Object::new());
        assert_eq!(violations.take()[0].code, "not_plain");
    }

    #[test]
    fn tags_are_counted_before_they_are_looked_at() {
        let tags = |count: usize| Change::new((0..count).map(|n| format!("tag {}", n % 40)).collect());
        let (mut violations, mut place) = (Violations::default(), vec!["kept".to_owned()]);
        violations.tags("/tags", tags(51), &mut place);
        assert_eq!(violations.take().iter().map(|violation| violation.code.as_ref()).collect::<Vec<_>>(), ["too_many"]);
        assert_eq!(place, ["kept"]);
        violations.tags("/tags", tags(50), &mut place);
        assert!(violations.is_empty());
        assert_eq!(place.len(), 40, "a repeated one is kept once");
    }

    #[test]
    fn days_and_moments_are_checked() {
        let mut violations = Violations::default();
        let mut day = None;
        violations.day("/dueDate", Change::new("2026-02-28".into()), sensible_days(), &mut day);
        assert_eq!(day, NaiveDate::from_ymd_opt(2026, 2, 28));
        for wrong in ["2026-02-30", "1026-01-01", "tomorrow", "2026-02-28T00:00:00Z"] {
            violations.day("/dueDate", Change::new(wrong.into()), sensible_days(), &mut day);
            assert_eq!(violations.take().len(), 1, "{wrong}");
        }
        let mut moment = None;
        violations.moment("/receivedAt", Change::new("2026-02-28T01:00:00+01:00".into()), &mut moment);
        assert_eq!(moment.unwrap().to_rfc3339(), "2026-02-28T00:00:00+00:00");
        violations.moment("/receivedAt", Change::new("9026-02-28T01:00:00Z".into()), &mut moment);
        assert_eq!(violations.take().len(), 1);
    }
}
