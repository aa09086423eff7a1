//! A Socket.IO client for tests, frame by frame: Engine.IO 4 by polling and by WebSocket.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::harness::app::TestApp;

/// Far beyond what a loaded machine needs.
const PATIENCE: Duration = Duration::from_secs(120);

/// How the packets travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    WebSocket,
    Polling,
}

/// A client that is connected to the server, and to the namespace once it has said who it is.
pub struct SocketIo {
    connection: Connection,
    received: VecDeque<String>,
}

enum Connection {
    WebSocket(Box<WebSocketStream<TcpStream>>),
    Polling { client: reqwest::Client, url: String },
}

impl SocketIo {
    /// Opens a connection; `query` is added to the address.
    pub async fn open(test: &TestApp, transport: Transport, query: &str) -> Self {
        Self::open_at(test.address(), transport, query).await
    }

    async fn open_at(address: SocketAddr, transport: Transport, query: &str) -> Self {
        let mut socket = match transport {
            Transport::WebSocket => {
                let url = format!("ws://{address}/socket.io/?EIO=4&transport=websocket{query}");
                let stream = TcpStream::connect(address).await.unwrap();
                let (socket, _) = tokio_tungstenite::client_async(url.into_client_request().unwrap(), stream).await.unwrap();
                Self { connection: Connection::WebSocket(Box::new(socket)), received: VecDeque::new() }
            }
            Transport::Polling => {
                let url = format!("http://{address}/socket.io/?EIO=4&transport=polling{query}");
                let client = reqwest::Client::builder().no_proxy().build().unwrap();
                Self { connection: Connection::Polling { client, url }, received: VecDeque::new() }
            }
        };
        let open = socket.packet().await;
        let open: Value = serde_json::from_str(open.strip_prefix('0').expect("the handshake comes first")).unwrap();
        assert_eq!((open["pingInterval"].as_u64(), open["maxPayload"].as_u64()), (Some(25_000), Some(65_536)));
        if let Connection::Polling { url, .. } = &mut socket.connection {
            *url = format!("{url}&sid={}", open["sid"].as_str().unwrap());
        }
        socket
    }

    /// Opens a connection for the caller of a token, who hears of topics.
    pub async fn of(test: &TestApp, transport: Transport, token: &str, topics: &[&str]) -> Self {
        Self::at(test.address(), transport, token, topics).await
    }

    /// The same at a server.
    pub async fn at(address: SocketAddr, transport: Transport, token: &str, topics: &[&str]) -> Self {
        let mut socket = Self::open_at(address, transport, "").await;
        let answer = socket.connect(&json!({ "token": token, "topics": topics })).await;
        assert!(answer.starts_with("40{\"sid\":"), "{answer}");
        socket
    }

    /// Connects to the namespace and returns what is answered.
    pub async fn connect(&mut self, auth: &Value) -> String {
        self.send(&format!("40{auth}")).await;
        self.packet().await
    }

    /// Posts a body by polling.
    pub async fn post(&self, body: String) -> reqwest::Response {
        let Connection::Polling { client, url } = &self.connection else { panic!("a WebSocket posts nothing") };
        client.post(url).body(body).send().await.unwrap()
    }

    pub async fn send(&mut self, packet: &str) {
        match &mut self.connection {
            Connection::WebSocket(socket) => socket.send(Message::text(packet)).await.unwrap(),
            Connection::Polling { .. } => assert_eq!(self.post(packet.to_owned()).await.text().await.unwrap(), "ok"),
        }
    }

    /// Sends an event and returns what is acknowledged.
    pub async fn ask(&mut self, event: &str, data: &Value) -> Value {
        self.send(&format!("427{}", json!([event, data]))).await;
        let answer = self.packet().await;
        let answer: Value = serde_json::from_str(answer.strip_prefix("437").expect("an acknowledgement")).unwrap();
        answer[0].clone()
    }

    /// The next event: its name and what it holds.
    pub async fn event(&mut self) -> (String, Value) {
        let packet = self.packet().await;
        let event: Value =
            serde_json::from_str(packet.strip_prefix("42").unwrap_or_else(|| panic!("no event: {packet}"))).unwrap();
        (event[0].as_str().unwrap().to_owned(), event[1].clone())
    }

    /// The next packet that is no ping, which is answered.
    pub async fn packet(&mut self) -> String {
        loop {
            while let Some(packet) = self.received.pop_front() {
                match packet.as_str() {
                    "2" => self.send("3").await,
                    _ => return packet,
                }
            }
            let receive = async {
                match &mut self.connection {
                    Connection::WebSocket(socket) => match socket.next().await {
                        Some(Ok(Message::Text(text))) => vec![text.to_string()],
                        Some(Ok(_)) => Vec::new(),
                        other => panic!("the connection ended: {other:?}"),
                    },
                    Connection::Polling { client, url } => {
                        let answer = client.get(&*url).send().await.unwrap();
                        assert_eq!(answer.status(), 200);
                        answer.text().await.unwrap().split('\x1e').map(str::to_owned).collect()
                    }
                }
            };
            let received: Vec<String> = timeout(PATIENCE, receive).await.expect("the server says something");
            self.received.extend(received);
        }
    }
}
