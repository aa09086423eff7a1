//! What the commands say while a server is away.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use uuid::Uuid;

use crate::harness::cluster::Cluster;
use crate::harness::eventually::eventually;
use crate::harness::process::free_port;
use crate::harness::proxy::{Mode, Proxy};
use crate::harness::synced::Synced;

#[tokio::test]
async fn commands_say_that_postgres_cannot_be_reached() {
    let test = Synced::at(&format!("postgres://absent@127.0.0.1:{}/none", free_port().await), "it_none", &[]);
    for arguments in [&["sync", "status"][..], &["sync", "verify"], &["sync", "repair"], &["sync", "dead-letters"], &["reindex"]]
    {
        let (code, said) = test.command(arguments).await;
        assert_ne!(code, Some(0), "{arguments:?}");
        assert!(said.contains("postgres cannot be reached") && !said.contains("pool"), "{arguments:?}: {said}");
    }
}

#[tokio::test]
async fn a_reindex_is_followed_through_a_restart_of_postgres() {
    let cluster = Cluster::start().await;
    collections::db::MIGRATIONS.run_direct(None, &mut cluster.connect().await, false).await.unwrap();
    let name = format!("it_{}", collections::values::ids::new().simple());
    let (proxy, url) = Proxy::before(&std::env::var("ELASTICSEARCH_URL").unwrap()).await;
    let mut test = Synced::at(&cluster.url(), &name, &["--elasticsearch-url", &url]);
    test.sql("insert into customers (id, name) select gen_random_uuid(), 'One' from generate_series(1, 500)").await;
    test.start().await;
    let before = test.index("customers").await;
    // The rebuild waits, and with it the command.
    proxy.set(Mode::Refuse);
    let restart = async {
        eventually("the rebuild is requested", async || {
            let sql = "select exists (select from index_generations where state = 'building')";
            sqlx::query_scalar::<_, bool>(sql).fetch_one(&test.pool).await.unwrap()
        })
        .await;
        cluster.stop("fast");
        tokio::time::sleep(Duration::from_secs(2)).await;
        cluster.launch();
        proxy.set(Mode::Pass);
    };
    let ((code, said), ()) = tokio::join!(test.command(&["reindex", "--collection", "customers"]), restart);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains(r#""state":"live""#), "{said}");
    test.expect_replaced("customers", &before).await;
    test.settle().await;
    test.expect_equal().await;
    test.stop().await;
}

#[tokio::test]
async fn a_deletion_by_another_program_that_no_write_replaces_is_named() {
    let mut test = Synced::started().await;
    test.sql("insert into customers (id, name) values ('00000000-0000-0000-0000-000000000001', 'One')").await;
    test.settle().await;
    let (id, index) = (Uuid::from_u128(1), test.index("customers").await);
    let path = format!("{index}/_doc/{id}?refresh&version_type=external&version={}", i64::MAX);
    test.raw(Method::DELETE, &path, None).await;
    let (code, said) = test.command(&["sync", "repair", "--collection", "customers"]).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(&format!("customers {id} cannot be repaired: it was deleted with a version beyond")), "{said}");
    assert!(said.contains("collections reindex --collection customers"), "{said}");
    test.stop().await;
}

#[tokio::test]
async fn documents_of_other_programs_are_removed_whatever_their_version() {
    let mut test = Synced::started().await;
    let index = test.index("customers").await;
    for (id, version) in [("stray", "".to_owned()), ("another", format!("&version_type=external&version={}", i64::MAX))] {
        test.raw(Method::PUT, &format!("{index}/_doc/{id}?refresh{version}"), Some(json!({}))).await;
    }
    let (code, said) = test.command(&["sync", "repair", "--collection", "customers"]).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("2 removed") && said.contains("0 of other programs"), "{said}");
    test.expect_equal().await;
    test.stop().await;
}

#[tokio::test]
async fn more_documents_of_other_programs_than_a_page_holds_are_removed() {
    let mut test = Synced::started().await;
    let index = test.index("customers").await;
    let lines = "{\"index\":{}}\n{}\n".repeat(2_100);
    let url = format!("{}/{index}/_bulk?refresh", std::env::var("ELASTICSEARCH_URL").unwrap());
    let request = reqwest::Client::new().post(url).header("content-type", "application/x-ndjson").body(lines);
    assert!(request.send().await.unwrap().status().is_success());
    let (code, said) = test.command(&["sync", "repair", "--collection", "customers"]).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("2100 removed"), "{said}");
    test.expect_equal().await;
    test.stop().await;
}

#[tokio::test]
async fn verify_says_what_it_did_not_compare() {
    let mut test = Synced::started().await;
    let last =
        async |arguments: &[&str]| test.command(arguments).await.1.trim_end().lines().last().unwrap_or_default().to_owned();
    assert_eq!(
        last(&["sync", "verify"]).await,
        "0 differences; not compared: contents (--deep), balances with their ledger (--ledger)"
    );
    assert_eq!(last(&["sync", "verify", "--deep", "--ledger"]).await, "0 differences");
    test.stop().await;
}
