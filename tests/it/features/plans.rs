//! What a request reads of the rows of others: writes on tables that were never analyzed, as after an upgrade, too.

use serde_json::json;

use crate::harness::app::TestApp;
use crate::harness::eventually::eventually;

const OTHERS: i64 = 5_000;

#[tokio::test]
async fn a_write_reads_few_rows_of_others() {
    let test = TestApp::start_api(&[]).await;
    let agent = test.agent().await;
    let mut accounts = Vec::new();
    for name in ["Ann", "Bob"] {
        let new = json!({ "customer": { "name": name }, "amountDue": 100, "currency": "EUR" });
        accounts.push(agent.post("/accounts", &new).await.expect(201)["id"].as_str().unwrap().to_owned());
    }
    let other = &accounts[0];
    let others = format!(
        "insert into payments (id, account_id, customer_id, amount, currency, method)
        select gen_random_uuid(), id, customer_id, 3000, 'EUR', 'cash' from accounts, generate_series(1, {OTHERS}) where id = '{other}';
        insert into activities (id, account_id, kind, note)
        select gen_random_uuid(), '{other}', 'note', 'called' from generate_series(1, {OTHERS});
        insert into idempotency_keys (caller, key, request_hash, status, response, expires_at)
        select 'it', key, '', 200, '', now() + interval '1 day' from generate_series(1, {OTHERS}) key;"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(others)).execute(&test.database.pool).await.unwrap();
    // Inserted and read rows of the three tables; a process tells of them a moment later.
    let counts = async || {
        let sql = "select sum(n_tup_ins)::int8, sum(seq_tup_read + idx_tup_fetch)::int8 from pg_stat_user_tables
            where relname in ('payments', 'activities', 'idempotency_keys')";
        sqlx::query_as::<_, (i64, i64)>(sql).fetch_one(&test.database.pool).await.unwrap()
    };
    eventually("the others are counted", async || counts().await.0 == 3 * OTHERS).await;
    let (_, before) = counts().await;

    let keyed = agent.with("idempotency-key", "once");
    let payment = json!({ "amount": "30.00", "method": "cash", "status": "success", "receiver": "ACME" });
    keyed.post(&format!("/accounts/{}/payments", accounts[1]), &payment).await.expect(201);
    agent.post(&format!("/accounts/{}/activities", accounts[1]), &json!({ "type": "note", "note": "called" })).await.expect(201);
    eventually("both writes are counted", async || counts().await.0 == 3 * OTHERS + 3).await;
    let read = counts().await.1 - before;
    assert!(read < OTHERS / 10, "{read} rows were read");
}

#[tokio::test]
async fn a_list_is_counted_in_an_index() {
    let test = TestApp::start_api(&[]).await;
    let admin = test.admin().await;
    let pool = &test.database.pool;
    let rows = format!(
        "insert into customers (id, name, given_name, family_name) values ('00000000-0000-7000-8000-000000000001', 'Ann Abel', 'Ann', 'Abel');
        insert into accounts (id, customer_id, currency, due_date, creditor)
        select gen_random_uuid(), '00000000-0000-7000-8000-000000000001', 'EUR', date '2026-01-01' + n % 300, 'Bank ' || n % 10
        from generate_series(1, {OTHERS}) n;"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(rows)).execute(pool).await.unwrap();
    // So that an index need not ask the table which rows are there.
    sqlx::raw_sql("vacuum analyze accounts").execute(pool).await.unwrap();
    let scans = async || {
        let sql = "select idx_scan from pg_stat_user_indexes where indexrelname = 'accounts_creditor'";
        sqlx::query_scalar::<_, i64>(sql).fetch_one(pool).await.unwrap()
    };
    let read = async || {
        let sql = "select seq_tup_read + idx_tup_fetch from pg_stat_user_tables where relname = 'accounts'";
        sqlx::query_scalar::<_, i64>(sql).fetch_one(pool).await.unwrap()
    };
    let before = read().await;
    let list =
        admin.get("/accounts?status=open&creditor=Bank%203&dueDate[gte]=2025-12-01&sort=dueDate&limit=10").await.expect(200);
    assert_eq!(list["total"], OTHERS / 10);
    eventually("the page and its count are reported", async || scans().await >= 2).await;
    let read = read().await - before;
    assert!(read < OTHERS / 10, "{read} rows were read");
}
