//! The context of a request: its id, its client, its caller, its slot, and what is left of the caller's rate limit.

use std::net::IpAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use hyper::HeaderMap;
use parking_lot::Mutex;
use tokio::time::{Duration, Instant, sleep_until, timeout_at};

use super::slots::Slot;
use crate::error::Error;
use crate::rate_limits::Budget;
use crate::values::ids::{self, UserId};
use crate::values::network::Networks;
use crate::values::personal::Disclosure;

/// When a client without credentials that sends too much is answered: it sends no faster than that in one connection, and learns
/// nothing from the time that the answer took.
const REFUSED_AFTER: Duration = Duration::from_secs(1);

/// The gateway creates it, the permission filters add the caller.
#[derive(Clone, Debug)]
pub struct RequestContext(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    id: String,
    client: IpAddr,
    arrived: Instant,
    caller: OnceLock<UserId>,
    disclosure: OnceLock<Disclosure>,
    budget: Mutex<Option<Budget>>,
    slot: Slot,
    /// In milliseconds.
    put_off: AtomicU64,
}

impl RequestContext {
    /// Uses the request's `X-Request-Id` if it is a short plain word, else a new id.
    pub(crate) fn new(client: IpAddr, headers: &HeaderMap, slot: Slot) -> Self {
        let given = headers.get("x-request-id").and_then(|value| value.to_str().ok()).filter(|id| is_plain(id));
        let id = given.map_or_else(|| ids::new().to_string(), str::to_owned);
        let (arrived, caller, disclosure, budget) = (Instant::now(), OnceLock::new(), OnceLock::new(), Mutex::default());
        Self(Arc::new(Inner { id, client, arrived, caller, disclosure, budget, slot, put_off: AtomicU64::new(0) }))
    }

    /// The request id, in logs and problem details.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// The address of the client, behind `TRUSTED_PROXIES`.
    #[must_use]
    pub fn client(&self) -> IpAddr {
        self.0.client
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

    /// Sets how much of personal data the caller may see.
    pub fn disclose(&self, disclosure: Disclosure) {
        self.0.disclosure.set(disclosure).ok();
    }

    /// Shows a budget in the headers of the answer, if there is a limit; the last one counts.
    pub fn show(&self, budget: &Budget) {
        *self.0.budget.lock() = Some(budget.clone());
    }

    pub(crate) fn budget(&self) -> Option<Budget> {
        self.0.budget.lock().clone()
    }

    /// Waits, without a slot, until the moment at which a refusal is answered.
    pub async fn refuse(&self, error: Error) -> Error {
        self.0.slot.give_back();
        sleep_until(self.0.arrived + REFUSED_AFTER).await;
        error
    }
}

/// The address of the client of a connection and a request. Only `X-Forwarded-For` is read: a proxy that writes it may pass on
/// a `Forwarded` that the client made up.
pub(crate) fn client(peer: IpAddr, headers: &HeaderMap, trusted: Option<&Networks>) -> IpAddr {
    let Some(trusted) = trusted else { return peer.to_canonical() };
    let lines = headers.get_all("x-forwarded-for").iter();
    trusted.client_behind(peer, lines.flat_map(|line| line.to_str().unwrap_or("?").split(',')))
}

fn is_plain(id: &str) -> bool {
    (1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}
