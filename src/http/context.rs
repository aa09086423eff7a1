//! The context of a request: its id, its peer, its caller and its slot.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use hyper::HeaderMap;

use super::slots::Slot;
use crate::values::ids::{self, UserId};
use crate::values::personal::Disclosure;

/// The gateway creates it, the permission filters add the caller.
#[derive(Clone, Debug)]
pub struct RequestContext(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    id: String,
    peer: IpAddr,
    caller: OnceLock<UserId>,
    disclosure: OnceLock<Disclosure>,
    slot: Slot,
}

impl RequestContext {
    /// Uses the request's `X-Request-Id` if it is a short plain word, else a new id.
    pub(crate) fn new(peer: IpAddr, headers: &HeaderMap, slot: Slot) -> Self {
        let given = headers.get("x-request-id").and_then(|value| value.to_str().ok()).filter(|id| is_plain(id));
        let id = given.map_or_else(|| ids::new().to_string(), str::to_owned);
        Self(Arc::new(Inner { id, peer, caller: OnceLock::new(), disclosure: OnceLock::new(), slot }))
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

    /// How much of personal data the answer shows: all only if the caller's permission for it was checked.
    #[must_use]
    pub fn disclosure(&self) -> Disclosure {
        self.0.disclosure.get().copied().unwrap_or_default()
    }

    /// Its place among the requests that are worked on.
    #[must_use]
    pub fn slot(&self) -> &Slot {
        &self.0.slot
    }

    pub fn identify(&self, caller: UserId) {
        self.0.caller.set(caller).ok();
    }

    /// Sets how much of personal data the caller may see.
    pub fn disclose(&self, disclosure: Disclosure) {
        self.0.disclosure.set(disclosure).ok();
    }
}

fn is_plain(id: &str) -> bool {
    (1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}
