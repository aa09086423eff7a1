//! Reads the body of a search: JSON in the words of parameters, and a tree of conditions.

use super::condition::{Condition, Leaf};
use super::names::did_you_mean;
use super::{ParameterError, Parser, bad};
use crate::error::escaped;
use crate::validate::json;
use crate::values::json::{Object, Value};

/// Groups within groups: as deep as people think.
const MAX_DEPTH: usize = 3;

/// Values of a tree in an address: more than its 500 conditions have.
const MAX_VALUES: usize = 5_000;

const MEMBERS: [&str; 16] = [
    "q",
    "filter",
    "facets",
    "facetSize",
    "aggregations",
    "sort",
    "page",
    "limit",
    "cursor",
    "count",
    "view",
    "fields",
    "include",
    "highlight",
    "includeDeleted",
    "tz",
];

impl Parser<'_> {
    pub(super) fn body(&mut self, body: &Object) {
        if body.len() > MEMBERS.len() {
            self.violations.add("", "too_many", format!("a search takes at most {} members", MEMBERS.len()));
            return;
        }
        for (name, value) in body.iter().filter(|(_, value)| !value.is_null()) {
            let pointer = format!("/{}", escaped(name));
            let read = match name.as_str() {
                "filter" => {
                    self.root(value, &pointer);
                    continue;
                }
                "aggregations" => self.aggregations(value),
                name if MEMBERS.contains(&name) => text(name, value).and_then(|text| self.parameter(name, &text)),
                name => Err(("unknown_member", format!("takes {}{}", MEMBERS.join(", "), did_you_mean(name, MEMBERS)))),
            };
            if let Err((code, message)) = read {
                self.violations.add(pointer, code, message);
            }
        }
    }

    /// Reads `{"byMonth": "histogram(dueDate,month)"}`.
    fn aggregations(&mut self, value: &Value) -> Result<(), ParameterError> {
        let wrong = || ("wrong_type", "expected an object of texts".to_owned());
        let Value::Object(members) = value else { return Err(wrong()) };
        for (name, text) in members {
            self.requested.named.push((name.clone(), text.as_str().ok_or_else(wrong)?.to_owned()));
        }
        Ok(())
    }

    /// Reads a tree of conditions as JSON in an address.
    pub(super) fn tree_of_text(&mut self, text: &str) -> Result<(), ParameterError> {
        let tree = json::parse(text.as_bytes(), MAX_VALUES).map_err(|_| bad("takes a tree of conditions as JSON"))?;
        self.root(&tree, "filter");
        Ok(())
    }

    fn root(&mut self, value: &Value, pointer: &str) {
        let condition = self.tree(value, pointer, 0);
        // A conjunction at the root is what parameters are.
        self.conditions.extend(match condition {
            Some(Condition::All(parts)) => parts,
            condition => condition.into_iter().collect(),
        });
    }

    /// Reads `{"and": […]}`, `{"or": […]}`, `{"not": …}` or a leaf; none if it cannot be read, which is a violation.
    fn tree(&mut self, value: &Value, pointer: &str, depth: usize) -> Option<Condition> {
        match self.node(value, pointer, depth) {
            Ok(condition) => condition,
            Err((code, message)) => {
                self.violations.add(pointer, code, message);
                None
            }
        }
    }

    fn node(&mut self, value: &Value, pointer: &str, depth: usize) -> Result<Option<Condition>, ParameterError> {
        let Value::Object(node) = value else { return Err(("wrong_type", "expected an object".into())) };
        let group = node.iter().find(|(name, _)| matches!(name.as_str(), "and" | "or" | "not"));
        let Some((word, inner)) = group else { return leaf(node, pointer).map(Some) };
        if node.len() > 1 {
            return Err(("contradiction", format!("{word} stands alone in its object")));
        }
        if depth == MAX_DEPTH {
            return Err(("too_deep", format!("and, or and not nest at most {MAX_DEPTH} deep")));
        }
        let pointer = format!("{pointer}/{word}");
        if word == "not" {
            return Ok(self.tree(inner, &pointer, depth + 1).map(|inner| Condition::Not(Box::new(inner))));
        }
        let Value::Array(parts) = inner else { return Err(("wrong_type", format!("{word} takes a list of conditions"))) };
        if parts.is_empty() {
            return Err(bad(format!("{word} takes at least one condition")));
        }
        let parts = parts.iter().enumerate().filter_map(|(at, part)| self.tree(part, &format!("{pointer}/{at}"), depth + 1));
        let parts = parts.collect();
        Ok(Some(if word == "and" { Condition::All(parts) } else { Condition::Any(parts) }))
    }
}

/// Reads `{"field": "balance", "op": "gte", "value": 100}`; without `op` the value is equal.
fn leaf(node: &Object, pointer: &str) -> Result<Condition, ParameterError> {
    const KNOWN: [&str; 6] = ["field", "op", "value", "and", "or", "not"];
    if let Some(unknown) = node.keys().find(|name| !KNOWN.contains(&name.as_str())) {
        let meant = did_you_mean(unknown, KNOWN);
        return Err(("unknown_member", format!("a condition has field, op and value, or one of and, or, not{meant}")));
    }
    let word = |name: &str| match node.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(("wrong_type", format!("{name} takes a text"))),
    };
    let field = word("field")?.ok_or(("required", "field is required".into()))?;
    let operator = word("op")?.unwrap_or_else(|| "eq".into());
    let values = match node.get("value") {
        Some(Value::Array(values)) => values.iter().map(scalar).collect::<Result<_, _>>()?,
        Some(value) => vec![scalar(value)?],
        None if operator == "exists" => Vec::new(),
        None => return Err(("required", "value is required".into())),
    };
    Ok(Condition::Leaf(Leaf { pointer: pointer.to_owned(), field, operator, values }))
}

fn scalar(value: &Value) -> Result<String, ParameterError> {
    match value {
        Value::String(text) | Value::Number(text) => Ok(text.clone()),
        Value::Bool(flag) => Ok(flag.to_string()),
        Value::Null => Err(bad("compares with no null; use op exists")),
        Value::Array(_) | Value::Object(_) => {
            Err(("wrong_type", "value takes a text, a number, true, false or a list of these".into()))
        }
    }
}

/// Writes a member as the parameter of its name.
fn text(name: &str, value: &Value) -> Result<String, ParameterError> {
    let wrong = |expected: &str| ("wrong_type", format!("expected {expected}"));
    match (name, value) {
        ("page" | "limit" | "facetSize", Value::Number(digits)) => Ok(digits.clone()),
        ("page" | "limit" | "facetSize", _) => Err(wrong("a number")),
        ("highlight" | "includeDeleted", Value::Bool(flag)) => Ok(flag.to_string()),
        ("highlight" | "includeDeleted", _) => Err(wrong("true or false")),
        (_, Value::String(text)) => Ok(text.clone()),
        ("sort" | "facets" | "fields" | "include", Value::Array(texts)) => {
            let texts: Option<Vec<&str>> = texts.iter().map(Value::as_str).collect();
            texts.map(|texts| texts.join(",")).ok_or_else(|| wrong("a list of texts"))
        }
        _ => Err(wrong("a text")),
    }
}
