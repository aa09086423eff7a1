//! No personal value comes into an index for analysts: each of them is put into a row, and looked for in every document.

use collections::collections::ANALYTICS;
use reqwest::Method;
use serde_json::json;

use crate::harness::synced::Synced;

/// A value that is nowhere else.
fn canary(number: usize) -> String {
    format!("Qanary{number:02}x")
}

/// Statements with `?` for each personal value.
const ROWS: &str = r#"
    insert into users (id, username, name, email, password_hash) values ('00000000-0000-0000-0000-000000000009', 'ann', '?', '?@example.com', 'x');
    insert into customers (id, name, given_name, family_name, company_name, external_id, tax_id, time_zone, date_of_birth, tags, metadata, custom)
      values ('00000000-0000-0000-0000-000000000001', '?', '?', '?', '?', '?', '?', '?', '1931-02-03', '{?}', '{"?": "?"}', '{"?": "?"}');
    insert into contact_points (id, customer_id, kind, value, normalized, label) values
      (gen_random_uuid(), '00000000-0000-0000-0000-000000000001', 'phone', '+49 171 0008301 ?', '+491710008301', '?'),
      (gen_random_uuid(), '00000000-0000-0000-0000-000000000001', 'email', '?@example.org', '?@example.net', '?');
    insert into addresses (id, customer_id, label, line1, line2, city, postal_code, country)
      values (gen_random_uuid(), '00000000-0000-0000-0000-000000000001', '?', '?', '?', '?', '?', 'DE'),
        (gen_random_uuid(), '00000000-0000-0000-0000-000000000001', '?', '?', '?', '?', '?', 'FR');
    insert into accounts (id, account_number, customer_id, currency, assignee_id, tags, custom)
      values ('00000000-0000-0000-0000-000000000011', '?', '00000000-0000-0000-0000-000000000001', 'EUR',
        '00000000-0000-0000-0000-000000000009', '{?,?}', '{"?": ["?"]}');
    insert into payments (id, account_id, customer_id, amount, currency, method, receiver, description, reference, failure_reason)
      values (gen_random_uuid(), '00000000-0000-0000-0000-000000000011', null, 100, 'EUR', 'cash', '?', '?', '?', '?'),
        (gen_random_uuid(), null, '00000000-0000-0000-0000-000000000001', 100, 'EUR', 'cash', '?', '?', '?', '?');
    insert into ledger_entries (id, account_id, kind, amount, reason)
      values (gen_random_uuid(), '00000000-0000-0000-0000-000000000011', 'fee', 5, '?');
    insert into activities (id, account_id, user_id, kind, disposition, note, metadata)
      values (gen_random_uuid(), '00000000-0000-0000-0000-000000000011', '00000000-0000-0000-0000-000000000009', 'call', 'promise', '?', '{"?": "?"}');
    insert into activities (id, account_id, kind, note, metadata)
      values (gen_random_uuid(), '00000000-0000-0000-0000-000000000011', 'note', '?', '{"?": {"?": ["?"]}}');
"#;

/// The rows with canaries, and how many there are.
fn rows() -> (String, usize) {
    let mut parts = ROWS.split('?');
    let mut sql = parts.next().unwrap_or_default().to_owned();
    let mut count = 0;
    for part in parts {
        sql += &canary(count);
        sql += part;
        count += 1;
    }
    (sql, count)
}

#[tokio::test]
async fn no_personal_value_of_any_table_is_in_an_index_for_analysts() {
    let test = Synced::started_with(&["--analytics", "on"]).await;
    let (sql, count) = rows();
    assert!(count >= 48, "{count} canaries, a phone number and a birthday");
    test.sql(&sql).await;
    test.settle().await;
    let mut documents = 0;
    for collection in ANALYTICS {
        let index = test.index(collection.name).await;
        let found = test.raw(Method::POST, &format!("{index}/_search"), Some(json!({ "size": 1_000 }))).await;
        documents += found["hits"]["hits"].as_array().unwrap().len();
        let text = found.to_string().to_lowercase();
        for value in
            (0..count).map(canary).chain(["8301".into(), "1931-02".into(), "ann".into()].map(|text: String| format!("\"{text}")))
        {
            assert!(!text.contains(&value.to_lowercase()), "{value} is in {}: {text}", collection.name);
        }
    }
    assert_eq!(documents, 6, "a customer, an account, two payments, two activities");
    // What lists read has them, so the rows have arrived.
    let index = test.index("customers").await;
    let found = test.raw(Method::POST, &format!("{index}/_search"), None).await.to_string();
    assert!(found.contains(&canary(2)), "{found}");
}
