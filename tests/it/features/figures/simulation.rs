//! Simulated payments.

use collections::auth::Role;
use serde_json::json;

use crate::harness::app::TestApp;

#[tokio::test]
async fn a_simulated_payment_is_a_payment_like_any_other() {
    let test = TestApp::start_api(&[]).await;
    let agent = test.agent().await;
    let new = json!({ "customer": { "name": "Ann" }, "amountDue": 100, "currency": "EUR" });
    let account = agent.post("/accounts", &new).await.expect(201)["id"].clone();
    let simulate = async |outcome: &str| {
        let body = json!({ "accountId": account, "amount": 30, "method": "card", "outcome": outcome, "delayMs": 10 });
        agent.with("idempotency-key", outcome).post("/payments/simulate", &body).await
    };
    let paid = simulate("success").await.expect(201);
    assert_eq!((&paid["status"], &paid["currency"], &paid["method"]), (&json!("success"), &json!("EUR"), &json!("credit_card")));
    assert_eq!(simulate("failed").await.expect(201)["failureCode"], "simulated");
    assert_eq!(simulate("pending").await.expect(201)["status"], "pending");
    let again = simulate("success").await;
    assert_eq!((again.header("idempotent-replayed"), &again.body["id"]), ("true", &paid["id"]));
    let account = agent.get(&format!("/accounts/{}", account.as_str().unwrap())).await.expect(200);
    assert_eq!(account["balance"], json!(70.0), "the ledger has it");

    for (body, pointer) in [
        (json!({ "amount": 1, "method": "cash" }), "/outcome"),
        (json!({ "amount": 1, "method": "cash", "outcome": "refunded" }), "/outcome"),
        (json!({ "amount": 1, "method": "cash", "outcome": "success", "delayMs": 60_000 }), "/delayMs"),
        (json!({ "amount": 1, "method": "cash", "outcome": "success", "delayMs": -1 }), "/delayMs"),
        (json!({ "amount": 1, "method": "cash", "outcome": "success", "status": "failed" }), "/status"),
        (json!({ "amount": 0, "method": "cash", "outcome": "success" }), "/amount"),
        (json!({ "amount": 1, "method": "gold", "outcome": "success" }), "/method"),
    ] {
        let refused = agent.post("/payments/simulate", &body).await.expect(422);
        assert_eq!(refused["errors"][0]["pointer"], pointer, "{refused}");
    }
    let viewer = test.client(Role::Viewer).await;
    viewer.post("/payments/simulate", &json!({ "amount": 1, "method": "cash", "outcome": "success" })).await.expect(403);
}

#[tokio::test]
async fn nothing_is_simulated_where_payments_are_real() {
    let test = TestApp::start_api(&["--payment-mode", "live"]).await;
    let body = json!({ "amount": 1, "method": "cash", "outcome": "success" });
    let refused = test.agent().await.post("/payments/simulate", &body).await;
    assert_eq!((refused.status, refused.code()), (409, "simulation_off"));
}
