//! Compares replies with the API's description, of which the repository has a copy. A test of `openapi` keeps that current.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex};

use jsonschema::Validator;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use serde_json::{Map, Value, json};

/// Replies of one kind that are all compared, and of how many later ones one is: a test that sends thousands must not take minutes.
const COMPARED: u64 = 50;
const SAMPLED: u64 = 20;
/// The largest body that is compared, in bytes.
const MOST_BYTES: usize = 512 * 1024;

static DESCRIPTION: LazyLock<Description> = LazyLock::new(Description::read);

/// The operations by address, the codes of problems by status, and what was compared so far.
struct Description {
    document: Value,
    /// The segments of each address, and its operations by method.
    addresses: Vec<(Vec<String>, Value)>,
    codes: BTreeSet<(u16, String)>,
    validators: Mutex<HashMap<String, Arc<Validator>>>,
    seen: Mutex<HashMap<(String, u16), u64>>,
}

/// Panics if a reply is not what the description says of its operation. Of an address without one it says nothing.
#[track_caller]
pub(super) fn compare(method: &Method, path: &str, status: u16, headers: &HeaderMap, text: &str) {
    let Some(operation) = DESCRIPTION.operation(method, path) else { return };
    let name = operation["operationId"].as_str().unwrap();
    // Without a body it may also have the status of one.
    let is_left_out = text.is_empty() && headers.contains_key("preference-applied");
    // What is no valid HTTP, or longer than the server reads, comes to no operation.
    let is_unread = text.is_empty() && matches!(status, 400 | 414 | 431);
    if is_left_out || is_unread || text.len() > MOST_BYTES || !DESCRIPTION.is_compared(name, status) {
        return;
    }
    if let Err(wrong) = DESCRIPTION.compare(operation, status, headers, text) {
        let text: String = text.chars().take(4_000).collect();
        panic!("{method} {path} answered {status}, but `{name}` is described otherwise: {wrong}\n{text}");
    }
}

