//! One open WebSocket: what it hears and says until it is closed.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, interval_at, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Bytes, Message, Utf8Bytes};

use super::Opener;
use super::frames::{Reply, Said, names, shown};
use crate::auth;
use crate::error::{Error, Result};
use crate::http::FrameViolation;
use crate::realtime::HEARTBEAT;
use crate::realtime::hub::{Hub, Listening};
use crate::realtime::listener::{End, Item, Listener};
use crate::realtime::resume::{self, Missed};
use crate::realtime::topic::Topic;

/// How long a client may take to say whose socket it is.
const INTRODUCTION: Duration = Duration::from_secs(10);

/// How long a client may take to read the reason why it is closed, and to close its side.
const GOODBYE: Duration = Duration::from_secs(2);

/// Bytes of a message; the connection itself admits no more either.
const MOST_BYTES: usize = 64 * 1024;

/// Bytes of the buffer that every socket has for what it reads: there may be 10,000, and most say next to nothing.
const READ_BUFFER: usize = 4 * 1024;

/// Bytes that may wait in the library for a client that reads slowly: one event, which is at most as large as a record.
const WRITE_BUFFER: usize = 4 * 1024 * 1024;

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// Why a socket is closed.
enum Close {
    /// The client has gone, or has closed it.
    Gone,
    /// With a code and a reason.
    With(u16, &'static str),
}

impl From<End> for Close {
    fn from(end: End) -> Self {
        let (code, reason) = end.code();
        Self::With(code, reason)
    }
}

impl From<tungstenite::Error> for Close {
    fn from(error: tungstenite::Error) -> Self {
        match error {
            tungstenite::Error::Io(error) => match FrameViolation::of(&error) {
                Some(FrameViolation::TooLarge) => Self::With(1009, "a message has at most 65536 bytes"),
                Some(FrameViolation::TooMany) => End::Flooding.into(),
                None => Self::Gone,
            },
            tungstenite::Error::Capacity(_) => Self::With(1009, "a message has at most 65536 bytes"),
            tungstenite::Error::Utf8(_) => Self::With(1007, "a text is UTF-8"),
            tungstenite::Error::Protocol(_) => Self::With(1002, "a frame that RFC 6455 does not allow"),
            _ => Self::Gone,
        }
    }
}

pub(super) struct Session {
    hub: Arc<Hub>,
    socket: Socket,
    opener: Opener,
    /// Whether the client has said something since the last ping.
    is_alive: bool,
}

impl Session {
    /// Serves a socket until it is closed.
    pub(super) async fn run(hub: Arc<Hub>, upgraded: Upgraded, opener: Opener) {
        let limits = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(0)
            .max_write_buffer_size(WRITE_BUFFER)
            .max_message_size(Some(MOST_BYTES))
            .max_frame_size(Some(MOST_BYTES));
        let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(limits)).await;
        let mut session = Self { hub, socket, opener, is_alive: true };
        let close = match session.greet().await {
            Ok(()) => session.converse().await,
            Err(close) => close,
        };
        session.close(close).await;
    }

    async fn converse(&mut self) -> Close {
        let hub = Arc::clone(&self.hub);
        let mut stopping = Box::pin(hub.stopping());
        let introduced_by = Instant::now() + INTRODUCTION;
        let mut heartbeat = interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
        loop {
            let listening = match &self.opener {
                Opener::Known(listening) => Some(Arc::clone(&listening.listener)),
                Opener::Stranger { .. } => None,
            };
            let step = tokio::select! {
                item = next(listening.as_deref()) => match item {
                    Ok(item) => self.tell(item).await,
                    Err(end) => Err(end.into()),
                },
                message = self.socket.next() => match message {
                    Some(Ok(message)) => self.hear(message).await,
                    Some(Err(error)) => Err(error.into()),
                    None => Err(Close::Gone),
                },
                _ = heartbeat.tick() => self.ping().await,
                () = sleep_until(introduced_by), if listening.is_none() => Err(End::Unauthenticated.into()),
                () = &mut stopping => Err(End::Stopping.into()),
            };
            if let Err(close) = step {
                return close;
            }
        }
    }

    /// Sends a message, as long as the listener is not ended meanwhile for being slow.
    async fn send(&mut self, message: Message) -> Result<(), Close> {
        match &self.opener {
            Opener::Known(listening) => tokio::select! {
                sent = self.socket.send(message) => Ok(sent?),
                end = listening.listener.ended() => Err(end.into()),
            },
            Opener::Stranger { .. } => Ok(timeout(GOODBYE, self.socket.send(message)).await.map_err(|_| Close::Gone)??),
        }
    }

    async fn say(&mut self, reply: &Reply) -> Result<(), Close> {
        self.send(Message::text(reply.text())).await
    }

    async fn ping(&mut self) -> Result<(), Close> {
        if !std::mem::take(&mut self.is_alive) {
            return Err(Close::Gone);
        }
        self.send(Message::Ping(Bytes::new())).await
    }

    async fn tell(&mut self, item: Item) -> Result<(), Close> {
        let Opener::Known(Listening { listener, .. }) = &self.opener else { return Ok(()) };
        let message = match item {
            Item::Event(event) => text(event.frame(listener.disclosure()).clone()),
            Item::Left(topics) => Message::text(Reply::Unsubscribed { topics: names(&topics) }.text()),
        };
        self.send(message).await
    }

