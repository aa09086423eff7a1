//! Each collection in each format on each engine is what its list shows.

use calamine::{Data, Reader as _, Xlsx};
use collections::auth::Role;
use serde_json::json;

use super::{COLLECTIONS, Record, add_hostile, download, listed, shown, table};
use crate::harness::app::TestApp;
use crate::harness::client::Client;
use crate::harness::engines::{Engines, seed};

async fn engines() -> Engines {
    Engines::start(async |database| {
        seed(database, "40").await;
        add_hostile(database).await;
    })
    .await
}

/// Conditions and orders that leave some of each collection.
const QUERIES: [(&str, &str); 7] = [
    ("customers", "sort=name"),
    ("customers", "balance[gt]=0&sort=-balance,name&tz=Europe/Berlin"),
    ("accounts", "status=open&sort=-balance"),
    ("accounts", "isOverdue=true&sort=dueDate"),
    ("payments", ""),
    ("payments", "method=cash&sort=amount"),
    ("activities", "sort=-occurredAt"),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_format_is_the_list_row_by_row_on_both_engines() {
    let engines = engines().await;
    for (engine, client) in ["elasticsearch", "postgres"].into_iter().zip(engines.clients().await) {
        for (collection, query) in QUERIES {
            let name = format!("{engine}: {collection} {query}");
            let list = listed(&client, collection, query).await;
            assert!(!list.is_empty(), "{name}");
            compare(&client, collection, query, &list, &name).await;
            let head = client.get(&format!("/{collection}/export?raw=true&{query}")).await;
            assert_eq!(head.header("x-read-source"), engine, "{name}");
            assert_eq!(head.header("x-total-count"), list.len().to_string(), "{name}");
        }
    }
}

async fn compare(client: &Client, collection: &str, query: &str, list: &[Record], name: &str) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let path = |format: &str| format!("/{collection}/export?format={format}&{query}");

    let lines = text(download(client, &path("jsonl")).await);
    let lines: Vec<Record> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let written = |record: &Record| serde_json::to_string(record).unwrap();
    assert_eq!(lines.iter().map(written).collect::<Vec<_>>(), list.iter().map(written).collect::<Vec<_>>(), "{name}");

    // Moments are written in the zone that is asked for, so they are compared without.
    let without_zone = query.split('&').filter(|part| !part.starts_with("tz=")).collect::<Vec<_>>().join("&");
    let rows = table(&text(download(client, &format!("/{collection}/export?raw=true&columns=*&{without_zone}")).await));
    let headings = &rows[0];
    assert_eq!(rows.len(), list.len() + 1, "{name}");
    for (row, record) in rows[1..].iter().zip(list) {
        for (heading, cell) in headings.iter().zip(row) {
            assert_eq!(*cell, shown(&record[heading]), "{name}: {heading}");
        }
    }

    let book = download(client, &format!("/{collection}/export?format=xlsx&{without_zone}")).await;
    let mut book: Xlsx<_> = calamine::open_workbook_from_rs(std::io::Cursor::new(book)).unwrap();
    let (sheet, range) = book.worksheets().remove(0);
    assert_eq!(sheet, collection);
    let rows: Vec<&[Data]> = range.rows().collect();
    assert_eq!(rows.len(), list.len() + 1, "{name}");
    for (row, record) in rows[1..].iter().zip(list) {
        for (heading, cell) in rows[0].iter().zip(*row) {
            let (Data::String(heading), member) = (heading, &record[&heading.to_string()]) else { panic!("{name}") };
            let expected = shown(member);
            match cell {
                Data::Empty => assert_eq!("", expected, "{name}: {heading}"),
                Data::String(text) => assert_eq!(*text, expected, "{name}: {heading}"),
                Data::Float(number) => assert_eq!(*number, expected.parse::<f64>().unwrap(), "{name}: {heading}"),
                Data::Bool(flag) => assert_eq!(flag.to_string(), expected, "{name}: {heading}"),
                Data::DateTime(at) => {
                    let at = at.as_datetime().unwrap().format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
                    assert!(at.starts_with(&expected), "{name}: {heading}: {at} is {expected}");
                }
                other => panic!("{name}: {heading}: {other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn callers_who_see_masks_get_them_in_every_format() {
    let engines = engines().await;
    let test = engines.app();
    let admin = test.admin().await;
    admin.put("/roles/viewer/permissions", &json!({ "permissions": ["read", "export"] })).await.expect(200);
    let viewer = test.client(Role::Viewer).await;
    for collection in COLLECTIONS {
        let list = listed(&viewer, collection, "").await;
        compare(&viewer, collection, "", &list, collection).await;
    }
    let customers = download(&viewer, "/customers/export").await;
    assert!(String::from_utf8(customers).unwrap().contains("•••"));
    let refused = viewer.get("/customers/export?sort=name").await;
    assert_eq!((refused.status, refused.code()), (403, "forbidden"));
}

#[tokio::test]
async fn payments_have_the_header_of_the_older_dashboard_byte_for_byte() {
    let test = TestApp::start_api(&[]).await;
    let manager = test.client(Role::Manager).await;
    let body = json!({ "amount": "250.75", "method": "credit_card", "status": "success", "receiver": "Jane \"J\" Doe, Ltd" });
    let payment = manager.post("/payments", &body).await.expect(201);
    let older = manager.get("/api/payments/export").await;
    let (id, at) = (payment["id"].as_str().unwrap(), payment["createdAt"].as_str().unwrap());
    let row = format!("{id},250.75,credit_card,success,\"Jane \"\"J\"\" Doe, Ltd\",,{at}\r\n");
    let expected = format!("ID,Amount,Method,Status,Receiver,Description,Created At\r\n{row}");
    assert_eq!(older.text, expected);
    assert_eq!(older.header("content-type"), "text/csv; charset=utf-8");
    assert_eq!(older.header("content-disposition"), "attachment; filename=\"payments.csv\"");
    let canonical = download(&manager, "/payments/export").await;
    assert_eq!(canonical, [b"\xef\xbb\xbf", expected.as_bytes()].concat(), "spreadsheets need the mark");
    assert_eq!(manager.get("/api/v1/payments/export?raw=true").await.text, expected);
    assert_eq!(manager.get("/api/payments/export?status=failed").await.text, expected[..expected.len() - row.len()]);
}

#[tokio::test]
async fn columns_come_in_the_order_that_is_asked_for_and_formulas_are_guarded() {
    let test = TestApp::start_api(&[]).await;
    let manager = test.client(Role::Manager).await;
    for (receiver, description) in [("=1+1", "+14155552671"), ("+1-1", "-12.50"), ("@x", "a,b")] {
        let body = json!({ "amount": 1, "method": "cash", "receiver": receiver, "description": description });
        manager.post("/payments", &body).await.expect(201);
    }
    let path = "/payments/export?columns=description,receiver&sort=createdAt";
    let guarded = "\u{feff}description,receiver\r\n+14155552671,'=1+1\r\n-12.50,'+1-1\r\n\"a,b\",'@x\r\n";
    assert_eq!(String::from_utf8(download(&manager, path).await).unwrap(), guarded);
    let raw = "description,receiver\r\n+14155552671,=1+1\r\n-12.50,+1-1\r\n\"a,b\",@x\r\n";
    assert_eq!(manager.get(&format!("{path}&raw=true")).await.text, raw);
}

#[tokio::test]
async fn wrong_parameters_are_refused_by_name() {
    let test = TestApp::start_api(&[]).await;
    let manager = test.client(Role::Manager).await;
    for (query, named) in [
        ("format=pdf", "format: takes one of csv, xlsx, jsonl"),
        ("columns=id,colour", "columns: there is no colour"),
        ("columns=id,id", "columns: id is there twice"),
        ("columns=", "columns: there is no"),
        ("raw=perhaps", "raw: "),
        ("limit=5", "limit: an export has all records"),
        ("cursor=x", "cursor: "),
        ("facets=status", "facets: "),
        ("include=customer", "include: "),
        ("colour=red", "colour"),
        ("status=lost", "status"),
    ] {
        let refused = manager.get(&format!("/accounts/export?{query}")).await;
        assert_eq!((refused.status, refused.code()), (400, "bad_parameter"), "{query}");
        assert!(refused.body["detail"].as_str().unwrap().contains(named), "{query}: {}", refused.body["detail"]);
    }
    assert_eq!(
        manager.get("/accounts/export?format=excel").await.header("content-disposition"),
        "attachment; filename=\"accounts.xlsx\""
    );
}
