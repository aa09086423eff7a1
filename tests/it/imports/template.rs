//! Templates: each is uploaded as it is, and one with the current records changes what was edited.

use collections::auth::Role;
use serde_json::json;

use super::files::{path, sheets, upload, workbook};
use crate::harness::app::TestApp;

#[tokio::test]
async fn a_template_with_a_filled_row_is_imported() {
    let test = TestApp::start_api(&[]).await;
    let manager = test.client(Role::Manager).await;
    for (target, values, listed) in [
        (
            "customers",
            &[("externalId", "007"), ("name", "Ann"), ("dateOfBirth", "1980-01-31"), ("kind", "person")][..],
            "/customers",
        ),
        ("accounts", &[("accountNumber", "0815"), ("customerExternalId", "007"), ("balance", "12.50")], "/accounts"),
        ("payments", &[("reference", "T1"), ("accountNumber", "0815"), ("amount", "2.50")], "/payments"),
        (
            "activities",
            &[("accountNumber", "0815"), ("type", "call"), ("occurredAt", "2026-01-31"), ("note", "no answer")],
            "/activities",
        ),
    ] {
        let (headers, bytes) = manager.download(&format!("/imports/template.xlsx?target={target}")).await;
        assert_eq!(headers["content-disposition"], format!("attachment; filename=\"{target}_template.xlsx\""));
        let all = sheets(&bytes);
        assert_eq!(all.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), [target, "Notes", "_template"]);
        let headings = all[0].1[0].clone();
        assert_eq!(all[1].1.iter().filter(|row| headings.contains(&row[0])).count(), headings.len(), "each field is explained");
        // Without a row there is nothing to import, and nothing wrong with the columns.
        let empty = upload(&manager, &[("target", target)], ("t.xlsx", &bytes)).await.expect(201);
        assert_eq!((&empty["state"], &empty["warnings"]), (&json!("mapped"), &json!([])), "{empty}");

        let row: Vec<&str> = headings
            .iter()
            .map(|heading| values.iter().find(|(name, _)| name == heading).map_or("", |(_, value)| *value))
            .collect();
        let headings: Vec<&str> = headings.iter().map(String::as_str).collect();
        let filled = workbook(&[&headings, &row]);
        let import = upload(&manager, &[("target", target)], ("t.xlsx", &filled)).await.expect(201);
        manager.post(&path(&import, "/validate"), &json!({})).await.expect(200);
        let committed = manager.post(&path(&import, "/commit"), &json!({})).await.expect(200);
        assert_eq!(committed["committed"]["created"], 1, "{target}: {committed}");
        assert_eq!(manager.get(listed).await.expect(200)["data"].as_array().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn current_records_are_edited_and_uploaded_again() {
    let test = TestApp::start_api(&[]).await;
    let manager = test.client(Role::Manager).await;
    let customer = |number: &str, name: &str| {
        json!({ "externalId": number, "name": name, "phone": "+1 415 555 2671", "tags": ["a", "b"],
            "addresses": [{ "line1": "1 High St", "postalCode": "01067", "country": "DE" }] })
    };
    for (number, name) in [("0001", "Ann"), ("0002", "Bob")] {
        manager.post("/customers", &customer(number, name)).await.expect(201);
    }
    let (_, bytes) = manager.download("/imports/template.xlsx?target=customers&data=current").await;
    let (_, rows) = sheets(&bytes).remove(0);
    let at = |heading: &str| rows[0].iter().position(|one| one == heading).unwrap();
    assert_eq!((&*rows[1][at("externalId")], &*rows[1][at("postalCode")], &*rows[1][at("tags")]), ("0001", "01067", "a, b"));

    let unchanged = upload(&manager, &[("target", "customers"), ("mode", "upsert")], ("c.xlsx", &bytes)).await.expect(201);
    let validated = manager.post(&path(&unchanged, "/validate"), &json!({})).await.expect(200);
    assert_eq!((&validated["validated"]["unchanged"], &validated["validated"]["failed"]), (&json!(2), &json!(0)), "{validated}");

    let edited: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| cell.replace("Bob", "Bobby")).collect()).collect();
    let edited: Vec<Vec<&str>> = edited.iter().map(|row| row.iter().map(String::as_str).collect()).collect();
    let edited = workbook(&edited.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let import = upload(&manager, &[("target", "customers"), ("mode", "update")], ("c.xlsx", &edited)).await.expect(201);
    manager.post(&path(&import, "/validate"), &json!({})).await.expect(200);
    let preview = manager.get(&path(&import, "/preview")).await.expect(200);
    let changes = &preview["updates"][0]["changes"];
    assert_eq!(changes, &json!([{ "field": "name", "before": "Bob", "after": "Bobby" }]));
    manager.post(&path(&import, "/commit"), &json!({})).await.expect(200);
    assert_eq!(manager.get("/customers?externalId=0002").await.expect(200)["data"][0]["name"], "Bobby");
}

#[tokio::test]
async fn current_records_leave_with_the_permissions_to_export_and_to_see_them_only() {
    let test = TestApp::start_api(&[]).await;
    let admin = test.admin().await;
    let address = "/imports/template.xlsx?data=current";
    for (permissions, with_data, without) in [
        (&["read", "personal", "import"][..], 403, 200),
        (&["read", "import", "export"], 403, 200),
        (&["read", "personal", "export"], 403, 403),
        (&["read", "personal", "import", "export"], 200, 200),
    ] {
        admin.put("/roles/agent/permissions", &json!({ "permissions": permissions })).await.expect(200);
        let agent = test.agent().await;
        assert_eq!(agent.get(address).await.status, with_data, "{permissions:?}");
        assert_eq!(agent.get("/imports/template.xlsx").await.status, without, "{permissions:?}");
    }
    assert_eq!(admin.get("/imports/template.xlsx?target=people").await.code(), "bad_parameter");
    assert_eq!(admin.get("/imports/template.xlsx?data=all").await.code(), "bad_parameter");
}
