//! From a JSON tree to a type: a strict serde deserializer that knows the JSON pointer of every value.

use std::collections::btree_map;
use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeSeed, Deserializer, Error as _, Expected, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor,
};
use serde::forward_to_deserialize_any;

use crate::error::{Error, escaped};
use crate::values::json::Value;

/// A value and the path to it.
#[derive(Clone, Copy)]
pub(crate) struct Located<'a> {
    value: &'a Value,
    path: Path<'a>,
}

#[derive(Clone, Copy)]
enum Path<'a> {
    Root,
    Member(&'a Path<'a>, &'a str),
    Item(&'a Path<'a>, usize),
}

impl<'a> Located<'a> {
    pub(crate) fn root(value: &'a Value) -> Self {
        Self { value, path: Path::Root }
    }
}

impl Path<'_> {
    fn pointer(&self) -> String {
        match self {
            Self::Root => String::new(),
            Self::Member(outer, name) => format!("{}/{}", outer.pointer(), escaped(name)),
            Self::Item(outer, index) => format!("{}/{index}", outer.pointer()),
        }
    }
}

/// A value of the wrong type or range, with the innermost known pointer.
#[derive(Debug)]
pub(crate) struct Mismatch {
    code: &'static str,
    message: String,
    /// A required member that is missing.
    missing: Option<&'static str>,
    pointer: Option<String>,
}

impl Mismatch {
    fn new(code: &'static str, message: String) -> Self {
        Self { code, message, missing: None, pointer: None }
    }

    fn at(mut self, path: &Path<'_>) -> Self {
        if self.pointer.is_none() {
            let member = self.missing.map(|name| format!("/{}", escaped(name))).unwrap_or_default();
            self.pointer = Some(path.pointer() + &member);
        }
        self
    }

    pub(crate) fn into_error(self) -> Error {
        Error::invalid(self.pointer.unwrap_or_default(), self.code, self.message)
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Mismatch {}

// Serde's own messages quote the value, which may be personal data; these say only what was expected.
impl de::Error for Mismatch {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new("not_acceptable", message.to_string())
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new("wrong_type", format!("expected {expected}"))
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new("not_acceptable", format!("expected {expected}"))
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self::new("unknown_value", format!("expected one of {}", expected.join(", ")))
    }

    fn unknown_field(_: &str, _: &'static [&'static str]) -> Self {
        Self::new("unknown_member", "there is no such member".into())
    }

    fn missing_field(name: &'static str) -> Self {
        Self { missing: Some(name), ..Self::new("required", format!("{name} is required")) }
    }
}

impl<'de> Deserializer<'de> for Located<'_> {
    type Error = Mismatch;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        let read = match self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(flag) => visitor.visit_bool(*flag),
            Value::Number(digits) => match (digits.parse(), digits.parse()) {
                (Ok(number), _) => visitor.visit_u64(number),
                (_, Ok(number)) => visitor.visit_i64(number),
                _ => visitor.visit_f64(digits.parse().unwrap_or(f64::NAN)),
            },
            Value::String(text) => visitor.visit_str(text),
            Value::Array(array) => visitor.visit_seq(Items { rest: array.iter().enumerate(), path: &self.path }),
            Value::Object(object) => visitor.visit_map(Members { rest: object.iter(), value: None, path: &self.path }),
        };
        read.map_err(|mismatch: Mismatch| mismatch.at(&self.path))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        if self.value.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Mismatch> {
        visitor.visit_newtype_struct(self)
    }

    // A derived struct would also take an array with its fields in order.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        match self.value {
            Value::Object(_) => self.deserialize_any(visitor),
            _ => Err(Mismatch::new("wrong_type", "expected an object".into()).at(&self.path)),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        let Value::String(word) = self.value else {
            return Err(Mismatch::new("wrong_type", "expected a word".into()).at(&self.path));
        };
        let word: StrDeserializer<'_, Mismatch> = word.as_str().into_deserializer();
        visitor.visit_enum(word).map_err(|mismatch| mismatch.at(&self.path))
    }

    // Derives call this for unknown members.
    fn deserialize_ignored_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Mismatch> {
        Err(Mismatch::new("unknown_member", "there is no such member".into()).at(&self.path))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        seq tuple tuple_struct map identifier
    }
}

struct Members<'a> {
    rest: btree_map::Iter<'a, String, Value>,
    value: Option<(&'a String, &'a Value)>,
    path: &'a Path<'a>,
}

impl<'de> MapAccess<'de> for Members<'_> {
    type Error = Mismatch;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Mismatch> {
        self.value = self.rest.next();
        let Some((name, _)) = self.value else { return Ok(None) };
        let key: StrDeserializer<'_, Mismatch> = name.as_str().into_deserializer();
        seed.deserialize(key).map(Some).map_err(|mismatch| mismatch.at(&Path::Member(self.path, name)))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Mismatch> {
        let (name, value) = self.value.take().ok_or_else(|| Mismatch::custom("a value was read before its name"))?;
        seed.deserialize(Located { value, path: Path::Member(self.path, name) })
    }
}

struct Items<'a> {
    rest: std::iter::Enumerate<std::slice::Iter<'a, Value>>,
    path: &'a Path<'a>,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Mismatch;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Mismatch> {
        let Some((index, value)) = self.rest.next() else { return Ok(None) };
        seed.deserialize(Located { value, path: Path::Item(self.path, index) }).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.rest.len())
    }
}
