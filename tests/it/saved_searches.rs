//! Saved searches through HTTP: who sees and changes them, one default, and lists that no longer take them.

use std::collections::BTreeSet;

use collections::auth::Role;
use serde_json::{Value, json};

use crate::harness::app::{Engine, TestApp};
use crate::harness::client::{Answer, Client};

const PATH: &str = "/saved-searches";

/// Saves a search with members besides its name and collection.
async fn save(client: &Client, more: &Value) -> Value {
    let mut body = json!({ "name": "Late", "collection": "accounts" });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    client.post(PATH, &body).await.expect(201)
}

fn path(search: &Value) -> String {
    format!("{PATH}/{}", search["id"].as_str().unwrap())
}

/// Pointer and code of each fault.
fn faults(list: &Value) -> Vec<String> {
    let faults = list.as_array().unwrap().iter();
    faults.map(|fault| format!("{} {}", fault["pointer"].as_str().unwrap(), fault["code"].as_str().unwrap())).collect()
}

#[tokio::test]
async fn a_search_is_saved_changed_and_deleted() {
    let test = TestApp::start_api(&[]).await;
    let viewer = test.client(Role::Viewer).await;
    let body = json!({
        "name": " Late ", "collection": "accounts", "query": "?status=open&balance[gte]=100", "sort": "-balance,dueDate",
        "columns": ["accountNumber", "customerName", "balance"], "isPinned": true,
    });
    let keyed = viewer.with("idempotency-key", "once");
    let created = keyed.post(PATH, &body).await;
    assert_eq!(created.status, 201, "{}", created.body);
    let search = &created.body;
    assert_eq!(created.header("location"), format!("/api/v1{}", path(search)));
    assert_eq!(
        (&search["name"], &search["visibility"], &search["isDefault"], &search["isPinned"], &search["isValid"]),
        (&json!("Late"), &json!("private"), &json!(false), &json!(true), &json!(true))
    );
    assert_eq!(search["query"], "balance%5Bgte%5D=100&status=open");
    assert_eq!(search["url"], "/api/v1/accounts?balance%5Bgte%5D=100&status=open&sort=-balance%2CdueDate");
    assert_eq!(search["problems"], json!([]));
    assert_eq!(search.get("count"), None, "it is counted on request");
    assert_eq!(keyed.post(PATH, &body).await.header("idempotent-replayed"), "true");

    let read = viewer.get(&path(search)).await;
    assert_eq!((&read.body, read.header("etag")), (search, created.header("etag")));
    assert_eq!(viewer.get(PATH).await.expect(200)["data"], json!([search]));
    assert_eq!(viewer.get(&format!("{PATH}?collection=payments")).await.expect(200)["data"], json!([]));

    // What was read can be sent back.
    let mut whole = read.body.clone();
    whole["query"] = json!("");
    whole["sort"] = Value::Null;
    let changed = viewer.with("if-match", read.header("etag")).patch(&path(search), &whole).await.expect(200);
    assert_eq!((&changed["url"], &changed["version"]), (&json!("/api/v1/accounts"), &json!(2)));
    let stale = viewer.with("if-match", read.header("etag")).patch(&path(search), &json!({ "name": "Later" })).await;
    assert_eq!((stale.status, &stale.body["currentVersion"]), (412, &json!(2)));
    let fixed = viewer.patch(&path(search), &json!({ "collection": "payments", "ownerName": "Me", "colour": 1 })).await;
    assert_eq!(
        faults(&fixed.expect(422)["errors"]),
        ["/collection not_changeable", "/colour unknown_member", "/ownerName not_changeable"]
    );

    viewer.delete(&path(search)).await.expect(204);
    for answer in [viewer.get(&path(search)).await, viewer.delete(&path(search)).await] {
        assert_eq!(answer.code(), "not_found");
    }
}

