//! The problems that an operation can answer: which follows from method, permission, ids and body.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::error::Violation;
use crate::operation::{Effect, Schemas};
use crate::values::money::{Currency, Money};

/// The table of codes is the one that people read.
const CODES: &str = include_str!("../../docs/errors.md");

/// Problem details (RFC 9457). Programs go by `status` and `code`, which stay.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
#[expect(dead_code, reason = "it is a schema; `http::problem` writes it")]
struct Problem {
    /// `urn:collections:error:` and the code; of `quota_exceeded` the type that a draft of the IETF gives it.
    #[schemars(rename = "type")]
    kind: String,
    /// The name of the status.
    title: String,
    status: u16,
    /// A sentence for people.
    detail: String,
    /// The path of the request.
    instance: String,
    /// A stable word for programs.
    code: String,
    /// The request's id in the log.
    request_id: String,
    /// Each violated rule, and where.
    errors: Vec<Violation>,
    /// How many more there are.
    #[schemars(skip_serializing_if = "Option::is_none")]
    more_errors: Option<usize>,
    /// Of a record that has changed.
    #[schemars(skip_serializing_if = "Option::is_none")]
    current_version: Option<i64>,
    /// Of a customer who still owes: some of the accounts.
    #[schemars(skip_serializing_if = "Option::is_none")]
    open_accounts: Option<Vec<OpenAccount>>,
    /// How many accounts those are in all.
    #[schemars(skip_serializing_if = "Option::is_none")]
    open_account_count: Option<u64>,
    /// Of a bulk change: how many records the client expected its filter to select, and how many it selects now.
    #[schemars(skip_serializing_if = "Option::is_none")]
    expected: Option<u64>,
    #[schemars(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
    /// The activity that the same user wrote before.
    #[schemars(skip_serializing_if = "Option::is_none")]
    existing: Option<ExistingActivity>,
    /// The names of the limits that are exceeded.
    #[schemars(rename = "violated-policies", skip_serializing_if = "Option::is_none")]
    violated_policies: Option<Vec<String>>,
    /// The same as `status`.
    status_code: u16,
    timestamp: chrono::DateTime<chrono::Utc>,
    /// The same as `instance`.
    path: String,
    /// The same as `detail`.
    message: String,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
#[expect(dead_code, reason = "it is a schema; the rules of activities write it")]
struct ExistingActivity {
    id: Uuid,
    #[schemars(rename = "type")]
    kind: String,
    disposition: Option<String>,
    note: Option<String>,
    occurred_at: chrono::DateTime<chrono::Utc>,
    created_at: chrono::DateTime<chrono::Utc>,
}

/// What a customer owes.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
#[expect(dead_code, reason = "it is a schema; the rules of customers write it")]
struct OpenAccount {
    id: Uuid,
    balance: Money,
    currency: Currency,
}

/// What an operation is like, as far as its problems depend on it.
pub(super) struct Traits {
    pub(super) is_public: bool,
    pub(super) has_ids: bool,
    pub(super) has_body: bool,
    /// Whether the body is a form with a file.
    pub(super) has_file: bool,
    pub(super) is_list: bool,
    /// Whether it takes an idempotency key.
    pub(super) is_keyed: bool,
    /// Whether it takes `If-Match`.
    pub(super) is_conditional: bool,
    pub(super) effect: Effect,
}

/// The statuses of an operation's problems.
pub(super) fn of(traits: &Traits) -> Vec<u16> {
    let writes = traits.effect != Effect::Reads;
    let applies = |status: &u16| match status {
        401 | 423 => !traits.is_public || writes,
        403 => !traits.is_public,
        404 => traits.has_ids,
        409 => traits.effect == Effect::Adds || (!traits.is_public && (writes || traits.is_list)),
        408 | 413 | 415 | 501 => traits.has_body,
        412 | 428 => traits.is_conditional,
        422 => traits.has_body || traits.is_keyed,
        507 => traits.has_file,
        405 => false,
        _ => true,
    };
    codes().into_keys().filter(applies).collect()
}

/// The shared responses, by name.
pub(super) fn responses(schemas: &mut Schemas) -> Value {
    let problem = schemas.answered::<Problem>();
    let response = |(status, codes): (u16, Vec<&str>)| {
        let codes: Vec<String> = codes.into_iter().map(|code| format!("`{code}`")).collect();
        let mut headers = json!({ "X-Request-Id": { "$ref": "#/components/headers/X-Request-Id" } });
        if matches!(status, 409 | 423 | 429 | 503) {
            headers["Retry-After"] = json!({ "$ref": "#/components/headers/Retry-After" });
        }
        let response = json!({
            "description": format!("A problem with one of the codes {}.", codes.join(", ")),
            "headers": headers,
            "content": { "application/problem+json": { "schema": problem } },
        });
        (format!("Problem{status}"), response)
    };
    Value::Object(codes().into_iter().map(response).collect())
}

/// The codes of each status.
fn codes() -> BTreeMap<u16, Vec<&'static str>> {
    let mut codes: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
    for line in CODES.lines() {
        let mut cells = line.trim_matches('|').split('|').map(str::trim);
        if let (Some(code), Some(Ok(status))) = (cells.next(), cells.next().map(str::parse)) {
            codes.entry(status).or_default().push(code.trim_matches('`'));
        }
    }
    codes
}
