//! What writes read of the rows of others: on tables that were never analyzed, as after an upgrade, too.

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
