//! What happens, sent while it happens: over WebSockets, server-sent events and Socket.IO.
//!
//! One task of the process, the hub's, follows the announcements of the change stream. It looks up who listens, reads the changed
//! rows once in one snapshot, writes each event once for those who see personal data and once for those who do not, and hands the
//! bytes to the queues of the listeners. So a change is sent alike wherever it comes from: the API, an import, a job, psql.
//!
//! # Guarantees
//!
//! - A listener gets each event once and in the order of the change stream, or a `reset` in place of what it has missed.
//! - The feed and the hub wait for no client. One that does not read is closed, and comes back to where it was.
//! - What a caller may hear is checked when it begins to listen and every 2 seconds from then on.

mod event;
pub mod events;
mod hub;
mod listener;
mod origin;
mod page;
mod resume;
mod rights;
mod socketio;
mod source;
mod sse;
pub mod topic;
mod websocket;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::http::Routes;

pub use hub::Hub;
pub use page::events_page;

/// The server says something so often. On a WebSocket it is a ping, and a client that has said nothing since the one before is gone.
const HEARTBEAT: Duration = Duration::from_secs(25);

/// How long sockets have to say goodbye after the last request was answered.
const GOODBYE: Duration = Duration::from_secs(6);

/// Sends listeners what happens, until stopped and all of them are closed.
pub async fn run(hub: Arc<Hub>, stop: CancellationToken) {
    tokio::join!(source::run(&hub, &stop), rights::run(&hub, &stop));
    hub.tasks.close();
    timeout(GOODBYE, hub.tasks.wait()).await.ok();
}

/// The rows of events.
#[must_use]
pub fn routes(hub: &Arc<Hub>) -> Routes {
    sse::routes(hub)
}

/// Adds what opens sockets to the routes.
#[must_use]
pub fn with_sockets(routes: Routes, hub: &Arc<Hub>) -> Routes {
    routes.with_protocol(websocket::WebSockets::new(hub)).with_protocol(socketio::SocketIoServer::new(hub))
}
