//! The API's description says what is served, no more and no less.

mod headers;
mod postman;
mod swagger;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use collections::server;
use jsonschema::Validator;
use serde_json::Value;

use crate::harness::app::TestApp;

/// The schema of the OpenAPI Initiative, version 2022-10-07.
const META: &str = include_str!("../../openapi/oas-3.1.json");

async fn document(test: &TestApp) -> Value {
    test.anonymous().get("/api/openapi.json").await.expect(200)
}

/// The operations by method and path.
fn operations(document: &Value) -> BTreeMap<(String, String), &Value> {
    let methods = |(path, item): (&String, &'_ Value)| -> Vec<_> {
        let item = document["paths"][path].as_object().filter(|_| item.is_object()).unwrap();
        let operations = item.iter().filter(|(name, _)| *name != "servers");
        operations.map(|(method, operation)| ((method.to_uppercase(), path.clone()), operation)).collect()
    };
    document["paths"].as_object().unwrap().iter().flat_map(methods).collect()
}

/// A validator of a part of the document, whose references it can follow.
fn validator(document: &Value, schema: &Value) -> Validator {
    let mut root = schema.clone();
    root["components"] = document["components"].clone();
    jsonschema::draft202012::options().build(&root).unwrap()
}

#[tokio::test]
async fn every_route_is_described_once_and_nothing_else() {
    let test = TestApp::start_api(&[]).await;
    let document = document(&test).await;
    let mut described = BTreeSet::new();
    for ((method, path), _) in operations(&document) {
        let servers = document["paths"][&path]["servers"].as_array().or(document["servers"].as_array()).unwrap().clone();
        for server in servers {
            let address = format!("{}{path}", server["url"].as_str().unwrap().trim_end_matches('/'));
            assert!(described.insert((method.clone(), address.to_lowercase())), "{method} {address} is described twice");
        }
    }
    let rows = server::routes(&test.app).table().into_iter().map(|row| (row.method, row.path.to_lowercase()));
    let is_page = |path: &str| path == "/api-docs" || path.starts_with("/api/docs");
    let served: BTreeSet<_> = rows.filter(|(_, path)| !is_page(path)).collect();
    assert_eq!(described, served);
}

/// `UPDATE_DOCS=1 cargo test openapi` writes the copy.
#[tokio::test]
async fn the_copy_in_the_repository_is_current() {
    let test = TestApp::start_api(&[]).await;
    let text = format!("{:#}\n", document(&test).await);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/openapi.json");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, text).unwrap();
    } else {
        assert_eq!(fs::read_to_string(&path).unwrap_or_default(), text);
    }
}

#[tokio::test]
async fn the_description_is_valid_openapi_with_valid_schemas() {
    let test = TestApp::start_api(&[]).await;
    let document = document(&test).await;
    let meta: Value = serde_json::from_str(META).unwrap();
    let meta = jsonschema::draft202012::options().build(&meta).unwrap();
    let errors: Vec<String> = meta.iter_errors(&document).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert_eq!(errors, Vec::<String>::new());
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        assert!(jsonschema::draft202012::meta::is_valid(schema), "{name}");
        validator(&document, schema);
    }
    for ((method, path), operation) in operations(&document) {
        let own = operation["parameters"].as_array().unwrap().iter().filter(|parameter| parameter["$ref"].is_null());
        for parameter in own.chain(document["components"]["parameters"].as_object().unwrap().values()) {
            assert!(jsonschema::draft202012::meta::is_valid(&parameter["schema"]), "{method} {path} {parameter}");
        }
    }
}

