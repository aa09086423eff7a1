//! Timelines: what happened to an account in one stream, whatever it is kept in.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use collections::auth::Role;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::app::TestApp;
use crate::harness::client::Client;

const MOMENT: &str = "2026-01-05T10:00:00.000Z";

/// An account of a new customer: its id and the customer's.
async fn account(client: &Client) -> (String, String) {
    let new = json!({ "customer": { "name": "Ann Autumn" }, "amountDue": 100, "currency": "EUR" });
    let account = client.post("/accounts", &new).await.expect(201);
    (account["id"].as_str().unwrap().to_owned(), account["customerId"].as_str().unwrap().to_owned())
}

async fn run(test: &TestApp, sql: &str) {
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(&test.database.pool).await.unwrap();
}

/// Every page of a timeline, one after the other; `between` runs behind each.
async fn walk(client: &Client, path: &str, limit: usize, between: impl AsyncFn(usize)) -> Vec<Value> {
    let (mut entries, mut cursor) = (Vec::new(), String::new());
    for page in 0.. {
        let answer = client.get(&format!("{path}limit={limit}&cursor={cursor}")).await.expect(200);
        entries.extend(answer["data"].as_array().unwrap().clone());
        let Some(next) = answer["nextCursor"].as_str() else { break };
        next.clone_into(&mut cursor);
        between(page).await;
    }
    entries
}

