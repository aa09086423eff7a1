//! A client of any transport that hears events, so that a test can say what all of them hear.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::harness::event_stream::EventStream;
use crate::harness::socket::Socket;
use crate::harness::socketio::{SocketIo, Transport};

/// How events travel.
#[derive(Clone, Copy, Debug)]
pub enum Way {
    WebSocket,
    SocketIo(Transport),
    EventStream,
}

pub const WAYS: [Way; 4] =
    [Way::WebSocket, Way::SocketIo(Transport::WebSocket), Way::SocketIo(Transport::Polling), Way::EventStream];

/// An open client.
pub struct Subscriber {
    pub way: Way,
    client: Client,
}

enum Client {
    WebSocket(Box<Socket>),
    SocketIo(Box<SocketIo>),
    EventStream(Box<EventStream>),
}

/// What a client hears, in the words of WebSockets.
#[derive(Clone, Debug, PartialEq)]
pub struct Heard {
    pub event: String,
    pub id: Option<String>,
    pub data: Value,
}

impl Subscriber {
    /// Opens a client that hears of topics.
    pub async fn open(way: Way, address: SocketAddr, token: &str, topics: &[&str]) -> Self {
        let client = match way {
            Way::WebSocket => {
                let mut socket = Socket::at(address, token).await;
                assert_eq!(socket.subscribe(topics).await["type"], "subscribed");
                Client::WebSocket(Box::new(socket))
            }
            Way::SocketIo(transport) => Client::SocketIo(Box::new(SocketIo::at(address, transport, token, topics).await)),
            Way::EventStream => {
                let (stream, _) = EventStream::open(&format!("http://{address}"), token, &topics.join(","), None).await;
                Client::EventStream(Box::new(stream))
            }
        };
        Self { way, client }
    }

    /// Opens one of every way.
    pub async fn all(address: SocketAddr, token: &str, topics: &[&str]) -> Vec<Self> {
        let mut subscribers = Vec::new();
        for way in WAYS {
            subscribers.push(Self::open(way, address, token, topics).await);
        }
        subscribers
    }

    /// The next event, or what the server says of the client itself.
    pub async fn heard(&mut self) -> Heard {
        match &mut self.client {
            Client::WebSocket(socket) => {
                let said = socket.hear().await;
                let text = |name: &str| said[name].as_str().map(str::to_owned);
                match text("event") {
                    Some(event) => Heard { event, id: text("id"), data: said["data"].clone() },
                    None => Heard { event: text("type").unwrap(), id: None, data: json!({ "topics": said["topics"] }) },
                }
            }
            Client::SocketIo(socket) => loop {
                let (event, told) = socket.event().await;
                // The same event under its other name.
                if event == "new_customer" {
                    continue;
                }
                let data = told.get("eventId").map_or(&told, |_| &told["data"]).clone();
                let id = told["eventId"].as_str().map(str::to_owned);
                break Heard { event: event.replacen('_', ".", 1), id, data };
            },
            Client::EventStream(stream) => {
                let block = stream.block().await;
                let data = block.data.get("data").unwrap_or(&block.data);
                Heard { event: block.event, id: block.id, data: data.clone() }
            }
        }
    }

    /// Waits until the server closes the client, and returns the code.
    pub async fn closed(&mut self) -> u16 {
        if let Client::WebSocket(socket) = &mut self.client {
            return socket.closed().await;
        }
        loop {
            let heard = self.heard().await;
            if heard.event == "closed" {
                return heard.data["code"].as_u64().unwrap().try_into().unwrap();
            }
        }
    }
}
