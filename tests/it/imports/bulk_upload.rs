//! A whole import in one request: answered at once if it is short, and by a job if it is long.

use collections::auth::Role;
use reqwest::Method;
use serde_json::json;

use super::files::{FORM, csv, form, workbook};
use crate::harness::app::TestApp;
use crate::harness::client::{Answer, Client};

async fn send(client: &Client, path: &str, parts: &[(&str, &str)], file: (&str, &[u8])) -> Answer {
    client.send_bytes(FORM, Method::POST, path, form(parts, &[file])).await
}

#[tokio::test]
async fn a_short_upload_is_answered_with_what_became_of_each_row() {
    let test = TestApp::start_api(&[]).await;
    let manager = test.client(Role::Manager).await;
    let rows: &[&[&str]] = &[
        &["name", "email", "phone", "outstanding_amount", "due_date", "payment_status"],
        &["Ann Smith", "ann@example.com", "+1 415 555 2671", "129.90", "2026-01-31", "pending"],
        &["Bob Jones", "bob@example.com", "+1 415 555 2672", "abc", "2026-01-31", "pending"],
    ];
    let answer = send(&manager, "/customers/bulk-upload", &[], ("people.xlsx", &workbook(rows))).await.expect(200);
    assert_eq!((&answer["total"], &answer["successful"], &answer["failed"]), (&json!(2), &json!(1), &json!(1)), "{answer}");
    assert_eq!((&answer["totalProcessed"], &answer["successCount"], &answer["errorCount"]), (&json!(2), &json!(1), &json!(1)));
    let errors: Vec<(i64, &str)> = answer["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| (error["row"].as_i64().unwrap(), error["field"].as_str().unwrap()))
        .collect();
    assert!(errors.contains(&(3, "amountDue")) && errors.iter().all(|(row, _)| *row == 3), "{answer}");
    assert!(answer["errors"].as_array().unwrap().iter().all(|error| !error["message"].as_str().unwrap().is_empty()));
    let customers = manager.get("/customers").await.expect(200);
    assert_eq!((customers["data"].as_array().unwrap().len(), &customers["data"][0]["balance"]), (1, &json!(129.9)));
    // The whole import is there to be looked at.
    let import = manager.get(&format!("/imports/{}", answer["importId"].as_str().unwrap())).await.expect(200);
    assert_eq!(import["state"], "partial");
}

#[tokio::test]
async fn a_long_upload_is_a_job() {
    let test = TestApp::start_api(&[]).await;
    let manager = test.client(Role::Manager).await;
    let rows: String = (1..=1_001).map(|row| format!("C{row},Ann {row}\n")).collect();
    let answer = send(&manager, "/customers/bulk-upload", &[], ("a.csv", &csv(&format!("id,name\n{rows}")))).await;
    assert_eq!(answer.status, 202, "{}", answer.body);
    assert_eq!(answer.header("location"), format!("/api/v1/jobs/{}", answer.body["jobId"].as_str().unwrap()));
    manager.get(&format!("/jobs/{}", answer.body["jobId"].as_str().unwrap())).await.expect(200);
}

#[tokio::test]
async fn accounts_and_payments_are_uploaded_in_one_request_too() {
    let test = TestApp::start_api(&[]).await;
    let manager = test.client(Role::Manager).await;
    let accounts = csv("accountNumber,customerExternalId,customerName,balance,currency\nA1,7,Ann,10.00,EUR\n");
    let answer = send(&manager, "/accounts/bulk-upload", &[("mode", "upsert")], ("a.csv", &accounts)).await.expect(200);
    assert_eq!((&answer["successful"], &answer["failed"]), (&json!(1), &json!(0)), "{answer}");
    let payments = csv("reference,accountNumber,amount\nT1,A1,4.00\nT2,A9,1.00\n");
    let answer = send(&manager, "/payments/bulk-upload", &[], ("p.csv", &payments)).await.expect(200);
    assert_eq!((&answer["successful"], &answer["errors"][0]["code"]), (&json!(1), &json!("unknown_account")), "{answer}");
    assert_eq!(manager.get("/accounts").await.expect(200)["data"][0]["balance"], 6.0);
}

#[tokio::test]
async fn an_upload_that_cannot_be_mapped_is_refused_whole() {
    let test = TestApp::start_api(&[]).await;
    let manager = test.client(Role::Manager).await;
    let refused = send(&manager, "/customers/bulk-upload", &[], ("a.csv", &csv("Zahl,Wer\n1,Ann\n"))).await;
    assert_eq!(refused.status, 422, "{}", refused.body);
    assert!(refused.body["errors"].as_array().unwrap().iter().all(|error| error["code"] == "missing_field"));
    assert_eq!(manager.get("/customers").await.expect(200)["data"], json!([]));
    assert_eq!(send(&test.agent().await, "/customers/bulk-upload", &[], ("a.csv", b"id,name\n1,A\n")).await.status, 403);
}
