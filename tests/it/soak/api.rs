//! What a generator of requests makes of the API's description. `bin/soak api` runs it.

use std::path::Path;

use collections::auth::Role;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::harness::app::{PASSWORD, TestApp};
use crate::imports::files::upload;

/// Every phase and check of schemathesis holds on a server with an index and some data.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes and needs schemathesis; run bin/soak api"]
async fn whatever_is_generated_is_answered_as_described() {
    let program = std::env::var("SCHEMATHESIS").expect("SCHEMATHESIS names the program; bin/soak api sets it");
    let test = TestApp::start_with(&["--jwt-expires-in", "24h"]).await;
    let mut seed = Command::new(env!("CARGO_BIN_EXE_collections"));
    seed.args(["seed", "--customers", "200"]).env("DATABASE_URL", &test.database.url);
    assert!(seed.env_remove("DATABASE_OWNER_URL").env_remove("APP_ENV").status().await.unwrap().success());
    test.settle().await;
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = root.join("target/schemathesis.toml");
    let settings = std::fs::read_to_string(root.join("tests/openapi/schemathesis.toml")).unwrap();
    std::fs::write(&config, settings).unwrap();
    tokio::spawn(collections::worker::run(test.app.clone()));
    let known = known(&test).await;
    let records = root.join("target/known-records.json");
    std::fs::write(&records, known.to_string()).unwrap();
    let header = format!("Authorization: Bearer {}", test.token(Role::Admin).await);
    let seconds = (super::minutes() * 60.0).ceil().max(1.0).to_string();
    let mut run = Command::new(program);
    run.env("KNOWN_RECORDS", records).env("SCHEMATHESIS_HOOKS", root.join("tests/openapi/hooks.py"));
    run.arg("--config-file").arg(&config);
    run.args([
        "run",
        &format!("{}/api/openapi.json", test.base()),
        "--checks",
        "all",
        "--header",
        &header,
        "--max-time",
        &seconds,
        // A simulated payment may take ten.
        "--request-timeout",
        "30",
    ]);
    run.args(["--seed", &std::env::var("SOAK_SEED").unwrap_or_else(|_| "1".into())]);
    // It keeps what it has found in the folder in which it runs.
    let finished = run.current_dir(root.join("target")).kill_on_drop(true).status().await.unwrap();
    assert!(finished.success(), "schemathesis: {finished}; its report is above");
}

/// Writes which records there are, for the hooks of the generator.
async fn known(test: &TestApp) -> Value {
    let manager = test.client(Role::Manager).await;
    let mut refresh = Vec::new();
    for number in 0..40 {
        let username = format!("colleague-{number}");
        test.user(&username, Role::Agent).await;
        let body = json!({ "username": username, "password": PASSWORD });
        let tokens = manager.post("/auth/login", &body).await.expect(200);
        refresh.push(tokens["refresh_token"].clone());
        let prefers = manager.with("prefer", "respond-async");
        prefers.get("/accounts/export").await.expect(202);
        let people = format!("id,name\nI-{number},Ann\n");
        upload(&manager, &[("target", "customers")], ("people.csv", people.as_bytes())).await.expect(201);
        let search = json!({ "name": "Late", "collection": "accounts", "query": "status=open", "visibility": "global" });
        manager.post("/saved-searches", &search).await.expect(201);
    }
    let ids = async |name: &str, sql: &str| {
        let sql = format!(
            "select json_build_object('{name}', coalesce(json_agg(id), '[]'))::jsonb from ({sql} limit 200) as known (id)"
        );
        sqlx::query_scalar::<_, Value>(sqlx::AssertSqlSafe(sql)).fetch_one(&test.database.pool).await.unwrap()
    };
    let first: Vec<String> =
        sqlx::query_scalar("select id::text from imports order by id limit 20").fetch_all(&test.database.pool).await.unwrap();
    for id in first {
        manager.post(&format!("/imports/{id}/commit"), &json!({})).await.expect(200);
    }
    sqlx::raw_sql(JOBS).execute(&test.database.pool).await.unwrap();
    let mut known = json!({ "password": PASSWORD, "refresh": refresh });
    for (name, sql) in KNOWN {
        known.as_object_mut().unwrap().extend(ids(name, sql).await.as_object().unwrap().clone());
    }
    known
}

/// Jobs that can be cancelled, paused, resumed or tried again, one by one.
const JOBS: &str = "
    insert into jobs (id, kind, lane, arguments, state, due, finished_at, unique_key)
    select gen_random_uuid(), 'remove_old_jobs', 'upkeep', '{}', state, now() + interval '1 day',
      case when state = 'failed' then now() end, state || n
    from generate_series(1, 60) n, unnest('{queued,paused,failed}'::text[]) state";

/// The parameters that name records, and which there are.
const KNOWN: [(&str, &str); 17] = [
    ("customerId", "select to_json(id) from customers where deleted_at is null order by id"),
    ("accountId", "select to_json(id) from accounts where deleted_at is null and status = 'open'"),
    ("paymentId", "select to_json(id) from payments where deleted_at is null and status = 'pending'"),
    ("activityId", "select to_json(id) from activities where deleted_at is null"),
    ("userId", "select to_json(id) from users where role = 'agent'"),
    ("username", "select to_json(username) from users where role = 'agent'"),
    ("exportId", "select to_json(id) from exports"),
    ("importId", "select to_json(id) from imports where state <> 'committed'"),
    ("committedImportId", "select to_json(id) from imports where state = 'committed'"),
    ("jobId", "select to_json(id) from jobs"),
    ("queuedJobId", "select to_json(id) from jobs where state = 'queued' and due > now()"),
    ("pausedJobId", "select to_json(id) from jobs where state = 'paused'"),
    ("failedJobId", "select to_json(id) from jobs where state = 'failed'"),
    ("savedSearchId", "select to_json(id) from saved_searches"),
    (
        "account",
        "select json_build_array(id, json_build_object('accountNumber', account_number, 'customerId', customer_id, 'currency', currency))
        from accounts where deleted_at is null",
    ),
    ("addressId", "select json_build_array(customer_id, id) from addresses order by customer_id"),
    ("contactPointId", "select json_build_array(customer_id, id) from contact_points order by customer_id"),
];
