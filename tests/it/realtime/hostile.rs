//! Clients that keep to no rules, each with its close code, and none at the cost of the others.

use std::time::{Duration, Instant};

use collections::auth::Role;
use serde_json::json;
use tokio_tungstenite::tungstenite::{Bytes, Message};

use crate::harness::app::TestApp;
use crate::harness::event_stream::EventStream;
use crate::harness::raw_socket::Wire;
use crate::harness::socket::Socket;

/// A masked frame with a payload of zeros.
fn frame(first: u8, length: u64, sent: usize) -> Vec<u8> {
    let mut frame = vec![first, 0x80 | 127];
    frame.extend(length.to_be_bytes());
    frame.extend([0; 4]);
    frame.resize(frame.len() + sent, b' ');
    frame
}

#[tokio::test]
async fn what_is_no_message_closes_the_socket_with_its_code() {
    let test = TestApp::start_api(&[]).await;
    let token = test.token(Role::Viewer).await;
    let cases: [(&str, Vec<u8>, u16); 8] = [
        ("64 MB", frame(0x81, 64 << 20, 100_000), 1009),
        ("fragments of 40,000 bytes", [frame(0x01, 40_000, 40_000), frame(0x00, 40_000, 40_000)].concat(), 1009),
        ("a flood of pings", [0x89, 0x80, 0, 0, 0, 0].repeat(1_000), 1008),
        ("a flood of empty fragments", [vec![0x01, 0x80, 0, 0, 0, 0], [0x00, 0x80, 0, 0, 0, 0].repeat(1_000)].concat(), 1008),
        ("text that is no UTF-8", vec![0x81, 0x82, 0, 0, 0, 0, 0xc3, 0x28], 1007),
        ("a frame without a mask", vec![0x81, 0x02, b'{', b'}'], 1002),
        ("reserved bits", vec![0xf1, 0x80, 0, 0, 0, 0], 1002),
        ("an unknown kind of frame", vec![0x83, 0x80, 0, 0, 0, 0], 1002),
    ];
    for (what, bytes, code) in cases {
        let mut socket = Socket::of(&test, &token).await;
        socket.send_raw(&bytes).await;
        assert_eq!(socket.closed_raw().await, code, "{what}");
    }
    let mut socket = Socket::of(&test, &token).await;
    socket.send(Message::Binary(Bytes::from_static(b"{}"))).await.unwrap();
    assert_eq!(socket.closed().await, 1003);
    let mut chatty = Socket::of(&test, &token).await;
    for _ in 0..200 {
        if chatty.send(Message::text(json!({ "type": "ping" }).to_string())).await.is_err() {
            break;
        }
    }
    assert_eq!(chatty.closed().await, 1008);
}

#[tokio::test]
async fn requests_that_are_no_handshake_are_refused() {
    let test = TestApp::start_api(&[]).await;
    assert_eq!(test.anonymous().undescribed().get("/api/v1/../../ws").await.status, 400);
    for (head, status) in [
        ("GET /ws HTTP/1.1\r\nhost: x\r\n\r\n", "400"),
        ("POST /ws HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\ncontent-length: 0\r\n\r\n", "400"),
        ("GET /ws HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 12\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nhost: x\r\n\r\n", "404"),
    ] {
        let mut wire = Wire::open(test.address()).await;
        wire.send(head).await;
        let answer = wire.answer().await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{head}: {answer}");
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_is_closed_and_delays_no_other() {
    let test = TestApp::start().await;
    let token = test.token(Role::Agent).await;
    let (mut stalled, mut streams) = (Vec::new(), Vec::new());
    for _ in 0..10 {
        let mut socket = Socket::of(&test, &token).await;
        socket.subscribe(&["customers"]).await;
        stalled.push(socket);
        let mut older = Socket::open(test.address(), "/socket.io/?EIO=4&transport=websocket", &[]).await.unwrap();
        older.send(Message::text(format!("40{}", json!({ "token": token, "topics": ["customers"] })))).await.unwrap();
        stalled.push(older);
        streams.push(EventStream::open(&test.base(), &token, "customers", None).await.0);
    }
    let mut reading = Socket::of(&test, &token).await;
    reading.subscribe(&["customers"]).await;
    // More than the kernel takes for the stalled ones.
    let metadata = "x".repeat(30_000);
    let before = Instant::now();
    for batch in 0..40 {
        let insert = "insert into customers (id, name, custom)
            select gen_random_uuid(), 'Ada', json_build_object('note', $1::text) from generate_series(1, 30)";
        sqlx::query(insert).bind(&metadata).execute(&test.database.pool).await.unwrap();
        for _ in 0..30 {
            assert_eq!(reading.event().await["event"], "customer.created", "batch {batch}");
        }
    }
    assert!(before.elapsed() < Duration::from_secs(120));
    for mut socket in stalled {
        let code = socket.closed().await;
        assert!(code == 1013 || code == 0, "{code}");
    }
    for stream in streams {
        stream.ended().await;
    }
}
