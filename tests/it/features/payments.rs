//! Payments through HTTP: the steps between states, the ledger behind them, and money that comes once.

use collections::auth::Role;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::app::TestApp;
use crate::harness::client::Client;

/// An account that owes 100 EUR: its address.
async fn account(client: &Client) -> String {
    let new = json!({ "customer": { "name": "Ann" }, "amountDue": 100, "currency": "EUR" });
    format!("/accounts/{}", client.post("/accounts", &new).await.expect(201)["id"].as_str().unwrap())
}

async fn balance(client: &Client, account: &str) -> Value {
    client.get(account).await.expect(200)["balance"].clone()
}

fn path(payment: &Value) -> String {
    format!("/payments/{}", payment["id"].as_str().unwrap())
}

#[tokio::test]
async fn only_money_that_came_moves_the_balance_and_it_can_go_back() {
    let test = TestApp::start_api(&[]).await;
    let agent = test.agent().await;
    let account = account(&agent).await;
    let new = json!({ "amount": "30.00", "method": "card", "receiver": "ACME", "description": "rate 1" });
    let payment = agent.post(&format!("{account}/payments"), &new).await.expect(201);
    assert_eq!((&payment["status"], &payment["statusLabel"]), (&json!("pending"), &json!("Pending")));
    assert_eq!((&payment["method"], &payment["currency"]), (&json!("credit_card"), &json!("EUR")));
    assert_eq!(balance(&agent, &account).await, json!(100.0));
    let payment = path(&payment);
    let step = async |status: &str| agent.patch(&payment, &json!({ "status": status })).await;

    step("declined").await.expect(200);
    let refused = step("success").await;
    assert_eq!((refused.status, refused.code()), (409, "status_not_allowed"));
    assert!(refused.body["detail"].as_str().unwrap().contains("pending"), "{}", refused.body);
    step("pending").await.expect(200);
    assert_eq!(balance(&agent, &account).await, json!(100.0));
    assert_eq!(step("Paid").await.expect(200)["statusLabel"], "Completed");
    assert_eq!(balance(&agent, &account).await, json!(70.0));
    step("success").await.expect(200);
    assert_eq!(balance(&agent, &account).await, json!(70.0));
    step("pending").await.expect(409);
    let late = agent.patch(&payment, &json!({ "amount": 31 })).await;
    assert_eq!((late.status, late.code()), (409, "payment_settled"));
    agent.patch(&payment, &json!({ "description": "rate 1 of 4" })).await.expect(200);
    step("reversed").await.expect(200);
    assert_eq!(balance(&agent, &account).await, json!(100.0));
    step("success").await.expect(409);
    let ledger = agent.get(&format!("{account}/ledger")).await.expect(200);
    let entries: Vec<(&str, f64)> = ledger["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| (entry["kind"].as_str().unwrap(), entry["amount"].as_f64().unwrap()))
        .collect();
    assert_eq!(entries.len(), 3);
    assert!(entries.contains(&("payment", -30.0)) && entries.contains(&("reversal", 30.0)));
}

#[tokio::test]
async fn an_unallocated_receipt_is_posted_when_it_finds_its_account() {
    let test = TestApp::start_api(&[]).await;
    let manager = test.client(Role::Manager).await;
    let account = account(&manager).await;
    let id = account.trim_start_matches("/accounts/");
    let new = json!({ "amount": 25, "method": "bank_transfer", "status": "completed", "receiver": "ACME", "currency": "EUR" });
    let receipt = manager.post("/payments", &new).await.expect(201);
    assert_eq!((&receipt["accountId"], &receipt["status"]), (&Value::Null, &json!("success")));
    let dollars = manager.post("/payments", &json!({ "amount": 25, "method": "cash", "status": "success" })).await.expect(201);
    let refused = manager.patch(&path(&dollars), &json!({ "accountId": id })).await.expect(422);
    assert_eq!(refused["errors"][0]["code"], "currency_mismatch");

    let allocated = manager.patch(&path(&receipt), &json!({ "accountId": id })).await.expect(200);
    assert_eq!(allocated["customerName"], "Ann");
    assert_eq!(balance(&manager, &account).await, json!(75.0));
    manager.patch(&path(&receipt), &json!({ "accountId": id })).await.expect(200);
    assert_eq!(balance(&manager, &account).await, json!(75.0));
    assert_eq!(manager.patch(&path(&receipt), &json!({ "accountId": null })).await.code(), "payment_settled");
    manager.patch(&path(&receipt), &json!({ "status": "refunded" })).await.expect(200);
    assert_eq!(balance(&manager, &account).await, json!(100.0));
}

#[tokio::test]
async fn a_payment_that_breaks_rules_is_refused_with_all_of_them() {
    let test = TestApp::start_api(&["--payment-max", "1000"]).await;
    let agent = test.agent().await;
    let account = account(&agent).await;
    let payments = format!("{account}/payments");
    let new =
        json!({ "amount": "1000.01", "method": "gold", "receiver": "x", "description": "d".repeat(501), "currency": "USD" });
    let refused = agent.post(&payments, &new).await.expect(422);
    let pointers: Vec<&str> =
        refused["errors"].as_array().unwrap().iter().map(|violation| violation["pointer"].as_str().unwrap()).collect();
    assert_eq!(pointers, ["/currency", "/amount", "/method", "/receiver", "/description"]);
    for amount in [json!(0), json!(-1), json!("0.001"), json!("1e3"), json!(null), json!([1])] {
        let answer = agent.post(&payments, &json!({ "amount": amount, "method": "cash" })).await;
        assert_eq!(answer.status / 100, 4, "{amount}: {}", answer.body);
    }
    agent.post(&payments, &json!({ "amount": 1000, "method": "cash", "status": "refunded" })).await.expect(422);
    agent.post(&payments, &json!({ "amount": 1, "method": "cash", "accountId": uuid::Uuid::nil() })).await.expect(422);
    agent.post("/payments", &json!({ "amount": 1, "method": "cash", "accountId": uuid::Uuid::nil() })).await.expect(422);
    agent.post(&format!("/accounts/{}/payments", uuid::Uuid::nil()), &json!({ "amount": 1, "method": "cash" })).await.expect(404);
    assert_eq!(balance(&agent, &account).await, json!(100.0));
}

#[tokio::test]
async fn of_many_steps_at_once_a_single_one_is_posted() {
    let test = TestApp::start_api(&[]).await;
    let manager = test.client(Role::Manager).await;
    let account = account(&manager).await;
    let new = json!({ "amount": 60, "method": "cash" });
    let payment = path(&manager.post(&format!("{account}/payments"), &new).await.expect(201));
    let done = json!({ "status": "success" });
    join_all((0..12).map(|_| manager.patch(&payment, &done))).await;
    assert_eq!(balance(&manager, &account).await, json!(40.0));
    let back = join_all((0..12).map(|n| {
        let status = if n % 2 == 0 { "refunded" } else { "reversed" };
        let (manager, payment) = (manager.clone(), payment.clone());
        async move { manager.patch(&payment, &json!({ "status": status })).await.status }
    }))
    .await;
    assert!(back.iter().all(|status| [200, 409, 503].contains(status)), "{back:?}");
    assert_eq!(balance(&manager, &account).await, json!(100.0));
    let entries: i64 = sqlx::query_scalar("select count(*) from ledger_entries").fetch_one(&test.database.pool).await.unwrap();
    assert_eq!(entries, 3);
}

#[tokio::test]
async fn many_payments_at_once_on_one_account_all_count() {
    let test = TestApp::start_api(&[]).await;
    let agent = test.agent().await;
    let account = account(&agent).await;
    let answers =
        join_all((0..30).map(|_| {
            let (agent, account) = (agent.clone(), account.clone());
            async move {
                agent.post(&format!("{account}/payments"), &json!({ "amount": 2, "method": "cash", "status": "success" })).await
            }
        }))
        .await;
    let taken = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(taken, 30);
    assert_eq!(balance(&agent, &account).await, json!(40.0));
    assert!(answers.iter().filter(|answer| !answer.header("x-possible-duplicate-of").is_empty()).count() >= 29);
}

#[tokio::test]
async fn money_that_came_is_not_deleted() {
    let test = TestApp::start_api(&[]).await;
    let manager = test.client(Role::Manager).await;
    let account = account(&manager).await;
    let pay = async |status: &str| {
        let new = json!({ "amount": 10, "method": "cash", "status": status });
        path(&manager.post(&format!("{account}/payments"), &new).await.expect(201))
    };
    let came = pay("success").await;
    assert_eq!(manager.delete(&came).await.code(), "payment_settled");
    let failed = pay("failed").await;
    manager.delete(&failed).await.expect(204);
    manager.patch(&failed, &json!({ "status": "pending" })).await.expect(404);
    manager.post(&format!("{failed}/restore"), &json!({})).await.expect(200);

    manager.delete(&account).await.expect(204);
    let refused = manager.patch(&came, &json!({ "status": "refunded" })).await;
    assert_eq!((refused.status, refused.code()), (409, "account_deleted"));
    manager.post(&format!("{account}/restore"), &json!({})).await.expect(200);
    manager.patch(&came, &json!({ "status": "refunded" })).await.expect(200);
    assert_eq!(balance(&manager, &account).await, json!(100.0));
    assert_eq!(manager.delete(&came).await.code(), "payment_settled", "its entries are in the ledger");
    let returned = pay("success").await;
    manager.patch(&returned, &json!({ "status": "reversed" })).await.expect(200);
    assert_eq!(manager.delete(&returned).await.code(), "payment_settled");
}

#[tokio::test]
async fn put_merges_on_the_old_address_and_replaces_on_the_canonical_one() {
    let test = TestApp::start_api(&[]).await;
    let agent = test.agent().await;
    let new = json!({ "amount": 10, "method": "cash", "receiver": "ACME", "reference": "R1" });
    let payment = path(&agent.post("/payments", &new).await.expect(201));
    let merged = agent.put(&format!("/api{payment}"), &json!({ "status": "success" })).await.expect(200);
    assert_eq!((&merged["status"], &merged["reference"]), (&json!("success"), &json!("R1")));
    agent.put(&payment, &json!({ "status": "refunded" })).await.expect(422);
    let replaced = agent.put(&payment, &json!({ "amount": 10, "method": "check" })).await.expect(200);
    assert_eq!((&replaced["status"], &replaced["reference"]), (&json!("success"), &Value::Null));
    assert_eq!((&replaced["receiver"], &replaced["method"]), (&Value::Null, &json!("check")));
}