#[tokio::test]
async fn every_reference_leads_somewhere() {
    let test = TestApp::start_api(&[]).await;
    let document = document(&test).await;
    let mut open = vec![&document];
    while let Some(value) = open.pop() {
        match value {
            Value::Object(members) => open.extend(members.values()),
            Value::Array(items) => open.extend(items),
            Value::String(text) => {
                let target = text.strip_prefix('#').filter(|pointer| pointer.starts_with("/components/"));
                assert!(target.is_none_or(|pointer| document.pointer(pointer).is_some()), "{text}");
                assert!(!text.contains("[`"), "clients cannot follow a link into the code: {text}");
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn operations_have_names_and_titles_of_their_own() {
    let test = TestApp::start_api(&[]).await;
    let document = document(&test).await;
    let mut names = BTreeSet::new();
    for ((method, path), operation) in operations(&document) {
        let name = operation["operationId"].as_str().unwrap();
        assert!(names.insert(name.to_owned()), "{method} {path}: {name} is taken");
        assert!(name.chars().all(char::is_alphanumeric) && name.starts_with(char::is_lowercase), "{name}");
        let title = operation["summary"].as_str().unwrap();
        assert!(title.contains(' ') && title.starts_with(char::is_uppercase), "{method} {path}: {title}");
    }
    for known in ["listPayments", "createPayment", "searchAccounts", "restoreCustomer", "login", "getProfile"] {
        assert!(names.contains(known), "{known}");
    }
}

#[tokio::test]
async fn examples_fit_their_schemas() {
    let test = TestApp::start_api(&[]).await;
    let document = document(&test).await;
    let mut count = 0;
    let components = &document["components"];
    let mut open = vec![&components["schemas"], &components["parameters"], &document["paths"]];
    while let Some(value) = open.pop() {
        if let (Some(examples), true) = (value["examples"].as_array(), value.is_object()) {
            let validator = validator(&document, value);
            for example in examples {
                assert!(validator.is_valid(example), "{example} does not fit {value}");
                count += 1;
            }
        }
        match value {
            Value::Object(members) => open.extend(members.values()),
            Value::Array(items) => open.extend(items),
            _ => {}
        }
    }
    assert!(count > 20, "{count}");
}

#[tokio::test]
async fn examples_of_bodies_are_accepted() {
    let test = TestApp::start_api(&[]).await;
    let document = document(&test).await;
    let manager = test.client(collections::auth::Role::Manager).await;
    let example = |name: &str| document["components"]["schemas"][name]["examples"][0].clone();
    manager.post("/customers", &example("NewCustomer")).await.expect(201);
    manager.post("/payments", &example("NewPayment")).await.expect(201);
    manager.post("/saved-searches", &example("NewSavedSearch")).await.expect(201);
}

#[tokio::test]
async fn the_settings_decide_what_is_required() {
    let more = ["--require-if-match", "true", "--require-idempotency", "true", "--page-limit", "50"];
    for (more, is_required, limit) in [(&more[..], true, 50), (&[], false, 1_000)] {
        let test = TestApp::start_api(more).await;
        let document = document(&test).await;
        let required = |path: &str, method: &str, header: &str| {
            let parameters = document["paths"][path][method]["parameters"].as_array().unwrap().iter();
            let mut resolved =
                parameters.map(|one| one["$ref"].as_str().map_or(one, |name| document.pointer(&name[1..]).unwrap()));
            let found = resolved.find(|parameter| parameter["name"] == header).unwrap();
            found["required"] == true
        };
        assert_eq!(required("/customers/{customerId}", "patch", "If-Match"), is_required);
        assert_eq!(required("/payments", "post", "Idempotency-Key"), is_required);
        assert_eq!(required("/accounts/{accountId}/payments", "post", "Idempotency-Key"), is_required);
        assert!(!required("/customers", "post", "Idempotency-Key"));
        assert_eq!(document["components"]["schemas"]["PageSize"]["maximum"], limit);
    }
}

#[tokio::test]
async fn the_description_is_short_enough_to_read() {
    let test = TestApp::start_api(&[]).await;
    let size = test.anonymous().get("/api/openapi.json").await.text.len();
    assert!(size < 600_000, "{size} bytes");
}
