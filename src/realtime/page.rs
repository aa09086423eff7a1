//! The page `docs/events.md`, which follows from the lists of events and topics.

use std::fmt::Write as _;

use super::events;
use super::topic::TopicKind;

const BEFORE: &str = r#"# Events

Every change is sent while it happens, wherever it comes from: the API, an import, a job, psql. A client asks for topics and gets
their events once and in the order of the change stream; personal data is masked as in lists. A client that asks for none gets what
concerns its own user. On every server the same event has the same id, so a client resumes anywhere.

## Topics

| topic | who may listen |
|---|---|
"#;

const EVENTS: &str = r#"
Rights are checked every 2 seconds: a client whose token, session or key has ended is closed, and one that may see less gets
`unsubscribed` with the topics that it has lost. A client has at most 200 topics.

## List

| event | on Socket.IO | topics | data |
|---|---|---|---|
"#;

const AFTER: &str = r#"
`stats.updated`, `job.progress` and `metrics` have no id: only the newest counts, and they are not sent again.

An event is `{"type": "event", "id": "1-23740184-4", "event": "payment.created", "data": {…}}`. Its id is the epoch and the LSN of the
change, and the place among the changes that came with it. A client that comes back names the last one that it has got, and gets
all that came after, with the records as they are now. If that is not known any more, or too much, it gets one `reset`, loads what
`topics` names, and goes on from the `id` of the reset. More than 500 changes of a collection at once are one `reset` too.

A client that does not read is closed when 64 events or 256 KiB wait for it, and others wait for nothing. Web pages of other origins
open sockets only if `CORS_ORIGIN` names them. `MAX_SOCKETS` limits how many are open.

## WebSocket

`/ws`, or `/` with an upgrade. The token is in the header `Authorization: Bearer …`, or the address names a ticket (`?ticket=`), which
`POST /api/v1/auth/ticket` makes for one socket within 30 seconds, or it comes as the first message within 10 seconds. Messages are JSON
texts of at most 64 KiB, at most 100 a minute with pings and pongs:

| client | server |
|---|---|
| `{"type": "auth", "token": "…"}`; later a newer token of the same user, before the first one expires | `{"type": "ready", "userId": …, "topics": […], "lastEventId": …, "heartbeat": 25}` |
| `{"type": "subscribe", "topics": ["payments", "account:…"]}`, all or none | `{"type": "subscribed", "topics": […]}`: all of them now |
| `{"type": "unsubscribe", "topics": […]}` | the same |
| `{"type": "resume", "lastEventId": "…"}`, after the topics | `{"type": "resumed", "events": 3}`, then the events |
| `{"type": "ping"}` | `{"type": "pong"}` |
| what is none of these, or not allowed | `{"type": "error", "code": "forbidden", "message": "…"}` |
| | `{"type": "unsubscribed", "topics": […]}`: the client may no longer get these |

The server pings every 25 seconds and closes a socket that has said nothing in between. Close codes:

| code | meaning |
|---|---|
| 1001 | the server stops: come back and resume. Sockets are closed one after the other, within 5 seconds |
| 1002, 1003, 1007 | a frame that is not allowed, a message that is no text, a text that is not UTF-8 |
| 1008 | more than 100 messages in a minute |
| 1009 | a message of more than 64 KiB |
| 1013 | the client reads too slowly: come back and resume |
| 4401 | the token, the session or the key has ended, or none came in time |
| 4403 | the user may read nothing |

## Server-sent events

`GET /api/v1/events?topics=payments,stats` with `Accept: text/event-stream` and the usual `Authorization`. `Last-Event-ID` resumes. The data of
an event is the same JSON as on a WebSocket; `ready` comes first, and `closed` last, with the close code.

## Socket.IO

Socket.IO 4 (Engine.IO 4) at `/socket.io/`, by polling and by WebSocket. The token is in the header `Authorization`, or in `auth.token`, or in
`?token=`; a client without one is refused with `connect_error`. `auth.topics` or `?topics=` names the topics, and `subscribe`,
`unsubscribe` (a topic, or a list) and `resume` (the id of an event) change it; each is acknowledged with `{"topics": […]}`, `{"events": 3}` or
`{"error": {"code": …, "message": …}}`. The limits of messages on WebSockets hold by polling too. The official client for
browsers is at `/socket.io/socket.io.js`.

An event holds what happened twice, for clients of either habit: `{"event": "payment_created", "eventId": "1-23740184-4", "data": {"id": …,
"amount": …}, "id": …, "amount": …}`. Before the server disconnects a client it sends `closed` with `code` and `reason`, as above.
"#;

/// Writes the page.
#[must_use]
pub fn events_page() -> String {
    let mut page = BEFORE.to_owned();
    for kind in TopicKind::ALL {
        let id = if kind.has_id() { ":{id}" } else { "" };
        writeln!(page, "| `{}{id}` | {} |", kind.name(), kind.listeners()).ok();
    }
    page.push_str(EVENTS);
    for event in events::all() {
        let names = |names: &[&str]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let topics: Vec<&str> = event.topics.iter().map(|kind| kind.name()).collect();
        let topics = if topics.len() == TopicKind::ALL.len() { "all".to_owned() } else { names(&topics) };
        writeln!(page, "| `{}` | {} | {topics} | {} |", event.name, names(event.socket_io), event.about).ok();
    }
    page.push_str(AFTER);
    page
}
