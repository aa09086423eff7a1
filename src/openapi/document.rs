//! The document: one operation for each row of the tables, and what they share.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::problems::{self, Traits};
use super::{names, shared};
use crate::auth::Role;
use crate::config::Config;
use crate::http::Row;
use crate::operation::{EVENTS, Effect, FORM, Operation, PAGE_SIZE, Schemas, sync_token};

/// Where the rows of features are, and the other address at which they are too.
const CANONICAL: &str = "/api/v1";
const ALIAS: &str = "/api";

/// Last segment of the addresses for which `REQUIRE_IDEMPOTENCY` needs a key.
const NEED_KEYS: &str = "payments";

const ABOUT_ALIAS: &str =
    "A permanent alias for older clients: PUT changes only what it names, and pages have up to 100 records.";
const ABOUT_KEY: &str =
    "A name of this attempt. The same request with the same key is done once, and gets the same answer again for a day.";

const ABOUT_MINIMAL: &str = "`return=minimal` leaves the body out of the answer, which is a 204 then, unless it is a 201.";
const ABOUT_ASYNC: &str =
    "`respond-async` makes a job of it, whose address is in `Location`, also where it would be done at once.";

/// Describes the rows. The alias is a second server, and none of its rows is described twice.
#[must_use]
pub fn document(table: &[Row], config: &Config) -> Value {
    let mut schemas = Schemas::default();
    schemas.name(PAGE_SIZE, json!({ "type": "integer", "minimum": 1, "maximum": config.search.page_limit, "default": 10 }));
    let responses = problems::responses(&mut schemas);
    let known: BTreeSet<_> = table.iter().map(|row| (row.path.as_str(), row.method.as_str(), row.access)).collect();
    let mut paths: BTreeMap<String, Value> = BTreeMap::new();
    let mut tags = BTreeSet::new();
    for row in table {
        let Some(place) = Place::of(row, &known) else { continue };
        let segments: Vec<&str> = place.path.trim_matches('/').split('/').collect();
        let (key, method) = (names_of_ids(&place.key), row.method.to_lowercase());
        let path = paths.entry(key).or_insert_with(|| json!({}));
        path[method] = operation(row, &segments, config, &mut schemas);
        if !place.servers.is_empty() {
            path["servers"] = place.servers.into_iter().map(|url| json!({ "url": url })).collect();
        }
        tags.insert(segments[0].to_owned());
    }
    let mut document = json!({
        "openapi": "3.1.1",
        "info": {
            "title": "Collections",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": env!("CARGO_PKG_DESCRIPTION"),
            "description": "Sign in with `login`, and send its token as `Authorization: Bearer …`.",
        },
        "servers": [
            { "url": CANONICAL, "description": "The address to use." },
            { "url": ALIAS, "description": ABOUT_ALIAS },
        ],
        "security": [{ "bearer": [] }, { "apiKey": [] }],
        "tags": tags.into_iter().map(|name| json!({ "name": name })).collect::<Vec<_>>(),
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT" },
                "apiKey": { "type": "apiKey", "in": "header", "name": "X-API-Key" },
            },
            "parameters": parameters(config),
            "headers": headers(),
            "responses": responses,
            "schemas": schemas.finish(),
        },
    });
    shared::parameters(&mut document);
    document
}

/// Where a row is described.
struct Place<'a> {
    /// Below its server.
    key: String,
    /// Of the row, without what all have.
    path: &'a str,
    /// None are those of the document.
    servers: Vec<&'static str>,
}

impl<'a> Place<'a> {
    /// None for a row of the alias. `known` has the access of every row: with another one a row is no alias.
    fn of(row: &'a Row, known: &BTreeSet<(&str, &str, &str)>) -> Option<Self> {
        let path = row.path.as_str();
        if let Some(rest) = path.strip_prefix(CANONICAL) {
            // A path is described once, so the one at the root has it.
            let is_taken = known.iter().any(|(path, ..)| *path == rest);
            let key = if is_taken { format!("/v1{rest}") } else { rest.to_owned() };
            return Some(Self { key, path: rest, servers: if is_taken { vec![ALIAS] } else { Vec::new() } });
        }
        let has_other =
            |base: &str, rest: &str| known.contains(&(format!("{base}{rest}").as_str(), row.method.as_str(), row.access));
        if path.strip_prefix(ALIAS).is_some_and(|rest| has_other(CANONICAL, rest) || has_other("", rest)) {
            return None;
        }
        let is_aliased = has_other(ALIAS, path) && !has_other(CANONICAL, path);
        Some(Self { key: path.to_owned(), path, servers: if is_aliased { vec!["/", ALIAS] } else { vec!["/"] } })
    }
}

