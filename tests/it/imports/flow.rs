//! An import by HTTP from its upload to its undo: what is answered on the way, and which steps are refused when.

use collections::auth::Role;
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::files::{self, csv, path, upload, workbook};
use crate::harness::app::TestApp;
use crate::harness::client::Client;

const PEOPLE: &[&[&str]] = &[
    &["Cust No", "name", "City", "status"],
    &["0001", "Ann Smith", "Vienna", "active"],
    &["0002", "Bob Jones", "Graz", "activ"],
    &["0003", "", "", ""],
];

/// Maps, validates and commits an import.
async fn finish(client: &Client, import: &Value) -> Value {
    client.post(&path(import, "/validate"), &json!({})).await.expect(200);
    client.post(&path(import, "/commit"), &json!({})).await.expect(200)
}

async fn names(client: &Client) -> Vec<String> {
    let customers = client.get("/customers?sort=externalId&limit=100").await.expect(200);
    customers["data"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_workbook_goes_from_its_upload_to_its_undo() {
    let test = TestApp::start_api(&[]).await;
    let manager = test.client(Role::Manager).await;
    let created = upload(&manager, &[("target", "customers"), ("mode", "upsert")], ("People.xlsx", &workbook(PEOPLE))).await;
    assert_eq!(created.status, 201, "{}", created.body);
    let import = created.body.clone();
    assert_eq!(created.header("location"), format!("/api/v1{}", path(&import, "")));
    assert_eq!((&import["state"], &import["headerRow"], &import["key"]), (&json!("uploaded"), &json!(1), &json!("externalId")));
    assert_eq!(import["sheets"][0]["rows"], 4);
    let fields: Vec<&Value> = import["mapping"]["columns"].as_array().unwrap().iter().map(|column| &column["field"]).collect();
    assert_eq!(fields, [&Value::Null, &json!("name"), &json!("city"), &json!("status")]);
    assert_eq!(import["mapping"]["columns"][1]["samples"], json!(["Ann Smith", "Bob Jones"]));
    assert_eq!(import["mapping"]["missing"], json!([["externalId"]]));

    let unmapped = manager.post(&path(&import, "/validate"), &json!({})).await;
    assert_eq!((unmapped.status, unmapped.code()), (409, "import_state"));
    let columns = json!({ "columns": [{ "column": "A", "field": "externalId" }] });
    let mapped = manager.post(&path(&import, "/mapping"), &columns).await.expect(200);
    assert_eq!((&mapped["state"], &mapped["mapping"]["missing"]), (&json!("mapped"), &json!([])));

    let validated = manager.post(&path(&import, "/validate"), &json!({})).await.expect(200);
    assert_eq!(validated["state"], "validated");
    let counts = &validated["validated"];
    assert_eq!((&counts["rows"], &counts["created"], &counts["failed"]), (&json!(3), &json!(2), &json!(1)), "{validated}");
    assert_eq!(names(&manager).await, Vec::<String>::new(), "nothing of it stays");
    let preview = manager.get(&path(&import, "/preview")).await.expect(200);
    assert_eq!(preview["creates"].as_array().unwrap().len(), 2);
    let issue = &preview["errors"][0]["issues"][0];
    assert_eq!(
        (&issue["cell"], &issue["field"], &issue["code"], &issue["suggestion"]),
        (&json!("D3"), &json!("status"), &json!("unknown_value"), &json!("active"))
    );

    let committed = manager.post(&path(&import, "/commit"), &json!({})).await.expect(200);
    assert_eq!((&committed["state"], &committed["committed"]["created"]), (&json!("partial"), &json!(2)));
    assert_eq!(names(&manager).await, ["Ann Smith", "0003"]);
    let report = manager.get(&path(&import, "/report")).await.expect(200);
    let unknown = report["issues"].as_array().unwrap().iter().find(|group| group["code"] == "unknown_value").unwrap();
    assert_eq!((&unknown["count"], &unknown["places"]), (&json!(1), &json!(["D3"])));
    let failed = manager.get(&path(&import, "/rows?status=error")).await.expect(200);
    assert_eq!(failed["data"].as_array().unwrap().len(), 1);
    assert_eq!((&failed["data"][0]["row"], &failed["data"][0]["action"]), (&json!(3), &json!("error")));

    let undone = manager.post(&path(&import, "/undo"), &json!({})).await.expect(200);
    assert_eq!((&undone["state"], &undone["undone"]["reversed"]), (&json!("undone"), &json!(2)));
    assert_eq!(names(&manager).await, Vec::<String>::new());
    let again = manager.post(&path(&import, "/undo"), &json!({})).await;
    assert_eq!(again.status, 409, "{}", again.body);
    manager.delete(&path(&import, "")).await.expect(204);
    assert_eq!(manager.get(&path(&import, "")).await.code(), "not_found");
}

#[tokio::test]
async fn rows_are_walked_page_by_page() {
    let test = TestApp::start_api(&[]).await;
    let manager = test.client(Role::Manager).await;
    let rows: String = (1..=25).map(|row| format!("C{row},Ann {row}\n")).collect();
    let import =
        upload(&manager, &[("target", "customers")], ("a.csv", csv(&format!("id,name\n{rows}")).as_slice())).await.expect(201);
    assert_eq!(import["state"], "mapped", "what is complete needs no more");
    finish(&manager, &import).await;
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = manager.get(&path(&import, &format!("/rows?status=create&limit=10&cursor={cursor}"))).await.expect(200);
        seen.extend(page["data"].as_array().unwrap().iter().map(|row| row["row"].as_i64().unwrap()));
        match page["nextCursor"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => break,
        }
    }
    assert_eq!(seen, (2..=26).collect::<Vec<i64>>());
}

#[tokio::test]
async fn the_same_file_is_warned_of_and_creates_nothing() {
    let test = TestApp::start_api(&[]).await;
    let manager = test.client(Role::Manager).await;
    let file = csv("id;name\n1;Ann\n2;Bob\n");
    let first = upload(&manager, &[("target", "customers")], ("a.csv", &file)).await.expect(201);
    assert_eq!(first["warnings"], json!([]));
    finish(&manager, &first).await;
    let second = upload(&manager, &[("target", "customers")], ("b.csv", &file)).await.expect(201);
    assert_eq!((&second["warnings"][0]["code"], &second["warnings"][0]["importId"]), (&json!("same_file"), &first["id"]));
    let committed = finish(&manager, &second).await;
    assert_eq!((&committed["committed"]["created"], &committed["committed"]["skipped"]), (&json!(0), &json!(2)));
}

#[tokio::test]
async fn steps_out_of_their_order_are_refused() {
    let test = TestApp::start_api(&[]).await;
    let manager = test.client(Role::Manager).await;
    let import = upload(&manager, &[("target", "customers")], ("a.csv", &csv("id,name\n1,Ann\n"))).await.expect(201);
    for step in ["/undo", "/pause", "/resume", "/cancel"] {
        let refused = manager.post(&path(&import, step), &json!({})).await;
        assert_eq!(refused.status, 409, "{step}: {}", refused.body);
    }
    finish(&manager, &import).await;
    for step in ["/commit", "/validate", "/mapping"] {
        let refused = manager.post(&path(&import, step), &json!({})).await;
        assert_eq!(refused.status, 409, "{step}: {}", refused.body);
    }
    assert_eq!(names(&manager).await, ["Ann"]);
}

#[tokio::test]
async fn commits_at_once_import_once() {
    let test = TestApp::start_api(&[]).await;
    let manager = test.client(Role::Manager).await;
    let rows: String = (1..=50).map(|row| format!("C{row},Ann {row}\n")).collect();
    let import =
        upload(&manager, &[("target", "customers")], ("a.csv", csv(&format!("id,name\n{rows}")).as_slice())).await.expect(201);
    manager.post(&path(&import, "/validate"), &json!({})).await.expect(200);
    let (address, body) = (path(&import, "/commit"), json!({}));
    let answers = join_all((0..4).map(|_| manager.post(&address, &body))).await;
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409, 409, 409]);
    assert_eq!(names(&manager).await.len(), 50);
}

