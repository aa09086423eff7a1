//! What the official client of Socket.IO makes of the server. `bin/soak sockets` runs it.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use collections::auth::Role;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{ChildStdout, Command};
use tokio::time::timeout;

use crate::harness::app::TestApp;

/// Far beyond what a loaded machine needs.
const PATIENCE: Duration = Duration::from_secs(60);

async fn line(lines: &mut Lines<BufReader<ChildStdout>>) -> Value {
    let line = timeout(PATIENCE, lines.next_line()).await.expect("the client says something").unwrap();
    serde_json::from_str(&line.expect("the client goes on")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Node and a package; run bin/soak sockets"]
async fn the_official_client_hears_each_event_once_and_in_order() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/soak/socketio.js");
    let test = TestApp::start().await;
    for transport in ["polling", "websocket"] {
        let token = test.token(Role::Agent).await;
        let agent = test.anonymous().with_token(&token);
        let mut node = Command::new("node");
        node.arg(&script).args([&test.base(), &token, transport]).stdout(Stdio::piped()).kill_on_drop(true);
        let mut node = node.spawn().expect("node runs");
        let mut lines = BufReader::new(node.stdout.take().unwrap()).lines();
        assert_eq!(line(&mut lines).await, json!(["connect", transport]));
        for number in 0..50 {
            let name = format!("Ada {number}");
            let id = agent.post("/customers", &json!({ "name": name })).await.expect(201)["id"].clone();
            for event in ["customer_created", "new_customer"] {
                let told = line(&mut lines).await;
                assert_eq!((&told[0], &told[1]["id"], &told[1]["data"]["name"]), (&json!(event), &id, &json!(name)));
            }
        }
        agent.post("/auth/logout", &json!({})).await.expect(204);
        let closed = line(&mut lines).await;
        assert_eq!((&closed[0], &closed[1]["code"]), (&json!("closed"), &json!(4401)));
        assert_eq!(line(&mut lines).await, json!(["disconnect", "io server disconnect"]));
    }
}
