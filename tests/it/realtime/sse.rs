//! Server-sent events.

use collections::auth::Role;
use serde_json::json;

use crate::harness::app::TestApp;
use crate::harness::event_stream::EventStream;
use crate::harness::socket::{Socket, about};

#[tokio::test]
async fn a_stream_tells_what_a_socket_tells() {
    let test = TestApp::start().await;
    let token = test.token(Role::Agent).await;
    let agent = test.anonymous().with_token(&token);
    let mut socket = Socket::of(&test, &token).await;
    socket.subscribe(&["customers"]).await;
    let (mut stream, ready) = EventStream::open(&test.base(), &token, "customers,payments", None).await;
    assert_eq!(ready.data["topics"].as_array().unwrap().len(), 3);
    for name in ["Ada", "Grace"] {
        agent.post("/customers", &json!({ "name": name })).await.expect(201);
        let (heard, block) = (socket.event().await, stream.block().await);
        assert_eq!((block.data, block.event, block.id.as_deref()), (heard.clone(), about(&heard).0, heard["id"].as_str()));
    }
    drop(stream);
    let missed = agent.post("/customers", &json!({ "name": "Edith" })).await.expect(201);
    socket.event().await;
    let (mut stream, _) = EventStream::open(&test.base(), &token, "customers", ready.id.as_deref()).await;
    for _ in 0..2 {
        stream.block().await;
    }
    assert_eq!(stream.block().await.data["data"]["id"], missed["id"], "from the first block on");
    agent.post("/auth/logout", &json!({})).await.expect(204);
    let closed = stream.block().await;
    assert_eq!((closed.event.as_str(), &closed.data["code"]), ("closed", &json!(4401)));
}

#[tokio::test]
async fn a_stream_that_is_not_allowed_is_refused_at_once() {
    let test = TestApp::start_api(&[]).await;
    let viewer = test.token(Role::Viewer).await;
    let open = async |token: &str, topics: &str, last| EventStream::try_open(&test.base(), token, topics, last).await.status();
    assert_eq!(open("x", "payments", None).await, 401);
    assert_eq!(open(&viewer, "metrics", None).await, 403);
    assert_eq!(open(&viewer, "nonsense", None).await, 400);
    assert_eq!(open(&viewer, "payments", Some("yesterday")).await, 400);
    let plain = test.anonymous().with_token(&viewer).get("/events").await;
    assert_eq!((plain.status, plain.code()), (400, "bad_accept"));
}
