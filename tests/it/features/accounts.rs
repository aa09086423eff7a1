//! Accounts through HTTP: opening, changing owners, and what an account keeps.

use collections::auth::Role;
use serde_json::{Value, json};

use crate::harness::app::TestApp;

#[tokio::test]
async fn an_account_is_opened_for_a_known_or_a_new_customer() {
    let test = TestApp::start_api(&[]).await;
    let agent = test.agent().await;
    let new = json!({
        "customer": { "givenName": "Ann", "familyName": "Lee", "externalId": "C-1" }, "accountNumber": "INV-1",
        "currency": "eur", "originalAmount": "100.00", "balance": 40.5, "dueDate": "2020-01-01", "creditor": "ACME",
        "status": "Paused", "tags": ["late"], "nextActionAt": "2026-12-01T09:00:00+01:00",
    });
    let made = agent.post("/accounts", &new).await;
    assert!(made.header("etag").starts_with(&format!("\"v{}-", made.body["version"])), "{}", made.header("etag"));
    let location = made.header("location").to_owned();
    let account = made.expect(201);
    assert_eq!(
        (&account["customerName"], &account["currency"], &account["status"]),
        (&json!("Ann Lee"), &json!("EUR"), &json!("paused"))
    );
    assert_eq!((&account["balance"], &account["originalAmount"]), (&json!(40.5), &json!(100.0)));
    assert_eq!(agent.get(&location).await.expect(200), account);

    let second = agent.post("/accounts", &json!({ "customerId": account["customerId"], "amountDue": 7 })).await.expect(201);
    assert!(second["accountNumber"].as_str().unwrap().starts_with('A'), "an account without a number is given one");
    assert_eq!((&second["currency"], &second["balance"]), (&json!("USD"), &json!(7.0)));
    let customer = agent.get(&format!("/customers/{}", account["customerId"].as_str().unwrap())).await.expect(200);
    assert_eq!((&customer["accountCount"], &customer["balance"]), (&json!(2), &Value::Null));
    assert_eq!(customer["balances"], json!([{ "currency": "EUR", "amount": 40.5 }, { "currency": "USD", "amount": 7.0 }]));
}

#[tokio::test]
async fn what_contradicts_itself_or_others_is_refused_with_its_place() {
    let test = TestApp::start_api(&[]).await;
    let agent = test.agent().await;
    let first = json!({ "customer": { "name": "Ann", "externalId": "C-1" }, "accountNumber": "INV-1" });
    let account = agent.post("/accounts", &first).await.expect(201);
    let refused = async |body: Value, status: u16| -> Vec<String> {
        let answer = agent.post("/accounts", &body).await.expect(status);
        let violations = answer["errors"].as_array().unwrap();
        violations
            .iter()
            .map(|violation| format!("{} {}", violation["pointer"].as_str().unwrap(), violation["code"].as_str().unwrap()))
            .collect()
    };
    assert_eq!(
        refused(json!({ "customer": { "name": "Bob" }, "accountNumber": "INV-1" }), 409).await,
        ["/accountNumber duplicate"]
    );
    assert_eq!(
        refused(json!({ "customer": { "name": "Bob", "externalId": "C-1" } }), 409).await,
        ["/customer/externalId duplicate"]
    );
    assert_eq!(refused(json!({}), 422).await, ["/customerId required"]);
    assert_eq!(
        refused(json!({ "customerId": account["customerId"], "customer": {} }), 422).await,
        ["/customer conflicting", "/customer/name required",]
    );
    assert_eq!(refused(json!({ "customerId": account["id"] }), 422).await, ["/customerId unknown_customer"]);
    let stranger = json!({ "customerId": account["customerId"], "assigneeId": account["id"] });
    assert_eq!(refused(stranger, 422).await, ["/assigneeId unknown_user"]);
    let wrong = json!({ "customerId": account["customerId"], "currency": "ABC", "status": "lost", "amountDue": -1 });
    assert_eq!(refused(wrong, 422).await, ["/currency unknown_currency", "/amountDue out_of_range", "/status unknown_value"]);
    let customers: i64 = sqlx::query_scalar("select count(*) from customers").fetch_one(&test.database.pool).await.unwrap();
    assert_eq!(customers, 1, "no customer stays of a refused account");
}

