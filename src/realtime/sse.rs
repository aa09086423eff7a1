//! Server-sent events (HTML standard, 9.2) at `/events`.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::{Instant, interval_at};
use warp::Filter;

use super::HEARTBEAT;
use super::event::{Event, EventId};
use super::hub::{Hub, Listening};
use super::listener::{End, Item};
use super::resume::{self, Missed};
use super::topic;
use crate::api::{self, Reply, Request};
use crate::auth::Permission::Read;
use crate::auth::{Caller, may};
use crate::error::{Error, Result};
use crate::http::{Route, Routes, Row};
use crate::operation::{EVENTS, Operation};

/// The pieces of a stream that may wait for the connection; more wait in the queue of the listener.
const PIECES: usize = 1;

/// The row of the stream, which needs the hub and not the application alone.
pub(super) fn routes(hub: &Arc<Hub>) -> Routes {
    let (app, hub) = (&hub.app, Arc::clone(hub));
    let filter = warp::path!("events")
        .and(warp::get())
        .and(may(app, Read))
        .and(api::request(app, 0, app.config.http.body_timeout))
        .then(move |caller, request| open(Arc::clone(&hub), caller, request))
        .map(api::respond)
        .boxed();
    let about = " Streams events, as docs/events.md lists them, to a client that accepts `text/event-stream`.";
    let row = Row::new("events", "get", "", "Read", about, describe);
    Routes { routes: vec![Route { row, filter }], protocols: Vec::new() }
}

fn describe(operation: &mut Operation<'_>) {
    let text = || json!({ "type": "string" });
    operation.query("topics", "What to hear of, separated by commas; what concerns the caller is always heard.", text());
    operation.query("lastEventId", "The same as the header `Last-Event-ID`.", text());
    operation.header("Last-Event-ID", "The last event that the client has got: it hears what came after.", text());
    operation.answers_text(EVENTS);
}

async fn open(hub: Arc<Hub>, caller: Caller, request: Request) -> Result<Reply> {
    if !request.header("accept").is_some_and(|types| types.contains(EVENTS)) {
        return Err(Error::malformed("bad_accept", "this address streams events: Accept: text/event-stream"));
    }
    let topics = topic::list(&request.parameter("topics").unwrap_or_default())?;
    let last = request.header("last-event-id").map(str::to_owned);
    let last = last.or_else(|| request.parameter("lastEventId").map(Into::into)).filter(|last| !last.is_empty());
    let last: Option<EventId> = last.map(|last| last.parse()).transpose().map_err(|_| resume::bad_id())?;
    let listening = hub.admit(caller, "sse").await?;
    let since = listening.join(&topics).await?;
    let missed = match last {
        Some(last) => match resume::since(&hub.app, &listening, last).await? {
            Missed::Events(events) => events,
            Missed::Reset(reset) => vec![reset],
        },
        None => Vec::new(),
    };
    let (sender, receiver) = mpsc::channel(PIECES);
    let tasks = hub.tasks.clone();
    tasks.spawn(async move {
        let ended = write(&hub, &listening, &sender, since, missed).await;
        if let Err(Some(end)) = ended {
            sender.try_send(closing(end)).ok();
        }
    });
    let pieces = stream::unfold(receiver, async |mut receiver| Some((Ok(receiver.recv().await?), receiver)));
    Ok(Reply::stream(EVENTS, pieces))
}

/// Writes to a stream until it ends: without a reason, because the client has gone.
async fn write(
    hub: &Hub,
    listening: &Listening,
    sender: &mpsc::Sender<Bytes>,
    since: Option<EventId>,
    missed: Vec<Arc<Event>>,
) -> Result<(), Option<End>> {
    let listener = &listening.listener;
    let send = async |piece: Bytes| {
        tokio::select! {
            sent = sender.send(piece) => sent.map_err(|_| None),
            end = listener.ended() => Err(Some(end)),
        }
    };
    send(greeting(listening, since)).await?;
    for event in missed {
        send(piece(&event, listening)).await?;
    }
    let mut stopping = Box::pin(hub.stopping());
    let mut heartbeat = interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
    loop {
        tokio::select! {
            item = listener.next() => match item.map_err(Some)? {
                Item::Event(event) => send(piece(&event, listening)).await?,
                Item::Left(topics) => send(left(&topics)).await?,
            },
            _ = heartbeat.tick() => send(Bytes::from_static(b":\n\n")).await?,
            () = sender.closed() => return Err(None),
            () = &mut stopping => return Err(Some(End::Stopping)),
        }
    }
}

fn piece(event: &Event, listening: &Listening) -> Bytes {
    let frame = event.frame(listening.listener.disclosure());
    let id = event.id.map_or(String::new(), |id| format!("id: {id}\n"));
    let mut piece = format!("{id}event: {}\ndata: ", event.kind.name).into_bytes();
    piece.extend_from_slice(frame);
    piece.extend_from_slice(b"\n\n");
    piece.into()
}

/// What comes first, with the id from which a client resumes that gets no event.
fn greeting(listening: &Listening, since: Option<EventId>) -> Bytes {
    let id = since.map_or(String::new(), |id| format!("id: {id}\n"));
    let topics: Vec<String> = listening.listener.topics().iter().map(ToString::to_string).collect();
    let data = json!({ "type": "ready", "userId": listening.listener.caller().id, "topics": topics });
    format!("{id}event: ready\ndata: {data}\n\n").into()
}

fn left(topics: &[topic::Topic]) -> Bytes {
    let topics: Vec<String> = topics.iter().map(ToString::to_string).collect();
    format!("event: unsubscribed\ndata: {}\n\n", json!({ "type": "unsubscribed", "topics": topics })).into()
}

/// What comes last: the close code that a WebSocket has.
fn closing(end: End) -> Bytes {
    let (code, reason) = end.code();
    format!("event: closed\ndata: {}\n\n", json!({ "type": "closed", "code": code, "reason": reason })).into()
}