#[tokio::test]
async fn an_import_is_for_its_owner_and_managers() {
    let test = TestApp::start_api(&[]).await;
    let admin = test.admin().await;
    let refused = upload(&test.agent().await, &[("target", "customers")], ("a.csv", &csv("id,name\n1,Ann\n"))).await;
    assert_eq!((refused.status, refused.code()), (403, "forbidden"));
    let permissions = json!({ "permissions": ["read", "personal", "edit", "import"] });
    admin.put("/roles/agent/permissions", &permissions).await.expect(200);
    let (owner, other) = (test.agent().await, test.agent().await);
    let import = upload(&owner, &[("target", "customers")], ("a.csv", &csv("id,name\n1,Ann\n"))).await.expect(201);
    for suffix in ["", "/preview", "/rows", "/report", "/errors.xlsx"] {
        let foreign = other.get(&path(&import, suffix)).await;
        assert_eq!((foreign.status, foreign.code()), (404, "not_found"), "{suffix}");
    }
    for suffix in ["/mapping", "/validate", "/commit", "/pause", "/resume", "/cancel", "/undo"] {
        let foreign = other.post(&path(&import, suffix), &json!({})).await;
        assert_eq!((foreign.status, foreign.code()), (404, "not_found"), "{suffix}");
    }
    assert_eq!(other.delete(&path(&import, "")).await.code(), "not_found");
    assert_eq!(other.get("/imports").await.expect(200)["data"], json!([]));
    let manager = test.client(Role::Manager).await;
    assert_eq!(manager.get("/imports").await.expect(200)["data"][0]["id"], import["id"]);
    manager.get(&path(&import, "")).await.expect(200);
    finish(&owner, &import).await;
}