#[tokio::test]
async fn a_search_keeps_a_tree_of_conditions() {
    let test = TestApp::start_api(&[]).await;
    let agent = test.agent().await;
    let customer = agent.post("/customers", &json!({ "name": "Ann" })).await.expect(201);
    for (number, currency) in [("T-1", "EUR"), ("T-2", "USD"), ("T-3", "JPY")] {
        let account = json!({ "customerId": customer["id"], "accountNumber": number, "currency": currency, "tags": ["tree"] });
        agent.post("/accounts", &account).await.expect(201);
    }
    let of = |currency: &str| json!({ "field": "currency", "value": currency });
    let tree = json!({ "and": [{ "field": "tags", "value": "tree" }, { "or": [of("EUR"), of("JPY")] }] });
    let query = |tree: &Value| form_urlencoded::Serializer::new(String::new()).append_pair("filter", &tree.to_string()).finish();
    let search = save(&agent, &json!({ "query": query(&tree), "sort": "accountNumber" })).await;
    let counted = agent.get(&format!("{}?count=true", path(&search))).await.expect(200);
    assert_eq!((&counted["count"], &counted["isValid"]), (&json!(2), &json!(true)), "{counted}");
    let listed = agent.get(counted["url"].as_str().unwrap().strip_prefix("/api/v1").unwrap()).await.expect(200);
    let numbers: Vec<_> = listed["data"].as_array().unwrap().iter().map(|one| one["accountNumber"].as_str().unwrap()).collect();
    assert_eq!(numbers, ["T-1", "T-3"]);
    let refused =
        json!({ "name": "x", "collection": "accounts", "query": query(&json!({ "or": [of("EUR"), { "field": "hue" }] })) });
    assert_eq!(faults(&agent.post(PATH, &refused).await.expect(422)["errors"]), ["filter/or/1 required"]);
}

#[tokio::test]
async fn a_search_is_seen_by_its_visibility_and_changed_by_its_owner_and_administrators() {
    let test = TestApp::start_api(&[]).await;
    let owner = test.client(Role::Manager).await;
    let readers = [Role::Viewer, Role::Agent, Role::Manager, Role::Admin];
    let mut clients = Vec::new();
    for role in readers {
        clients.push(test.client(role).await);
    }
    // What a change answers, for each of the readers.
    for (visibility, expected) in
        [("private", [404, 404, 404, 404]), ("team", [404, 404, 403, 404]), ("global", [403, 403, 403, 200])]
    {
        let search = save(&owner, &json!({ "visibility": visibility })).await;
        for ((client, role), status) in clients.iter().zip(readers).zip(expected) {
            let is_visible = status != 404;
            let read = client.get(&path(&search)).await;
            assert_eq!(read.status, if is_visible { 200 } else { 404 }, "{visibility} {role:?}");
            let listed =
                client.get(PATH).await.expect(200)["data"].as_array().unwrap().iter().any(|one| one["id"] == search["id"]);
            assert_eq!(listed, is_visible, "{visibility} {role:?}");
            let changed = client.patch(&path(&search), &json!({ "name": "Theirs" })).await;
            assert_eq!(changed.status, status, "{visibility} {role:?}: {}", changed.body);
            if status != 200 {
                assert_eq!(client.delete(&path(&search)).await.status, status, "{visibility} {role:?}");
            }
        }
        owner.delete(&path(&search)).await.expect(204);
    }
}

