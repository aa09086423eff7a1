//! From the bytes of a client to a JSON tree: no repeated members, no NUL, bounded depth, and the pointer of the first violation.

mod numbers;

use std::cell::{Cell, RefCell};
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::error::{Error, Result, Violation, escaped};
use crate::values::json::{Object, Value};
use numbers::Numbers;

/// Deeper than any body of the API, and far from a stack overflow.
const MAX_DEPTH: usize = 64;

/// Parses a whole body of so many values at most.
pub(crate) fn parse(bytes: &[u8], max_values: usize) -> Result<Value> {
    let trace = Trace {
        numbers: RefCell::new(Numbers(bytes)),
        path: RefCell::default(),
        reason: RefCell::default(),
        values: Cell::default(),
        max_values,
    };
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let tree = Node { trace: &trace, depth: 0 }.deserialize(&mut deserializer);
    tree.and_then(|tree| deserializer.end().map(|()| tree)).map_err(|error| trace.refusal(&error))
}

/// The numbers to come, and the first violation: its path is collected from the inside out while the error propagates.
struct Trace<'a> {
    numbers: RefCell<Numbers<'a>>,
    path: RefCell<Vec<String>>,
    reason: RefCell<Option<Reason>>,
    values: Cell<usize>,
    max_values: usize,
}

enum Reason {
    Repeated,
    Deep,
    Many,
    Nul,
}

impl Trace<'_> {
    fn fail<T, E: serde::de::Error>(&self, reason: Reason) -> std::result::Result<T, E> {
        self.reason.replace(Some(reason));
        Err(E::custom("refused"))
    }

    /// Counts the entries of arrays and objects.
    fn count<E: serde::de::Error>(&self) -> std::result::Result<(), E> {
        self.values.set(self.values.get() + 1);
        if self.values.get() > self.max_values { self.fail(Reason::Many) } else { Ok(()) }
    }

    fn at<T, E>(&self, step: impl fmt::Display, result: std::result::Result<T, E>) -> std::result::Result<T, E> {
        result.inspect_err(|_| self.path.borrow_mut().push(escaped(&step.to_string())))
    }

    fn refusal(&self, error: &serde_json::Error) -> Error {
        let pointer: String = self.path.borrow().iter().rev().map(|step| format!("/{step}")).collect();
        match self.reason.take() {
            Some(Reason::Repeated) => malformed("duplicate_member", pointer, "a member is repeated"),
            Some(Reason::Deep) => malformed("too_deep", pointer, &format!("values nest deeper than {MAX_DEPTH} levels")),
            Some(Reason::Many) => Error::invalid(pointer, "too_many", format!("a body takes at most {} values", self.max_values)),
            Some(Reason::Nul) => Error::invalid(pointer, "unstorable_text", "text must not contain NUL"),
            // The parser's only error about a value and not about syntax; it has no code of its own.
            None if error.to_string().starts_with("number out of range") => {
                Error::invalid(pointer, "out_of_range", "the number is out of range")
            }
            None => malformed("bad_json", pointer, &error.to_string()),
        }
    }
}

fn malformed(code: &'static str, pointer: String, message: &str) -> Error {
    let violation = Violation { pointer, code: code.into(), message: message.to_owned() };
    Error::Malformed { code, detail: format!("the body is invalid JSON: {message}"), violations: violation.into() }
}

#[derive(Clone, Copy)]
struct Node<'a> {
    trace: &'a Trace<'a>,
    depth: usize,
}

impl Node<'_> {
    fn inner<E: serde::de::Error>(self) -> std::result::Result<Self, E> {
        if self.depth == MAX_DEPTH { self.trace.fail(Reason::Deep) } else { Ok(Self { depth: self.depth + 1, ..self }) }
    }

    /// The number that the parser has just read, as it is written.
    fn number<E: serde::de::Error>(self) -> std::result::Result<Value, E> {
        let digits = self.trace.numbers.borrow_mut().next().ok_or_else(|| E::custom("a number is missing"))?;
        Ok(Value::Number(digits.to_owned()))
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> std::result::Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> std::result::Result<Value, E> {
        Ok(flag.into())
    }

    fn visit_u64<E: serde::de::Error>(self, _: u64) -> std::result::Result<Value, E> {
        self.number()
    }

    fn visit_i64<E: serde::de::Error>(self, _: i64) -> std::result::Result<Value, E> {
        self.number()
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> std::result::Result<Value, E> {
        self.number()
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> std::result::Result<Value, E> {
        if text.contains('\0') { self.trace.fail(Reason::Nul) } else { Ok(text.into()) }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> std::result::Result<Value, A::Error> {
        let node = self.inner()?;
        let mut array = Vec::new();
        while let Some(item) = self.trace.at(array.len(), items.next_element_seed(node))? {
            array.push(item);
            self.trace.count()?;
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> std::result::Result<Value, A::Error> {
        let node = self.inner()?;
        let mut object = Object::new();
        while let Some(name) = members.next_key::<String>()? {
            if name.contains('\0') {
                return self.trace.fail(Reason::Nul);
            }
            if object.contains_key(&name) {
                return self.trace.at(&name, self.trace.fail(Reason::Repeated));
            }
            let value = self.trace.at(&name, members.next_value_seed(node))?;
            object.insert(name, value);
            self.trace.count()?;
        }
        Ok(Value::Object(object))
    }
}