#[tokio::test]
async fn an_account_changes_hands_and_keeps_its_currency_and_balance() {
    let test = TestApp::start_api(&[]).await;
    let agent = test.agent().await;
    let account =
        agent.post("/accounts", &json!({ "customer": { "name": "Ann" }, "amountDue": 10, "creditor": "ACME" })).await.expect(201);
    let bob = agent.post("/customers", &json!({ "name": "Bob" })).await.expect(201);
    let path = format!("/accounts/{}", account["id"].as_str().unwrap());
    let moved = agent.patch(&path, &json!({ "customerId": bob["id"], "status": "closed" })).await.expect(200);
    assert_eq!((&moved["customerName"], &moved["status"]), (&json!("Bob"), &json!("closed")));
    agent.patch(&path, &json!({ "currency": "EUR" })).await.expect(422);
    agent.patch(&path, &json!({ "customerId": null })).await.expect(422);
    let replaced = agent.put(&path, &json!({ "portfolio": "P1" })).await.expect(200);
    assert_eq!((&replaced["creditor"], &replaced["status"]), (&Value::Null, &json!("open")));
    assert_eq!((&replaced["accountNumber"], &replaced["balance"]), (&account["accountNumber"], &json!(10.0)));
    let merged = agent.put(&format!("/api{path}"), &json!({ "product": "Loan" })).await.expect(200);
    assert_eq!((&merged["portfolio"], &merged["product"]), (&json!("P1"), &json!("Loan")));
    let stale = agent.with("if-match", "\"v1\"").patch(&path, &json!({ "product": "Car" })).await;
    assert_eq!((stale.status, stale.code()), (412, "stale"));
}

#[tokio::test]
async fn an_account_is_restored_only_below_a_living_customer() {
    let test = TestApp::start_api(&[]).await;
    let manager = test.client(Role::Manager).await;
    let account = manager.post("/accounts", &json!({ "customer": { "name": "Ann" }, "amountDue": 10 })).await.expect(201);
    let path = format!("/accounts/{}", account["id"].as_str().unwrap());
    let customer = format!("/customers/{}", account["customerId"].as_str().unwrap());
    manager.delete(&path).await.expect(204);
    manager.get(&path).await.expect(404);
    manager.post(&format!("{path}/payments"), &json!({ "amount": 1, "method": "cash" })).await.expect(404);
    manager.post(&format!("{path}/ledger"), &json!({ "kind": "fee", "amount": 1 })).await.expect(404);
    manager.delete(&customer).await.expect(204);
    let refused = manager.post(&format!("{path}/restore"), &json!({})).await;
    assert_eq!((refused.status, refused.code()), (409, "customer_deleted"));
    let restored = manager.post(&format!("{customer}/restore"), &json!({})).await.expect(200);
    assert_eq!(restored["accountCount"], 0, "an account that was deleted before stays deleted");
    assert_eq!(manager.post(&format!("{path}/restore"), &json!({})).await.expect(200)["deletedAt"], Value::Null);
}

#[tokio::test]
async fn a_record_is_accepted_as_it_was_read() {
    let test = TestApp::start_api(&[]).await;
    let manager = test.client(Role::Manager).await;
    let customer = json!({
        "name": "Ann", "phone": "+1 415 555 2671", "email": "ann@example.com", "addresses": [{ "line1": "Weg 1" }], "tags": ["a"],
        "metadata": { "a": 1.5 }, "dateOfBirth": "1980-01-01", "language": "en", "timeZone": "Europe/Berlin",
    });
    let account =
        json!({ "customer": customer, "amountDue": "40.50", "dueDate": "2020-01-01", "nextActionAt": "2026-12-01T09:00:00Z" });
    let account = manager.post("/accounts", &account).await.expect(201);
    let id = |record: &Value, member: &str| record[member].as_str().unwrap().to_owned();
    let payment = json!({ "accountId": account["id"], "amount": 1, "method": "cash", "reference": "R-1" });
    let payment = manager.post("/payments", &payment).await.expect(201);
    for (path, server_set) in [
        (
            format!("/accounts/{}", id(&account, "id")),
            ["balance", "currency", "customerName", "daysPastDue", "createdAt"].as_slice(),
        ),
        (format!("/customers/{}", id(&account, "customerId")), &["balance", "balances", "accountCount", "version"]),
        (format!("/payments/{}", id(&payment, "id")), &["statusLabel", "accountNumber", "id"]),
    ] {
        let read = manager.get(&path).await.expect(200);
        for version in ["", "/api"] {
            assert_eq!(manager.patch(&format!("{version}{path}"), &read).await.expect(200), read);
            assert_eq!(manager.put(&format!("{version}{path}"), &read).await.expect(200), read);
        }
        for member in server_set {
            let mut other = read.clone();
            other[*member] = json!("1999-01-01");
            let refused = manager.patch(&path, &other).await.expect(422);
            assert_eq!(refused["errors"][0]["pointer"], format!("/{member}"), "{refused}");
            assert_eq!(manager.patch(&format!("/api{path}"), &other).await.expect(200), read, "the older address ignores it");
        }
        assert_eq!(manager.patch(&path, &json!({ "colour": "red" })).await.expect(422)["errors"][0]["code"], "unknown_member");
    }
}
