//! `collections templates`.

use collections::search::elastic::Verb;
use serde_json::{Value, json};

use crate::harness::process;
use crate::harness::synced::Synced;

async fn put(test: &Synced, path: &str, body: &Value) {
    test.elastic.write::<Value>(Verb::Put, path, Some(body.to_string().into())).await.unwrap();
}

#[tokio::test]
async fn templates_are_shown_as_they_are_put() {
    let test = Synced::started().await;
    let (code, said) = test.command(&["templates", "show"]).await;
    assert_eq!(code, Some(0), "{said}");
    let shown: Value = serde_json::from_str(&said).unwrap();
    let template = &shown[format!("{}-accounts", test.name)];
    assert_eq!(shown.as_object().unwrap().len(), 4);
    assert_eq!(template["index_patterns"], json!([format!("{}-accounts-v1-*", test.name)]));
    let meta = &template["template"]["mappings"]["_meta"];
    assert_eq!(meta["dictionary"], "index-templates/README.md");
    assert!(meta["normalization"].is_number() && meta["revision"].is_number() && meta["generatedBy"].is_string(), "{meta}");

    let (code, said) = test.command(&["templates", "show", "--collection", "payments"]).await;
    assert_eq!((code, serde_json::from_str::<Value>(&said).unwrap().as_object().unwrap().len()), (Some(0), 1));
    let (code, said) = test.command(&["templates", "show", "--collection", "invoices"]).await;
    assert!(
        code == Some(1) && said.contains("there is no collection invoices; there are customers, accounts, payments, activities"),
        "{said}"
    );
}

#[tokio::test]
async fn what_was_edited_by_hand_differs_until_it_is_put_back_or_built_again() {
    let mut test = Synced::started().await;
    let (code, said) = test.command(&["templates", "diff"]).await;
    assert_eq!((code, said.matches(" is equal").count()), (Some(0), 8), "{said}");
    // Its leader would put the template back.
    test.stop().await;

    let (index, path) = (test.index("accounts").await, format!("_index_template/{}-accounts", test.name));
    put(&test, &format!("{index}/_mapping"), &json!({ "properties": { "byHand": { "type": "keyword" } } })).await;
    let found: Value = test.elastic.read(Verb::Get, &path, None, test.elastic.write_deadline).await.unwrap();
    let mut template = found["index_templates"][0]["index_template"].clone();
    template["template"]["mappings"]["properties"]["status"] = json!({ "type": "text" });
    put(&test, &path, &template).await;

    let (code, said) = test.command(&["templates", "diff"]).await;
    assert_eq!((code, said.matches(" is equal").count()), (Some(1), 6), "{said}");
    assert!(said.contains(r#"/template/mappings/properties/status/type is "text" and should be "keyword""#), "{said}");
    assert!(said.contains("/properties/byHand should not be there"), "{said}");
    assert!(said.contains("needs a reindex: `collections reindex --collection accounts`"), "{said}");

    let (code, said) = test.command(&["templates", "apply"]).await;
    assert_eq!((code, said.matches("template is equal already").count()), (Some(0), 3), "{said}");
    assert!(said.contains("\naccounts             template is replaced") && said.contains("needs a reindex"), "{said}");
    let (code, said) = test.command(&["templates", "diff", "--collection", "accounts"]).await;
    assert!(code == Some(1) && said.contains("template is equal"), "{said}");

    test.start().await;
    let (code, said) = test.command(&["reindex", "--collection", "accounts"]).await;
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = test.command(&["templates", "diff"]).await;
    assert_eq!(code, Some(0), "{said}");
    test.stop().await;
}

#[tokio::test]
async fn a_difference_that_cannot_be_told_has_a_code_of_its_own() {
    let mut command = process::command_at("postgres://absent@127.0.0.1:1/none", "it_none");
    let output = command.env("ELASTICSEARCH_URL", "http://127.0.0.1:1").args(["templates", "diff"]).output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("cannot tell whether they differ"), "{said}");
}
