//! One Socket.IO client that is connected: what it hears and asks for.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use socketioxide::extract::{AckSender, Event as SocketEvent, SocketRef, TryData};
use socketioxide::{SendError, SocketError};
use tokio::sync::Notify;
use tokio::time::sleep;

use crate::error::{Error, Result};
use crate::http::FrameBudget;
use crate::realtime::event::Event;
use crate::realtime::hub::{Hub, Listening};
use crate::realtime::listener::{End, Item};
use crate::realtime::resume::{self, Missed};
use crate::realtime::topic::Topic;
use crate::values::personal::Disclosure;

/// Pause before the library is asked again to take a message that it has no room for.
const FULL_PAUSE: Duration = Duration::from_millis(10);

/// What a client sends when it connects: `io(url, { auth: { token, topics } })`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Given {
    pub(super) token: Option<String>,
    pub(super) topics: Vec<String>,
}

/// Topics as a client names them: one or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Named {
    One(String),
    Several(Vec<String>),
}

fn topics(named: Value) -> Result<Vec<Topic>> {
    let names = match serde_json::from_value(named) {
        Ok(Named::One(name)) => vec![name],
        Ok(Named::Several(names)) => names,
        Err(_) => return Err(Error::malformed("bad_topic", "topics are a text or a list of texts")),
    };
    names.iter().map(|name| name.parse()).collect()
}

/// Serves a client beside this call until it goes or is closed.
pub(super) fn serve(hub: &Arc<Hub>, socket: SocketRef, listening: Listening) {
    let (listening, gone) = (Arc::new(listening), Arc::new(Notify::new()));
    let (heard, asked) = (Arc::clone(&listening), Arc::clone(hub));
    let budget = Arc::new(Mutex::new(FrameBudget::new(Instant::now())));
    // Every event comes here, so that every one is counted: polling has no frames that the connection could count.
    socket.on_fallback(move |socket: SocketRef, SocketEvent(event), TryData(data): TryData<Value>, ack: AckSender| {
        let (listening, hub, taken) = (Arc::clone(&heard), Arc::clone(&asked), budget.lock().take(Instant::now()));
        async move {
            match taken {
                Ok(()) => answer(ack, carry_out(&hub, &socket, &listening, &event, data.unwrap_or_default()).await),
                Err(_) => listening.listener.end(End::Flooding),
            }
        }
    });
    let told = Arc::clone(&gone);
    socket.on_disconnect(move || {
        let gone = Arc::clone(&told);
        async move { gone.notify_one() }
    });
    let task = Arc::clone(hub);
    hub.tasks.spawn(async move {
        let mut stopping = Box::pin(task.stopping());
        let end = loop {
            tokio::select! {
                item = listening.listener.next() => match item {
                    Ok(item) => if let Err(end) = tell(&socket, &listening, item).await {
                        break end;
                    },
                    Err(end) => break Some(end),
                },
                () = gone.notified() => break None,
                () = &mut stopping => break Some(End::Stopping),
            }
        };
        if let Some(end) = end {
            let (code, reason) = end.code();
            socket.emit("closed", &json!({ "code": code, "reason": reason })).ok();
            drop(socket.disconnect());
        }
    });
}

fn answer(ack: AckSender, answered: Result<Value>) {
    let answer = answered.unwrap_or_else(|error| json!({ "error": { "code": error.code(), "message": error.to_string() } }));
    ack.send(&answer).ok();
}

fn topics_of(listening: &Listening) -> Value {
    let topics: Vec<String> = listening.listener.topics().iter().map(ToString::to_string).collect();
    json!({ "topics": topics })
}

/// Does what a client asks for, and says what is so now.
async fn carry_out(hub: &Hub, socket: &SocketRef, listening: &Listening, event: &str, data: Value) -> Result<Value> {
    match event {
        "subscribe" => {
            listening.join(&topics(data)?).await?;
            Ok(topics_of(listening))
        }
        "unsubscribe" => {
            listening.leave(&topics(data)?);
            Ok(topics_of(listening))
        }
        "resume" => resume(hub, socket, listening, &data).await,
        _ => Err(Error::malformed("bad_message", "events are subscribe, unsubscribe and resume")),
    }
}

async fn resume(hub: &Hub, socket: &SocketRef, listening: &Listening, last: &Value) -> Result<Value> {
    let last = last.as_str().and_then(|last| last.parse().ok()).ok_or_else(resume::bad_id)?;
    let missed = match resume::since(&hub.app, listening, last).await? {
        Missed::Events(events) => events,
        Missed::Reset(reset) => vec![reset],
    };
    let count = missed.len();
    for event in missed {
        tell(socket, listening, Item::Event(event)).await.ok();
    }
    Ok(json!({ "events": count }))
}

/// Sends an item; none as the end if the client has gone.
async fn tell(socket: &SocketRef, listening: &Listening, item: Item) -> Result<(), Option<End>> {
    match item {
        Item::Event(event) => {
            let disclosure = listening.listener.disclosure();
            for name in event.kind.socket_io {
                let payload = payload(name, &event, disclosure).ok_or(None)?;
                emit(socket, listening, name, &payload).await?;
            }
            Ok(())
        }
        Item::Left(topics) => {
            let topics: Vec<String> = topics.iter().map(ToString::to_string).collect();
            let payload = serde_json::value::to_raw_value(&json!({ "topics": topics })).map_err(|_| None)?;
            emit(socket, listening, "unsubscribed", &payload).await
        }
    }
}

/// Hands a message to the library, and waits while that has no room, as long as the listener is not too slow.
async fn emit(socket: &SocketRef, listening: &Listening, name: &str, payload: &RawValue) -> Result<(), Option<End>> {
    loop {
        match socket.emit(name, payload) {
            Ok(()) => return Ok(()),
            Err(SendError::Socket(SocketError::InternalChannelFull)) => tokio::select! {
                () = sleep(FULL_PAUSE) => {}
                end = listening.listener.ended() => return Err(Some(end)),
            },
            Err(_) => return Err(None),
        }
    }
}

/// An event as older clients read it: with what happened in `data`, and once more beside it.
fn payload(name: &str, event: &Event, disclosure: Disclosure) -> Option<Box<RawValue>> {
    let data = std::str::from_utf8(event.data(disclosure)).ok()?;
    let id = event.id.map_or(String::new(), |id| format!(r#""eventId":"{id}","#));
    let members = data.strip_prefix('{')?;
    let separator = if members.starts_with('}') { "" } else { "," };
    RawValue::from_string(format!(r#"{{"event":"{name}",{id}"data":{data}{separator}{members}"#)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::realtime::events;

    #[test]
    fn an_event_holds_its_data_twice() {
        let written = |data: &'static str| {
            let event = Event::new(&events::STATS, None, Vec::new(), data);
            payload("stats_updated", &event, Disclosure::Masked).unwrap().get().to_owned()
        };
        assert_eq!(written(r#"{"a":1.50}"#), r#"{"event":"stats_updated","data":{"a":1.50},"a":1.50}"#);
        assert_eq!(written("{}"), r#"{"event":"stats_updated","data":{}}"#);
    }
}
