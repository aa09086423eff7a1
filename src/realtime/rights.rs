//! What listeners may see is checked again and again: a session ends, a user is disabled, a role loses a permission.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::hub::Hub;
use super::listener::{End, Listener};
use crate::auth::{self, Caller, Permission};
use crate::error::Result;

/// How often: a socket is closed within 5 seconds of its log-out, however busy Postgres is.
const INTERVAL: Duration = Duration::from_secs(2);

/// Closes and narrows listeners until stopped.
pub(super) async fn run(hub: &Hub, stop: &CancellationToken) {
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let look = async {
        loop {
            ticks.tick().await;
            if let Err(error) = look(hub).await {
                tracing::warn!(%error, "cannot find out what the callers of open sockets may do");
            }
        }
    };
    stop.run_until_cancelled(look).await;
}

async fn look(hub: &Hub) -> Result<()> {
    let (listeners, callers): (Vec<_>, Vec<_>) = hub.callers().into_iter().unzip();
    if callers.is_empty() {
        return Ok(());
    }
    let rechecked = auth::recheck(&hub.app, &callers).await?;
    for ((listener, before), now) in listeners.iter().zip(&callers).zip(rechecked) {
        match now {
            None => listener.end(End::Unauthenticated),
            Some(now) if !now.has(Permission::Read) => listener.end(End::Forbidden),
            Some(now) if now.permissions != before.permissions => narrow(hub, listener, now).await?,
            Some(_) => {}
        }
    }
    Ok(())
}

/// Takes from a listener what its caller may no longer hear.
async fn narrow(hub: &Hub, listener: &Listener, caller: Caller) -> Result<()> {
    let mut lost = Vec::new();
    for topic in listener.topics() {
        match topic.check(&hub.app, &caller).await {
            Err(error) if error.status() < 500 => lost.push(topic),
            checked => checked?,
        }
    }
    hub.renew(listener, caller, lost);
    Ok(())
}
