//! The counters by which the stream learns that other documents show a change.

use std::collections::BTreeMap;

use collections::collections::every;
use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

use crate::harness::synced::Synced;
use crate::sync::documents::people;

/// A change of every writable column, and the counters that it increments.
const CHANGES: &[(&str, &str, &str, &str)] = &[
    ("customers", "external_id", "'E-2'", "embedded_changes"),
    ("customers", "kind", "'company'", "summary_changes"),
    ("customers", "name", "'Maria Neu'", "embedded_changes"),
    ("customers", "given_name", "'Mia'", "embedded_changes"),
    ("customers", "family_name", "'Neu'", "embedded_changes"),
    ("customers", "company_name", "'Neu GmbH'", "embedded_changes"),
    ("customers", "date_of_birth", "'1980-02-29'", "summary_changes"),
    ("customers", "tax_id", "'T-2'", ""),
    ("customers", "language", "'de'", "summary_changes"),
    ("customers", "time_zone", "'Europe/Berlin'", ""),
    ("customers", "status", "'blocked'", "summary_changes"),
    ("customers", "tags", "'{late}'", ""),
    ("customers", "metadata", r#"'{"a": 1}'"#, ""),
    ("customers", "custom", r#"'{"a": 1}'"#, ""),
    ("customers", "created_at", "'2020-01-01'", "summary_changes"),
    ("customers", "created_by", "'00000000-0000-0000-0000-000000000009'", ""),
    ("customers", "updated_by", "'00000000-0000-0000-0000-000000000009'", ""),
    ("customers", "deleted_at", "now()", "summary_changes"),
    ("accounts", "account_number", "'A-12'", "embedded_changes"),
    ("accounts", "customer_id", "'00000000-0000-0000-0000-000000000002'", "embedded_changes summary_changes"),
    ("accounts", "currency", "'USD'", "summary_changes"),
    ("accounts", "original_amount", "7", ""),
    ("accounts", "due_date", "'2026-01-01'", "summary_changes"),
    ("accounts", "status", "'paused'", "summary_changes"),
    ("accounts", "assignee_id", "null", ""),
    ("accounts", "creditor", "'Bank'", ""),
    ("accounts", "portfolio", "'North'", ""),
    ("accounts", "product", "'Loan'", ""),
    ("accounts", "last_payment_at", "now()", "summary_changes"),
    ("accounts", "last_contact_at", "now()", ""),
    ("accounts", "next_action_at", "now()", ""),
    ("accounts", "tags", "'{late}'", ""),
    ("accounts", "custom", r#"'{"a": 1}'"#, ""),
    ("accounts", "created_at", "'2020-01-01'", ""),
    ("accounts", "created_by", "'00000000-0000-0000-0000-000000000009'", ""),
    ("accounts", "updated_by", "'00000000-0000-0000-0000-000000000009'", ""),
    ("accounts", "deleted_at", "now()", "summary_changes"),
    ("users", "username", "'anna'", "embedded_changes"),
    ("users", "email", "'ann@example.com'", ""),
    ("users", "name", "'Ann'", "embedded_changes"),
    ("users", "role", "'agent'", ""),
    ("users", "password_hash", "'y'", ""),
    ("users", "disabled_at", "now()", ""),
    ("users", "created_at", "'2020-01-01'", ""),
    ("users", "locked_until", "now()", ""),
    ("users", "locked_version", "1", ""),
    ("users", "created_by", "'00000000-0000-0000-0000-000000000009'", ""),
    ("users", "updated_by", "'00000000-0000-0000-0000-000000000009'", ""),
];

/// The collections whose documents a counter is for.
const SHOWN_BY: &[(&str, &str, &[&str])] = &[
    ("customers", "embedded_changes", &["accounts", "payments", "activities"]),
    ("customers", "summary_changes", &["analytics-customers"]),
    ("accounts", "embedded_changes", &["payments", "activities"]),
    ("accounts", "summary_changes", &["customers", "analytics-customers"]),
    ("users", "embedded_changes", &["accounts", "activities"]),
];

#[tokio::test]
async fn counters_count_what_other_documents_show_and_nothing_else() {
    let test = Synced::new().await;
    people(&test).await;
    test.sql("update users set name = null; update accounts set due_date = '2025-01-01'").await;
    for table in ["customers", "accounts", "users"] {
        let of_table = CHANGES.iter().filter(|(of, ..)| *of == table);
        let columns: Vec<String> = sqlx::query_scalar(
            "select column_name::text from information_schema.columns
            where table_name = $1 and is_generated = 'NEVER'
            and column_name not in ('id', 'version', 'updated_at', 'balance', 'embedded_changes', 'summary_changes')
            order by column_name",
        )
        .bind(table)
        .fetch_all(&test.pool)
        .await
        .unwrap();
        let mut tried: Vec<&str> = of_table.clone().map(|(_, column, ..)| *column).collect();
        tried.sort_unstable();
        assert_eq!(tried, columns, "a column of {table} is not tested");
        for (_, column, value, counts) in of_table {
            let sql = format!("update {table} set {column} = {value} where id::text like '%1' or id::text like '%9'");
            expect_counts(&test, table, &sql, counts).await;
        }
    }
    let charge = "insert into ledger_entries (id, account_id, kind, amount)
        values (gen_random_uuid(), '00000000-0000-0000-0000-000000000011', 'charge', 5)";
    expect_counts(&test, "accounts", charge, "summary_changes").await;
}

/// Makes a change in a transaction that is rolled back: other documents differ if and only if it is counted for them.
async fn expect_counts(test: &Synced, table: &str, change: &str, expected: &str) {
    let of_table = || SHOWN_BY.iter().filter(|(of, ..)| *of == table);
    let mut transaction = test.pool.begin().await.unwrap();
    for (_, count, _) in of_table() {
        let sql = format!("update {table} set {count} = 0");
        sqlx::query(AssertSqlSafe(sql)).execute(&mut *transaction).await.unwrap();
    }
    let before = documents(&mut transaction).await;
    sqlx::raw_sql(AssertSqlSafe(change.to_owned())).execute(&mut *transaction).await.unwrap();
    let after = documents(&mut transaction).await;
    for (_, count, others) in of_table() {
        let sql = format!("select sum({count}) > 0 from {table}");
        let is_counted: bool = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut *transaction).await.unwrap();
        assert_eq!(is_counted, expected.split(' ').any(|name| name == *count), "{count} after {change}");
        let differ = others.iter().any(|other| before[other] != after[other]);
        assert_eq!(differ, is_counted, "{count} of {table} after {change}, in documents of {others:?}");
    }
}

/// Builds every document.
async fn documents(connection: &mut PgConnection) -> BTreeMap<&'static str, Vec<Vec<u8>>> {
    let mut all = BTreeMap::new();
    for collection in every() {
        let ids = format!("select {0} from {1} order by {0}", collection.id, collection.table);
        let ids: Vec<Uuid> = sqlx::query_scalar(AssertSqlSafe(ids)).fetch_all(&mut *connection).await.unwrap();
        let mut documents = (collection.load)(connection, &ids).await.unwrap();
        documents.sort_by_key(|document| document.id);
        all.insert(collection.name, documents.into_iter().map(|document| document.source).collect());
    }
    all
}
