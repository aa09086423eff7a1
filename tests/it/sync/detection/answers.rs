//! Answers that are not those of Elasticsearch, such as of a gateway or a login page before it.

use reqwest::Method;

use super::{a_while, expect_no_problem, expect_problem};
use crate::harness::gateway::{Canned, Gateway};
use crate::harness::synced::Synced;

const CUSTOMERS: u32 = 60;

async fn behind_gateway() -> (Synced, Gateway) {
    let (gateway, url) = Gateway::before(&std::env::var("ELASTICSEARCH_URL").unwrap()).await;
    let mut test = Synced::with(&["--elasticsearch-url", &url]).await;
    test.sql(&format!("insert into customers (id, name) select gen_random_uuid(), 'One' from generate_series(1, {CUSTOMERS})"))
        .await;
    test.start().await;
    (test, gateway)
}

async fn documents(test: &Synced) -> u64 {
    let index = test.index("customers").await;
    test.raw(Method::POST, &format!("{index}/_refresh"), None).await;
    test.raw(Method::GET, &format!("{index}/_count"), None).await["count"].as_u64().unwrap()
}

#[tokio::test]
async fn an_empty_object_is_not_an_empty_index() {
    let (mut test, gateway) = behind_gateway().await;
    gateway.answer(Canned { path: "_search", status: 200, body: "{}" });
    test.sql("begin; set local session_replication_role = replica; truncate customers cascade; commit").await;
    expect_problem(&test, &["of a truncated table", "not understood"]).await;
    assert_eq!(documents(&test).await, u64::from(CUSTOMERS));
    gateway.pass();
    test.settle().await;
    assert_eq!(documents(&test).await, 0);
    expect_no_problem(&test).await;
    test.stop().await;
}

#[tokio::test]
async fn answers_that_are_not_understood_are_reported_and_nothing_is_removed() {
    let (mut test, gateway) = behind_gateway().await;
    let before = test.index("customers").await;
    let page = "<!doctype html><title>Sign in</title>";
    for (status, body) in
        [(200, "{}"), (200, "[]"), (200, "null"), (200, page), (200, r#"{"status":"ok"}"#), (404, "{}"), (404, page)]
    {
        gateway.answer(Canned { path: "", status, body });
        test.sql(&format!("update customers set name = 'While {status} ' || random()")).await;
        expect_problem(&test, &["not understood", "ELASTICSEARCH_URL"]).await;
        let problem = test.app.watermark.status.report().problem.unwrap_or_default();
        assert!(!problem.contains("remove") && !problem.contains("delete"), "{status} {body}: {problem}");
        a_while().await;
        gateway.pass();
        test.settle().await;
        expect_no_problem(&test).await;
        assert_eq!(test.index("customers").await, before, "{status} {body}");
        test.expect_equal().await;
    }
    test.stop().await;
}

#[tokio::test]
async fn a_start_before_a_gateway_that_answers_for_nothing_removes_nothing() {
    let (mut test, gateway) = behind_gateway().await;
    let before = test.index("customers").await;
    test.stop().await;
    gateway.answer(Canned { path: "", status: 404, body: "default backend - 404" });
    test.launch();
    test.sql("update customers set name = 'Another'").await;
    expect_problem(&test, &["not understood"]).await;
    gateway.pass();
    test.settle().await;
    assert_eq!(test.index("customers").await, before);
    test.expect_equal().await;
    test.stop().await;
}

#[tokio::test]
async fn a_bulk_answer_without_outcomes_is_sent_again() {
    let (mut test, gateway) = behind_gateway().await;
    for body in ["{}", r#"{"items":[]}"#, r#"{"items":[{"index":{"status":503}}]}"#] {
        gateway.answer(Canned { path: "_bulk", status: 200, body });
        test.sql("update customers set name = 'Changed ' || random() where id = (select min(id::text)::uuid from customers)")
            .await;
        a_while().await;
        gateway.pass();
        test.settle().await;
        test.expect_equal().await;
    }
    test.stop().await;
}
