//! Universal search: one text finds the person, the account and the payment, on both engines.

use collections::auth::Role;
use collections::collections::ALL;
use serde_json::{Value, json};

use super::lists::{ENGINES, Lists};
use crate::harness::app::{Engine, TestApp, elasticsearch_url};
use crate::harness::proxy::{Mode, Proxy};

const ROWS: &str = r"
insert into customers (id, external_id, name, given_name, family_name, date_of_birth)
select ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, 'X-' || n, given || ' ' || family, given, family, born
from (values
  (1, 'Jon', 'Smith', null), (2, 'Jane', 'Müller', null), (3, 'Hans', 'Müller', null), (4, 'Anna', 'Smith', date '1980-05-01'),
  (5, 'Jon', 'Smith', null), (6, 'Peter', 'Strauß', null), (7, 'Olga', 'Zwickelbauer', null)
) as people(n, given, family, born);
update customers set deleted_at = now() where external_id = 'X-7';
insert into contact_points (id, customer_id, kind, value, normalized, is_primary)
select gen_random_uuid(), ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, kind, value, normalized, true
from (values
  (1, 'phone', '(415) 555-4711', '+14155554711'), (2, 'email', 'Jane@Example.com', 'jane@example.com'),
  (5, 'phone', '+14155550000', '+14155550000'), (6, 'phone', '+1 555 010-4477', '15550104477')
) as points(n, kind, value, normalized);
insert into addresses (id, customer_id, line1, city, country)
select gen_random_uuid(), ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, line1, city, 'DE'
from (values (2, 'Torstraße 5', 'Berlin'), (3, 'Ring 1', 'Hamburg')) as places(n, line1, city);
insert into accounts (id, account_number, customer_id, currency, due_date, status)
select ('00000000-0000-7000-9000-' || lpad(n::text, 12, '0'))::uuid, number, ('00000000-0000-7000-8000-' || lpad(owner::text, 12, '0'))::uuid,
  currency, due, status
from (values
  (1, 'INV-0042', 2, 'EUR', null::date, 'open'), (2, 'AC-7', 4, 'USD', date '2026-03-01', 'open'), (3, 'AC-8', 5, 'USD', null, 'paused'),
  (4, 'AC-9', 1, 'JPY', null, 'open')
) as debts(n, number, owner, currency, due, status);
insert into ledger_entries (id, account_id, kind, amount)
select gen_random_uuid(), ('00000000-0000-7000-9000-' || lpad(n::text, 12, '0'))::uuid, 'opening', amount
from (values (1, 10000), (2, 125000), (3, 1250), (4, 1250)) as openings(n, amount);
insert into payments (id, account_id, amount, currency, method, status, reference)
select ('00000000-0000-7000-a000-' || lpad(n::text, 12, '0'))::uuid, ('00000000-0000-7000-9000-' || lpad(account::text, 12, '0'))::uuid,
  amount, currency, 'cash', 'pending', reference
from (values (1, 2, 125000, 'USD', 'BANK-778812'), (2, 3, 999, 'USD', 'BANK-778813')) as receipts(n, account, amount, currency, reference);
";

const STREETS: &str = r"
insert into customers (id, external_id, name)
select ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, 'S-' || n, 'Ann Example' from generate_series(1, 5) as n;
insert into addresses (id, customer_id, line1, country)
select gen_random_uuid(), ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, line1, 'DE'
from (values (1, '12 Baker Street'), (2, '12 Baker St.'), (3, '7 Mill Road'), (4, 'Hauptstr. 1'), (5, 'Hauptstraße 2')) as places(n, line1);
";

/// The member by which a test knows a record.
const NAMES: [(&str, &str); 3] = [("customers", "externalId"), ("accounts", "accountNumber"), ("payments", "reference")];

fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

async fn find(lists: &Lists, typed: &str) -> Value {
    lists.client.get(&format!("/search?q={}", encoded(typed))).await.expect(200)
}

