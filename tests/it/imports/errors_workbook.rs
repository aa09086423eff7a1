//! The rows that failed, as a workbook that completes the import once they are mended.

use collections::auth::Role;
use serde_json::json;

use super::files::{csv, edited, path, sheets, upload, workbook};
use crate::harness::app::TestApp;
use crate::harness::client::Client;

async fn import(client: &Client, name: &str, file: &[u8], mode: &str) -> serde_json::Value {
    let import = upload(client, &[("target", "customers"), ("mode", mode)], (name, file)).await.expect(201);
    assert_eq!(import["state"], "mapped", "{import}");
    client.post(&path(&import, "/validate"), &json!({})).await.expect(200);
    client.post(&path(&import, "/commit"), &json!({})).await.expect(200)
}

#[tokio::test]
async fn failed_rows_are_mended_and_complete_the_import() {
    let test = TestApp::start_api(&[]).await;
    let manager = test.client(Role::Manager).await;
    let rows: &[&[&str]] = &[
        &["id", "name", "Shoe size", "e-mail", "kind"],
        &["0001", "Ann", "38", "ann@example.com", "person"],
        &["0002", "Bob", "44", "bob@ example,com", "persn"],
        &["0003", "Cid", "", "=1+1", ""],
    ];
    let first = import(&manager, "People.xlsx", &workbook(rows), "insert").await;
    assert_eq!((&first["state"], &first["committed"]["failed"]), (&json!("partial"), &json!(2)));

    let (headers, bytes) = manager.download(&path(&first, "/errors.xlsx")).await;
    assert_eq!(headers["content-type"], "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet");
    assert_eq!(headers["content-disposition"], "attachment; filename=\"People_errors.xlsx\"");
    let (_, failed) = sheets(&bytes).remove(0);
    assert_eq!(failed[0], ["id", "name", "Shoe size", "e-mail", "kind", "_errors"]);
    assert_eq!(failed[1][..5], ["0002", "Bob", "44", "bob@ example,com", "persn"], "cells are as they were");
    for part in ["e-mail: ", "try: bob@example.com", "try: person", "[unknown_value]"] {
        assert!(failed[1][5].contains(part), "{part} in {}", failed[1][5]);
    }
    assert_eq!(failed[2][..4], ["0003", "Cid", "", "=1+1"], "a text is no formula");

    // As a person corrects it: only the bad cells.
    let mended: Vec<Vec<String>> = failed
        .iter()
        .map(|row| {
            row.iter()
                .map(|cell| {
                    cell.replace("bob@ example,com", "bob@example.com")
                        .replace("persn", "person")
                        .replace("=1+1", "cid@example.com")
                })
                .collect()
        })
        .collect();
    let mended: Vec<Vec<&str>> = mended.iter().map(|row| row.iter().map(String::as_str).collect()).collect();
    let mended: Vec<&[&str]> = mended.iter().map(Vec::as_slice).collect();
    let second = import(&manager, "People_errors.xlsx", &workbook(&mended), "insert").await;
    assert_eq!(
        (&second["state"], &second["committed"]["created"], &second["committed"]["failed"]),
        (&json!("committed"), &json!(2), &json!(0))
    );
    let customers = manager.get("/customers?sort=externalId").await.expect(200);
    let numbers: Vec<&str> =
        customers["data"].as_array().unwrap().iter().map(|one| one["externalId"].as_str().unwrap()).collect();
    assert_eq!(numbers, ["0001", "0002", "0003"]);
}

#[tokio::test]
async fn failed_rows_of_a_text_file_are_a_workbook_too() {
    let test = TestApp::start_api(&[]).await;
    let manager = test.client(Role::Manager).await;
    let first = import(&manager, "a.csv", &csv("id;name;born\n007;Ann;31.02.1980\n008;;x\n,Bob;1.1.1980\n"), "insert").await;
    let (_, bytes) = manager.download(&path(&first, "/errors.xlsx")).await;
    let (name, failed) = sheets(&bytes).remove(0);
    assert_eq!(name, "customers");
    assert_eq!(failed[0].last().unwrap(), "_errors");
    assert!(failed[1..].iter().all(|row| !row.last().unwrap().is_empty()));
}