fn types(entries: &[Value]) -> Vec<&str> {
    entries.iter().map(|entry| entry["type"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn what_happened_to_an_account_is_one_stream() {
    let test = TestApp::start_api(&[]).await;
    let agent = test.agent().await;
    let (id, customer) = account(&agent).await;
    let call = json!({ "type": "call", "note": "promises to pay" });
    let call = agent.post(&format!("/accounts/{id}/activities"), &call).await.expect(201);
    let new = json!({ "amount": 30, "method": "cash", "status": "success", "receiver": "Front desk" });
    let payment = agent.post(&format!("/accounts/{id}/payments"), &new).await.expect(201);
    agent.patch(&format!("/accounts/{id}"), &json!({ "status": "paused", "custom": { "secret": 1 } })).await.expect(200);
    agent.patch(&format!("/customers/{customer}"), &json!({ "givenName": "Ann", "language": "de" })).await.expect(200);
    let timeline = agent.get(&format!("/accounts/{id}/timeline?limit=50")).await.expect(200);
    let entries = timeline["data"].as_array().unwrap();
    assert_eq!(timeline["nextCursor"], Value::Null);
    let count = |kind: &str| entries.iter().filter(|entry| entry["type"] == kind).count();
    assert_eq!((count("activity"), count("payment"), count("ledger")), (1, 1, 2), "{entries:#?}");
    let moments: Vec<&str> = entries.iter().map(|entry| entry["occurredAt"].as_str().unwrap()).collect();
    assert!(moments.is_sorted_by(|one, next| one >= next), "{moments:?}");
    let own = agent.get("/auth/profile").await.expect(200);
    assert!(entries.iter().all(|entry| entry["by"] == own["id"] && entry["byName"].is_string()), "{entries:#?}");
    let of = |kind: &str| entries.iter().find(|entry| entry["type"] == kind).unwrap();
    assert_eq!((&of("activity")["id"], &of("activity")["activity"]["note"]), (&call["id"], &json!("promises to pay")));
    assert_eq!((&of("payment")["id"], &of("payment")["payment"]["amount"]), (&payment["id"], &json!(30.0)));
    assert_eq!(of("ledger")["ledger"]["amount"], -30.0);

    let changes: Vec<&Value> = entries.iter().filter(|entry| entry["type"] == "change").map(|entry| &entry["change"]).collect();
    let customers = json!([
        { "field": "givenName", "before": null, "after": "•••" },
        { "field": "language", "before": null, "after": "de" },
    ]);
    assert_eq!(
        (&changes[0]["record"], &changes[0]["action"], &changes[0]["fields"]),
        (&json!("customer"), &json!("change"), &customers)
    );
    let accounts = json!([
        { "field": "custom", "before": "•••", "after": "•••" },
        { "field": "status", "before": "open", "after": "paused" },
    ]);
    assert_eq!((&changes[1]["record"], &changes[1]["fields"]), (&json!("account"), &accounts));
    let contact = changes.iter().find(|change| change["fields"][0]["field"] == "lastContactAt");
    assert!(contact.is_some(), "{changes:#?}");
    let created: Vec<&&Value> = changes.iter().filter(|change| change["action"] == "create").collect();
    assert_eq!(
        created.iter().map(|change| change["record"].as_str().unwrap()).collect::<BTreeSet<_>>(),
        ["account", "customer"].into()
    );
    assert!(created.iter().all(|change| change["fields"] == json!([])));

    let of_customer = agent.get(&format!("/customers/{customer}/timeline?limit=50")).await.expect(200);
    assert_eq!(of_customer["data"], timeline["data"]);
}

#[tokio::test]
async fn pages_neither_repeat_nor_skip_what_happened_at_one_moment_while_more_happens() {
    let test = TestApp::start_api(&[]).await;
    let manager = test.client(Role::Manager).await;
    let (id, customer) = account(&manager).await;
    let path = format!("/accounts/{id}");
    for number in 0..4 {
        let note = json!({ "type": "note", "note": format!("note {number}"), "occurredAt": MOMENT });
        manager.post(&format!("{path}/activities"), &note).await.expect(201);
        let fee = json!({ "kind": "fee", "amount": 1, "occurredAt": MOMENT });
        manager.post(&format!("{path}/ledger"), &fee).await.expect(201);
        manager.post(&format!("{path}/payments"), &json!({ "amount": 1, "method": "cash" })).await.expect(201);
        manager
            .patch(&format!("/customers/{customer}"), &json!({ "language": format!("d{}", ["a", "e", "i", "o"][number]) }))
            .await
            .expect(200);
    }
    run(
        &test,
        &format!(
            "update payments set created_at = '{MOMENT}';
            alter table audit_log disable trigger user;
            update audit_log set at = '{MOMENT}' where kind = 'customers';
            alter table audit_log enable trigger user;"
        ),
    )
    .await;
    let path = format!("{path}/timeline?");
    let whole = walk(&manager, &path, 100, async |_| ()).await;
    let at_moment: Vec<Value> = whole.iter().filter(|entry| entry["occurredAt"] == MOMENT).cloned().collect();
    let expected = [["activity"; 4].as_slice(), &["payment"; 4], &["ledger"; 4], &["change"; 5]].concat();
    assert_eq!(types(&at_moment), expected);
    let ids = |entries: &[Value]| entries.iter().map(|entry| entry["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    for limit in [1, 2, 3, 7] {
        let walked = walk(&manager, &path, limit, async |page| {
            let note = json!({ "type": "note", "note": format!("{limit} and {page}") });
            manager.post(&format!("/accounts/{id}/activities"), &note).await.expect(201);
        })
        .await;
        let known: BTreeSet<String> = ids(&whole).into_iter().collect();
        let of_before: Vec<String> = ids(&walked).into_iter().filter(|id| known.contains(id)).collect();
        assert_eq!(of_before, ids(&whole), "{limit} on a page");
        assert_eq!(walked.len(), whole.len(), "what is newer than the first page is on none");
        let news: Vec<Value> = walk(&manager, &format!("{path}types=activity&"), 100, async |_| ()).await;
        let news = news.iter().filter(|entry| !known.contains(entry["id"].as_str().unwrap()));
        for entry in news {
            manager.delete(&format!("/activities/{}", entry["id"].as_str().unwrap())).await.expect(204);
        }
    }
}

#[tokio::test]
async fn a_timeline_is_filtered_and_masked_and_of_records_that_are_there() {
    let test = TestApp::start_api(&[]).await;
    let (admin, manager) = (test.admin().await, test.client(Role::Manager).await);
    let (id, customer) = account(&manager).await;
    for at in ["2026-01-04T23:30:00Z", "2026-01-05T23:30:00Z"] {
        let note = json!({ "type": "note", "note": format!("about Ann at {at}"), "occurredAt": at });
        manager.post(&format!("/accounts/{id}/activities"), &note).await.expect(201);
    }
    let path = format!("/accounts/{id}/timeline");
    let count = async |query: &str| manager.get(&format!("{path}?{query}")).await.expect(200)["data"].as_array().unwrap().len();
    assert_eq!(count("types=activity").await, 2);
    assert_eq!(count("types=ledger,payment").await, 1);
    assert_eq!(count("from=2026-01-05&to=2026-01-05&tz=UTC").await, 1);
    assert_eq!(count("from=2026-01-05&to=2026-01-06&tz=Europe/Berlin&types=activity").await, 2);
    assert_eq!(count("from=2026-01-05T23:30:00Z&types=activity").await, 1);
    assert_eq!(count("to=2026-01-05T23:29:59Z").await, 1);
    for wrong in ["types=gold", "colour=red", "limit=0", "limit=1001", "from=soon", "from=2026-02-01&to=2026-01-01", "tz=Mars"] {
        let refused = manager.get(&format!("{path}?{wrong}")).await;
        assert_eq!((refused.status, refused.code()), (400, "bad_parameter"), "{wrong}");
    }
    let first = manager.get(&format!("{path}?types=activity&limit=1")).await.expect(200);
    let cursor = first["nextCursor"].as_str().unwrap();
    for (other, cursor) in [("types=payment", cursor), ("types=activity&from=2026-01-01", cursor), ("types=activity", "abc")] {
        let refused = manager.get(&format!("{path}?{other}&limit=1&cursor={cursor}")).await;
        assert_eq!((refused.status, refused.code()), (400, "bad_cursor"), "{other}");
    }

    admin.put("/roles/viewer/permissions", &json!({ "permissions": ["read"] })).await.expect(200);
    let masked = test.client(Role::Viewer).await.get(&format!("{path}?types=activity,change")).await;
    assert!(!masked.text.contains("Ann"), "{}", masked.text);
    assert_eq!(masked.body["data"].as_array().unwrap().len(), 4);

    for absent in ["01900000-0000-7000-8000-000000000000", &customer] {
        assert_eq!(manager.get(&format!("/accounts/{absent}/timeline")).await.status, 404);
    }
    manager.delete(&format!("/accounts/{id}")).await.expect(204);
    assert_eq!(manager.get(&path).await.status, 404);
    assert_eq!(manager.get(&format!("/customers/{id}/timeline")).await.status, 404);
}

#[tokio::test]
async fn a_page_of_a_hundred_thousand_entries_reads_few_rows() {
    let test = TestApp::start_api(&[]).await;
    let manager = test.client(Role::Manager).await;
    let (id, customer) = account(&manager).await;
    run(
        &test,
        &format!(
            "insert into activities (id, account_id, kind, note, occurred_at)
            select gen_random_uuid(), '{id}', 'note', 'n', timestamptz '2020-01-01' + n * interval '1 minute'
            from generate_series(1, 100000) as n;
            insert into payments (id, account_id, amount, currency, method, created_at)
            select gen_random_uuid(), '{id}', 1, 'EUR', 'cash', timestamptz '2020-01-01' + n * interval '1 hour'
            from generate_series(1, 2000) as n;
            insert into ledger_entries (id, account_id, kind, amount, occurred_at)
            select gen_random_uuid(), '{id}', 'fee', 1, timestamptz '2020-01-01' + n * interval '1 hour'
            from generate_series(1, 2000) as n;
            insert into audit_log (at, action, kind, subject, details)
            select timestamptz '2020-01-01' + n * interval '1 hour', 'change', 'accounts', '{id}', '{{\"status\":[\"open\",\"paused\"]}}'
            from generate_series(1, 20000) as n;
            analyze;"
        ),
    )
    .await;
    let page = manager.get(&format!("/accounts/{id}/timeline?limit=100")).await.expect(200);
    assert_eq!(page["data"].as_array().unwrap().len(), 100);

    let statement =
        format!("explain (analyze, timing off, format json) {}", include_str!("../../../src/features/timeline/page.sql"));
    for behind in ["9999-01-01T00:00:00Z", "2020-02-20T12:00:00Z"] {
        let behind: DateTime<Utc> = behind.parse().unwrap();
        let from: DateTime<Utc> = "0001-01-01T00:00:00Z".parse().unwrap();
        let plan: Value = sqlx::query_scalar(sqlx::AssertSqlSafe(statement.clone()))
            .bind(vec![id.parse::<Uuid>().unwrap()])
            .bind(vec![id.parse::<Uuid>().unwrap(), customer.parse().unwrap()])
            .bind(vec![0, 1, 2, 3])
            .bind(from)
            .bind(behind)
            .bind(i32::MAX)
            .bind(Uuid::nil())
            .bind(101_i64)
            .fetch_one(&test.database.pool)
            .await
            .unwrap();
        let mut open = vec![&plan[0]["Plan"]];
        while let Some(node) = open.pop() {
            let rows = node["Actual Rows"].as_f64().unwrap() * node["Actual Loops"].as_f64().unwrap();
            let passed_over = node["Rows Removed by Filter"].as_f64().unwrap_or(0.0);
            let relation = node["Relation Name"].as_str().unwrap_or_default();
            assert!(rows + passed_over < 1_000.0, "{relation} {}: {rows}\n{plan:#}", node["Node Type"]);
            assert!(relation == "users" || node["Node Type"] != "Seq Scan", "{relation} is read whole\n{plan:#}");
            open.extend(node["Plans"].as_array().into_iter().flatten());
        }
    }
}
