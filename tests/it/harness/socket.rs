//! A WebSocket client for tests: JSON in and out, and the frames that no library sends.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, Message};

use crate::harness::app::TestApp;

/// Far beyond what a loaded machine needs.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long a socket is listened to that is to hear nothing.
const SILENCE: Duration = Duration::from_millis(700);

/// An open WebSocket.
pub struct Socket(WebSocketStream<TcpStream>);

impl Socket {
    /// Opens one with these headers; an answer that is no upgrade is its status.
    pub async fn open(address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Result<Self, u16> {
        let mut request = format!("ws://{address}{path}").into_client_request().unwrap();
        for (name, value) in headers {
            let name = tungstenite::http::HeaderName::from_bytes(name.as_bytes()).unwrap();
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        let stream = TcpStream::connect(address).await.unwrap();
        match tokio_tungstenite::client_async(request, stream).await {
            Ok((socket, _)) => Ok(Self(socket)),
            Err(tungstenite::Error::Http(answer)) => Err(answer.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }

    /// Opens one with an access token, and waits until it is heard.
    pub async fn of(test: &TestApp, token: &str) -> Self {
        Self::at(test.address(), token).await
    }

    /// The same at a server.
    pub async fn at(address: SocketAddr, token: &str) -> Self {
        let mut socket = Self::open(address, "/ws", &[("authorization", &format!("Bearer {token}"))]).await.unwrap();
        assert_eq!(socket.hear().await["type"], "ready");
        socket
    }

    pub async fn say(&mut self, message: &Value) {
        self.0.send(Message::text(message.to_string())).await.unwrap();
    }

    pub async fn send(&mut self, message: Message) -> Result<(), tungstenite::Error> {
        self.0.send(message).await
    }

    /// Sends bytes that are no frames of the library.
    pub async fn send_raw(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).await.ok();
    }

    /// The next message that is no ping.
    pub async fn hear(&mut self) -> Value {
        let message = async {
            loop {
                match self.0.next().await {
                    Some(Ok(Message::Text(text))) => return serde_json::from_str(&text).unwrap(),
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    other => panic!("in place of a message came {other:?}"),
                }
            }
        };
        timeout(PATIENCE, message).await.expect("the server says something")
    }

    /// The next event.
    pub async fn event(&mut self) -> Value {
        let event = self.hear().await;
        assert_eq!(event["type"], "event", "{event}");
        event
    }

    /// Asserts that nothing comes for a while.
    pub async fn expect_silence(&mut self) {
        if let Ok(message) = timeout(SILENCE, self.0.next()).await {
            panic!("this was not to be heard: {message:?}");
        }
    }

    /// Joins topics.
    pub async fn subscribe(&mut self, topics: &[&str]) -> Value {
        self.say(&json!({ "type": "subscribe", "topics": topics })).await;
        self.hear().await
    }

    /// Waits until the server closes it, and returns the code; 0 without one.
    pub async fn closed(&mut self) -> u16 {
        loop {
            match timeout(PATIENCE, self.0.next()).await.expect("the server closes the socket") {
                Some(Ok(Message::Close(frame))) => return frame.map_or(0, |frame| frame.code.into()),
                Some(Ok(_)) => {}
                _ => return 0,
            }
        }
    }

    /// Reads raw bytes until the server closes the connection, and returns the code of the last frame.
    pub async fn closed_raw(&mut self) -> u16 {
        let mut bytes = Vec::new();
        timeout(PATIENCE, self.0.get_mut().read_to_end(&mut bytes)).await.expect("the server closes the connection").ok();
        let close = bytes.windows(4).rev().find(|window| window[0] == 0x88 && window[1] >= 2);
        close.map_or(0, |window| u16::from_be_bytes([window[2], window[3]]))
    }
}

/// What of an event tests compare: its name and the id of the record.
pub fn about(event: &Value) -> (String, String) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (text(&event["event"]), text(&event["data"]["id"]))
}
