//! A client of server-sent events for tests.

use std::time::Duration;

use serde_json::Value;
use tokio::time::timeout;

/// Far beyond what a loaded machine needs.
const PATIENCE: Duration = Duration::from_secs(120);

/// An open stream.
pub struct EventStream {
    response: reqwest::Response,
    received: String,
}

/// One block of a stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Block {
    pub id: Option<String>,
    pub event: String,
    pub data: Value,
}

impl EventStream {
    /// Opens a stream and reads its first block.
    pub async fn open(base: &str, token: &str, topics: &str, last: Option<&str>) -> (Self, Block) {
        let response = Self::try_open(base, token, topics, last).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let mut stream = Self { response, received: String::new() };
        let first = stream.block().await;
        assert_eq!(first.event, "ready");
        (stream, first)
    }

    pub async fn try_open(base: &str, token: &str, topics: &str, last: Option<&str>) -> reqwest::Response {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut request = client.get(format!("{base}/api/v1/events?topics={topics}"));
        request = request.header("accept", "text/event-stream").header("authorization", format!("Bearer {token}"));
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        request.send().await.unwrap()
    }

    /// Reads until the server ends the stream.
    pub async fn ended(mut self) {
        while let Ok(Some(_)) = timeout(PATIENCE, self.response.chunk()).await.expect("the server ends the stream") {}
    }

    /// The next block that is no comment.
    pub async fn block(&mut self) -> Block {
        loop {
            while let Some((block, rest)) = self.received.split_once("\n\n") {
                let (block, rest) = (parse(block), rest.to_owned());
                self.received = rest;
                if let Some(block) = block {
                    return block;
                }
            }
            let chunk = timeout(PATIENCE, self.response.chunk()).await.expect("the server says something");
            let chunk = chunk.unwrap().expect("the stream goes on");
            self.received.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }
}

fn parse(block: &str) -> Option<Block> {
    let mut parsed = Block::default();
    for line in block.lines() {
        match line.split_once(": ") {
            Some(("id", id)) => parsed.id = Some(id.to_owned()),
            Some(("event", event)) => event.clone_into(&mut parsed.event),
            Some(("data", data)) => parsed.data = serde_json::from_str(data).unwrap(),
            _ => {}
        }
    }
    (!parsed.event.is_empty()).then_some(parsed)
}
