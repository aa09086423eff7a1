//! The Postman collection has the same operations.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{document, operations};
use crate::harness::app::{PASSWORD, TestApp};

async fn collection(test: &TestApp) -> Value {
    test.anonymous().get("/api/postman.json").await.expect(200)
}

fn requests(collection: &Value) -> Vec<&Value> {
    collection["item"].as_array().unwrap().iter().flat_map(|folder| folder["item"].as_array().unwrap()).collect()
}

#[tokio::test]
async fn every_operation_is_there_once() {
    let test = TestApp::start_api(&[]).await;
    let (document, collection) = (document(&test).await, collection(&test).await);
    let known: Vec<&str> = requests(&collection).iter().map(|item| item["id"].as_str().unwrap()).collect();
    let wanted: BTreeSet<_> =
        operations(&document).values().map(|operation| operation["operationId"].as_str().unwrap()).collect();
    assert_eq!(known.iter().copied().collect::<BTreeSet<_>>(), wanted);
    assert_eq!(known.len(), wanted.len());
}

#[tokio::test]
async fn it_has_the_structure_of_the_format() {
    let test = TestApp::start_api(&[]).await;
    let collection = collection(&test).await;
    assert!(collection["info"]["name"].is_string());
    assert_eq!(collection["info"]["schema"], "https://schema.getpostman.com/json/collection/v2.1.0/collection.json");
    let variables: Vec<&str> =
        collection["variable"].as_array().unwrap().iter().map(|variable| variable["key"].as_str().unwrap()).collect();
    assert_eq!(variables, ["base_url", "jwt_token"]);
    assert_eq!(collection["auth"]["bearer"][0]["value"], "{{jwt_token}}");
    for item in requests(&collection) {
        let request = &item["request"];
        let url = &request["url"];
        assert!(item["name"].is_string() && request["method"].is_string(), "{item}");
        assert!(url["raw"].as_str().unwrap().starts_with("{{base_url}}/"), "{item}");
        let named = url["path"].as_array().unwrap().iter().filter_map(|segment| segment.as_str().unwrap().strip_prefix(':'));
        let values = url["variable"].as_array().unwrap().iter().map(|variable| variable["key"].as_str().unwrap());
        assert_eq!(named.collect::<Vec<_>>(), values.collect::<Vec<_>>(), "{item}");
        for entry in [&request["header"], &url["query"]].into_iter().flat_map(|list| list.as_array().unwrap()) {
            assert!(entry["key"].is_string() && entry["value"].is_string(), "{entry}");
        }
        if let Some(parts) = request["body"]["formdata"].as_array() {
            assert!(parts.iter().any(|part| part["type"] == "file"), "{item}");
        } else if let Some(body) = request.get("body") {
            let example: Value = serde_json::from_str(body["raw"].as_str().unwrap()).unwrap();
            assert!(example.is_object(), "{item}");
        }
    }
}

#[tokio::test]
async fn its_log_in_works_and_keeps_the_token() {
    let test = TestApp::start_api(&[]).await;
    let collection = collection(&test).await;
    let login = requests(&collection).into_iter().find(|item| item["id"] == "login").unwrap();
    assert_eq!(login["request"]["auth"]["type"], "noauth");
    let script = login["event"][0]["script"]["exec"][0].as_str().unwrap();
    assert!(script.contains("jwt_token") && script.contains("access_token"), "{script}");
    let body: Value = serde_json::from_str(login["request"]["body"]["raw"].as_str().unwrap()).unwrap();
    let members: Vec<&String> = body.as_object().unwrap().keys().collect();
    assert_eq!(members, ["password", "username"]);
    test.user("ann", collections::auth::Role::Agent).await;
    let answer = test.anonymous().post("/auth/login", &json!({ "username": "ann", "password": PASSWORD })).await;
    assert!(answer.expect(200)["access_token"].is_string());
}
