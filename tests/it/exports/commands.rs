//! `collections export`.

use collections::auth::Role;
use serde_json::json;
use std::process::Output;

use super::{download, table};
use crate::harness::app::TestApp;
use crate::harness::process;

async fn export(test: &TestApp, arguments: &[&str]) -> Output {
    process::command(&test.database).arg("export").args(arguments).env_remove("ELASTICSEARCH_URL").output().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_writes_what_the_address_answers() {
    let test = TestApp::start_api(&[]).await;
    let manager = test.client(Role::Manager).await;
    for (receiver, status) in [("=1+1", "success"), ("Front desk", "failed")] {
        let body = json!({ "amount": 5, "method": "cash", "receiver": receiver, "status": status });
        manager.post("/payments", &body).await.expect(201);
    }
    let expected = download(&manager, "/payments/export?status=success&columns=*").await;
    let filter = ["--target", "payments", "--filter", "status=success", "--columns", "*"];
    let done = export(&test, &filter).await;
    assert_eq!((done.status.code(), done.stdout == expected), (Some(0), true), "{}", String::from_utf8_lossy(&done.stderr));
    assert!(String::from_utf8(done.stderr).unwrap().contains("1 records"));

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("payments.csv");
    let raw = ["--target", "payments", "--filter", "sort=-createdAt&method=cash", "--raw", "--output", path.to_str().unwrap()];
    let done = export(&test, &raw).await;
    assert_eq!((done.status.code(), done.stdout.len()), (Some(0), 0), "{}", String::from_utf8_lossy(&done.stderr));
    let rows = table(&std::fs::read_to_string(&path).unwrap());
    assert_eq!([&rows[1][4], &rows[2][4]], ["Front desk", "=1+1"]);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
    let entries: i64 = sqlx::query_scalar("select count(*) from audit_log where action = 'export' and actor is null")
        .fetch_one(&test.database.pool)
        .await
        .unwrap();
    assert_eq!(entries, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_says_what_is_wrong_with_its_arguments() {
    let test = TestApp::start_api(&[]).await;
    for (arguments, code, said) in [
        (&["--target", "payments", "--filter", "colour=red"][..], 2, "colour"),
        (&["--target", "payments", "--format", "pdf"], 2, "takes one of csv, xlsx, jsonl"),
        (&["--target", "invoices"], 1, "there are customers, accounts, payments, activities"),
        (&["--target", "payments", "--output", "/proc/no/such"], 1, "cannot write to /proc/no"),
    ] {
        let done = export(&test, arguments).await;
        let errors = String::from_utf8(done.stderr).unwrap();
        assert_eq!(done.status.code(), Some(code), "{errors}");
        assert!(errors.contains(said) && done.stdout.is_empty(), "{errors}");
    }
}
