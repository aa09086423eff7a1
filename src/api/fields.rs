//! Applies the members of a request to a record, checked by the record's table of fields.

use chrono::{DateTime, NaiveDate, Utc};
use serde::de::DeserializeOwned;
use sqlx::types::Json;
use uuid::Uuid;

use super::json;
use crate::db::rows::Locked;
use crate::error::{Violations, escaped};
use crate::search::{Access, Field, FieldKind};
use crate::validate::{Change, sensible_days};
use crate::values::json::{Object, Value};
use crate::values::money::{Amount, AmountError, Currency, Money};

/// A record described by a table of fields; see [`crate::fields!`].
pub trait Fields: Sized + 'static {
    const MEMBERS: &'static [Member<Self>];

    fn id(&self) -> Uuid;

    fn locked(&self) -> Locked;
}

/// A field and the member of the record that holds it.
pub struct Member<R> {
    pub field: Field,
    /// Name of the member, which is the column's too.
    pub column: &'static str,
    pub get: fn(&R) -> &dyn FieldValue,
    pub get_mut: fn(&mut R) -> &mut dyn FieldValue,
}

/// Declares the table of a record's fields: `FIELDS`, and [`Fields`] with the member that holds each. Every record has `id`,
/// `version` and `deleted_at`.
#[macro_export]
macro_rules! fields {
    ($record:ident; $($member:ident => $field:expr,)*) => {
        /// The table of fields.
        pub(crate) static FIELDS: &[$crate::search::Field] = &[$($field),*];

        impl $crate::api::Fields for $record {
            const MEMBERS: &'static [$crate::api::Member<Self>] = &[$(
                $crate::api::Member {
                    field: $field,
                    column: stringify!($member),
                    get: |record| &record.$member,
                    get_mut: |record| &mut record.$member,
                }
            ),*];

            fn id(&self) -> uuid::Uuid {
                self.id
            }

            fn locked(&self) -> $crate::db::rows::Locked {
                $crate::db::rows::Locked { version: self.version, deleted_at: self.deleted_at }
            }
        }
    };
}

/// Declares an enumeration of words, with the words themselves as [`Words`](crate::validate::Words); the first is the default.
#[macro_export]
macro_rules! words {
    (
        $(#[$meta:meta])* pub enum $name:ident, $words:ident { $first:ident = $first_word:literal, $($word:ident = $text:literal,)* }
        aliases { $($alias:literal => $means:literal),* }
    ) => {
        $(#[$meta])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema, sqlx::Type,
        )]
        #[schemars(inline)]
        #[sqlx(type_name = "text")]
        pub enum $name {
            #[default]
            #[serde(rename = $first_word)]
            #[sqlx(rename = $first_word)]
            $first,
            $(#[serde(rename = $text)] #[sqlx(rename = $text)] $word,)*
        }

        pub(crate) static $words: $crate::validate::Words =
            $crate::validate::Words { known: &[$first_word, $($text),*], aliases: &[$(($alias, $means)),*] };

        impl $name {
            pub fn as_str(self) -> &'static str {
                match self { Self::$first => $first_word, $(Self::$word => $text),* }
            }
        }

        impl $crate::api::FieldValue for $name {
            fn set(
                &mut self,
                body: $crate::values::json::Value,
                field: &$crate::search::Field,
                violations: &mut $crate::error::Violations,
            ) {
                let mut word = self.as_str().to_owned();
                word.set(body, field, violations);
                *self = serde_json::from_value(word.into()).unwrap_or(*self);
            }

            fn column(&self) -> $crate::values::json::Value {
                self.as_str().into()
            }
        }
    };
}

/// A value of a record that a client can set, or that SQL stores.
pub trait FieldValue {
    /// Checks a member of a request, null included, and stores it.
    fn set(&mut self, _: Value, field: &Field, violations: &mut Violations) {
        violations.add(pointer(field), "not_changeable", "is set by the server");
    }

    /// The value as SQL reads it from JSON.
    fn column(&self) -> Value {
        Value::Null
    }
}

fn pointer(field: &Field) -> String {
    format!("/{}", field.name)
}

/// Reads a member of a request as a type, and adds a violation if it is of another.
fn read<T: DeserializeOwned>(pointer: &str, body: &Value, violations: &mut Violations) -> Option<T> {
    json::fit(body).map_err(|error| violations.join(error.within(pointer))).ok()
}