impl Description {
    fn read() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let document: Value = serde_json::from_str(&fs::read_to_string(root.join("docs/openapi.json")).unwrap()).unwrap();
        let mut addresses = Vec::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            let servers = item["servers"].as_array().or(document["servers"].as_array()).unwrap();
            for server in servers {
                let address = format!("{}{path}", server["url"].as_str().unwrap().trim_end_matches('/'));
                addresses.push((address.split('/').map(str::to_owned).collect::<Vec<_>>(), item.clone()));
            }
        }
        // Literal segments win over ids.
        addresses.sort_by_key(|(segments, _)| segments.iter().filter(|segment| segment.starts_with('{')).count());
        let errors = fs::read_to_string(root.join("docs/errors.md")).unwrap();
        let code = |line: &str| {
            let mut cells = line.trim_matches('|').split('|').map(str::trim);
            let (code, status) = (cells.next()?, cells.next()?.parse().ok()?);
            Some((status, code.trim_matches('`').to_owned()))
        };
        let codes = errors.lines().filter_map(code).collect();
        Self { document, addresses, codes, validators: Mutex::default(), seen: Mutex::default() }
    }

    fn operation(&self, method: &Method, path: &str) -> Option<&Value> {
        let path = path.split('?').next().unwrap_or_default();
        let given: Vec<&str> = path.strip_suffix('/').unwrap_or(path).split('/').collect();
        let fits = |wanted: &[String]| {
            let equal = |(wanted, given): (&String, &&str)| wanted == given || (wanted.starts_with('{') && !given.is_empty());
            wanted.len() == given.len() && wanted.iter().zip(&given).all(equal)
        };
        let (_, item) = self.addresses.iter().find(|(wanted, _)| fits(wanted))?;
        item.get(method.as_str().to_lowercase())
    }

    fn is_compared(&self, name: &str, status: u16) -> bool {
        let mut seen = self.seen.lock().unwrap();
        let count = seen.entry((name.to_owned(), status)).or_default();
        *count += 1;
        *count <= COMPARED || count.is_multiple_of(SAMPLED)
    }

    fn compare(&self, operation: &Value, status: u16, headers: &HeaderMap, text: &str) -> Result<(), String> {
        let response = &operation["responses"][status.to_string()];
        let response = match response["$ref"].as_str() {
            Some(reference) => self.document.pointer(&reference[1..]).unwrap(),
            None => response,
        };
        if response.is_null() {
            return Err("no such status".into());
        }
        let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let media_type = media_type.split(';').next().unwrap_or_default();
        let Some(content) = response["content"].as_object() else {
            return if text.is_empty() { Ok(()) } else { Err("a body where there is none".into()) };
        };
        let Some(content) = content.get(media_type) else { return Err(format!("no such content type: {media_type}")) };
        if media_type != "application/json" && !media_type.ends_with("+json") {
            return Ok(());
        }
        let body: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let validator = self.validator(&content["schema"]);
        let wrong: Vec<String> =
            validator.iter_errors(&body).take(5).map(|error| format!("{}: {error}", error.instance_path())).collect();
        if !wrong.is_empty() {
            return Err(wrong.join("; "));
        }
        let code = body["code"].as_str().unwrap_or_default().to_owned();
        if media_type == "application/problem+json" && !self.codes.contains(&(status, code.clone())) {
            return Err(format!("`{code}` is no code of this status"));
        }
        Ok(())
    }

    /// The validator of a schema and of those that it names. Each is made once.
    fn validator(&self, schema: &Value) -> Arc<Validator> {
        let mut validators = self.validators.lock().unwrap();
        let make = || {
            let mut root = schema.clone();
            let mut named = BTreeMap::new();
            self.collect(&root, &mut named);
            close(&mut root, false);
            root["components"] = json!({ "schemas": named.into_iter().collect::<Map<_, _>>() });
            Arc::new(jsonschema::draft202012::options().should_validate_formats(true).build(&root).unwrap())
        };
        Arc::clone(validators.entry(schema.to_string()).or_insert_with(make))
    }

    /// Collects the closed schemas that a schema names.
    fn collect(&self, value: &Value, named: &mut BTreeMap<String, Value>) {
        match value {
            Value::Object(members) => members.values().for_each(|member| self.collect(member, named)),
            Value::Array(items) => items.iter().for_each(|item| self.collect(item, named)),
            Value::String(text) => {
                let Some(name) = text.strip_prefix("#/components/schemas/").filter(|name| !named.contains_key(*name)) else {
                    return;
                };
                let mut schema = self.document["components"]["schemas"][name].clone();
                named.insert(name.to_owned(), Value::Null);
                self.collect(&schema, named);
                close(&mut schema, false);
                named.insert(name.to_owned(), schema);
            }
            _ => {}
        }
    }
}

/// Refuses members that a schema does not describe. A part of another schema sees only its own, so the whole refuses.
fn close(schema: &mut Value, is_part: bool) {
    let Value::Object(members) = schema else { return };
    let is_described = members.contains_key("properties");
    for (name, inner) in members.iter_mut() {
        match (name.as_str(), inner) {
            ("properties" | "patternProperties" | "$defs", Value::Object(inner)) => {
                inner.values_mut().for_each(|schema| close(schema, false));
            }
            ("allOf", Value::Array(parts)) => parts.iter_mut().for_each(|part| close(part, true)),
            ("anyOf" | "oneOf", Value::Array(parts)) => parts.iter_mut().for_each(|part| close(part, is_part || is_described)),
            ("items" | "additionalProperties" | "prefixItems", inner) => close(inner, false),
            _ => {}
        }
    }
    if !is_part && (is_described || members.contains_key("allOf")) && !members.contains_key("additionalProperties") {
        members.insert("unevaluatedProperties".into(), false.into());
    }
}
