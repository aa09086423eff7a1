//! Socket.IO, by polling and by WebSocket.

use collections::auth::Role;
use serde_json::{Value, json};

use crate::harness::app::TestApp;
use crate::harness::socketio::{SocketIo, Transport};

const TRANSPORTS: [Transport; 2] = [Transport::WebSocket, Transport::Polling];

#[tokio::test]
async fn both_transports_tell_the_same_with_the_names_of_older_clients() {
    let test = TestApp::start().await;
    let (token, viewer) = (test.token(Role::Agent).await, test.token(Role::Viewer).await);
    let agent = test.anonymous().with_token(&token);
    let mut sockets = Vec::new();
    for transport in TRANSPORTS {
        sockets.push((SocketIo::of(&test, transport, &token, &["customers", "payments"]).await, "Ada Lovelace"));
        sockets.push((SocketIo::of(&test, transport, &viewer, &["customers", "payments"]).await, "A••• L•••"));
    }
    let customer = agent.post("/customers", &json!({ "name": "Ada Lovelace" })).await.expect(201);
    let payment =
        json!({ "customerId": customer["id"], "amount": 12.5, "currency": "EUR", "method": "cash", "receiver": "Desk" });
    let payment = agent.post("/payments", &payment).await.expect(201);
    for (socket, name) in &mut sockets {
        for expected in ["customer_created", "new_customer"] {
            let (event, told) = socket.event().await;
            assert_eq!((event.as_str(), &told["event"]), (expected, &json!(expected)));
            assert_eq!((&told["data"]["name"], &told["name"]), (&json!(name), &json!(name)));
        }
        let (event, told) = socket.event().await;
        assert_eq!(event, "payment_created");
        for member in ["id", "amount", "method", "status", "receiver", "createdAt"] {
            let as_read = if *name == "Ada Lovelace" || member != "receiver" { &payment[member] } else { &told[member] };
            assert_eq!((&told["data"][member], &told[member]), (as_read, as_read), "{member}");
        }
        assert_eq!(told["amount"], json!(12.5));
    }
    // Only now, because an event shows its record as it is when the event is written.
    agent.patch(&format!("/payments/{}", payment["id"].as_str().unwrap()), &json!({ "status": "failed" })).await.expect(200);
    for (socket, _) in &mut sockets {
        let (event, told) = socket.event().await;
        assert_eq!((event.as_str(), &told["data"]["status"]), ("payment_updated", &json!("failed")));
        assert!(told["updatedAt"].is_string() && told["eventId"].is_string(), "{told}");
    }
}

#[tokio::test]
async fn a_client_says_who_it_is_and_what_it_wants_to_hear() {
    let test = TestApp::start().await;
    let token = test.token(Role::Agent).await;
    for transport in TRANSPORTS {
        let mut socket = SocketIo::open(&test, transport, &format!("&token={token}&topics=customers")).await;
        assert!(socket.connect(&json!({})).await.starts_with("40{"), "{transport:?}");
        for (topics, expected) in [(json!("payments"), 3), (json!(["stats", "accounts"]), 5)] {
            assert_eq!(socket.ask("subscribe", &topics).await["topics"].as_array().unwrap().len(), expected);
        }
        assert_eq!(socket.ask("subscribe", &json!("metrics")).await["error"]["code"], "forbidden");
        assert_eq!(socket.ask("subscribe", &json!(7)).await["error"]["code"], "bad_topic");
        assert_eq!(socket.ask("unsubscribe", &json!(["stats", "accounts"])).await["topics"].as_array().unwrap().len(), 3);
        assert_eq!(socket.ask("resume", &json!("x")).await["error"]["code"], "bad_event_id");

        for wrong in [json!({}), json!({ "token": "x" }), json!({ "token": token, "topics": ["metrics"] })] {
            let mut stranger = SocketIo::open(&test, transport, "").await;
            let refused = stranger.connect(&wrong).await;
            assert!(refused.starts_with("44{\"message\":"), "{refused}");
        }
    }
}

#[tokio::test]
async fn more_than_a_hundred_messages_in_a_minute_or_64_kib_disconnect() {
    let test = TestApp::start_api(&[]).await;
    let token = test.token(Role::Viewer).await;
    let mut chatty = SocketIo::of(&test, Transport::Polling, &token, &[]).await;
    let dance = format!("42{}", json!(["dance", {}]));
    chatty.send(&vec![dance.as_str(); 101].join("\x1e")).await;
    let (event, told) = chatty.event().await;
    assert_eq!((event.as_str(), &told["code"]), ("closed", &json!(1008)));
    assert_eq!(chatty.packet().await, "41");
    let mut calm = SocketIo::of(&test, Transport::Polling, &token, &[]).await;
    assert_eq!(calm.ask("dance", &json!({})).await["error"]["code"], "bad_message");
    let large = format!("42{}", json!(["subscribe", "x".repeat(65_536)]));
    assert_eq!(calm.post(large).await.status(), 413);
}

#[tokio::test]
async fn a_log_out_disconnects() {
    let test = TestApp::start_api(&[]).await;
    for transport in TRANSPORTS {
        let token = test.token(Role::Agent).await;
        let mut socket = SocketIo::of(&test, transport, &token, &[]).await;
        test.anonymous().with_token(&token).post("/auth/logout", &json!({})).await.expect(204);
        let (event, told) = socket.event().await;
        assert_eq!((event.as_str(), &told["code"]), ("closed", &json!(4401)));
        assert_eq!(socket.packet().await, "41");
    }
}

#[tokio::test]
async fn a_client_that_comes_back_hears_what_it_has_missed() {
    let test = TestApp::start().await;
    let token = test.token(Role::Agent).await;
    let agent = test.anonymous().with_token(&token);
    let mut socket = SocketIo::of(&test, Transport::WebSocket, &token, &["customers"]).await;
    agent.post("/customers", &json!({ "name": "Ada" })).await.expect(201);
    let (_, first) = socket.event().await;
    socket.event().await;
    drop(socket);
    let missed = agent.post("/customers", &json!({ "name": "Grace" })).await.expect(201);
    test.settle().await;
    let mut socket = SocketIo::of(&test, Transport::Polling, &token, &["customers"]).await;
    socket.send(&format!("42{}", json!(["resume", first["eventId"]]))).await;
    let told: Value = socket.event().await.1;
    assert_eq!(told["data"]["id"], missed["id"]);
}

#[tokio::test]
async fn the_client_for_browsers_is_there() {
    let test = TestApp::start_api(&[]).await;
    for name in ["socket.io.js", "socket.io.min.js"] {
        let answer = reqwest::get(format!("{}/socket.io/{name}", test.base())).await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["cross-origin-resource-policy"]),
            (200, &"cross-origin".parse().unwrap())
        );
        assert!(answer.text().await.unwrap().starts_with("/*!\n * Socket.IO v4.8.1"));
    }
    let missing = reqwest::get(format!("{}/socket.io/other.js", test.base())).await.unwrap();
    assert_eq!(missing.status(), 404);
}
