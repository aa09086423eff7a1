//! The indices for analysts are written, verified and repaired as those of the lists are, while the setting wants them.

use std::collections::BTreeMap;

use collections::collections::ANALYTICS;
use collections::search::index::{self, Alias};
use collections::sync::store::generations;
use reqwest::Method;
use uuid::Uuid;

use crate::harness::eventually::eventually;
use crate::harness::people::crowd;
use crate::harness::synced::Synced;
use crate::sync::documents::people;
use crate::sync::reindex::SMALL;

const ON: [&str; 2] = ["--analytics", "on"];
const AGENTS: [&str; 2] = ["--analytics", "agents"];

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

/// The version of every document for analysts.
async fn versions(test: &Synced) -> BTreeMap<(&'static str, Uuid), i64> {
    let documents = [
        ("analytics-customers", 1),
        ("analytics-customers", 2),
        ("analytics-accounts", 0x11),
        ("analytics-payments", 0x21),
        ("analytics-payments", 0x22),
        ("analytics-activities", 0x31),
    ];
    let mut versions = BTreeMap::new();
    for (collection, number) in documents {
        versions.insert((collection, id(number)), test.version(collection, id(number)).await);
    }
    versions
}

/// The aliases for analysts that lead to an index.
async fn aliases(test: &Synced) -> usize {
    let mut live = 0;
    for collection in ANALYTICS {
        live += usize::from(index::inspect(&test.elastic, collection).await.unwrap() != Alias::Missing);
    }
    live
}

#[tokio::test]
async fn documents_say_what_the_rows_say_without_who_it_is() {
    let test = Synced::started_with(&ON).await;
    people(&test).await;
    test.sql(
        "update customers set date_of_birth = '1984-05-06' where name = 'Maria Muster';
        insert into contact_points (id, customer_id, kind, value, normalized)
          values (gen_random_uuid(), '00000000-0000-0000-0000-000000000001', 'phone', '0171 5550000', '+491715550000');
        insert into addresses (id, customer_id, line1, city, region, country)
          values (gen_random_uuid(), '00000000-0000-0000-0000-000000000001', 'Hauptstr. 1', 'Bonn', 'NRW', 'DE');
        insert into ledger_entries (id, account_id, kind, amount) select gen_random_uuid(), id, 'opening', 12990 from accounts;
        update accounts set due_date = '2026-01-31', portfolio = 'North'",
    )
    .await;
    test.settle().await;
    let customer = test.document("analytics-customers", id(1)).await;
    assert_eq!(customer["ageBand"], "1980s");
    assert_eq!((&customer["country"], &customer["region"]), (&"DE".into(), &"NRW".into()));
    assert_eq!((&customer["hasPhone"], &customer["hasEmail"]), (&true.into(), &false.into()));
    assert_eq!((&customer["balance"], &customer["balanceMinor"]), (&129.9.into(), &12990.into()));
    let account = test.document("analytics-accounts", id(0x11)).await;
    assert_eq!((&account["balance"], &account["balanceMinor"]), (&129.9.into(), &12990.into()));
    assert_eq!((&account["dueDate"], &account["dueMonth"]), (&"2026-01-31".into(), &"2026-01-01".into()));
    assert_eq!(account["customerKey"], customer["customerKey"]);
    assert_eq!(account["agent"], serde_json::Value::Null, "agents are not named");
    let payment = test.document("analytics-payments", id(0x21)).await;
    assert_eq!((&payment["accountKey"], &payment["isAllocated"]), (&account["accountKey"], &true.into()));
    let activity = test.document("analytics-activities", id(0x31)).await;
    assert_eq!((&activity["accountKey"], &activity["agentKey"]), (&account["accountKey"], &account["agentKey"]));
    test.expect_equal().await;
}

#[tokio::test]
async fn a_rename_of_a_person_writes_nothing_for_analysts() {
    let test = Synced::started_with(&ON).await;
    people(&test).await;
    test.settle().await;
    let before = versions(&test).await;
    let renamed = test.version("accounts", id(0x11)).await;
    test.sql(
        "update customers set name = 'Maria Neu', given_name = 'Mia', external_id = 'E' || name, tax_id = 'T-7', tags = '{x}'",
    )
    .await;
    test.settle().await;
    assert!(test.version("accounts", id(0x11)).await > renamed);
    assert_eq!(versions(&test).await, before);
    test.sql("update customers set status = 'deceased'").await;
    test.settle().await;
    assert!(versions(&test).await[&("analytics-customers", id(1))] > before[&("analytics-customers", id(1))]);
    test.expect_equal().await;
}