#[tokio::test]
async fn only_managers_publish_to_all() {
    let test = TestApp::start_api(&[]).await;
    let agent = test.agent().await;
    let refused = |answer: Answer| assert_eq!((answer.status, answer.code()), (403, "forbidden"), "{}", answer.body);
    refused(agent.post(PATH, &json!({ "name": "A", "collection": "accounts", "visibility": "global" })).await);
    let search = save(&agent, &json!({ "visibility": "team" })).await;
    refused(agent.patch(&path(&search), &json!({ "visibility": "GLOBAL" })).await);
    save(&test.client(Role::Manager).await, &json!({ "visibility": "global" })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_defaults_leave_one() {
    let test = TestApp::start_api(&[]).await;
    let agent = test.agent().await;
    let defaults = async || {
        let all = agent.get(&format!("{PATH}?limit=100")).await.expect(200);
        let all = all["data"].as_array().unwrap().iter();
        all.filter(|one| one["isDefault"] == true).map(path).collect::<Vec<_>>()
    };
    let one = save(&agent, &json!({})).await;
    let other = save(&agent, &json!({})).await;
    save(&agent, &json!({ "collection": "payments", "isDefault": true })).await;
    let body = json!({ "isDefault": true });
    for _ in 0..5 {
        let (path_one, path_other) = (path(&one), path(&other));
        let new = json!({ "isDefault": true });
        let (first, second, _, _) =
            tokio::join!(agent.patch(&path_one, &body), agent.patch(&path_other, &body), save(&agent, &new), save(&agent, &new));
        first.expect(200);
        second.expect(200);
        assert_eq!(defaults().await.len(), 2, "one of accounts, one of payments");
    }
    let replaced = agent.get(&path(&one)).await.expect(200);
    let last = agent.patch(&path(&one), &body).await.expect(200);
    assert!(defaults().await.contains(&path(&last)), "{replaced}");
}

#[tokio::test]
async fn what_the_list_refuses_is_not_saved() {
    let test = TestApp::start_api(&[]).await;
    let agent = test.agent().await;
    let query = "status=lost&balance[suffix]=1&colour=red&page=2&sort=name&q=a";
    let body = json!({ "name": "x", "collection": "accounts", "query": query, "sort": "tags", "columns": ["balance", "gone"] });
    let answer = agent.post(PATH, &body).await;
    let found: BTreeSet<String> = faults(&answer.expect(422)["errors"]).into_iter().collect();
    for expected in [
        "status bad_value",
        "balance[suffix] unknown_operator",
        "colour unknown_parameter",
        "page not_saved",
        "sort not_saved",
        "sort unknown_field",
        "/columns/1 unknown_field",
    ] {
        assert!(found.contains(expected), "{expected}: {found:?}");
    }
    let long = format!("status=open&q={}", "a".repeat(4_000));
    for (body, expected) in [
        (json!({}), &["/collection required", "/name required"][..]),
        (json!({ "name": "", "collection": "accounts" }), &["/name too_short"]),
        (json!({ "name": "x", "collection": "users" }), &["/collection unknown_value"]),
        (json!({ "name": "x", "collection": "accounts", "query": { "q": "a" } }), &["/query wrong_type"]),
        (json!({ "name": "x", "collection": "accounts", "columns": vec!["id"; 51] }), &["/columns too_many"]),
        (json!({ "name": "x", "collection": "accounts", "visibility": "secret" }), &["/visibility unknown_value"]),
        (json!({ "name": "x", "collection": "accounts", "url": "/" }), &["/url unknown_member"]),
        (json!({ "name": "x", "collection": "accounts", "query": long }), &["/query too_long", "q bad_value"]),
    ] {
        let answer = agent.post(PATH, &body).await.expect(422);
        let found: BTreeSet<String> = faults(&answer["errors"]).into_iter().collect();
        assert_eq!(found, expected.iter().map(|fault| (*fault).to_owned()).collect(), "{body}");
    }
    for query in ["limit=0", "limit=1001", "count=true&limit=21", "cursor=x", "colour=red", "count=perhaps"] {
        assert_eq!(agent.get(&format!("{PATH}?{query}")).await.status, 400, "{query}");
    }
}

#[tokio::test]
async fn a_search_that_its_list_no_longer_takes_is_shown_as_invalid() {
    let test = TestApp::start_api(&[]).await;
    let agent = test.agent().await;
    let search = save(&agent, &json!({ "query": "status=open", "columns": ["balance"] })).await;
    let gone = save(&agent, &json!({})).await;
    // As if a release had removed the field and the collection.
    let sql = "update saved_searches set query = 'shade=red', columns = '{balance,shade}' where id = $1::uuid";
    sqlx::query(sql).bind(search["id"].as_str()).execute(&test.database.pool).await.unwrap();
    let sql = "update saved_searches set collection = 'invoices' where id = $1::uuid";
    sqlx::query(sql).bind(gone["id"].as_str()).execute(&test.database.pool).await.unwrap();

    let list = agent.get(&format!("{PATH}?count=true")).await.expect(200);
    let shown: Vec<_> = list["data"].as_array().unwrap().iter().map(|one| (faults(&one["problems"]), &one["isValid"])).collect();
    let is_valid = &json!(false);
    assert_eq!(
        shown,
        [
            (vec!["/columns/1 unknown_field".into(), "shade unknown_parameter".into()], is_valid),
            (vec!["/collection unknown_value".into()], is_valid)
        ]
    );
    let read = agent.get(&format!("{}?count=true", path(&search))).await.expect(200);
    assert_eq!((&read["url"], &read["count"]), (&Value::Null, &Value::Null));

    // It can be renamed, repaired and deleted.
    agent.patch(&path(&search), &json!({ "name": "Old", "isPinned": true })).await.expect(200);
    let half = agent.patch(&path(&search), &json!({ "query": "status=open" })).await;
    assert_eq!(faults(&half.expect(422)["errors"]), ["/columns/1 unknown_field"]);
    let repaired = agent.patch(&path(&search), &json!({ "query": "status=open", "columns": null })).await.expect(200);
    assert_eq!((&repaired["isValid"], &repaired["url"]), (&json!(true), &json!("/api/v1/accounts?status=open")));
    agent.delete(&path(&gone)).await.expect(204);
}

async fn a_count_is_the_total_of_the_shared_list(engine: Engine) {
    let test = TestApp::start_on(engine).await;
    let (manager, reader) = (test.client(Role::Manager).await, test.client(Role::Agent).await);
    for (at, name) in ["Renée Zwickelbauer", "Jon Smith", "Ann Smith"].into_iter().enumerate() {
        let body = json!({ "customer": { "name": name }, "accountNumber": format!("S-{at}"), "amountDue": at * 100 });
        manager.post("/accounts", &body).await.expect(201);
    }
    test.settle().await;
    for (more, expected) in [
        (json!({}), 3),
        (json!({ "query": "q=smith", "sort": "-balance" }), 2),
        (json!({ "query": "q=zwickelbaur" }), 1),
        (json!({ "query": "balance[gte]=100&status=open", "sort": "accountNumber", "columns": ["balance"] }), 2),
        (json!({ "query": "status=closed" }), 0),
    ] {
        let mut more = more;
        more["visibility"] = json!("global");
        let search = save(&manager, &more).await;
        let counted = reader.get(&format!("{}?count=true", path(&search))).await.expect(200);
        assert_eq!((&counted["count"], &counted["countRelation"]), (&json!(expected), &json!("eq")), "{more}");
        let list = reader.get(counted["url"].as_str().unwrap()).await.expect(200);
        assert_eq!((&list["total"], &list["totalRelation"]), (&counted["count"], &counted["countRelation"]), "{more}");
        let query = more["query"].as_str().unwrap_or_default();
        let sort = more["sort"].as_str().map(|sort| format!("&sort={sort}")).unwrap_or_default();
        let typed = reader.get(&format!("/accounts?{query}{sort}")).await.expect(200);
        assert_eq!(list["data"], typed["data"], "{more}");
    }
    let all = reader.get(&format!("{PATH}?count=true&limit=20")).await.expect(200);
    let counts: Vec<_> = all["data"].as_array().unwrap().iter().map(|one| one["count"].as_u64().unwrap()).collect();
    assert_eq!(counts, [3, 2, 1, 2, 0]);
}

#[tokio::test]
async fn a_count_is_the_total_of_the_shared_list_on_elasticsearch() {
    a_count_is_the_total_of_the_shared_list(Engine::Elasticsearch).await;
}

#[tokio::test]
async fn a_count_is_the_total_of_the_shared_list_on_postgres() {
    a_count_is_the_total_of_the_shared_list(Engine::Postgres).await;
}

#[tokio::test]
async fn a_search_shows_no_reader_more_than_the_list_does() {
    let test = TestApp::start_api(&[]).await;
    let (manager, agent) = (test.client(Role::Manager).await, test.agent().await);
    let search = save(&manager, &json!({ "query": "includeDeleted=true", "visibility": "global" })).await;
    assert_eq!(search["isValid"], true);
    let read = agent.get(&format!("{}?count=true", path(&search))).await.expect(200);
    assert_eq!((faults(&read["problems"]), &read["count"]), (vec!["includeDeleted forbidden".to_owned()], &Value::Null));
    let refused = agent.post(PATH, &json!({ "name": "x", "collection": "accounts", "query": "includeDeleted" })).await;
    assert_eq!(faults(&refused.expect(422)["errors"]), ["includeDeleted forbidden"]);
}

#[tokio::test]
async fn a_user_keeps_a_hundred_searches_and_reads_them_by_pages() {
    let test = TestApp::start_api(&[]).await;
    let agent = test.agent().await;
    let first = save(&agent, &json!({})).await;
    let sql = "insert into saved_searches (id, owner_id, name, collection, query)
        select gen_random_uuid(), $1::uuid, 'n', 'accounts', '' from generate_series(1, 99)";
    sqlx::query(sql).bind(first["ownerId"].as_str()).execute(&test.database.pool).await.unwrap();
    let refused = agent.post(PATH, &json!({ "name": "x", "collection": "accounts" })).await;
    assert_eq!((refused.status, refused.code()), (409, "too_many_saved_searches"));

    let (mut seen, mut cursor) = (BTreeSet::new(), String::new());
    loop {
        let page = agent.get(&format!("{PATH}?limit=30&cursor={cursor}")).await.expect(200);
        seen.extend(page["data"].as_array().unwrap().iter().map(path));
        match page["nextCursor"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => break,
        }
    }
    assert_eq!(seen.len(), 100);
}
