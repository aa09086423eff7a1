//! What a generator of requests makes of the API's description. `bin/soak api` runs it.

use std::path::Path;

use collections::auth::Role;
use tokio::process::Command;

use crate::harness::app::TestApp;

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
    std::fs::write(&config, settings + &dictionaries(&test).await).unwrap();
    let header = format!("Authorization: Bearer {}", test.token(Role::Admin).await);
    let seconds = (super::minutes() * 60.0).ceil().max(1.0).to_string();
    let mut run = Command::new(program);
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
    ]);
    run.args(["--seed", &std::env::var("SOAK_SEED").unwrap_or_else(|_| "1".into())]);
    // It keeps what it has found in the folder in which it runs.
    let finished = run.current_dir(root.join("target")).kill_on_drop(true).status().await.unwrap();
    assert!(finished.success(), "schemathesis: {finished}; its report is above");
}

/// The parameters and members of bodies that name records or writes, and where they are.
const REFERENCES: [(&str, &str); 12] = [
    ("path.customerId", "customers"),
    ("path.accountId", "accounts"),
    ("path.paymentId", "payments"),
    ("path.activityId", "activities"),
    ("path.userId", "users"),
    ("path.exportId", "exports"),
    ("path.jobId", "jobs"),
    ("query.syncToken", "tokens"),
    ("header.X-Sync-Token", "tokens"),
    ("body.customerId", "customers"),
    ("body.accountId", "accounts"),
    ("body.assigneeId", "users"),
];

/// Settings that give most requests the ids of records that exist: a generated one would be answered with a 404.
async fn dictionaries(test: &TestApp) -> String {
    for number in 0..20 {
        test.user(&format!("colleague-{number}"), Role::Agent).await;
    }
    let manager = test.client(Role::Manager).await.with("prefer", "respond-async");
    for _ in 0..20 {
        manager.get("/accounts/export").await.expect(202);
    }
    // A generated token would lie beyond the log.
    let mut settings = String::from("[dictionaries.tokens]\nvalues = [\"0/1\"]\n");
    for table in ["customers", "accounts", "payments", "activities", "users", "exports", "jobs"] {
        let wanted = match table {
            "users" => "role = 'agent'",
            "exports" | "jobs" => "true",
            _ => "deleted_at is null",
        };
        let ids = format!("select id::text from {table} where {wanted} order by created_at desc limit 200");
        let ids: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(ids)).fetch_all(&test.database.pool).await.unwrap();
        settings += &format!("[dictionaries.{table}]\nvalues = {ids:?}\n");
    }
    settings += "[parameters]\n";
    for (name, table) in REFERENCES {
        settings += &format!("\"{name}\" = {{ dictionary = \"{table}\", probability = 0.9 }}\n");
    }
    settings
}
