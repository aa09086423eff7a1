//! Who may open a socket, what it may hear, and how long.

use collections::auth::Role;
use serde_json::json;

use crate::harness::app::TestApp;
use crate::harness::socket::Socket;

#[tokio::test]
async fn a_socket_needs_a_credential() {
    let test = TestApp::start_api(&[]).await;
    let token = test.token(Role::Viewer).await;
    let open = async |path: &str, headers: &[(&str, &str)]| Socket::open(test.address(), path, headers).await;
    let bearer = format!("Bearer {token}");
    for path in ["/", "/ws"] {
        let mut socket = open(path, &[("authorization", &bearer)]).await.unwrap();
        let ready = socket.hear().await;
        assert_eq!((&ready["type"], &ready["heartbeat"]), (&json!("ready"), &json!(25)));
    }
    assert_eq!(open("/ws", &[("authorization", "Bearer x")]).await.err(), Some(401));
    assert_eq!(open("/ws?ticket=x", &[]).await.err(), Some(401));
    assert_eq!(open("/elsewhere", &[]).await.err(), Some(404));

    let mut stranger = open("/ws", &[]).await.unwrap();
    stranger.say(&json!({ "type": "auth", "token": token })).await;
    assert_eq!(stranger.hear().await["type"], "ready");
    let mut wrong = open("/ws", &[]).await.unwrap();
    wrong.say(&json!({ "type": "auth", "token": "x" })).await;
    assert_eq!(wrong.closed().await, 4401);
    let mut hasty = open("/ws", &[]).await.unwrap();
    hasty.say(&json!({ "type": "subscribe", "topics": ["payments"] })).await;
    assert_eq!(hasty.closed().await, 4401);
    let mut mute = open("/ws", &[]).await.unwrap();
    assert_eq!(mute.closed().await, 4401, "after 10 seconds");
}

#[tokio::test]
async fn a_ticket_opens_one_socket() {
    let test = TestApp::start_api(&[]).await;
    let viewer = test.client(Role::Viewer).await;
    let ticket = viewer.post("/auth/ticket", &json!({})).await.expect(200)["ticket"].as_str().unwrap().to_owned();
    let path = format!("/ws?ticket={ticket}");
    let mut socket = Socket::open(test.address(), &path, &[]).await.unwrap();
    assert_eq!(socket.hear().await["type"], "ready");
    assert_eq!(Socket::open(test.address(), &path, &[]).await.err(), Some(401));
    let late = viewer.post("/auth/ticket", &json!({})).await.expect(200)["ticket"].as_str().unwrap().to_owned();
    test.clock.advance(chrono::TimeDelta::seconds(31));
    assert_eq!(Socket::open(test.address(), &format!("/ws?ticket={late}"), &[]).await.err(), Some(401));
}

#[tokio::test]
async fn pages_of_foreign_origins_open_no_socket() {
    let test = TestApp::start_api(&["--cors-origin", "https://app.example.org"]).await;
    let bearer = format!("Bearer {}", test.token(Role::Viewer).await);
    let own = test.base();
    for (origin, expected) in
        [("https://app.example.org", None), (own.as_str(), None), ("https://evil.example", Some(403)), ("null", Some(403))]
    {
        for path in ["/ws", "/socket.io/?EIO=4&transport=websocket"] {
            let opened = Socket::open(test.address(), path, &[("authorization", &bearer), ("origin", origin)]).await;
            assert_eq!(opened.err(), expected, "{path} from {origin}");
        }
        let polling = format!("{own}/socket.io/?EIO=4&transport=polling");
        let answer = reqwest::Client::new().get(polling).header("origin", origin).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), expected.unwrap_or(200), "polling from {origin}");
    }
}