/// The names of the hits of a group, in order; none if there is no such group.
fn hits<'a>(body: &'a Value, collection: &str) -> Option<Vec<&'a str>> {
    let (_, name) = NAMES.into_iter().find(|(known, _)| *known == collection).unwrap();
    let group = body["groups"].as_array().unwrap().iter().find(|group| group["type"] == collection)?;
    Some(group["data"].as_array().unwrap().iter().map(|record| record[name].as_str().unwrap()).collect())
}

fn types(body: &Value) -> Vec<&str> {
    body["groups"].as_array().unwrap().iter().map(|group| group["type"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn what_people_type_finds_its_record_first() {
    for engine in ENGINES {
        let lists = Lists::open_with(engine, ROWS).await;
        for (typed, collection, first) in [
            ("jon smith 4711", "customers", "X-1"),
            ("jon smth 4711", "customers", "X-1"),
            ("4711 jon", "customers", "X-1"),
            ("müller berlin", "customers", "X-2"),
            ("mueller torstrasse", "customers", "X-2"),
            ("smith 1,250.00", "accounts", "AC-7"),
            ("anna 1.250,00", "customers", "X-4"),
            ("smith €1250", "payments", "BANK-778812"),
            ("+1 (555) 010-4477", "customers", "X-6"),
            ("strauss +1 555 010-4477", "customers", "X-6"),
            ("4477", "customers", "X-6"),
            ("inv-0042", "accounts", "INV-0042"),
            ("jane inv-0042", "accounts", "INV-0042"),
            ("inv 42 müller", "accounts", "INV-0042"),
            ("jane@", "customers", "X-2"),
            ("jane@example.com", "customers", "X-2"),
            ("2026-03-01", "accounts", "AC-7"),
            ("smith 01.03.2026", "accounts", "AC-7"),
            ("1980-05-01", "customers", "X-4"),
            ("bank-778812", "payments", "BANK-778812"),
            ("778812 smith", "payments", "BANK-778812"),
            ("anna smi", "customers", "X-4"),
        ] {
            let body = find(&lists, typed).await;
            assert_eq!(hits(&body, collection).unwrap().first(), Some(&first), "{typed} on {engine:?}: {body}");
        }
    }
}

#[tokio::test]
async fn a_mistyped_text_is_answered_with_what_was_meant() {
    for engine in ENGINES {
        let lists = Lists::open_with(engine, ROWS).await;
        assert_eq!(find(&lists, "jane mullr berlin").await["didYouMean"], json!(["jane Müller berlin"]), "{engine:?}");
        assert!(find(&lists, "jane müller berlin").await["didYouMean"].is_null());
    }
}

#[tokio::test]
async fn a_text_that_finds_nothing_is_answered_with_the_nearest_that_there_is() {
    for engine in ENGINES {
        let named = "update customers set family_name = 'Quittenbaum', name = 'Hans Quittenbaum' where external_id = 'X-3'";
        let lists = Lists::open_with(engine, &format!("{ROWS}; {named}")).await;
        let typed = "quittnpeumm 999";
        let body = find(&lists, typed).await;
        // Postgres shows what is similar.
        let groups = body["groups"].as_array().unwrap();
        let mut records = groups.iter().flat_map(|group| group["data"].as_array().unwrap());
        let is_similar = |record: &Value| record["_match"]["matchedOn"][0]["how"] == "similar";
        assert!(records.all(is_similar), "{engine:?}: {body}");
        assert_eq!(body["didYouMean"], json!(["Quittenbaum 999"]), "{engine:?}: {body}");
        assert!(find(&lists, "zwickelpeurr").await["didYouMean"].is_null(), "a deleted record is no suggestion");
        let viewer = lists.client_of(Role::Viewer).await;
        let masked = viewer.get("/search?q=quittnpeumm").await.expect(200);
        assert!(masked["didYouMean"].is_null(), "who sees masks would be told what is behind them: {masked}");
    }
}

#[tokio::test]
async fn every_hit_says_why_however_much_is_mistyped() {
    let mut similar = 0;
    for rows in [ROWS, STREETS] {
        let lists = Lists::open_with(Engine::Postgres, rows).await;
        for typed in
            ["jonathansmithers", "straussenberger", "mueler jonn", "sm ithson", "bakerton str", "hauptmannstr", "anna exampel"]
        {
            let body = lists.client.get(&format!("/search?q={}", encoded(typed))).await.expect(200);
            let groups = body["groups"].as_array().unwrap();
            for record in groups.iter().flat_map(|group| group["data"].as_array().unwrap()) {
                let matched = record["_match"]["matchedOn"].as_array().unwrap();
                assert!(!matched.is_empty(), "{typed}: {record}");
                similar += usize::from(matched.iter().any(|matched| matched["how"] == "similar"));
            }
        }
    }
    assert!(similar > 5, "{similar}");
}

#[tokio::test]
async fn a_street_and_its_abbreviation_find_each_other() {
    for engine in ENGINES {
        let lists = Lists::open_with(engine, STREETS).await;
        for (typed, expected) in [
            ("12 baker street", &["S-1", "S-2"][..]),
            ("baker st", &["S-1", "S-2"]),
            ("mill rd", &["S-3"]),
            ("hauptstrasse", &["S-4", "S-5"]),
            ("hauptstr.", &["S-4", "S-5"]),
        ] {
            lists.check(&format!("/customers?q={}&sort=externalId", encoded(typed)), "externalId", expected).await;
        }
        let body = lists.client.get("/customers?q=mill+rd&highlight=true").await.expect(200);
        let matched = body["data"][0]["_match"]["matchedOn"].as_array().unwrap();
        assert!(matched.contains(&json!({ "field": "addresses.line1", "how": "spelling" })), "{body}");
    }
}

#[tokio::test]
async fn an_amount_is_one_of_the_records_own_currency() {
    for engine in ENGINES {
        let lists = Lists::open_with(engine, ROWS).await;
        // 1250 yen, and not 12.50 dollars.
        let body = find(&lists, "smith 1,250.00").await;
        let mut accounts = hits(&body, "accounts").unwrap();
        accounts.sort_unstable();
        assert_eq!(accounts, ["AC-7", "AC-9"], "{body}");
        assert_eq!(hits(&find(&lists, "smith 12.50").await, "accounts").unwrap(), ["AC-8"]);
    }
}

#[tokio::test]
async fn groups_are_ordered_by_their_best_hit_and_say_why() {
    for engine in ENGINES {
        let lists = Lists::open_with(engine, ROWS).await;
        let body = find(&lists, "INV-0042").await;
        let first = &body["groups"][0];
        assert_eq!(
            (&first["type"], &first["total"], &first["totalRelation"]),
            (&json!("accounts"), &json!(1), &json!("eq")),
            "{body}"
        );
        let matched = &first["data"][0]["_match"];
        assert_eq!(matched["matchedOn"], json!([{ "field": "accountNumber", "how": "exact" }]));
        let fragments = json!([{ "text": "INV-0042", "hit": true }]);
        assert_eq!(matched["highlights"], json!([{ "field": "accountNumber", "fragments": fragments }]));
        let scores: Vec<f64> =
            body["groups"].as_array().unwrap().iter().filter_map(|group| group["data"][0]["_match"]["score"].as_f64()).collect();
        assert!(scores.is_sorted_by(|one, other| one >= other), "{scores:?}");
    }
}

#[tokio::test]
async fn a_record_is_shown_as_its_list_shows_it() {
    let activity =
        "insert into activities (id, account_id, kind, note) select gen_random_uuid(), id, 'note', 'called' from accounts";
    for engine in ENGINES {
        let lists = Lists::open_with(engine, &format!("{ROWS}; {activity}")).await;
        for collection in ALL {
            let listed = lists.client.get(&format!("/{}?q=anna+smith&limit=1", collection.name)).await.expect(200);
            let body = lists.client.get(&format!("/search?q=anna+smith&types={}&limit=1", collection.name)).await.expect(200);
            let mut found = body["groups"][0]["data"][0].clone();
            found.as_object_mut().unwrap().remove("_match").unwrap();
            assert_eq!(found, listed["data"][0], "{}", collection.name);
        }
    }
}

#[tokio::test]
async fn highlights_are_parts_of_the_text_as_it_is_shown() {
    for engine in ENGINES {
        let lists = Lists::open_with(engine, ROWS).await;
        let body = lists.client.get("/customers?q=strauss&highlight=true").await.expect(200);
        let highlights = &body["data"][0]["_match"]["highlights"];
        let fragments = json!([{ "text": "Peter ", "hit": false }, { "text": "Strauß", "hit": true }]);
        assert_eq!(highlights[0], json!({ "field": "name", "fragments": fragments }), "{body}");
        let body = lists.client.get("/customers?q=555+4711&highlight=true").await.expect(200);
        let highlight =
            json!({ "field": "phone", "fragments": [{ "text": "(415) ", "hit": false }, { "text": "555-4711", "hit": true }] });
        assert_eq!(body["data"][0]["_match"]["highlights"][0], highlight, "{body}");
        let body = lists.client.get("/customers?q=muell&highlight=true&sort=externalId").await.expect(200);
        let matched = json!({ "field": "name", "how": "prefix" });
        assert_eq!(body["data"][0]["_match"]["matchedOn"][0], matched, "{body}");
        assert!(lists.client.get("/customers?q=strauss").await.expect(200)["data"][0]["_match"].is_null());
    }
}

#[tokio::test]
async fn conditions_in_the_text_are_filters() {
    for engine in ENGINES {
        let lists = Lists::open_with(engine, ROWS).await;
        for (typed, expected) in [
            ("status:paused smith", &["AC-8"][..]),
            ("smith -status:open", &["AC-8"]),
            ("Status:open balance:>1000 currency:usd", &["AC-7"]),
            ("balance:100..2000 currency:EUR", &["INV-0042"]),
            ("dueDate:2026-03-01", &["AC-7"]),
            ("accountNumber:INV*", &["INV-0042"]),
            // No field of accounts, or none of its values.
            ("city:berlin", &[]),
            ("12:30", &[]),
        ] {
            lists.check(&format!("/accounts?q={}&sort=accountNumber", encoded(typed)), "accountNumber", expected).await;
        }
        let body = find(&lists, "method:cash smith").await;
        assert_eq!(types(&body), ["payments"], "{body}");
        let body = find(&lists, "kind:person").await;
        assert_eq!((types(&body), body["groups"][0]["total"].as_u64()), (vec!["customers"], Some(6)), "{body}");
        let body = find(&lists, "Tel: 4711").await;
        assert_eq!(types(&body).len(), ALL.len(), "a colon in pasted text is no condition: {body}");
    }
}

#[tokio::test]
async fn a_caller_sees_what_a_list_would_show() {
    for engine in ENGINES {
        let lists = Lists::open_with(engine, ROWS).await;
        assert_eq!(hits(&find(&lists, "zwickelbauer").await, "customers").unwrap(), Vec::<&str>::new(), "deleted");
        let body = lists.client.get("/search?q=zwickelbauer&includeDeleted=true").await.expect(200);
        assert_eq!(hits(&body, "customers").unwrap(), ["X-7"]);
        let viewer = lists.client_of(Role::Viewer).await;
        assert_eq!(types(&viewer.get("/search?q=jane").await.expect(200)).len(), ALL.len());
        assert_eq!(viewer.get("/search?q=jane&includeDeleted=true").await.status, 403);
    }
    let test = TestApp::start_api(&[]).await;
    assert_eq!(test.anonymous().get("/search?q=jane").await.status, 401);
    // Both addresses have it.
    test.agent().await.get("/api/search?q=jane").await.expect(200);
}

#[tokio::test]
async fn a_group_has_as_many_hits_as_the_client_wants() {
    let lists = Lists::open_with(ENGINES[1], ROWS).await;
    let body = lists.client.get("/search?q=smith&types=customers,accounts&limit=1").await.expect(200);
    let mut known = types(&body);
    known.sort_unstable();
    assert_eq!(known, ["accounts", "customers"]);
    for group in body["groups"].as_array().unwrap() {
        assert_eq!((group["data"].as_array().unwrap().len(), &group["total"]), (1, &json!(3)), "{body}");
    }
    for wrong in ["types=people", "limit=0", "limit=51", "limit=abc", "sort=name", "tz=Mars"] {
        assert_eq!(lists.client.get(&format!("/search?q=smith&{wrong}")).await.code(), "bad_parameter", "{wrong}");
    }
}

#[tokio::test]
async fn text_that_asks_for_nothing_is_answered_with_a_hint() {
    for engine in ENGINES {
        let lists = Lists::open_with(engine, ROWS).await;
        for typed in ["", " ", "j", "7", "🙂", "--", "*", "\"", "\\", "/../", "%", "_"] {
            let body = find(&lists, typed).await;
            assert_eq!(body["groups"], json!([]), "{typed:?}");
            assert!(body["hint"].is_string(), "{typed:?}");
        }
        assert_eq!(hits(&find(&lists, "jo").await, "customers").unwrap().len(), 2, "from two letters on it is a prefix");
    }
}

#[tokio::test]
async fn no_text_breaks_the_search() {
    for engine in ENGINES {
        let lists = Lists::open_with(engine, ROWS).await;
        for typed in [
            "name:(smith OR jones) AND *:*",
            "smith~2 ^5 [a TO z] {x} && || ! \\",
            "'; drop table customers; --",
            "' or 1=1",
            "{\"query\":{\"match_all\":{}}}",
            "محمد بن سلمان",
            "\u{202e}nhoj",
            "a\u{0301}\u{0301}\u{0301}",
            "%%%smith%_",
            "1e400 99999999999999999999.99 -0.00",
            "9999999999999999999999999999",
            "balance:>1e9999 balance:>abc dueDate:2026-99-99",
            "status: :open :: a:\"",
            "￼ ﷺ ½ ① Ⅷ",
        ] {
            for path in ["/search", "/customers", "/accounts", "/payments"] {
                let status = lists.client.get(&format!("{path}?q={}", encoded(typed))).await.status;
                assert!(matches!(status, 200 | 400), "{path} {typed:?}: {status}");
            }
        }
        for typed in ["a".repeat(4_000), "ä".repeat(1_000), "a ".repeat(500), "a:b ".repeat(500), "smith\0".to_owned()] {
            assert_eq!(lists.client.get(&format!("/search?q={}", encoded(&typed))).await.status, 400, "{}", typed.len());
        }
    }
}

#[tokio::test]
async fn a_search_goes_on_while_elasticsearch_refuses() {
    let (proxy, url) = Proxy::before(&elasticsearch_url()).await;
    let test = TestApp::start_with(&["--elasticsearch-url", &url, "--search-timeout", "2s"]).await;
    let client = test.admin().await;
    let created = client.post("/customers", &json!({ "name": "Ada Lovelace" })).await;
    let seen = client.with("x-sync-token", created.header("x-sync-token"));
    let answer = seen.get("/search?q=lovelace").await;
    assert_eq!(answer.header("x-read-source"), "elasticsearch");
    assert_eq!(answer.expect(200)["groups"][0]["data"][0]["name"], "Ada Lovelace");
    proxy.set(Mode::Refuse);
    let answer = seen.get("/search?q=lovelace").await;
    assert_eq!(answer.header("x-read-source"), "postgres");
    let body = answer.expect(200);
    assert_eq!((&body["groups"][0]["total"], &body["groups"][0]["degraded"]), (&json!(1), &json!(true)), "{body}");
}

#[tokio::test]
async fn a_group_that_fails_is_marked_and_fails_no_other() {
    let lists = Lists::open_with(ENGINES[1], ROWS).await;
    // Only searches for customers read their addresses.
    lists.run("drop table addresses cascade").await;
    let body = lists.client.get("/search?q=smith").await.expect(200);
    let failed = body["groups"].as_array().unwrap().iter().find(|group| group["type"] == "customers").unwrap();
    assert_eq!(
        (&failed["error"]["code"], &failed["data"], &failed["total"]),
        (&json!("internal"), &json!([]), &Value::Null),
        "{body}"
    );
    assert_eq!(hits(&body, "accounts").unwrap().len(), 3, "{body}");
    assert_eq!(lists.client.get("/search?q=smith&types=customers").await.code(), "internal");
}
