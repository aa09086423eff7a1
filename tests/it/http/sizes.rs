//! Sizes: what long lists, many faults and long names cost the server, and what they get back.

use std::time::Duration;

use collections::auth::Role;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::app::TestApp;
use crate::harness::client::Answer;

/// The limit of an answer that refuses a request.
const ANSWER: usize = 64 * 1024;

fn words(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("word{n}")).collect()
}

/// Asserts that a request was refused with these violations alone.
#[track_caller]
fn check_refused(answer: &Answer, expected: &[(&str, &str)]) {
    assert_eq!(answer.status, 422, "{}", answer.body);
    let errors = answer.body["errors"].as_array().unwrap();
    let found: Vec<_> =
        errors.iter().map(|error| (error["pointer"].as_str().unwrap(), error["code"].as_str().unwrap())).collect();
    assert_eq!(found, expected);
    assert!(answer.body.to_string().len() < ANSWER);
}

#[tokio::test]
async fn a_long_list_is_one_fault_and_not_one_for_each_entry() {
    let test = TestApp::start_api(&[]).await;
    let agent = test.agent().await;
    let post = async |body: Value| agent.post("/customers", &body).await;
    let points = |count: usize| vec![json!({}); count];
    check_refused(&post(json!({ "name": "Ann", "tags": words(51) })).await, &[("/tags", "too_many")]);
    check_refused(&post(json!({ "name": "Ann", "tags": words(80_000) })).await, &[("/tags", "too_many")]);
    check_refused(&post(json!({ "name": "Ann", "contactPoints": points(21) })).await, &[("/contactPoints", "too_many")]);
    check_refused(&post(json!({ "name": "Ann", "contactPoints": points(340_000) })).await, &[("/contactPoints", "too_many")]);
    check_refused(&post(json!({ "name": "Ann", "addresses": points(9_000) })).await, &[("/addresses", "too_many")]);
    let members: serde_json::Map<String, Value> = words(5_000).into_iter().map(|name| (name, json!(1))).collect();
    check_refused(&post(json!({ "name": "Ann", "metadata": members })).await, &[("/metadata", "too_many")]);
}

#[tokio::test]
async fn a_change_with_a_long_list_is_refused_before_its_row_is_locked() {
    let test = TestApp::start_api_tuned(&[], |config| config.database.lock_timeout = Duration::from_secs(120)).await;
    let agent = test.agent().await;
    let id = agent.post("/customers", &json!({ "name": "Ann" })).await.expect(201)["id"].as_str().unwrap().to_owned();
    let mut held = test.database.pool.begin().await.unwrap();
    sqlx::query("select from customers for update").execute(&mut *held).await.unwrap();
    let answer = agent.patch(&format!("/customers/{id}"), &json!({ "tags": words(80_000) })).await;
    check_refused(&answer, &[("/tags", "too_many")]);
    held.rollback().await.unwrap();
    agent.patch(&format!("/customers/{id}"), &json!({ "tags": words(50) })).await.expect(200);
}

#[tokio::test]
async fn a_hundred_faults_are_told_and_the_others_counted() {
    let test = TestApp::start_api(&[]).await;
    let agent = test.agent().await;
    let members: serde_json::Map<String, Value> = words(5_000).into_iter().map(|name| (name, json!(1))).collect();
    let answer = agent.post("/customers", &Value::Object(members)).await;
    assert_eq!((answer.status, answer.body["errors"].as_array().unwrap().len()), (422, 100));
    assert_eq!(answer.body["moreErrors"], 4_901, "each unknown member, and the name that is required");

    let refused = agent.get(&format!("/customers?{}", words(1_000).join("=&"))).await;
    let errors = refused.body["errors"].as_array().unwrap();
    assert_eq!((refused.status, errors.len(), &errors[0]["code"]), (400, 1, &json!("too_many")));
    let answer = agent.get(&format!("/customers?{}", words(500).join("=&"))).await;
    let errors = answer.body["errors"].as_array().unwrap();
    assert_eq!(
        (answer.status, answer.code(), errors.len(), &answer.body["moreErrors"]),
        (400, "bad_parameter", 100, &json!(401)),
        "each unknown name, and that there are too many conditions"
    );
    let text = answer.body.to_string();
    assert!(text.len() < ANSWER, "{}", text.len());
    assert!(answer.body["detail"].as_str().unwrap().contains("known are"), "{text}");
    assert!(!json!(errors).to_string().contains("includeDeleted"), "the known parameters are named once, in the detail");
}

#[tokio::test]
async fn names_that_a_client_chose_are_repeated_only_in_part() {
    let test = TestApp::start_api(&[]).await;
    let agent = test.agent().await;
    let name = "n".repeat(3_000);
    let bodies = [
        json!({ "name": "Ann", &name: 1 }),
        json!({ "name": "Ann", "contactPoints": [{ "kind": "phone", "value": "4155552671", &name: 1 }] }),
    ];
    for body in bodies {
        check_repeats(&agent.post("/customers", &body).await, 422);
    }
    check_repeats(&agent.get(&format!("/customers?{name}=1")).await, 400);
    check_repeats(&agent.get(&format!("/customers?status[{name}]=1")).await, 400);
    check_repeats(&agent.get(&format!("/{name}")).await, 404);
    check_repeats(&agent.get(&format!("/customers/{name}/{name}")).await, 404);
    check_repeats(&agent.get(&format!("/customers{}", "/x".repeat(3_000))).await, 404);
}

#[track_caller]
fn check_repeats(answer: &Answer, status: u16) {
    let text = answer.body.to_string();
    assert_eq!(answer.status, status, "{text}");
    assert!(!text.contains(&"n".repeat(65)) && text.matches("/x").count() < 50, "{text}");
}

#[tokio::test]
async fn a_log_in_takes_a_small_body_and_other_requests_a_large_one() {
    let test = TestApp::start_api(&[]).await;
    let large = json!({ "username": "ann", "password": "x".repeat(5_000) });
    assert_eq!(test.anonymous().post("/auth/login", &large).await.code(), "too_large");
    assert_eq!(test.anonymous().post("/api/auth/login", &large).await.code(), "too_large");
    let agent = test.agent().await;
    let refused = agent.post("/customers", &json!({ "name": "x".repeat(500_000) })).await;
    check_refused(&refused, &[("/name", "too_long")]);
    let forbidden = test.client(Role::Viewer).await.send(Method::POST, "/customers", Some(&large)).await;
    assert_eq!(forbidden.status, 403);
}
