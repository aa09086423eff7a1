//! Rates of requests: headers, refusals, and whose address a request comes from.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use collections::app::App;
use collections::auth::Role;
use collections::server;
use futures_util::future::join_all;
use serde_json::json;

use crate::harness::app::{PASSWORD, TestApp};
use crate::harness::client::Client;
use crate::harness::eventually::eventually;
use crate::harness::raw_socket::{Wire, body, status};
use crate::harness::redis::Redis;

#[tokio::test]
async fn every_answer_to_a_user_tells_what_is_left() {
    let settings = ["--rate-limit-max-requests", "100", "--rate-limit-window", "900000"];
    let test = TestApp::start_api(&settings).await;
    let viewer = test.client(Role::Viewer).await;
    let answer = viewer.get("/customers").await;
    let told = ["limit", "remaining", "reset", "policy"].map(|name| answer.header(&format!("ratelimit-{name}")));
    assert_eq!((answer.status, told), (200, ["100", "99", "9", r#""user";q=100;w=900"#]));
    let answer = viewer.post("/customers", &json!({})).await;
    assert_eq!((answer.status, answer.header("ratelimit-limit")), (403, "100"), "also without the permission");
    let answer = test.anonymous().get("/customers").await;
    assert_eq!((answer.status, answer.header("ratelimit-limit")), (401, ""), "without a caller there is no limit to tell");
}

#[tokio::test]
async fn a_user_who_sends_too_much_is_refused_and_no_other() {
    let test = TestApp::start_api(&["--rate-limit-max-requests", "5", "--rate-limit-window", "1day"]).await;
    let (viewer, other) = (test.client(Role::Viewer).await, test.client(Role::Viewer).await);
    for _ in 0..5 {
        viewer.get("/auth/me").await.expect(200);
    }
    test.clock.advance(TimeDelta::minutes(10));
    let refused = viewer.get("/auth/me").await;
    assert_eq!((refused.status, refused.code(), refused.header("ratelimit-remaining")), (429, "quota_exceeded", "0"));
    assert_eq!(refused.body["type"], "https://iana.org/assignments/http-problem-types#quota-exceeded");
    assert_eq!(refused.body["violated-policies"], json!(["user"]));
    let wait = refused.header("retry-after").parse::<u64>().unwrap();
    assert!((17_000..=17_280).contains(&wait), "a fifth of a day, whatever the clock says: {wait}");
    assert_eq!(refused.header("retry-after"), refused.header("ratelimit-reset"));
    other.get("/auth/me").await.expect(200);
}

#[tokio::test]
async fn four_servers_answer_as_many_requests_as_one() {
    let Some(redis) = Redis::start().await else { return };
    let settings = ["--redis-url", &redis.url, "--rate-limit-max-requests", "40", "--rate-limit-window", "1h"];
    let test = TestApp::start_api_tuned(&settings, |config| config.limits.redis_timeout = Duration::from_secs(30)).await;
    let token = test.token(Role::Viewer).await;
    let mut apps = vec![test.app.clone()];
    let mut clients = vec![test.anonymous().with_token(&token)];
    for _ in 0..3 {
        let app = App::open(test.app.config.clone(), test.clock.clone()).unwrap();
        let running = server::start(&app).await.unwrap();
        clients.push(Client::new(format!("http://{}", running.address)).with_token(&token));
        apps.push(app);
    }
    eventually("all share", async || apps.iter().all(|app| app.rate_limits.is_shared())).await;
    let answers = join_all((0..160).map(|number| clients[number % 4].get("/auth/me"))).await;
    let admitted = answers.iter().filter(|answer| answer.status == 200).count();
    assert!((40..=41).contains(&admitted), "{admitted}");
    assert!(answers.iter().all(|answer| matches!(answer.status, 200 | 429)));
    apps.iter().skip(1).for_each(|app| app.stop.cancel());
}

#[tokio::test]
async fn log_ins_beyond_the_rate_of_an_address_are_refused_late_and_without_their_body() {
    let test = TestApp::start_api(&["--rate-limit-auth", "3", "--trusted-proxies", "127.0.0.1"]).await;
    test.user("jane", Role::Agent).await;
    let login = json!({ "username": "jane", "password": PASSWORD });
    let from = |address: &str| test.anonymous().with("x-forwarded-for", address);
    let mut admitted = 0;
    let refused = loop {
        let began = Instant::now();
        let answer = from(&format!("2001:db8::{admitted}")).post("/auth/login", &login).await;
        if answer.status != 200 {
            assert!(began.elapsed() >= Duration::from_millis(900), "{:?}", began.elapsed());
            break answer;
        }
        admitted += 1;
    };
    assert!(admitted >= 3, "{admitted}");
    assert_eq!((refused.status, refused.code()), (429, "quota_exceeded"), "of IPv6 the network counts");
    assert_eq!(refused.body["violated-policies"], json!(["address"]));
    assert!(!refused.header("retry-after").is_empty());
    from("2001:db8:0:1::1").post("/auth/login", &login).await.expect(200);
    let head = "POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
                X-Forwarded-For: 2001:db8::3\r\nContent-Length: 1000000\r\n\r\n";
    eventually("a log-in is refused before its body comes", async || {
        let mut wire = Wire::open(test.address()).await;
        wire.send(head).await;
        // The address may have got back a request meanwhile, whose body is too large.
        let answer = wire.answer().await;
        matches!((status(&answer), body(&answer)["code"].as_str()), (429, Some("quota_exceeded")))
    })
    .await;
    let token = test.token_from("jane", "192.0.2.1").await;
    assert_eq!(test.anonymous().with_token(&token).get("/auth/me").await.status, 200, "requests with a caller are not concerned");
}

#[tokio::test]
async fn only_trusted_proxies_say_where_a_client_is() {
    let addresses = async |settings: &[&str], forwarded: &str| {
        let test = TestApp::start_api(settings).await;
        test.user("jane", Role::Agent).await;
        test.token_from("jane", forwarded).await;
        let query = "select host(ip) from sessions";
        sqlx::query_scalar::<_, String>(query).fetch_one(&test.database.pool).await.unwrap()
    };
    assert_eq!(addresses(&[], "192.0.2.1").await, "127.0.0.1", "what a client says of itself is not believed");
    let proxied = ["--trusted-proxies", "127.0.0.0/8,10.0.0.0/8"];
    assert_eq!(addresses(&proxied, "198.51.100.7, 192.0.2.1, 10.1.1.1").await, "192.0.2.1");
}