fn operation(row: &Row, segments: &[&str], config: &Config, schemas: &mut Schemas) -> Value {
    let is_get = row.method == "GET";
    let mut operation = Operation::new(schemas, if is_get { Effect::Reads } else { Effect::Writes });
    (row.describe)(&mut operation);
    let is_public = row.access == "public";
    // A stream shows what happens after its request.
    if is_get && !is_public && operation.answer.as_ref().is_none_or(|(media_type, _)| *media_type != EVENTS) {
        operation.reads_writes();
    }
    let Operation { effect, mut parameters, body, status, answer, files, headers, alternatives, problems: more, .. } = operation;

    let has_ids = row.path.contains('{');
    let is_change = matches!(row.method.as_str(), "PATCH" | "PUT");
    let is_keyed = !is_public && effect != Effect::Reads && (is_change || names::is_of_records(segments));
    let is_conditional = is_keyed && effect == Effect::Writes;
    let reference = |name: &str| json!({ "$ref": format!("#/components/parameters/{name}") });
    let needs_key = config.writes.require_idempotency && effect == Effect::Adds && segments.last() == Some(&NEED_KEYS);
    parameters.extend(is_keyed.then(|| reference(if needs_key { "NeededIdempotencyKey" } else { "IdempotencyKey" })));
    parameters.extend(is_conditional.then(|| reference("IfMatch")));
    let may_be_job = alternatives.iter().any(|(status, _)| *status == 202);
    parameters.extend(is_keyed.then(|| reference(if may_be_job { "PreferAsync" } else { "Prefer" })));
    parameters.extend((is_get && headers.contains("ETag")).then(|| reference("IfNoneMatch")));
    let ids = segments.iter().filter(|segment| segment.starts_with('{')).map(|id| {
        let schema = match *id {
            "{RoleName}" => json!({ "type": "string", "enum": Role::ALL.map(Role::as_str) }),
            _ => json!({ "type": "string", "format": "uuid" }),
        };
        json!({ "name": id_name(id), "in": "path", "required": true, "schema": schema })
    });

    let mut shown = headers.clone();
    shown.insert("X-Request-Id");
    if !is_public {
        shown.extend(["RateLimit-Limit", "RateLimit-Policy", "RateLimit-Remaining", "RateLimit-Reset"]);
    }
    if is_keyed {
        shown.extend(["X-Sync-Token", "Idempotent-Replayed", "Preference-Applied"]);
    }
    let shown: Map<String, Value> =
        shown.into_iter().map(|name| (name.to_owned(), json!({ "$ref": format!("#/components/headers/{name}") }))).collect();
    let success_headers = Value::Object(shown);
    let mut success = json!({ "description": meaning(status), "headers": success_headers });
    let is_list = answer.as_ref().is_some_and(|(_, schema)| is_list(schema));
    if let Some((media_type, schema)) = answer {
        success["content"] = json!({ media_type: { "schema": schema } });
    }
    for media_type in files {
        success["content"][media_type] = json!({ "schema": { "type": "string", "format": "binary" } });
    }
    let mut responses = json!({ status.to_string(): success });
    if is_get && headers.contains("ETag") {
        responses["304"] = json!({ "description": "The client has it already." });
    }
    let (has_body, has_file) = (body.is_some(), body.as_ref().is_some_and(|(media_type, _)| *media_type == FORM));
    let traits = Traits { is_public, has_ids, has_body, has_file, is_list, is_keyed, is_conditional, effect };
    for status in problems::of(&traits).into_iter().chain(more) {
        responses[status.to_string()] = json!({ "$ref": format!("#/components/responses/Problem{status}") });
    }
    for (status, schema) in alternatives {
        let mut response = json!({ "description": meaning(status), "content": { "application/json": { "schema": schema } } });
        if status >= 400 {
            response["content"]["application/problem+json"] = json!({ "schema": { "$ref": "#/components/schemas/Problem" } });
        } else {
            response["headers"] = success_headers.clone();
            response["headers"]["Location"] = json!({ "$ref": "#/components/headers/Location" });
        }
        responses[status.to_string()] = response;
    }

    let words = names::words(row, segments, status, is_list);
    let about = row.about.trim();
    let (title, rest) = about.split_once(". ").unwrap_or((about.trim_end_matches('.'), ""));
    let title = if title.is_empty() { names::title(&words) } else { title.to_owned() };
    let needs =
        if is_public { "Needs no token.".to_owned() } else { format!("Needs the permission `{}`.", row.access.to_lowercase()) };
    let mut described = json!({
        "operationId": names::camel(&words),
        "summary": title,
        "description": format!("{rest} {needs}").trim(),
        "tags": [segments[0]],
        "parameters": ids.chain(parameters).collect::<Vec<_>>(),
        "responses": responses,
    });
    if is_public {
        described["security"] = json!([]);
    }
    if let Some((media_type, schema)) = body {
        described["requestBody"] = json!({ "required": true, "content": { media_type: { "schema": schema } } });
    }
    described
}

