//! The description as a Postman collection (format 2.1).

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::examples;
use crate::operation::FORM;

/// Keeps the token for the requests that follow.
const KEEP_TOKEN: &str = "pm.collectionVariables.set('jwt_token', pm.response.json().access_token);";

/// One request for each operation, in a folder for each tag.
pub(super) fn collection(document: &Value) -> Value {
    let mut folders: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        let server = item["servers"].as_array().or(document["servers"].as_array()).and_then(|servers| servers[0]["url"].as_str());
        let address = format!("{}{path}", server.unwrap_or_default().trim_end_matches('/'));
        for (method, operation) in item.as_object().into_iter().flatten().filter(|(name, _)| *name != "servers") {
            let tag = operation["tags"][0].as_str().unwrap_or_default();
            folders.entry(tag).or_default().push(request(method, &address, operation, document));
        }
    }
    let folders: Vec<Value> = folders.into_iter().map(|(tag, requests)| json!({ "name": tag, "item": requests })).collect();
    json!({
        "info": {
            "name": document["info"]["title"],
            "description": document["info"]["description"],
            "version": document["info"]["version"],
            "schema": "https://schema.getpostman.com/json/collection/v2.1.0/collection.json",
        },
        "auth": { "type": "bearer", "bearer": [{ "key": "token", "value": "{{jwt_token}}", "type": "string" }] },
        "variable": [
            { "key": "base_url", "value": "http://localhost:3000" },
            { "key": "jwt_token", "value": "" },
        ],
        "item": folders,
    })
}

fn request(method: &str, address: &str, operation: &Value, document: &Value) -> Value {
    let parameters: Vec<&Value> =
        operation["parameters"].as_array().into_iter().flatten().map(|one| resolved(one, document)).collect();
    let of = |place: &str| parameters.iter().copied().filter(move |parameter| parameter["in"] == place).collect::<Vec<_>>();
    let entry = |parameter: &Value| {
        let value = match parameter.get("example").cloned().unwrap_or_else(|| examples::of(&parameter["schema"], document)) {
            Value::String(text) => text,
            other => other.to_string(),
        };
        json!({ "key": parameter["name"], "value": value, "description": parameter["description"] })
    };
    let optional = |parameter: &&Value| {
        let mut entry = entry(parameter);
        entry["disabled"] = (parameter["required"] != true).into();
        entry
    };
    // Conditions of lists are too many to choose from; their descriptions are in the one of the API.
    let query: Vec<Value> = of("query").iter().filter(|one| one["style"] != "deepObject").map(optional).collect();
    let path: Vec<String> = address
        .trim_matches('/')
        .split('/')
        .map(|segment| {
            segment.strip_prefix('{').map_or_else(|| segment.to_owned(), |id| format!(":{}", id.trim_end_matches('}')))
        })
        .collect();
    let ids: Vec<Value> = of("path").into_iter().map(entry).collect();
    let mut headers: Vec<Value> = of("header").iter().map(optional).collect();
    let mut request = json!({
        "method": method.to_uppercase(),
        "description": operation["description"],
        "url": { "raw": format!("{{{{base_url}}}}/{}", path.join("/")), "host": ["{{base_url}}"], "path": path, "query": query, "variable": ids },
    });
    let content: Option<&Map<String, Value>> = operation["requestBody"]["content"].as_object();
    if let Some(content) = content.and_then(|content| content.get(FORM)) {
        request["body"] = json!({ "mode": "formdata", "formdata": parts(&content["schema"], document) });
    } else if let Some((media_type, content)) = content.and_then(|content| content.iter().next()) {
        headers.push(json!({ "key": "Content-Type", "value": media_type }));
        let example = examples::of(&content["schema"], document);
        request["body"] = json!({ "mode": "raw", "raw": format!("{example:#}"), "options": { "raw": { "language": "json" } } });
    }
    request["header"] = headers.into();
    if operation["security"].as_array().is_some_and(Vec::is_empty) {
        request["auth"] = json!({ "type": "noauth" });
    }
    let mut item = json!({ "id": operation["operationId"], "name": operation["summary"], "request": request });
    if operation["operationId"] == "login" {
        item["event"] = json!([{ "listen": "test", "script": { "type": "text/javascript", "exec": [KEEP_TOKEN] } }]);
    }
    item
}

/// The parts of a form: a file to choose, and texts.
fn parts(schema: &Value, document: &Value) -> Vec<Value> {
    let schema = schema["$ref"].as_str().and_then(|reference| document.pointer(&reference[1..])).unwrap_or(schema);
    let part = |(name, part): (&String, &Value)| match part["format"].as_str() {
        Some("binary") => json!({ "key": name, "type": "file" }),
        _ => json!({ "key": name, "type": "text", "value": "", "disabled": true, "description": part["description"] }),
    };
    schema["properties"].as_object().into_iter().flatten().map(part).collect()
}

fn resolved<'a>(parameter: &'a Value, document: &'a Value) -> &'a Value {
    let target = parameter["$ref"].as_str().and_then(|reference| document.pointer(&reference[1..]));
    target.unwrap_or(parameter)
}
