//! Socket.IO 4 at `/socket.io/` (Engine.IO 4, by polling and WebSocket), for clients that speak it.
//!
//! The library speaks the protocol; who hears what is decided by the hub, as for every other transport. The connection itself limits
//! the size and the number of frames, whatever the library takes.

mod answer;
mod bundle;
mod session;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hyper::body::Incoming;
use hyper::http::request::Parts;
use parking_lot::Mutex;
use socketioxide::SocketIo;
use socketioxide::extract::{SocketRef, TryData};
use socketioxide::handler::ConnectHandler;
use tower_service::Service as _;

use super::HEARTBEAT;
use super::hub::{Connection, Hub, Listening};
use super::origin;
use super::topic::Topic;
use crate::auth::{self, Caller};
use crate::error::{Error, Result};
use crate::http::{Protocol, ProtocolAddress, RequestContext, Response};
use session::Given;

const PATH: &str = "/socket.io";

/// How long a client may take to answer a ping, to say whose socket it is, and to change from polling to a WebSocket.
const ANSWER: Duration = Duration::from_secs(20);
const INTRODUCTION: Duration = Duration::from_secs(10);

/// Bytes of a message, and of the body of a polling request.
const MOST_BYTES: usize = 64 * 1024;
const READ_BUFFER: usize = 4 * 1024;

/// Messages that wait in the library; more wait in the queue of the listener.
const MOST_WAITING: usize = 8;

/// Serves Socket.IO.
pub(super) struct SocketIoServer {
    hub: Arc<Hub>,
    call: Box<Call>,
}

/// Lets the library answer; its service has a type without a name.
type Call = dyn Fn(hyper::Request<Incoming>) -> BoxFuture<'static, Result<Response>> + Send + Sync;

/// What a connection of the library carries with it: its place, and whose it is once that is known.
#[derive(Clone)]
struct Carried(Arc<Place>);

struct Place {
    _connection: Connection,
    listening: Mutex<Option<Listening>>,
}

impl SocketIoServer {
    pub(super) fn new(hub: &Arc<Hub>) -> Self {
        let (service, io) = SocketIo::builder()
            .req_path(PATH)
            .ping_interval(HEARTBEAT)
            .ping_timeout(ANSWER)
            .connect_timeout(INTRODUCTION)
            .upgrade_timeout(INTRODUCTION)
            .max_payload(MOST_BYTES as u64)
            .max_buffer_size(MOST_WAITING)
            .ws_read_buffer_size(READ_BUFFER)
            .ws_max_message_size(MOST_BYTES)
            .ws_max_frame_size(MOST_BYTES)
            .build_svc();
        let (admitting, serving) = (Arc::clone(hub), Arc::clone(hub));
        let admit = move |socket: SocketRef, TryData(given): TryData<Given>| {
            let hub = Arc::clone(&admitting);
            async move { admit(&hub, &socket, given.unwrap_or_default()).await }
        };
        let serve = move |socket: SocketRef| {
            let hub = Arc::clone(&serving);
            async move {
                if let Some(listening) = carried(&socket).and_then(|place| place.listening.lock().take()) {
                    session::serve(&hub, socket, listening);
                }
            }
        };
        io.ns("/", serve.with(admit));
        let call = move |request| {
            let answering = service.clone().call(request);
            async move {
                let answered: Result<_, Infallible> = answering.await;
                let Ok(response) = answered;
                answer::whole(response).await
            }
            .boxed()
        };
        Self { hub: Arc::clone(hub), call: Box::new(call) }
    }

    async fn open(&self, context: &RequestContext, request: hyper::Request<Incoming>) -> Result<Response> {
        let (app, mut request) = (&self.hub.app, request);
        if below(request.uri().path()).is_some_and(bundle::is_at) {
            return bundle::answer(request.method());
        }
        origin::check(&app.config.http, request.headers())?;
        if parameter(request.uri().query(), "sid").is_none() {
            if let Some(budget) = app.rate_limits.address(context.client()).await {
                budget.check()?;
            }
            let place = Place { _connection: self.hub.admit_connection()?, listening: Mutex::default() };
            request.extensions_mut().insert(Carried(Arc::new(place)));
        }
        (self.call)(request).await
    }
}

impl Protocol for SocketIoServer {
    fn address(&self, request: &hyper::Request<Incoming>) -> Option<ProtocolAddress> {
        match below(request.uri().path())? {
            "" | "/" => Some(ProtocolAddress { pattern: "/socket.io/", allow: "GET, OPTIONS, POST" }),
            path if bundle::is_at(path) => {
                Some(ProtocolAddress { pattern: "/socket.io/socket.io.js", allow: "GET, HEAD, OPTIONS" })
            }
            _ => None,
        }
    }

    fn answer(
        self: Arc<Self>,
        context: RequestContext,
        request: hyper::Request<Incoming>,
    ) -> BoxFuture<'static, Result<Response>> {
        async move { self.open(&context, request).await }.boxed()
    }
}

fn below(path: &str) -> Option<&str> {
    path.strip_prefix(PATH)
}

fn carried(socket: &SocketRef) -> Option<Arc<Place>> {
    socket.req_parts().extensions.get::<Carried>().map(|carried| Arc::clone(&carried.0))
}

/// Finds out whose socket it is, and joins the topics that it asks for; the client gets the error.
async fn admit(hub: &Arc<Hub>, socket: &SocketRef, given: Given) -> Result<()> {
    let place = carried(socket).ok_or_else(|| Error::internal("a connection without its place"))?;
    let caller = caller(hub, socket.req_parts(), given.token.as_deref()).await?;
    let asked = parameter(socket.req_parts().uri.query(), "topics").unwrap_or_default();
    let mut topics: Vec<Topic> = super::topic::list(&asked)?;
    for topic in given.topics {
        topics.push(topic.parse()?);
    }
    let listening = hub.admit(caller, "socketio").await?;
    listening.join(&topics).await?;
    *place.listening.lock() = Some(listening);
    Ok(())
}

/// By a header, by what the client sends when it connects, or by a parameter.
async fn caller(hub: &Hub, parts: &Parts, token: Option<&str>) -> Result<Caller> {
    if let Some(caller) = auth::caller_of(&hub.app, &parts.headers).await? {
        return Ok(caller);
    }
    let in_address = parameter(parts.uri.query(), "token");
    let token = token.map(str::to_owned).or(in_address).unwrap_or_default();
    auth::bearer(&hub.app, token.strip_prefix("Bearer ").unwrap_or(&token)).await
}

fn parameter(query: Option<&str>, name: &str) -> Option<String> {
    let mut parameters = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    parameters.find(|(found, _)| found == name).map(|(_, value)| value.into_owned())
}
