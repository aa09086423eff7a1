//! What is known about a request before and beside its handler: where it came from, and under which name it is logged.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use hyper::HeaderMap;

use crate::values::ids::{self, UserId};

/// One request with its answer, as the log knows it. The edge makes it, the permission filters add who calls.
#[derive(Clone, Debug)]
pub struct RequestContext(Arc<Facts>);

#[derive(Debug)]
struct Facts {
    id: String,
    peer: IpAddr,
    caller: OnceLock<UserId>,
}

impl RequestContext {
    /// Names a request: by the `X-Request-Id` that it brings if that is a plain short word, else by a new identifier.
    pub(crate) fn new(peer: IpAddr, headers: &HeaderMap) -> Self {
        let brought = headers.get("x-request-id").and_then(|value| value.to_str().ok()).filter(|id| is_plain(id));
        let id = brought.map_or_else(|| ids::new().to_string(), str::to_owned);
        Self(Arc::new(Facts { id, peer, caller: OnceLock::new() }))
    }

    /// The name of the request, in logs and problem details.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// Who opened the connection.
    #[must_use]
    pub fn peer(&self) -> IpAddr {
        self.0.peer
    }

    /// Who calls, once a permission was checked.
    #[must_use]
    pub fn caller(&self) -> Option<UserId> {
        self.0.caller.get().copied()
    }

    /// Notes who calls.
    pub fn identify(&self, caller: UserId) {
        self.0.caller.set(caller).ok();
    }
}

fn is_plain(id: &str) -> bool {
    (1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}
