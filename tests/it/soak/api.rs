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
    seed.args(["seed", "--customers", "50"]).env("DATABASE_URL", &test.database.url);
    assert!(seed.env_remove("DATABASE_OWNER_URL").env_remove("APP_ENV").status().await.unwrap().success());
    test.settle().await;
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let header = format!("Authorization: Bearer {}", test.token(Role::Admin).await);
    let seconds = (super::minutes() * 60.0).ceil().max(1.0).to_string();
    let mut run = Command::new(program);
    run.arg("--config-file").arg(root.join("tests/openapi/schemathesis.toml"));
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
