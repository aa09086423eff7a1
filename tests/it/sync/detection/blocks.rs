//! Blocks that an operator or a full disk puts on an index.

use reqwest::Method;
use serde_json::json;

use super::{expect_no_problem, expect_problem};
use crate::harness::synced::Synced;

/// Sets a block of an index or takes it away.
async fn block(test: &Synced, index: &str, name: &str, is_set: bool) {
    let value = is_set.then_some(true);
    test.raw(Method::PUT, &format!("{index}/_settings"), Some(json!({ "index": { "blocks": { name: value } } }))).await;
}

#[tokio::test]
async fn a_blocked_index_is_named_until_the_block_is_gone() {
    let mut test = Synced::started().await;
    test.sql("insert into customers (id, name) select gen_random_uuid(), 'One' from generate_series(1, 20)").await;
    test.settle().await;
    let index = test.index("customers").await;
    for name in ["write", "read_only", "read_only_allow_delete"] {
        block(&test, &index, name, true).await;
        test.sql(&format!("update customers set name = 'During {name}'")).await;
        expect_problem(&test, &[&format!("the index {index} refuses writes: blocked by"), "remove the block or free disk"]).await;
        for command in ["verify", "repair"] {
            let (code, said) = test.command(&["sync", command]).await;
            assert_eq!(code, Some(2), "{said}");
            assert!(said.contains("writes are blocked") && said.contains(&index), "{said}");
        }
        block(&test, &index, name, false).await;
        test.settle().await;
        expect_no_problem(&test).await;
        test.expect_equal().await;
    }
    assert_eq!(test.index("customers").await, index);
    test.stop().await;
}
