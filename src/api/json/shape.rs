//! A tree to a type: serde's data format for requests, in which nothing fits by accident.

use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeSeed, Deserializer, Error as _, Expected, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor,
};
use serde::forward_to_deserialize_any;
use serde_json::Value;

use super::tree::escape;
use crate::error::Error;

/// A value, and the way to it.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    value: &'a Value,
    way: Way<'a>,
}

#[derive(Clone, Copy)]
enum Way<'a> {
    Root,
    Member(&'a Way<'a>, &'a str),
    Item(&'a Way<'a>, usize),
}

impl<'a> Place<'a> {
    pub(crate) fn root(value: &'a Value) -> Self {
        Self { value, way: Way::Root }
    }
}

impl Way<'_> {
    fn pointer(&self) -> String {
        match self {
            Self::Root => String::new(),
            Self::Member(outer, name) => format!("{}/{}", outer.pointer(), escape(name)),
            Self::Item(outer, index) => format!("{}/{index}", outer.pointer()),
        }
    }
}

/// What does not fit, and where: the innermost place that is known.
#[derive(Debug)]
pub(crate) struct Misfit {
    code: &'static str,
    message: String,
    /// A member of the place that does not exist in it, so that only its name is known.
    absent: Option<&'static str>,
    pointer: Option<String>,
}

impl Misfit {
    fn new(code: &'static str, message: String) -> Self {
        Self { code, message, absent: None, pointer: None }
    }

    fn at(mut self, way: &Way<'_>) -> Self {
        if self.pointer.is_none() {
            let member = self.absent.map(|name| format!("/{}", escape(name))).unwrap_or_default();
            self.pointer = Some(way.pointer() + &member);
        }
        self
    }

    pub(crate) fn into_error(self) -> Error {
        Error::invalid(self.pointer.unwrap_or_default(), self.code, self.message)
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Misfit {}

// Serde's own texts quote the value, which may be somebody's name; these say only what was expected.
impl de::Error for Misfit {
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

    fn missing_field(name: &'static str) -> Self {
        Self { absent: Some(name), ..Self::new("required", format!("{name} is required")) }
    }
}

impl<'de> Deserializer<'de> for Place<'_> {
    type Error = Misfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        let read = match self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(flag) => visitor.visit_bool(*flag),
            Value::Number(number) => match (number.as_u64(), number.as_i64()) {
                (Some(number), _) => visitor.visit_u64(number),
                (None, Some(number)) => visitor.visit_i64(number),
                (None, None) => visitor.visit_f64(number.as_f64().unwrap_or(f64::NAN)),
            },
            Value::String(text) => visitor.visit_str(text),
            Value::Array(array) => visitor.visit_seq(Items { rest: array.iter().enumerate(), way: &self.way }),
            Value::Object(object) => visitor.visit_map(Members { rest: object.iter(), value: None, way: &self.way }),
        };
        read.map_err(|misfit: Misfit| misfit.at(&self.way))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        if self.value.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_newtype_struct(self)
    }

    // A derived struct would also take an array with its fields in order.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        match self.value {
            Value::Object(_) => self.deserialize_any(visitor),
            _ => Err(Misfit::new("wrong_type", "expected an object".into()).at(&self.way)),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        let Value::String(word) = self.value else {
            return Err(Misfit::new("wrong_type", "expected a word".into()).at(&self.way));
        };
        let word: StrDeserializer<'_, Misfit> = word.as_str().into_deserializer();
        visitor.visit_enum(word).map_err(|misfit| misfit.at(&self.way))
    }

    // Derives ignore members that they do not know, unless told otherwise type by type.
    fn deserialize_ignored_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Misfit> {
        Err(Misfit::new("unknown_member", "there is no such member".into()).at(&self.way))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        seq tuple tuple_struct map identifier
    }
}

struct Members<'a> {
    rest: serde_json::map::Iter<'a>,
    value: Option<(&'a String, &'a Value)>,
    way: &'a Way<'a>,
}

impl<'de> MapAccess<'de> for Members<'_> {
    type Error = Misfit;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Misfit> {
        self.value = self.rest.next();
        let Some((name, _)) = self.value else { return Ok(None) };
        let key: StrDeserializer<'_, Misfit> = name.as_str().into_deserializer();
        seed.deserialize(key).map(Some).map_err(|misfit| misfit.at(&Way::Member(self.way, name)))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Misfit> {
        let (name, value) = self.value.take().ok_or_else(|| Misfit::custom("a value was read before its name"))?;
        seed.deserialize(Place { value, way: Way::Member(self.way, name) })
    }
}

struct Items<'a> {
    rest: std::iter::Enumerate<std::slice::Iter<'a, Value>>,
    way: &'a Way<'a>,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Misfit;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Misfit> {
        let Some((index, value)) = self.rest.next() else { return Ok(None) };
        seed.deserialize(Place { value, way: Way::Item(self.way, index) }).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.rest.len())
    }
}