#[tokio::test]
async fn damage_is_found_and_repaired() {
    let test = Synced::started_with(&ON).await;
    people(&test).await;
    test.settle().await;
    let index = test.index("analytics-accounts").await;
    let path = format!("{index}/_update/{}?refresh=true", id(0x11));
    let lost = serde_json::json!({ "doc": { "balance": 1_000_000 } });
    test.raw(Method::POST, &path, Some(lost)).await;
    let found = test.differences("analytics-accounts").await;
    assert_eq!(found.len(), 1);
    assert_eq!(test.repair("analytics-accounts", &found).await.len(), 0);
    let (code, said) = test.command(&["sync", "verify", "--deep", "--analytics", "on"]).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("analytics-accounts"), "{said}");
    let (code, said) = test.command(&["reindex", "--collection", "analytics-accounts", "--analytics", "on"]).await;
    assert_eq!(code, Some(0), "{said}");
    test.expect_equal().await;
}

#[tokio::test]
async fn indices_come_and_go_with_the_setting() {
    let mut off = Synced::started().await;
    people(&off).await;
    off.settle().await;
    assert_eq!(aliases(&off).await, 0);
    off.stop().await;

    let mut on = Synced::beside_with(&off, &ON);
    on.start().await;
    assert_eq!(aliases(&on).await, ANALYTICS.len());
    assert_eq!(on.document("analytics-accounts", id(0x11)).await["agent"], serde_json::Value::Null);
    on.expect_equal().await;
    on.stop().await;

    let mut off = Synced::beside(&on);
    off.start().await;
    eventually("the indices for analysts are removed", async || aliases(&off).await == 0).await;
    let known = generations::all(&off.app.db.sync).await.unwrap();
    assert!(known.iter().all(|one| !one.collection.starts_with("analytics-")));
    off.sql("update accounts set portfolio = 'missed while they were off'").await;
    off.settle().await;
    off.stop().await;

    let mut agents = Synced::beside_with(&off, &AGENTS);
    agents.start().await;
    let account = agents.document("analytics-accounts", id(0x11)).await;
    assert_eq!((&account["portfolio"], &account["agent"]), (&"missed while they were off".into(), &"ann".into()));
    agents.sql("update users set username = 'anna'").await;
    agents.settle().await;
    assert_eq!(agents.document("analytics-accounts", id(0x11)).await["agent"], "anna");
    agents.expect_equal().await;
    agents.stop().await;
}

#[tokio::test]
async fn switched_on_over_many_rows_they_are_built_beside_the_lists_through_a_kill() {
    let mut off = Synced::started().await;
    off.insert(crowd(4_000, "Customer")).await;
    off.sql("insert into accounts (id, customer_id, currency) select gen_random_uuid(), id, 'EUR' from customers").await;
    off.settle().await;
    let lists = off.index("accounts").await;
    off.stop().await;

    let small = [ON.as_slice(), &SMALL].concat();
    let mut on = Synced::beside_with(&off, &small);
    on.launch();
    eventually("the rebuild is in the middle", async || {
        let known = generations::all(&on.app.db.sync).await.unwrap();
        known.iter().any(|one| one.collection == "analytics-accounts" && one.documents > 100)
    })
    .await;
    on.kill();
    let mut on = Synced::beside_with(&off, &small);
    on.launch();
    on.sql("update accounts set portfolio = 'Late' where id in (select id from accounts order by id limit 300)").await;
    on.settle().await;
    assert_eq!(aliases(&on).await, ANALYTICS.len());
    assert_eq!(on.index("accounts").await, lists, "lists need no rebuild");
    on.expect_equal().await;
    let index = on.index("analytics-accounts").await;
    on.raw(Method::POST, &format!("{index}/_refresh"), None).await;
    assert_eq!(on.raw(Method::GET, &format!("{index}/_count"), None).await["count"], 4_000);
    on.stop().await;
}

#[tokio::test]
async fn clients_find_no_list_of_them() {
    let test = crate::harness::app::TestApp::start().await;
    let admin = test.client(collections::auth::Role::Admin).await;
    for path in ["/analytics-accounts", "/analytics-customers"] {
        admin.get(path).await.expect(404);
    }
    let search = serde_json::json!({ "name": "debts", "collection": "analytics-accounts" });
    admin.post("/saved-searches", &search).await.expect(422);
}