/// A list is a bare one, or a page, which is named so.
fn is_list(schema: &Value) -> bool {
    schema["type"] == "array" || schema["$ref"].as_str().is_some_and(|name| name.ends_with("Page"))
}

fn meaning(status: u16) -> &'static str {
    match status {
        201 => "Created.",
        202 => "Begun.",
        204 => "Done; there is nothing to say.",
        503 => "Not everything works.",
        _ => "Done.",
    }
}

/// `/accounts/{AccountId}` as `/accounts/{accountId}`.
fn names_of_ids(path: &str) -> String {
    let segments = path
        .split('/')
        .map(|segment| if segment.starts_with('{') { format!("{{{}}}", id_name(segment)) } else { segment.to_owned() });
    segments.collect::<Vec<_>>().join("/")
}

fn id_name(segment: &str) -> String {
    let name = segment.trim_matches(['{', '}']);
    format!("{}{}", name[..1].to_lowercase(), &name[1..])
}

/// Headers of requests. The settings need some of them.
fn parameters(config: &Config) -> Value {
    let header = |name: &str, about: &str, example: &str| {
        let schema = json!({ "type": "string", "minLength": 1, "maxLength": 255 });
        // No example: tools that try requests out would send it, and one key for all of them.
        json!({ "name": name, "in": "header", "description": format!("{about} Such as `{example}`."), "schema": schema })
    };
    let needed = |mut header: Value| {
        header["required"] = true.into();
        header
    };
    // Servers ignore what they do not know of these, whatever its length.
    let ignorable = |mut header: Value| {
        header["schema"] = json!({ "type": "string" });
        header
    };
    let key = header("Idempotency-Key", ABOUT_KEY, "8e03978e-40d5-43e8-bc93-6894a57f9324");
    let mut parameters = json!({
        "IdempotencyKey": key,
        "IfMatch": header("If-Match", "The `ETag` that the client has read; 412 if the record has changed since.", "\"v17\""),
        "IfNoneMatch": ignorable(header("If-None-Match", "The `ETag` that the client has; 304 if it is current.", "\"v17-5c1f2a90\"")),
        "Prefer": ignorable(header("Prefer", ABOUT_MINIMAL, "return=minimal")),
        "PreferAsync": ignorable(header("Prefer", ABOUT_ASYNC, "respond-async")),
        "SyncToken": {
            "name": "X-Sync-Token",
            "in": "header",
            "description": "`X-Sync-Token` of a write that the answer has to show.",
            "schema": sync_token(),
        },
    });
    if config.writes.require_idempotency {
        parameters["NeededIdempotencyKey"] = needed(key);
    }
    if config.http.require_if_match {
        parameters["IfMatch"] = needed(parameters["IfMatch"].take());
    }
    parameters
}

/// Headers of answers.
fn headers() -> Value {
    let header = |about: &str| json!({ "description": about, "schema": { "type": "string" } });
    json!({
        "Content-Disposition": header("The name under which the file is to be saved."),
        "ETag": header("The version of the record, and a digest of what it shows."),
        "Idempotent-Replayed": header("`true` if the answer is that of an earlier request with the same key."),
        "Link": header("The pages around this one (RFC 8288)."),
        "Location": header("The address of what was created, or of the job that does the work."),
        "Preference-Applied": header("What of `Prefer` was followed."),
        "RateLimit-Limit": header("Requests that the user may send at once."),
        "RateLimit-Policy": header("The limit and its time in seconds, such as `\"user\";q=1000;w=60`."),
        "RateLimit-Remaining": header("Requests that are left."),
        "RateLimit-Reset": header("Seconds until all of them are there again; in a 429, until one is."),
        "Retry-After": header("Seconds after which the request may succeed."),
        "X-Possible-Duplicate-Of": header("The id of a payment that looks the same."),
        "X-Read-Source": header("Which engine has answered."),
        "X-Request-Id": header("The request's id in the log."),
        "X-Sync-Token": header("With it the next read shows this write."),
        "X-Total-Count": header("How many records the list has, if that is known exactly."),
    })
}