/// Takes a member out of a request.
pub fn take<T: DeserializeOwned>(body: &mut Object, name: &str, violations: &mut Violations) -> Change<T> {
    let read = body.remove(name).and_then(|value| read(&format!("/{name}"), &value, violations));
    read.map_or(Change::Keep, Change::To)
}

/// Takes an amount out of a request: a number, or the same digits as a text.
pub fn take_amount(body: &mut Object, name: &str, violations: &mut Violations) -> Change<Amount> {
    let amount = match body.remove(name) {
        None => return Change::Keep,
        Some(Value::Null) => return Change::To(None),
        Some(value) => amount(&value),
    };
    let wrong = |error: AmountError| violations.add(format!("/{name}"), error.code(), error.to_string());
    amount.map_err(wrong).map_or(Change::Keep, Change::new)
}

fn amount(value: &Value) -> Result<Amount, AmountError> {
    match value {
        Value::String(text) => text.trim().parse(),
        Value::Number(digits) => Amount::from_number(digits),
        _ => Err(AmountError::Syntax),
    }
}

/// Takes an object of any members out of a request.
pub fn take_object(body: &mut Object, name: &str, violations: &mut Violations) -> Change<Object> {
    match body.remove(name) {
        None => Change::Keep,
        Some(Value::Null) => Change::To(None),
        Some(Value::Object(object)) => Change::new(object),
        Some(_) => {
            violations.add(format!("/{name}"), "wrong_type", "expected an object");
            Change::Keep
        }
    }
}

impl FieldValue for Option<String> {
    fn set(&mut self, body: Value, field: &Field, violations: &mut Violations) {
        if let Some(body) = read(&pointer(field), &body, violations) {
            violations.text(&pointer(field), Change::To(body), field.limits, self);
        }
    }

    fn column(&self) -> Value {
        self.clone().into()
    }
}

impl FieldValue for String {
    fn set(&mut self, body: Value, field: &Field, violations: &mut Violations) {
        let Some(body) = read(&pointer(field), &body, violations) else { return };
        if let FieldKind::Keyword(words) = field.kind {
            return violations.word(&pointer(field), Change::To(body), words, self);
        }
        let mut text = None;
        violations.text(&pointer(field), Change::To(body), field.limits, &mut text);
        match text {
            Some(text) => *self = text,
            None => violations.add(pointer(field), "required", "takes a text and cannot be cleared"),
        }
    }

    fn column(&self) -> Value {
        self.clone().into()
    }
}

impl FieldValue for Option<NaiveDate> {
    fn set(&mut self, body: Value, field: &Field, violations: &mut Violations) {
        if let Some(body) = read(&pointer(field), &body, violations) {
            violations.day(&pointer(field), Change::To(body), sensible_days(), self);
        }
    }

    fn column(&self) -> Value {
        self.map(|day| day.to_string()).into()
    }
}

impl FieldValue for Option<DateTime<Utc>> {
    fn set(&mut self, body: Value, field: &Field, violations: &mut Violations) {
        if let Some(body) = read(&pointer(field), &body, violations) {
            violations.moment(&pointer(field), Change::To(body), self);
        }
    }

    fn column(&self) -> Value {
        self.map(|moment| moment.to_rfc3339()).into()
    }
}

impl FieldValue for DateTime<Utc> {
    fn column(&self) -> Value {
        self.to_rfc3339().into()
    }
}

impl FieldValue for Vec<String> {
    fn set(&mut self, body: Value, field: &Field, violations: &mut Violations) {
        if let Some(body) = read(&pointer(field), &body, violations) {
            violations.tags(&pointer(field), Change::To(body), self);
        }
    }

    fn column(&self) -> Value {
        self.clone().into()
    }
}

impl FieldValue for Json<Object> {
    fn set(&mut self, body: Value, field: &Field, violations: &mut Violations) {
        match body {
            Value::Null => self.clear(),
            Value::Object(changes) => violations.object(&pointer(field), changes, self),
            _ => violations.add(pointer(field), "wrong_type", "expected an object"),
        }
    }

    fn column(&self) -> Value {
        self.0.clone().into()
    }
}

impl FieldValue for Uuid {
    fn set(&mut self, body: Value, field: &Field, violations: &mut Violations) {
        match read(&pointer(field), &body, violations) {
            Some(Some(id)) => *self = id,
            Some(None) => violations.add(pointer(field), "required", "takes an id and cannot be cleared"),
            None => {}
        }
    }

