//! Values through HTTP: what is written is what is read, digit by digit, and what cannot be a value is refused.

use collections::app::App;
use collections::auth::Role;
use collections::collections::find;
use collections::server;
use collections::sync::integrity::verify;
use collections::sync::store::generations;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::app::TestApp;
use crate::harness::client::{Answer, Client};

/// Numbers that a binary float, or `jsonb`, would rewrite.
const NUMBERS: &str = r#"{"a":1.10,"b":-0.0,"c":1e3,"d":1.7976931348623157e308,"e":123456789012345678901234567890,"f":[0.30000000000000004,{"g":2E-5,"h":5e-324}],"i":1e-400}"#;

#[track_caller]
fn expect_shown(answer: &Answer, metadata: &str) {
    assert!(answer.text.contains(&format!(r#""metadata":{metadata},"custom":{NUMBERS}"#)), "{}", answer.text);
}

#[tokio::test]
async fn free_json_is_read_as_it_was_written() {
    let test = TestApp::start().await;
    let token = test.token(Role::Agent).await;
    let agent = test.anonymous().with_token(&token);
    let new = format!(r#"{{"name":"Ann","metadata":{NUMBERS},"custom":{NUMBERS}}}"#);
    let made = agent.send_text(Method::POST, "/customers", &new).await;
    expect_shown(&made, NUMBERS);
    let path = format!("/customers/{}", made.body["id"].as_str().unwrap());
    expect_shown(&agent.patch(&path, &json!({ "tags": ["vip"] })).await, NUMBERS);
    expect_shown(&agent.get(&path).await, NUMBERS);
    test.settle().await;
    let mut config = test.app.config.clone();
    config.search.url = None;
    let other = App::open(config, test.clock.clone()).unwrap();
    let there = format!("http://{}", server::start(&other).await.unwrap().address);
    let there = Client::new(there).with_token(&token);
    let (indexed, read) = (agent.get("/customers").await, there.get("/customers").await);
    other.stop.cancel();
    assert_eq!((indexed.header("x-read-source"), read.header("x-read-source")), ("elasticsearch", "postgres"));
    expect_shown(&indexed, NUMBERS);
    expect_shown(&read, NUMBERS);

    let merge = r#"{"metadata":{"a":null,"c":1E3,"d":null,"e":1.50,"f":null}}"#;
    let merged = r#"{"b":-0.0,"c":1E3,"e":1.50,"i":1e-400}"#;
    expect_shown(&agent.send_text(Method::PATCH, &path, merge).await, merged);
    let again = agent.send_text(Method::PATCH, &path, r#"{"metadata":{"e":1.50}}"#).await;
    assert_eq!(again.body["version"], 3, "the same digits change nothing");
    test.settle().await;
    expect_shown(&agent.get("/customers").await, merged);
    let elastic = test.app.search.elastic().unwrap();
    let index = generations::live(&test.app.db.sync, "customers").await.unwrap().unwrap();
    let found = verify::contents(&test.app, elastic, find("customers").unwrap(), &index).await.unwrap();
    assert!(found.differences.is_empty(), "the document equals the row");
}

#[tokio::test]
async fn no_random_number_drifts() {
    let test = TestApp::start_api(&[]).await;
    let agent = test.agent().await;
    let random = || f64::from_bits(rand::random());
    let numbers: Vec<String> = std::iter::repeat_with(random)
        .filter(|number| number.is_finite())
        .take(480)
        .map(|number| format!("{number:e}"))
        .collect();
    let metadata = format!(r#""metadata":{{"numbers":[{}]}}"#, numbers.join(","));
    let made = agent.send_text(Method::POST, "/customers", &format!(r#"{{"name":"Ann",{metadata}}}"#)).await;
    let path = format!("/customers/{}", made.body["id"].as_str().unwrap());
    let changed = agent.patch(&path, &json!({ "name": "Bea" })).await;
    for answer in [made, changed] {
        assert!(answer.text.contains(&metadata), "{}", answer.text);
    }
}

#[tokio::test]
async fn free_json_that_the_index_could_not_hold_is_refused() {
    let test = TestApp::start_api(&[]).await;
    let agent = test.agent().await;
    for (number, code) in [("1e400".to_owned(), "out_of_range"), (format!("0.{}", "1".repeat(1_000)), "not_plain")] {
        let new = format!(r#"{{"name":"Ann","metadata":{{"a":{number}}}}}"#);
        let refused = agent.send_text(Method::POST, "/customers", &new).await.expect(422);
        assert_eq!(refused["errors"][0]["code"], code, "{refused}");
    }
}

/// The address of an account that owes 100 EUR.
async fn account(client: &Client) -> String {
    let new = json!({ "customer": { "name": "Ann" }, "amountDue": 100, "currency": "EUR" });
    format!("/accounts/{}", client.post("/accounts", &new).await.expect(201)["id"].as_str().unwrap())
}

#[tokio::test]
async fn amounts_are_read_by_their_digits() {
    let test = TestApp::start_api(&["--payment-max", "1000000000"]).await;
    let manager = test.client(Role::Manager).await;
    let account = account(&manager).await;
    let bodies = |number: &str| {
        [
            ("/payments".to_owned(), format!(r#"{{"amount":{number},"method":"cash","currency":"EUR"}}"#)),
            (format!("{account}/payments"), format!(r#"{{"amount":{number},"method":"cash"}}"#)),
            (format!("{account}/ledger"), format!(r#"{{"amount":{number},"kind":"fee"}}"#)),
            ("/accounts".to_owned(), format!(r#"{{"balance":{number},"currency":"EUR","customer":{{"name":"Ann"}}}}"#)),
            ("/customers".to_owned(), format!(r#"{{"amountDue":{number},"currency":"EUR","name":"Ann"}}"#)),
        ]
    };
    for number in ["9999999999999.9999999", "0.99999999999999999", "\"0.999\"", "1e-3", "1e99", "92233720368547758070", "true"] {
        for (path, body) in bodies(number) {
            let refused = manager.send_text(Method::POST, &path, &body).await.expect(422);
            assert_eq!(refused["code"], "invalid", "{path} {body}");
        }
    }
    for (number, shown) in [("1.25e2", "125.00"), ("12.30", "12.30"), ("\"0.07\"", "0.07"), ("123456789.12", "123456789.12")] {
        for (path, body) in bodies(number) {
            let made = manager.send_text(Method::POST, &path, &body).await;
            assert!(made.status == 201 && made.text.contains(&format!(":{shown},")), "{path} {body}: {}", made.text);
        }
    }
}

async fn refusals(client: &Client, body: &Value) -> Vec<String> {
    let refused = client.post("/customers", body).await.expect(422);
    let text = |violation: &Value, member: &str| violation[member].as_str().unwrap().to_owned();
    let violations = refused["errors"].as_array().unwrap();
    violations.iter().map(|violation| format!("{} {}", text(violation, "pointer"), text(violation, "code"))).collect()
}

#[tokio::test]
async fn a_text_that_shows_nothing_is_no_name() {
    let test = TestApp::start_api(&[]).await;
    let agent = test.agent().await;
    for nothing in ["\u{200b}\u{200b}", "\u{202e}\u{2066}", "\u{1}\u{1f}", "\u{feff}\u{3164}", "\u{ad}"] {
        assert_eq!(refusals(&agent, &json!({ "name": nothing })).await, ["/name invisible"], "{nothing:?}");
        let parts = json!({ "givenName": nothing, "familyName": "Lee", "tags": [nothing] });
        assert_eq!(refusals(&agent, &parts).await, ["/givenName invisible", "/tags/0 invisible"], "{nothing:?}");
        let email = json!({ "name": "Ann", "email": format!("{nothing}@{nothing}") });
        assert_eq!(refusals(&agent, &email).await, ["/email not_a_contact"], "{nothing:?}");
    }
    let joined = json!({ "name": "\u{200f}\u{5d0}\u{5d1}\u{200f}", "email": "a@example.com" });
    agent.post("/customers", &joined).await.expect(201);
}

#[tokio::test]
async fn a_time_zone_exists_and_a_day_is_in_the_calendar() {
    let test = TestApp::start_api(&[]).await;
    let agent = test.agent().await;
    for zone in ["Europe/Berlim", "Mars/Olympus", "europe/berlin", "+02:00"] {
        let found = refusals(&agent, &json!({ "name": "Ann", "timeZone": zone })).await;
        assert_eq!(found, ["/timeZone not_a_time_zone"], "{zone}");
    }
    for day in ["10000-01-01", "+10000-01-01", "-0001-01-01", "0000-01-01", "262143-12-31", "99999999999-01-01", "1899-12-31"] {
        let refused = agent.post("/customers", &json!({ "name": "Ann", "dateOfBirth": day, "dueDate": day })).await.expect(422);
        for at in 0..2 {
            let message = refused["errors"][at]["message"].as_str().unwrap();
            assert!(message.contains("from 1900-01-01 to 2199-12-31"), "{day}: {message}");
        }
    }
    let account = account(&agent).await;
    for moment in ["10000-01-01T00:00:00Z", "-0001-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59", "1899-12-31T23:59:59Z"] {
        let refused = agent.patch(&account, &json!({ "nextActionAt": moment })).await.expect(422);
        let message = refused["errors"][0]["message"].as_str().unwrap();
        assert!(message.contains("from 1900-01-01 to 2199-12-31"), "{moment}: {message}");
    }
}
