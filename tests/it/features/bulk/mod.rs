//! Bulk changes: many records by one request, each by its own rules.

mod at_once;
mod jobs;
mod refused;

use serde_json::{Value, json};

use crate::harness::app::TestApp;
use crate::harness::client::Client;

/// An id that no record has.
const ABSENT: &str = "01900000-0000-7000-8000-000000000000";

async fn start() -> TestApp {
    TestApp::start_api(&["--rate-limit-bulk", "0"]).await
}

/// The id of a record that an answer shows.
fn id(record: &Value) -> String {
    record["id"].as_str().unwrap().to_owned()
}

/// Accounts of one new customer, which owe 100 EUR each: their ids.
async fn accounts(client: &Client, count: usize) -> Vec<String> {
    let customer = id(&client.post("/customers", &json!({ "name": "Ann Autumn" })).await.expect(201));
    let mut ids = Vec::new();
    for _ in 0..count {
        let new = json!({ "customerId": customer, "amountDue": 100, "currency": "EUR" });
        ids.push(id(&client.post("/accounts", &new).await.expect(201)));
    }
    ids
}

/// The id of the user who is signed in.
async fn own_id(client: &Client) -> String {
    id(&client.get("/auth/profile").await.expect(200))
}

/// Status and code of each result.
fn results(answer: &Value) -> Vec<(&str, &str)> {
    let results = answer["results"].as_array().unwrap().iter();
    results.map(|one| (one["status"].as_str().unwrap(), one["error"]["code"].as_str().unwrap_or_default())).collect()
}