    fn column(&self) -> Value {
        self.to_string().into()
    }
}

impl FieldValue for Option<Uuid> {
    fn set(&mut self, body: Value, field: &Field, violations: &mut Violations) {
        *self = read(&pointer(field), &body, violations).unwrap_or(*self);
    }

    fn column(&self) -> Value {
        self.map(|id| id.to_string()).into()
    }
}

impl FieldValue for Money {
    fn column(&self) -> Value {
        self.minor.into()
    }
}

impl FieldValue for Option<Money> {
    fn column(&self) -> Value {
        self.map(|money| money.minor).into()
    }
}

impl FieldValue for Currency {
    fn column(&self) -> Value {
        self.as_str().into()
    }
}

impl FieldValue for Option<Currency> {}
impl FieldValue for i64 {}

/// Puts the writable members of a request into a record and takes them out of the request.
pub fn apply<R: Fields>(record: &mut R, body: &mut Object, violations: &mut Violations) {
    for member in R::MEMBERS.iter().filter(|member| member.field.access == Access::Write) {
        if let Some(value) = body.remove(member.field.name) {
            (member.get_mut)(record).set(value, &member.field, violations);
        }
    }
}

/// Clears the writable members that a request for a replacement does not name; what cannot be cleared stays.
pub fn clear_unnamed<R: Fields>(record: &mut R, body: &Object) {
    for member in R::MEMBERS.iter().filter(|member| member.field.access == Access::Write) {
        if !body.contains_key(member.field.name) {
            (member.get_mut)(record).set(Value::Null, &member.field, &mut Violations::default());
        }
    }
}

/// Checks what is left of a request that has no record of fields: nothing.
pub fn refuse_unknown(body: &Object, violations: &mut Violations) {
    for name in body.keys() {
        violations.add(format!("/{}", escaped(name)), "unknown_member", "is not a member that this address knows");
    }
}

/// Checks what is left of a request for a new record: nothing but what the server sets, and not even that if it is strict.
pub fn refuse_rest<R: Fields>(body: &Object, is_strict: bool, violations: &mut Violations) {
    for name in body.keys() {
        if !R::MEMBERS.iter().any(|member| member.field.name == name) {
            violations.add(format!("/{}", escaped(name)), "unknown_member", "is not a member that this address knows");
        } else if is_strict {
            violations.add(format!("/{name}"), "not_changeable", "is set by the server");
        }
    }
}

/// Checks what is left of a request that changes a record: members that clients are shown may be repeated.
pub fn compare_rest(body: &Object, shown: &Object, is_strict: bool, violations: &mut Violations) {
    for (name, value) in body {
        match shown.get(name) {
            None => violations.add(format!("/{}", escaped(name)), "unknown_member", "is not a member that this address knows"),
            Some(shown) if is_strict && !is_same(value, shown) => {
                violations.add(format!("/{name}"), "not_changeable", "is set by the server and can only be repeated");
            }
            Some(_) => {}
        }
    }
}

/// Whether two spellings mean one value: `"40"` and `40.00`, `"eur"` and `"EUR"`, one moment with two offsets.
fn is_same(body: &Value, shown: &Value) -> bool {
    match (body, shown) {
        (Value::String(body), Value::String(shown)) => {
            let moment = |text: &str| DateTime::parse_from_rfc3339(text).ok();
            body.trim().eq_ignore_ascii_case(shown) || moment(body).is_some_and(|body| Some(body) == moment(shown))
        }
        (Value::Array(body), Value::Array(shown)) => {
            body.len() == shown.len() && body.iter().zip(shown).all(|(body, shown)| is_same(body, shown))
        }
        (Value::Object(body), Value::Object(shown)) => {
            let is_same = |(name, shown)| body.get(name).is_some_and(|body| is_same(body, shown));
            body.len() == shown.len() && shown.iter().all(is_same)
        }
        (_, Value::Number(_)) => amount(body).is_ok_and(|body| Ok(body) == amount(shown)),
        _ => body == shown,
    }
}

/// The columns of a record's table that a write sets, by their names.
pub fn columns<R: Fields>(record: &R, includes: impl Fn(Access) -> bool) -> Object {
    let members = R::MEMBERS.iter().filter(|member| includes(member.field.access));
    members.map(|member| (member.column.to_owned(), (member.get)(record).column())).collect()
}
