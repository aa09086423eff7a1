//! The API's description says what is served, no more and no less.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use collections::server;
use jsonschema::Validator;
use serde_json::{Value, json};

use crate::harness::app::TestApp;

/// The schema of the OpenAPI Initiative, version 2022-10-07.
const META: &str = include_str!("../openapi/oas-3.1.json");

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
    let served: BTreeSet<_> =
        server::routes(&test.app).table.into_iter().map(|row| (row.method, row.path.to_lowercase())).collect();
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
        for parameter in operation["parameters"].as_array().unwrap().iter().filter(|parameter| parameter["$ref"].is_null()) {
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
    let mut open = vec![&document["components"]["schemas"], &document["paths"]];
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
async fn answers_fit_their_schemas() {
    let test = TestApp::start_api(&[]).await;
    let document = document(&test).await;
    let manager = test.client(collections::auth::Role::Manager).await;
    let customer = json!({ "name": "Ann", "phone": "+14155552671", "amountDue": 10, "accountNumber": "A-1" });
    let customer = manager.post("/customers", &customer).await.expect(201);
    manager.post("/payments", &json!({ "amount": 1, "method": "cash" })).await.expect(201);
    for (address, path) in [
        (format!("/customers/{}", customer["id"].as_str().unwrap()), "/customers/{customerId}"),
        ("/customers?q=ann&highlight=true".into(), "/customers"),
        ("/accounts?include=customer&facets=status&aggs=stats(balance)".into(), "/accounts"),
        ("/payments?fields=amount".into(), "/payments"),
        ("/search?q=ann".into(), "/search"),
        ("/saved-searches".into(), "/saved-searches"),
        ("/auth/me".into(), "/auth/me"),
        ("/health".into(), "/health"),
    ] {
        let answer = manager.get(&address).await.expect(200);
        let schema = &document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"];
        let errors: Vec<String> = validator(&document, schema).iter_errors(&answer).map(|error| error.to_string()).collect();
        assert_eq!(errors, Vec::<String>::new(), "{address}: {answer}");
    }
    let problem = manager.get("/customers?nothing=1").await;
    let schema = json!({ "$ref": "#/components/schemas/Problem" });
    assert!(validator(&document, &schema).is_valid(&problem.body), "{}", problem.body);
}