#[tokio::test]
async fn what_is_wrong_with_a_form_is_named() {
    let test = TestApp::start_api(&["--rate-limit-bulk", "0"]).await;
    let manager = test.client(Role::Manager).await;
    let file = csv("id,name\n1,Ann\n");
    for (parts, content, status, codes) in [
        (&[][..], file.as_slice(), 422, "/target required"),
        (&[("target", "people"), ("mode", "merge")], &file, 422, "/mode unknown_value /target unknown_value"),
        (&[("target", "customers"), ("headerRow", "x")], &file, 422, "/headerRow not_acceptable"),
        (&[("target", "customers"), ("headerRow", "99")], &file, 422, "/headerRow no_headings"),
        (&[("target", "customers"), ("key", "name")], &file, 422, "/key unknown_value"),
        (&[("target", "customers"), ("sheet", "Second")], &file, 422, "/sheet no_such_sheet"),
        (&[("target", "customers"), ("options", r#"{"colour":1}"#)], &file, 422, "/options not_acceptable"),
        (&[("target", "customers"), ("options", r#"{"region":"Atlantis"}"#)], &file, 422, "/options/region not_acceptable"),
        (&[("target", "customers")], b"", 422, "/file empty_file"),
        (&[("target", "customers")], b"\x89PNG\r\n\x1a\n\0\0\0", 422, "/file not_a_workbook"),
        (&[("target", "customers"), ("color", "red")], &file, 400, ""),
    ] {
        let refused = upload(&manager, parts, ("a.csv", content)).await;
        assert_eq!(refused.status, status, "{parts:?}: {}", refused.body);
        let mut found: Vec<String> = files::faults(&refused.body);
        found.sort();
        assert_eq!(found.join(" "), codes, "{parts:?}");
    }
    let none = manager.send_as(Some("multipart/form-data; boundary=XX"), reqwest::Method::POST, "/imports", "--XX--\r\n").await;
    assert_eq!((none.status, files::faults(&none.body)), (422, vec!["/file required".to_owned()]));
    let wrong = manager.post("/imports", &json!({ "target": "customers" })).await;
    assert_eq!((wrong.status, wrong.code()), (415, "unsupported_media_type"));
    let twice = files::form(&[("target", "customers")], &[("a.csv", &file), ("b.csv", &file)]);
    let twice = manager.send_bytes(files::FORM, reqwest::Method::POST, "/imports", twice).await;
    assert_eq!((twice.status, twice.code()), (400, "bad_form"));
    assert_eq!(manager.get("/imports").await.expect(200)["data"], json!([]), "nothing of what was refused stays");
}

#[tokio::test]
async fn imports_are_limited_like_bulk_updates() {
    let test = TestApp::start_api(&["--rate-limit-bulk", "2"]).await;
    let manager = test.client(Role::Manager).await;
    let file = csv("id,name\n1,Ann\n");
    for status in [201, 201, 429] {
        assert_eq!(upload(&manager, &[("target", "customers")], ("a.csv", &file)).await.status, status);
    }
}

#[tokio::test]
async fn a_user_has_three_imports_running_at_most() {
    let test = TestApp::start_api(&[]).await;
    let (manager, admin) = (test.client(Role::Manager).await, test.admin().await);
    let begin = async |client: &Client| {
        let import = upload(client, &[("target", "customers")], ("a.csv", &csv("id,name\n1,Ann\n"))).await.expect(201);
        let answer = client.with("Prefer", "respond-async").post(&path(&import, "/validate"), &json!({})).await;
        (path(&import, "/cancel"), answer)
    };
    let mut cancel = String::new();
    for _ in 0..3 {
        let (path, answer) = begin(&manager).await;
        assert_eq!(answer.status, 202, "{}", answer.body);
        cancel = path;
    }
    let (_, refused) = begin(&manager).await;
    assert_eq!((refused.status, refused.code()), (409, "too_many_imports"));
    assert_eq!(begin(&admin).await.1.status, 202, "each user counts alone");
    manager.post(&cancel, &json!({})).await;
    assert_eq!(begin(&manager).await.1.status, 202, "one has ended");
}

#[tokio::test]
async fn limits_are_told_before_the_upload() {
    let test = TestApp::start_api(&["--import-max-file-bytes", "1000"]).await;
    let manager = test.client(Role::Manager).await;
    let limits = manager.get("/imports/limits").await.expect(200);
    assert_eq!((&limits["maxFileBytes"], &limits["formats"][0]), (&json!(1000), &json!("xlsx")));
    let target = limits["targets"].as_array().unwrap().iter().find(|target| target["target"] == "accounts").unwrap();
    assert_eq!((&target["key"], &target["fields"][0]["name"]), (&json!("accountNumber"), &json!("accountNumber")));
    let large = format!("id,name\n1,{}\n", "x".repeat(100_000));
    let refused = upload(&manager, &[("target", "customers")], ("a.csv", &csv(&large))).await;
    assert_eq!((refused.status, refused.code()), (413, "too_large"));
}

#[tokio::test]
async fn a_row_of_a_text_that_is_too_long_fails_alone() {
    let test = TestApp::start_api(&[]).await;
    let manager = test.client(Role::Manager).await;
    let file = csv("id,name\n1,Ann\n2,Bob,x\n3,Cyn\n");
    let import = upload(&manager, &[("target", "customers")], ("a.csv", &file)).await.expect(201);
    let done = manager.post(&path(&import, "/commit"), &json!({})).await.expect(200);
    assert_eq!((&done["committed"]["created"], &done["committed"]["failed"]), (&json!(2), &json!(1)), "{done}");
    let rows = manager.get(&path(&import, "/rows?status=error")).await.expect(200);
    assert_eq!((&rows["data"][0]["row"], &rows["data"][0]["issues"][0]["code"]), (&json!(3), &json!("wrong_column_count")));
}