    /// Tells a client that it is heard, and where it is.
    async fn greet(&mut self) -> Result<(), Close> {
        let Opener::Known(listening) = &self.opener else { return Ok(()) };
        let ready = Reply::Ready {
            user_id: listening.listener.caller().id.0,
            topics: names(&listening.listener.topics()),
            last_event_id: shown(listening.since),
            heartbeat: HEARTBEAT.as_secs(),
        };
        self.say(&ready).await
    }

    async fn hear(&mut self, message: Message) -> Result<(), Close> {
        self.is_alive = true;
        let said = match &message {
            Message::Text(text) => serde_json::from_str::<Said>(text),
            Message::Binary(_) => return Err(Close::With(1003, "messages are texts")),
            Message::Close(_) => return Err(Close::Gone),
            _ => return Ok(()),
        };
        let done = match said {
            Ok(Said::Auth { token }) => return self.introduce(&token).await,
            Ok(said) => match &self.opener {
                Opener::Known(_) => self.carry_out(said).await,
                Opener::Stranger { .. } => return Err(End::Unauthenticated.into()),
            },
            Err(_) => Ok(Err(Error::malformed("bad_message", "messages are auth, subscribe, unsubscribe, resume and ping"))),
        };
        match done? {
            Ok(()) => Ok(()),
            Err(error) => self.refuse(&error).await,
        }
    }

    async fn refuse(&mut self, error: &Error) -> Result<(), Close> {
        if let Error::Internal(cause) = error {
            tracing::error!(error = %cause, "cannot do what a socket asks for");
        }
        self.say(&Reply::error(error)).await
    }

    /// Takes the token of a stranger, or a newer one of the caller.
    async fn introduce(&mut self, token: &str) -> Result<(), Close> {
        let caller = match auth::bearer(&self.hub.app, token).await {
            Ok(caller) => caller,
            Err(Error::Unauthenticated(_)) => return Err(End::Unauthenticated.into()),
            Err(error) => return self.refuse(&error).await,
        };
        if let Opener::Known(listening) = &self.opener {
            if let Err(error) = listening.renew(caller) {
                return self.refuse(&error).await;
            }
            return self.greet().await;
        }
        match self.hub.admit(caller, "websocket").await {
            Ok(listening) => {
                self.opener = Opener::Known(listening);
                self.greet().await
            }
            Err(Error::Forbidden(_)) => Err(End::Forbidden.into()),
            Err(error) => {
                self.refuse(&error).await?;
                Err(Close::With(1013, "come back later"))
            }
        }
    }

    /// Does what a caller asks for. The outer error closes the socket, the inner one is the answer.
    async fn carry_out(&mut self, said: Said) -> Result<Result<()>, Close> {
        let Opener::Known(listening) = &self.opener else { return Ok(Ok(())) };
        let read = |topics: &[String]| topics.iter().map(|topic| topic.parse()).collect::<Result<Vec<Topic>>>();
        let reply = match said {
            Said::Subscribe { topics } => match read(&topics) {
                Ok(topics) => match listening.join(&topics).await {
                    Ok(_) => Reply::Subscribed { topics: names(&listening.listener.topics()) },
                    Err(error) => return Ok(Err(error)),
                },
                Err(error) => return Ok(Err(error)),
            },
            Said::Unsubscribe { topics } => match read(&topics) {
                Ok(topics) => {
                    listening.leave(&topics);
                    Reply::Subscribed { topics: names(&listening.listener.topics()) }
                }
                Err(error) => return Ok(Err(error)),
            },
            Said::Resume { last_event_id } => return self.resume(&last_event_id).await,
            Said::Ping {} => Reply::Pong {},
            Said::Auth { .. } => return Ok(Ok(())),
        };
        self.say(&reply).await.map(Ok)
    }

    /// Tells what a client has missed since an event.
    async fn resume(&mut self, last: &str) -> Result<Result<()>, Close> {
        let Opener::Known(listening) = &self.opener else { return Ok(Ok(())) };
        let Ok(last) = last.parse() else {
            return Ok(Err(resume::bad_id()));
        };
        let missed = match resume::since(&self.hub.app, listening, last).await {
            Ok(Missed::Events(events)) => events,
            Ok(Missed::Reset(reset)) => vec![reset],
            Err(error) => return Ok(Err(error)),
        };
        self.say(&Reply::Resumed { events: missed.len() }).await?;
        for event in missed {
            self.tell(Item::Event(event)).await?;
        }
        Ok(Ok(()))
    }

    /// Says why, and lets the client read it: a connection that is dropped with unread bytes is reset, and the reason is lost.
    async fn close(mut self, close: Close) {
        let Close::With(code, reason) = close else { return };
        // The client may listen no more, so it counts no more.
        drop(self.opener);
        let frame = CloseFrame { code: code.into(), reason: reason.into() };
        let goodbye = async {
            self.socket.close(Some(frame)).await.ok();
            let mut connection = self.socket.into_inner();
            let mut ignored = [0; 1024];
            while connection.read(&mut ignored).await.is_ok_and(|read| read > 0) {}
        };
        timeout(GOODBYE, goodbye).await.ok();
    }
}

/// What a listener hears next; a stranger hears nothing.
async fn next(listener: Option<&Listener>) -> Result<Item, End> {
    match listener {
        Some(listener) => listener.next().await,
        None => std::future::pending().await,
    }
}

/// The bytes of an event, which are JSON.
fn text(frame: Bytes) -> Message {
    Utf8Bytes::try_from(frame).map_or_else(|_| Message::text(""), Message::Text)
}
