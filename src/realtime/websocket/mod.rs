//! WebSockets (RFC 6455) at `/` and `/ws`.

mod frames;
mod handshake;
mod session;

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hyper::body::Incoming;
use hyper::header::UPGRADE;
use tokio::time::timeout;

use super::hub::{Hub, Listening, Stranger};
use super::origin;
use crate::auth::{self, Caller};
use crate::error::Result;
use crate::http::{Protocol, ProtocolAddress, RequestContext, Response};
use handshake::Handshake;
use session::Session;

/// Opens WebSockets.
pub(super) struct WebSockets(Arc<Hub>);

/// How long a client that has asked for an upgrade may take to get the answer.
const UPGRADE_TIMEOUT: Duration = Duration::from_secs(10);

/// Who opens a socket.
enum Opener {
    Known(Listening),
    /// It says so in its first message.
    Stranger {
        _place: Stranger,
    },
}

impl WebSockets {
    pub(super) fn new(hub: &Arc<Hub>) -> Self {
        Self(Arc::clone(hub))
    }

    async fn open(&self, context: &RequestContext, request: hyper::Request<Incoming>) -> Result<Response> {
        let (hub, app) = (&self.0, &self.0.app);
        let handshake = Handshake::read(&request)?;
        origin::check(&app.config.http, request.headers())?;
        let opener = match caller(hub, &request).await? {
            Some(caller) => {
                context.identify(caller.id);
                Opener::Known(hub.admit(caller, "websocket").await?)
            }
            None => {
                if let Some(budget) = app.rate_limits.address(context.client()).await {
                    budget.check()?;
                }
                Opener::Stranger { _place: hub.admit_stranger()? }
            }
        };
        let (upgrade, hub) = (hyper::upgrade::on(request), Arc::clone(hub));
        self.0.tasks.spawn(async move {
            if let Ok(Ok(upgraded)) = timeout(UPGRADE_TIMEOUT, upgrade).await {
                Session::run(hub, upgraded, opener).await;
            }
        });
        Ok(handshake.accept())
    }
}

impl Protocol for WebSockets {
    fn address(&self, request: &hyper::Request<Incoming>) -> Option<ProtocolAddress> {
        match request.uri().path() {
            "/" if request.headers().contains_key(UPGRADE) => Some(ProtocolAddress { pattern: "/", allow: "GET" }),
            "/ws" => Some(ProtocolAddress { pattern: "/ws", allow: "GET" }),
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

/// Whose socket it is, by a ticket or a header; none if neither is there.
async fn caller(hub: &Hub, request: &hyper::Request<Incoming>) -> Result<Option<Caller>> {
    let query = request.uri().query().unwrap_or_default();
    let ticket = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "ticket");
    if let Some((_, ticket)) = ticket {
        return auth::redeem(&hub.app, &ticket).await.map(Some);
    }
    auth::caller_of(&hub.app, request.headers()).await
}
