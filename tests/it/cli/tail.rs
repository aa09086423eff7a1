//! `collections tail`.

use std::process::Stdio;
use std::time::Duration;

use collections::auth::Role;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::time::timeout;

use crate::harness::app::TestApp;
use crate::harness::process::command;

/// Far beyond what a loaded machine needs.
const PATIENCE: Duration = Duration::from_secs(120);

#[tokio::test]
async fn events_are_printed_one_a_line_while_they_happen() {
    let test = TestApp::start().await;
    let token = test.token(Role::Agent).await;
    let mut tail = command(&test.database);
    tail.args(["tail", "customers", "--server", &test.base()]).env("COLLECTIONS_TOKEN", &token).stdout(Stdio::piped());
    let mut tail = tail.spawn().unwrap();
    let mut lines = BufReader::new(tail.stdout.take().unwrap()).lines();
    let mut line = async || -> Value {
        let line = timeout(PATIENCE, lines.next_line()).await.expect("it prints something").unwrap();
        serde_json::from_str(&line.unwrap()).unwrap()
    };
    assert_eq!(line().await["type"], "ready");
    let created = test.anonymous().with_token(&token).post("/customers", &json!({ "name": "Ada" })).await.expect(201);
    let event = line().await;
    assert_eq!((&event["event"], &event["data"]["id"]), (&json!("customer.created"), &created["id"]));
}

#[tokio::test]
async fn what_may_not_be_heard_ends_it_with_the_reason() {
    let test = TestApp::start_api(&[]).await;
    let (viewer, server) = (test.token(Role::Viewer).await, test.base());
    for (topic, token, reason) in [("customers", "x", "401"), ("metrics", &*viewer, "403"), ("nonsense", &*viewer, "400")] {
        let mut tail = command(&test.database);
        tail.args(["tail", topic, "--server", &server]).env("COLLECTIONS_TOKEN", token);
        let output = timeout(PATIENCE, tail.output()).await.expect("it ends").unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(reason), "{topic}: {said}");
    }
}