/// Imports two rows by options of their own, of which one fails. Answers with the rows that failed.
async fn partly(client: &Client) -> Vec<u8> {
    let options = json!({ "decimal": "comma", "region": "AT", "currency": "CHF", "encoding": "windows-1252" }).to_string();
    let parts = [("target", "customers"), ("mode", "upsert"), ("key", "email"), ("blank", "clear"), ("options", &options)];
    let file = csv("Post;Wer;tel;due;account;betrag\nann@example.com;Ann;0316 873 5555;12/31/2026;A-1;1.250,50\n\
        bob@ example,com;Bob;0316 873 6666;03/04/2026;A-2;1.300\n");
    let import = upload(client, &parts, ("people.csv", &file)).await.expect(201);
    let columns = json!({ "columns": [{ "heading": "Post", "field": "email" }, { "heading": "Wer", "field": "name" }] });
    client.post(&path(&import, "/mapping"), &columns).await.expect(200);
    let done = client.post(&path(&import, "/commit"), &json!({})).await.expect(200);
    assert_eq!((&done["committed"]["created"], &done["committed"]["failed"]), (&json!(1), &json!(1)), "{done}");
    client.download(&path(&import, "/errors.xlsx")).await.1
}

#[tokio::test]
async fn mended_rows_are_read_as_the_first_file_was() {
    let test = TestApp::start_api(&["--rate-limit-bulk", "0"]).await;
    let manager = test.client(Role::Manager).await;
    let failed = partly(&manager).await;
    sqlx::query("delete from import_mappings").execute(&test.database.pool).await.unwrap();

    let mended = edited(&failed, &[("bob@ example,com", "bob@example.com")]);
    let import = upload(&manager, &[("target", "customers")], ("mended.xlsx", &mended)).await.expect(201);
    assert_eq!(
        [&import["state"], &import["mode"], &import["key"], &import["blank"], &import["warnings"][0]["code"]],
        ["mapped", "upsert", "email", "clear", "carried_settings"]
    );
    // The first file shows that its days begin with the month; the failed rows do not.
    let read = json!({ "encoding": "windows-1252", "days": "mdy", "decimal": "comma", "currency": "CHF", "region": "AT" });
    assert_eq!(import["options"], read);
    let done = manager.post(&path(&import, "/commit"), &json!({})).await.expect(200);
    assert_eq!((&done["state"], &done["committed"]["created"]), (&json!("committed"), &json!(1)), "{done}");
    let account = manager.get("/accounts?accountNumber=A-2").await.expect(200)["data"][0].clone();
    assert_eq!(
        [&account["balance"], &account["currency"], &account["dueDate"]],
        [&json!(1300.0), &json!("CHF"), &json!("2026-03-04")]
    );
    let phone = "select normalized from contact_points where value = '0316 873 6666'";
    let phone: String = sqlx::query_scalar(phone).fetch_one(&test.database.pool).await.unwrap();
    assert_eq!(phone, "+433168736666", "a number of the region");

    let parts = [("target", "customers"), ("mode", "insert"), ("options", r#"{"region":"DE"}"#)];
    let said = upload(&manager, &parts, ("mended.xlsx", &mended)).await.expect(201);
    assert_eq!(
        [&said["mode"], &said["options"]["region"], &said["options"]["days"]],
        ["insert", "DE", "mdy"],
        "what is said wins"
    );
    let remapped = manager.post(&path(&said, "/mapping"), &json!({ "blank": "keep" })).await.expect(200);
    assert_eq!([&remapped["mode"], &remapped["blank"], &remapped["key"]], ["insert", "keep", "email"]);
}

#[tokio::test]
async fn settings_that_no_import_has_written_are_left_out() {
    let test = TestApp::start_api(&["--rate-limit-bulk", "0"]).await;
    let manager = test.client(Role::Manager).await;
    let failed = partly(&manager).await;
    for (edit, target) in [
        (("\"region\":\"AT\"", "\"region\":\"Atlantis\""), "customers"),
        (("\"mode\":\"upsert\"", "\"mode\":\"delete\""), "customers"),
        (("\"key\":\"email\"", "\"key\":\"name\""), "customers"),
        (("{\"target\"", "{\"authority\":\"full\",\"target\""), "customers"),
        (("{\"target\"", "target"), "customers"),
        (("ann", "ann"), "accounts"),
    ] {
        let import = upload(&manager, &[("target", target)], ("mended.xlsx", &edited(&failed, &[edit]))).await.expect(201);
        let warnings: Vec<&str> =
            import["warnings"].as_array().unwrap().iter().map(|warning| warning["code"].as_str().unwrap()).collect();
        assert_eq!(
            (warnings, &import["mode"], &import["options"]),
            (vec!["unusable_settings"], &json!("insert"), &json!({})),
            "{edit:?}"
        );
    }
}

#[tokio::test]
async fn a_mapping_that_was_said_is_kept_for_the_next_file() {
    let test = TestApp::start_api(&[]).await;
    let manager = test.client(Role::Manager).await;
    let file = csv("Zahl,Wer\n1,Ann\n");
    let first = upload(&manager, &[("target", "customers")], ("a.csv", &file)).await.expect(201);
    assert_eq!((&first["state"], &first["mapping"]["isSaved"]), (&json!("uploaded"), &json!(false)));
    let columns = json!({ "columns": [{ "heading": "zahl", "field": "externalId" }, { "heading": "Wer", "field": "name" }] });
    manager.post(&path(&first, "/mapping"), &columns).await.expect(200);
    let second = upload(&manager, &[("target", "customers")], ("b.csv", &csv("zahl,WER\n2,Bob\n"))).await.expect(201);
    assert_eq!((&second["state"], &second["mapping"]["isSaved"]), (&json!("mapped"), &json!(true)));
    assert_eq!(second["mapping"]["columns"][0]["how"], "saved");
    let other = upload(&manager, &[("target", "accounts")], ("b.csv", &csv("zahl,WER\n2,Bob\n"))).await.expect(201);
    assert_eq!(other["mapping"]["isSaved"], false, "another target has other fields");
}

#[tokio::test]
async fn what_a_mapping_cannot_say_is_named_with_its_place() {
    let test = TestApp::start_api(&[]).await;
    let manager = test.client(Role::Manager).await;
    let file = csv("id,name,tel,mobile\n1,Ann,1,2\n");
    let import = upload(&manager, &[("target", "customers")], ("a.csv", &file)).await.expect(201);
    assert_eq!((&import["state"], &import["mapping"]["conflicts"][0]["field"]), (&json!("uploaded"), &json!("phone")));
    assert_eq!(import["mapping"]["conflicts"][0]["columns"], json!(["C", "D"]));
    let columns = json!({ "columns": [{ "column": "Z", "field": "email" }, { "heading": "name", "field": "colour" }] });
    let refused = manager.post(&path(&import, "/mapping"), &columns).await;
    assert_eq!(super::files::faults(&refused.body), ["/columns/0/column unknown_column", "/columns/1/field unknown_field"]);
    let member = manager.post(&path(&import, "/mapping"), &json!({ "colour": 1 })).await;
    assert_eq!(member.status, 422, "{}", member.body);
    let left_out = json!({ "columns": [{ "column": "D", "field": null }] });
    assert_eq!(manager.post(&path(&import, "/mapping"), &left_out).await.expect(200)["state"], "mapped");
}
