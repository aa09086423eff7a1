//! The ledger: the only thing that moves a balance, append only, and always adding up.

use collections::auth::Role;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::harness::app::TestApp;
use crate::harness::client::Client;

async fn open(client: &Client, more: Value) -> Value {
    let mut new = json!({ "customer": { "name": "Ann" } });
    new.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    client.post("/accounts", &new).await.expect(201)
}

/// Asserts that every balance is the sum of its entries.
async fn assert_it_adds_up(test: &TestApp) {
    let off: Vec<(uuid::Uuid, i64, i64)> = sqlx::query_as(
        "select a.id, a.balance, coalesce(sum(l.amount), 0)::bigint
         from accounts a
         left join ledger_entries l on l.account_id = a.id
         group by a.id
         having a.balance <> coalesce(sum(l.amount), 0)",
    )
    .fetch_all(&test.database.pool)
    .await
    .unwrap();
    assert_eq!(off, []);
}

#[tokio::test]
async fn entries_by_hand_move_the_balance_and_are_listed_newest_first() {
    let test = TestApp::start_api(&[]).await;
    let manager = test.client(Role::Manager).await;
    let account = open(&manager, json!({ "originalAmount": "100.00", "currency": "EUR" })).await;
    let ledger = format!("/accounts/{}/ledger", account["id"].as_str().unwrap());
    let post = async |kind: &str, amount: &str| {
        manager.post(&ledger, &json!({ "kind": kind, "amount": amount, "reason": "test" })).await
    };
    assert_eq!(post("Fee", "5").await.expect(201)["amount"], json!(5.0));
    post("interest", "1.50").await.expect(201);
    post("adjustment", "-6.50").await.expect(201);
    assert_eq!(post("write-off", "40").await.expect(201)["amount"], json!(-40.0));

    let first = manager.get(&format!("{ledger}?limit=3")).await.expect(200);
    let kinds = |page: &Value| -> Vec<String> {
        page["data"].as_array().unwrap().iter().map(|entry| entry["kind"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(kinds(&first), ["write_off", "adjustment", "interest"]);
    assert_eq!(first["balance"], json!(60.0));
    assert_eq!((&first["total"], &first["totalPages"], &first["engine"]), (&json!(5), &json!(2), &json!("postgres")));
    let next = first["nextCursor"].as_str().unwrap();
    let second = manager.get(&format!("{ledger}?limit=3&cursor={next}")).await.expect(200);
    assert_eq!((kinds(&second), &second["nextCursor"]), (vec!["fee".to_owned(), "opening".to_owned()], &Value::Null));
    assert_it_adds_up(&test).await;

    for (kind, amount) in
        [("fee", "-1"), ("charge", "0"), ("adjustment", "0"), ("write_off", "60.01"), ("payment", "1"), ("fee", "0.001")]
    {
        assert_eq!(post(kind, amount).await.status, 422, "{kind} {amount}");
    }
    let other = open(&manager, json!({ "amountDue": 1 })).await;
    let other = format!("/accounts/{}/ledger", other["id"].as_str().unwrap());
    let entry = first["data"][0]["id"].as_str().unwrap();
    for path in [format!("{other}?cursor={next}"), format!("/accounts?cursor={next}"), format!("{ledger}?cursor={entry}")] {
        assert_eq!(manager.get(&path).await.code(), "bad_cursor", "{path}");
    }
    let page = manager.get(&format!("/api{ledger}?pageSize=3&cursor={next}")).await;
    let first = format!("</api{ledger}?pageSize=3>; rel=\"first\"");
    assert_eq!(
        (page.header("x-read-source"), page.header("x-total-count"), page.header("link")),
        ("postgres", "5", first.as_str())
    );
    let page = manager.get(&format!("/api{ledger}?limit=101")).await;
    assert_eq!(page.expect(200)["limit"], 100, "the older address cuts it down");
    let link = manager.get(&format!("{ledger}?limit=1")).await.header("link").to_owned();
    let next = link.trim_start_matches('<').split('>').next().unwrap().to_owned();
    assert_eq!(kinds(&manager.get(&next).await.expect(200)), ["adjustment"], "{link}");

    for (query, status) in [
        ("limit=1001", 400),
        ("limit=0", 400),
        ("cursor=", 200),
        ("page=2", 400),
        ("includeDeleted=perhaps", 400),
        ("syncToken=0%2F8&includeDeleted=1&limit=%31", 200),
    ] {
        manager.get(&format!("{ledger}?{query}")).await.expect(status);
    }
    test.agent().await.post(&ledger, &json!({ "kind": "fee", "amount": 1 })).await.expect(403);
}

#[tokio::test]
async fn a_balance_cannot_be_changed_past_the_ledger() {
    let test = TestApp::start_api(&[]).await;
    let agent = test.agent().await;
    let account = open(&agent, json!({ "amountDue": 10 })).await;
    let path = format!("/accounts/{}", account["id"].as_str().unwrap());
    agent.patch(&path, &json!({ "balance": 5 })).await.expect(422);
    agent.patch(&path, &json!({ "balance": 10, "creditor": "ACME" })).await.expect(200);

    let owner = &test.database.pool;
    for (statement, constraint) in [
        ("update accounts set balance = 0", "accounts_balance_by_ledger"),
        (
            "insert into accounts (id, account_number, customer_id, currency, balance)
          select gen_random_uuid(), 'X', customer_id, 'USD', 5 from accounts",
            "accounts_balance_by_ledger",
        ),
        ("update ledger_entries set amount = 1", "ledger_entries_append_only"),
        ("delete from ledger_entries", "ledger_entries_append_only"),
        ("truncate ledger_entries", "ledger_entries_append_only"),
    ] {
        let error = sqlx::query(statement).execute(owner).await.unwrap_err();
        assert_eq!(error.as_database_error().unwrap().constraint(), Some(constraint), "{statement}: {error}");
    }
    let server = &test.app.db.server;
    for statement in [
        "update ledger_entries set amount = 1",
        "delete from ledger_entries",
        "truncate ledger_entries",
        "delete from accounts",
        "alter table accounts disable trigger all",
        "create table loot (id int)",
    ] {
        let error = sqlx::query(statement).execute(server).await.unwrap_err();
        assert_eq!(error.as_database_error().unwrap().code().as_deref(), Some("42501"), "{statement}: {error}");
    }
    assert_eq!(agent.get(&path).await.expect(200)["balance"], json!(10.0));
}

/// One thing that a client may try.
#[derive(Clone, Debug)]
enum Step {
    Charge(u32),
    Pay { amount: u32, status: &'static str },
    Move { payment: prop::sample::Index, status: &'static str },
    Allocate { payment: prop::sample::Index },
    Receive(u32),
    Delete { payment: prop::sample::Index },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let status = || prop::sample::select(&["pending", "success", "failed", "refunded", "reversed"][..]);
    let step = prop_oneof![
        (0_u32..500).prop_map(Step::Charge),
        (0_u32..500, status()).prop_map(|(amount, status)| Step::Pay { amount, status }),
        (any::<prop::sample::Index>(), status()).prop_map(|(payment, status)| Step::Move { payment, status }),
        any::<prop::sample::Index>().prop_map(|payment| Step::Allocate { payment }),
        (1_u32..500).prop_map(Step::Receive),
        any::<prop::sample::Index>().prop_map(|payment| Step::Delete { payment }),
    ];
    prop::collection::vec(step, 40)
}

#[tokio::test]
async fn a_balance_is_the_sum_of_its_entries_whatever_is_tried() {
    let test = TestApp::start_api(&[]).await;
    let admin = test.admin().await;
    let mut runner = TestRunner::deterministic();
    for _ in 0..6 {
        let account = open(&admin, json!({ "amountDue": 1000, "currency": "JPY" })).await;
        let account = account["id"].as_str().unwrap();
        let mut payments: Vec<String> = Vec::new();
        for step in steps().new_tree(&mut runner).unwrap().current() {
            let picked =
                |index: &prop::sample::Index| (!payments.is_empty()).then(|| format!("/payments/{}", index.get(&payments)));
            let answer = match &step {
                Step::Charge(amount) => {
                    admin.post(&format!("/accounts/{account}/ledger"), &json!({ "kind": "charge", "amount": amount })).await
                }
                Step::Pay { amount, status } => {
                    let new = json!({ "amount": amount, "method": "cash", "status": status });
                    admin.post(&format!("/accounts/{account}/payments"), &new).await
                }
                Step::Receive(amount) => {
                    let new = json!({ "amount": amount, "method": "cash", "status": "success", "currency": "JPY" });
                    admin.post("/payments", &new).await
                }
                Step::Move { payment, status } => match picked(payment) {
                    Some(path) => admin.patch(&path, &json!({ "status": status })).await,
                    None => continue,
                },
                Step::Allocate { payment } => match picked(payment) {
                    Some(path) => admin.patch(&path, &json!({ "accountId": account })).await,
                    None => continue,
                },
                Step::Delete { payment } => match picked(payment) {
                    Some(path) => admin.delete(&path).await,
                    None => continue,
                },
            };
            assert!([200, 201, 204, 404, 409, 422].contains(&answer.status), "{step:?}: {}", answer.body);
            if answer.status == 201 && !matches!(step, Step::Charge(_)) {
                payments.push(answer.body["id"].as_str().unwrap().to_owned());
            }
        }
        assert_it_adds_up(&test).await;
        // What came and stayed is what the account was paid.
        let (balance, charged, paid): (i64, i64, i64) = sqlx::query_as(
            "select a.balance,
               (select coalesce(sum(amount), 0)::bigint from ledger_entries where account_id = a.id and kind in ('opening', 'charge')),
               (select coalesce(sum(amount), 0)::bigint from payments where account_id = a.id and status = 'success')
             from accounts a
             where a.id = $1::uuid",
        )
        .bind(account)
        .fetch_one(&test.database.pool)
        .await
        .unwrap();
        assert_eq!(balance, charged - paid);
    }
}
