//! The context of a request: its id, its peer, its caller and its slot.

use std::net::IpAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hyper::HeaderMap;
use tokio::time::{Instant, timeout_at};

use super::slots::Slot;
use crate::values::ids::{self, UserId};

/// The gateway creates it, the permission filters add the caller.
#[derive(Clone, Debug)]
pub struct RequestContext(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    id: String,
    peer: IpAddr,
    caller: OnceLock<UserId>,
    slot: Slot,
    /// In milliseconds.
    put_off: AtomicU64,
}

impl RequestContext {
    /// Uses the request's `X-Request-Id` if it is a short plain word, else a new id.
    pub(crate) fn new(peer: IpAddr, headers: &HeaderMap, slot: Slot) -> Self {
        let given = headers.get("x-request-id").and_then(|value| value.to_str().ok()).filter(|id| is_plain(id));
        let id = given.map_or_else(|| ids::new().to_string(), str::to_owned);
        Self(Arc::new(Inner { id, peer, caller: OnceLock::new(), slot, put_off: AtomicU64::new(0) }))
    }

    /// The request id, in logs and problem details.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// The address of the client or its proxy.
    #[must_use]
    pub fn peer(&self) -> IpAddr {
        self.0.peer
    }

    /// The caller, once a permission was checked.
    #[must_use]
    pub fn caller(&self) -> Option<UserId> {
        self.0.caller.get().copied()
    }

    /// Its place among the requests that are worked on.
    #[must_use]
    pub fn slot(&self) -> &Slot {
        &self.0.slot
    }

    /// Gives the request more time, for a body that takes longer than other requests.
    pub(crate) fn put_off_deadline(&self, by: Duration) {
        self.0.put_off.store(u64::try_from(by.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Waits for work that has so much time, and what was added to it meanwhile; none if it takes longer.
    pub(crate) async fn in_time<T>(&self, limit: Duration, work: impl Future<Output = T>) -> Option<T> {
        let (started, mut work) = (Instant::now(), pin!(work));
        loop {
            let due = started + limit + self.put_off();
            match timeout_at(due, work.as_mut()).await {
                Ok(done) => return Some(done),
                Err(_) if started + limit + self.put_off() > due => {}
                Err(_) => return None,
            }
        }
    }

    fn put_off(&self) -> Duration {
        Duration::from_millis(self.0.put_off.load(Ordering::Relaxed))
    }

    pub fn identify(&self, caller: UserId) {
        self.0.caller.set(caller).ok();
    }
}

fn is_plain(id: &str) -> bool {
    (1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}