#[tokio::test]
async fn topics_that_a_caller_may_not_hear_are_refused() {
    let test = TestApp::start_api(&[]).await;
    let mut socket = Socket::of(&test, &test.token(Role::Agent).await).await;
    let foreign = format!("user:{}", collections::values::ids::new());
    for topic in ["users", "metrics", &foreign] {
        assert_eq!(socket.subscribe(&[topic]).await["code"], "forbidden", "{topic}");
        assert_eq!(socket.subscribe(&["payments", topic]).await["code"], "forbidden", "all or none");
    }
    assert_eq!(socket.subscribe(&["nonsense"]).await["code"], "bad_topic");
    let many: Vec<String> = (0..201).map(|_| format!("account:{}", collections::values::ids::new())).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(socket.subscribe(&many).await["code"], "bad_topic");
    socket.say(&json!({ "type": "dance" })).await;
    assert_eq!(socket.hear().await["code"], "bad_message");
    socket.say(&json!({ "type": "resume", "lastEventId": "yesterday" })).await;
    assert_eq!(socket.hear().await["code"], "bad_event_id");
    socket.say(&json!({ "type": "ping" })).await;
    assert_eq!(socket.hear().await["type"], "pong");
}

#[tokio::test]
async fn whose_rights_end_hears_nothing_more() {
    let test = TestApp::start_api(&[]).await;
    let admin = test.admin().await;
    let run = async |sql: &'static str| sqlx::raw_sql(sql).execute(&test.database.pool).await.unwrap();

    let token = test.token(Role::Viewer).await;
    let mut socket = Socket::of(&test, &token).await;
    test.anonymous().with_token(&token).post("/auth/logout", &json!({})).await.expect(204);
    assert_eq!(socket.closed().await, 4401, "a log-out");

    for change in
        ["update users set disabled_at = now() where role = 'viewer'", "update users set role = 'agent' where role = 'viewer'"]
    {
        let mut socket = Socket::of(&test, &test.token(Role::Viewer).await).await;
        run(change).await;
        assert_eq!(socket.closed().await, 4401, "{change}");
    }

    let mut socket = Socket::of(&test, &test.token(Role::Manager).await).await;
    socket.subscribe(&["users", "payments"]).await;
    let without = json!({ "permissions": ["read", "personal", "edit", "manage"] });
    admin.put("/roles/manager/permissions", &without).await.expect(200);
    let narrowed = socket.hear().await;
    assert_eq!((&narrowed["type"], &narrowed["topics"]), (&json!("unsubscribed"), &json!(["users"])));
    run("delete from permissions where role = 'manager'").await;
    assert_eq!(socket.closed().await, 4403);

    let mut socket = Socket::of(&test, &test.token(Role::Viewer).await).await;
    test.clock.advance(chrono::TimeDelta::minutes(16));
    assert_eq!(socket.closed().await, 4401, "the token has expired");
}

#[tokio::test]
async fn a_newer_token_of_the_same_user_keeps_a_socket_open() {
    let test = TestApp::start_api(&[]).await;
    test.user("jane", Role::Viewer).await;
    let login = async || {
        let body = json!({ "username": "jane", "password": crate::harness::app::PASSWORD });
        test.anonymous().post("/auth/login", &body).await.expect(200)["access_token"].as_str().unwrap().to_owned()
    };
    let mut socket = Socket::of(&test, &login().await).await;
    test.clock.advance(chrono::TimeDelta::minutes(14));
    socket.say(&json!({ "type": "auth", "token": login().await })).await;
    assert_eq!(socket.hear().await["type"], "ready");
    test.clock.advance(chrono::TimeDelta::minutes(5));
    tokio::time::sleep(std::time::Duration::from_secs(4)).await;
    socket.say(&json!({ "type": "ping" })).await;
    assert_eq!(socket.hear().await["type"], "pong");
    socket.say(&json!({ "type": "auth", "token": test.token(Role::Viewer).await })).await;
    assert_eq!(socket.hear().await["code"], "forbidden");
}

#[tokio::test]
async fn a_server_that_stops_says_so() {
    let test = TestApp::start_api(&[]).await;
    let mut socket = Socket::of(&test, &test.token(Role::Viewer).await).await;
    test.app.stop.cancel();
    assert_eq!(socket.closed().await, 1001);
}
