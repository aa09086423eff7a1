//! Clients that were away hear what they have missed, or that they have to load everything again.

use collections::auth::Role;
use serde_json::{Value, json};

use crate::harness::app::TestApp;
use crate::harness::client::Client;
use crate::harness::event_stream::EventStream;
use crate::harness::socket::{Socket, about};
use crate::harness::socketio::{SocketIo, Transport};

async fn create(agent: &Client, name: &str) -> String {
    agent.post("/customers", &json!({ "name": name })).await.expect(201)["id"].as_str().unwrap().to_owned()
}

async fn resume(socket: &mut Socket, last: &Value) -> Value {
    socket.say(&json!({ "type": "resume", "lastEventId": last })).await;
    socket.hear().await
}

#[tokio::test]
async fn a_client_that_comes_back_hears_what_it_has_missed_once() {
    let test = TestApp::start().await;
    let token = test.token(Role::Agent).await;
    let agent = test.anonymous().with_token(&token);
    let mut socket = Socket::of(&test, &token).await;
    socket.subscribe(&["customers"]).await;
    create(&agent, "Ada").await;
    let last = socket.event().await["id"].clone();
    drop(socket);
    let mut missed = Vec::new();
    for name in ["Grace", "Edith", "Mary"] {
        missed.push(("customer.created".to_owned(), create(&agent, name).await));
        test.settle().await;
    }
    let mut socket = Socket::of(&test, &token).await;
    socket.subscribe(&["customers"]).await;
    assert_eq!(resume(&mut socket, &last).await, json!({ "type": "resumed", "events": 3 }));
    for expected in missed {
        assert_eq!(about(&socket.event().await), expected);
    }
    let id = create(&agent, "Joan").await;
    assert_eq!(about(&socket.event().await).1, id);
    socket.expect_silence().await;
}

#[tokio::test]
async fn a_client_that_comes_back_too_late_is_told_what_to_load() {
    let test = TestApp::start_with(&["--feed-history", "2"]).await;
    let token = test.token(Role::Agent).await;
    let agent = test.anonymous().with_token(&token);
    let mut socket = Socket::of(&test, &token).await;
    socket.subscribe(&["customers"]).await;
    create(&agent, "Ada").await;
    let last = socket.event().await["id"].as_str().unwrap().to_owned();
    for name in ["Grace", "Edith", "Mary"] {
        create(&agent, name).await;
        socket.event().await;
    }
    let (_, lsn) = last.split_once('-').unwrap();
    for gone in [last.clone(), format!("4095-{lsn}")] {
        assert_eq!(resume(&mut socket, &json!(gone)).await["events"], 1);
        let reset = socket.event().await;
        assert_eq!(reset["event"], "reset");
        assert!(reset["data"]["topics"].as_array().unwrap().contains(&json!("customers")), "{reset}");
    }
    let id = create(&agent, "Joan").await;
    assert_eq!(about(&socket.event().await).1, id);
}

#[tokio::test]
async fn an_event_of_another_epoch_is_answered_by_one_reset_on_every_transport() {
    let test = TestApp::start().await;
    let token = test.token(Role::Agent).await;
    let agent = test.anonymous().with_token(&token);
    let mut socket = Socket::of(&test, &token).await;
    socket.subscribe(&["customers"]).await;
    create(&agent, "Ada").await;
    let last = socket.event().await["id"].as_str().unwrap().to_owned();
    let foreign = format!("4095-{}", last.split_once('-').unwrap().1);
    let (mut stream, _) = EventStream::open(&test.base(), &token, "customers", Some(&foreign)).await;
    assert_eq!(stream.block().await.event, "reset");
    for transport in [Transport::WebSocket, Transport::Polling] {
        let mut client = SocketIo::of(&test, transport, &token, &["customers"]).await;
        client.send(&format!("42{}", json!(["resume", foreign]))).await;
        assert_eq!(client.event().await.0, "reset", "{transport:?}");
        let id = create(&agent, "Grace").await;
        assert_eq!(client.event().await.1["id"], id, "{transport:?}");
        assert_eq!(stream.block().await.data["data"]["id"], id);
    }
}

#[tokio::test]
async fn a_gap_in_the_change_stream_is_one_reset() {
    let test = TestApp::start().await;
    let mut socket = Socket::of(&test, &test.token(Role::Agent).await).await;
    socket.subscribe(&["payments"]).await;
    sqlx::query("truncate contact_points").execute(&test.database.pool).await.unwrap();
    assert_eq!(socket.event().await["event"], "reset");
    socket.expect_silence().await;
}

#[tokio::test]
async fn more_changes_than_a_client_would_follow_are_one_reset() {
    let test = TestApp::start().await;
    let mut socket = Socket::of(&test, &test.token(Role::Agent).await).await;
    socket.subscribe(&["customers"]).await;
    let crowd = "insert into customers (id, name) select gen_random_uuid(), 'Ada ' || n from generate_series(1, 501) n";
    sqlx::query(crowd).execute(&test.database.pool).await.unwrap();
    let event = socket.event().await;
    assert_eq!((&event["event"], &event["data"]["topics"]), (&json!("reset"), &json!(["customers"])));
    let some = "insert into customers (id, name) select gen_random_uuid(), 'Eve ' || n from generate_series(1, 200) n";
    sqlx::query(some).execute(&test.database.pool).await.unwrap();
    for _ in 0..200 {
        assert_eq!(socket.event().await["event"], "customer.created");
    }
}
