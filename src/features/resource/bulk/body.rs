//! The body of a bulk change: which records, and what is to become of them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Bulk, MOST_LISTED, MOST_SELECTED};
use crate::api::{Context, Request, fields, paging};
use crate::db::rows;
use crate::error::{Error, Result, Violations};
use crate::search::{Filter, matching};
use crate::values::json::{Object, Value};

/// One record to change.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Target {
    pub(super) id: Uuid,
    /// The version that it has to have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) version: Option<i64>,
    /// What it is changed to; what all are changed to if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) set: Option<Object>,
}

/// The records that a request names.
pub(super) enum Chosen {
    Listed(Vec<Target>),
    /// Those that a filter selects now; `expected` is how many the client has seen.
    Matching {
        filter: Filter,
        expected: Option<u64>,
    },
}

pub(super) struct Body {
    pub(super) chosen: Chosen,
    /// What all records are changed to.
    pub(super) set: Object,
}

impl Body {
    /// Reads a body; whatever can be wrong of it without a look at a record is found here.
    pub(super) fn read<R: Bulk>(mut body: Object, request: &Request, context: &Context<'_>) -> Result<Self> {
        let mut violations = Violations::default();
        let forms = ["ids", "filter", "items"].map(|name| body.remove(name).filter(|value| !value.is_null()));
        let set = fields::take_object(&mut body, "set", &mut violations).value();
        let is_listed = forms[2].is_some();
        match &set {
            Some(_) if is_listed => violations.add("/set", "conflicting", "each of the items says its own changes"),
            Some(set) if !set.is_empty() => {
                let mut within = Violations::default();
                R::check(set.clone(), context, &mut within);
                violations.nest("/set", within);
            }
            None if is_listed => {}
            _ => violations.add("/set", "required", "needs a member to change"),
        }
        let chosen = match forms {
            [Some(ids), None, None] => Some(Chosen::Listed(listed(ids, "/ids", &mut violations, id_alone))),
            [None, Some(filter), None] => Some(filtered::<R>(filter, &mut body, request, &mut violations)?),
            [None, None, Some(items)] => {
                let item = |item, violations: &mut Violations| item_of::<R>(item, context, violations);
                Some(Chosen::Listed(listed(items, "/items", &mut violations, item)))
            }
            _ => {
                violations.add("", "required", "takes one of ids, filter and items");
                None
            }
        };
        fields::refuse_unknown(&body, &mut violations);
        violations.check()?;
        let chosen = chosen.ok_or_else(|| Error::internal("what is not chosen is a violation"))?;
        Ok(Self { chosen, set: set.unwrap_or_default() })
    }
}

/// Reads a list of records, each of which may be in it once.
fn listed(
    list: Value,
    pointer: &str,
    violations: &mut Violations,
    read: impl Fn(Value, &mut Violations) -> Option<Target>,
) -> Vec<Target> {
    let Value::Array(list) = list else {
        violations.add(pointer, "wrong_type", "expected a list");
        return Vec::new();
    };
    if !(1..=MOST_LISTED).contains(&list.len()) {
        violations.add(pointer, "out_of_range", format!("takes 1 to {MOST_LISTED} records; a filter selects more"));
        return Vec::new();
    }
    let (mut targets, mut seen) = (Vec::with_capacity(list.len()), BTreeMap::new());
    for (at, value) in list.into_iter().enumerate() {
        let (pointer, mut within) = (format!("{pointer}/{at}"), Violations::default());
        if let Some(target) = read(value, &mut within) {
            if let Some(first) = seen.insert(target.id, at) {
                within.add("", "duplicate", format!("is the same record as at {first}"));
            }
            targets.push(target);
        }
        violations.nest(&pointer, within);
    }
    targets
}

fn id_alone(value: Value, violations: &mut Violations) -> Option<Target> {
    let id = value.as_str().and_then(|id| id.parse().ok());
    if id.is_none() {
        violations.add("", "wrong_type", "expected an id");
    }
    Some(Target { id: id?, version: None, set: None })
}

fn item_of<R: Bulk>(value: Value, context: &Context<'_>, violations: &mut Violations) -> Option<Target> {
    let Value::Object(mut item) = value else {
        violations.add("", "wrong_type", "expected an object");
        return None;
    };
    let id = item.remove("id").and_then(|id| id.as_str()?.parse().ok());
    if id.is_none() {
        violations.add("/id", "required", "takes the id of a record");
    }
    let version = item.remove("version").filter(|version| !version.is_null()).map(|version| version.as_i64());
    if version == Some(None) {
        violations.add("/version", "wrong_type", "expected a whole number");
    }
    if item.is_empty() {
        violations.add("", "required", "needs a member to change");
    }
    R::check(item.clone(), context, violations);
    Some(Target { id: id?, version: version.flatten(), set: Some(item) })
}

/// Reads a tree of conditions; an empty one selects every record.
fn filtered<R: Bulk>(filter: Value, body: &mut Object, request: &Request, violations: &mut Violations) -> Result<Chosen> {
    let expected = match body.remove("expected") {
        None | Some(Value::Null) => None,
        Some(value) => {
            let expected = value.as_i64().and_then(|expected| u64::try_from(expected).ok());
            if expected.is_none() {
                violations.add("/expected", "wrong_type", "expected a whole number");
            }
            expected
        }
    };
    let mut search: Object = body.remove("tz").map(|tz| ("tz".to_owned(), tz)).into_iter().collect();
    if !matches!(&filter, Value::Object(node) if node.is_empty()) {
        search.insert("filter".into(), filter);
    }
    let list = paging::parse_body(request, R::collection(), &search)?;
    request.log_search(R::collection().name, &list.about, "");
    Ok(Chosen::Matching { filter: list.query.filter, expected })
}

impl Chosen {
    /// Finds the records. A filter is asked once, of Postgres and in the transaction of the changes: what is not yet in the index counts.
    ///
    /// # Errors
    /// Another number than the client expects; every record, if it expects none.
    pub(super) async fn targets<R: Bulk>(self, connection: &mut PgConnection) -> Result<Vec<Target>> {
        let (filter, expected) = match self {
            Self::Listed(targets) => return Ok(targets),
            Self::Matching { filter, expected } => (filter, expected),
        };
        let collection = R::collection();
        let ids: BTreeSet<Uuid> = matching(connection, collection, &filter, MOST_SELECTED).await?.into_iter().collect();
        let count = ids.len() as u64;
        if count > u64::from(MOST_SELECTED) {
            let message = format!("selects more than {MOST_SELECTED} records");
            return Err(Error::invalid("/filter", "too_many", message));
        }
        match expected {
            Some(expected) if expected != count => return Err(count_changed(expected, count)),
            None if count > 0 && rows::count(connection, collection.name).await?.cast_unsigned() == count => {
                let message = format!("the filter selects every record; say how many you expect, which is {count} now");
                return Err(Error::invalid("/expected", "required", message));
            }
            _ => {}
        }
        Ok(ids.into_iter().map(|id| Target { id, version: None, set: None }).collect())
    }
}

fn count_changed(expected: u64, count: u64) -> Error {
    let more = json!({ "expected": expected, "count": count });
    Error::Conflict {
        code: "count_changed",
        detail: format!("the filter selects {count} records now, and not {expected}; look at the list again"),
        more: more.as_object().cloned().unwrap_or_default(),
    }
}
