//! Who created and last changed a record, by name.

use collections::auth::Role;
use serde_json::{Value, json};

use crate::harness::app::{Engine, TestApp};
use crate::harness::eventually::eventually;

async fn id_of(test: &TestApp, username: &str) -> String {
    let sql = "select id::text from users where username = $1";
    sqlx::query_scalar(sql).bind(username).fetch_one(&test.database.pool).await.unwrap()
}

fn authors(record: &Value) -> [&Value; 4] {
    ["createdBy", "createdByName", "updatedBy", "updatedByName"].map(|name| &record[name])
}

#[tokio::test]
async fn records_name_their_authors_wherever_they_are_shown() {
    for engine in [Engine::Elasticsearch, Engine::Postgres] {
        let test = TestApp::start_on(engine).await;
        test.user("ann", Role::Agent).await;
        test.user("ben", Role::Manager).await;
        let (ann, ben) = (test.sign_in("ann").await, test.sign_in("ben").await);
        let (ann_id, ben_id) = (id_of(&test, "ann").await, id_of(&test, "ben").await);
        let [by_ann, by_ben] = [(&ann_id, "ann"), (&ben_id, "ben")].map(|(id, name)| [json!(id), json!(name)]);
        let both = [&by_ann[0], &by_ann[1], &by_ben[0], &by_ben[1]];

        let body = json!({ "customer": { "name": "Cleo" }, "amountDue": 10, "accountNumber": "A-1" });
        let created = ann.post("/accounts", &body).await.expect(201);
        assert_eq!(authors(&created), [&by_ann[0], &by_ann[1], &by_ann[0], &by_ann[1]]);
        let path = format!("/accounts/{}", created["id"].as_str().unwrap());
        let changed = ben.patch(&path, &json!({ "creditor": "ACME" })).await.expect(200);
        assert_eq!(authors(&changed), both);
        let read = ann.get(&path).await;
        assert_eq!((authors(&read.body), &read.body), (both, &changed));
        ben.post(&format!("{path}/payments"), &json!({ "amount": 1, "method": "cash", "status": "success" })).await.expect(201);

        test.settle().await;
        let list = ben.get("/accounts?q=cleo&include=customer").await.expect(200);
        assert_eq!(authors(&list["data"][0]), both, "{engine:?}");
        assert_eq!(authors(&list["data"][0]["customer"])[..2], both[..2]);
        let found = ben.get("/search?q=cleo").await.expect(200);
        let groups = found["groups"].as_array().unwrap().iter();
        let names: Vec<&Value> =
            groups.flat_map(|group| group["data"].as_array().unwrap()).map(|found| &found["createdByName"]).collect();
        assert_eq!(names, [&json!("ann"), &json!("ann"), &json!("ben")], "{engine:?}");
        let some = ben.get(&format!("/accounts?createdBy={ann_id}&fields=updatedByName,createdBy")).await.expect(200);
        assert_eq!(some["data"], json!([{ "id": created["id"], "createdBy": ann_id, "updatedByName": "ben" }]));
        let entry = &ben.get(&format!("{path}/ledger")).await.expect(200)["data"][0];
        assert_eq!([&entry["createdBy"], &entry["createdByName"]], both[2..]);
    }
}

#[tokio::test]
async fn a_renamed_user_is_shown_without_writing_a_record() {
    let test = TestApp::start_api(&[]).await;
    test.user("ann", Role::Agent).await;
    let ann = test.sign_in("ann").await;
    let path =
        format!("/customers/{}", ann.post("/customers", &json!({ "name": "Cleo" })).await.expect(201)["id"].as_str().unwrap());
    let before = ann.get(&path).await.expect(200);
    sqlx::query("update users set name = 'Ann \"Q\" Smith'").execute(&test.database.pool).await.unwrap();
    for path in [path.as_str(), "/customers"] {
        eventually("the new name is shown", async || {
            let body = ann.get(path).await.expect(200);
            let record = if body["data"].is_array() { &body["data"][0] } else { &body };
            assert_eq!(record["version"], before["version"]);
            authors(record)[1] == "Ann \"Q\" Smith" && authors(record)[3] == "Ann \"Q\" Smith"
        })
        .await;
    }
}

#[tokio::test]
async fn authors_are_sent_back_as_they_were_read_or_not_at_all() {
    let test = TestApp::start_api(&[]).await;
    let (ann, ben) = (test.agent().await, test.agent().await);
    let created = ann.post("/customers", &json!({ "name": "Cleo" })).await.expect(201);
    let path = format!("/customers/{}", created["id"].as_str().unwrap());
    let mut whole = ann.get(&path).await.expect(200);
    whole["language"] = json!("de");
    let changed = ben.put(&path, &whole).await.expect(200);
    assert_ne!(changed["updatedByName"], whole["updatedByName"]);
    for (member, value) in
        [("createdByName", json!("Me")), ("updatedBy", json!(null)), ("updatedByName", whole["updatedByName"].clone())]
    {
        let refused = ben.patch(&path, &json!({ member: value })).await.expect(422);
        assert_eq!(
            (&refused["errors"][0]["pointer"], &refused["errors"][0]["code"]),
            (&json!(format!("/{member}")), &json!("not_changeable"))
        );
        ben.patch(&format!("/api{path}"), &json!({ member: value })).await.expect(200);
    }
    sqlx::query("insert into customers (id, name) values (gen_random_uuid(), 'By an operator')")
        .execute(&test.database.pool)
        .await
        .unwrap();
    let list = ben.get("/customers?q=operator").await.expect(200);
    assert_eq!(authors(&list["data"][0]), [&Value::Null; 4]);
}
