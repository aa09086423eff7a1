//! Rate limits: how many requests a user or an address may send, by the generic cell rate algorithm.
//!
//! A limit of 1,000 a minute is a bucket of 1,000 that fills up again by one every 60 ms. The buckets of users are in Redis, so
//! that all servers count together. A server takes an allowance of up to a 32nd of what is left of one, and spends it by itself:
//! most requests do not wait for Redis.
//!
//! # Guarantees
//!
//! - From a full bucket and in a time `t`, all servers together admit at most the limit and what `t` refills: what is admitted
//!   was taken from the bucket before. Between any two moments it may be more by the allowances that were unspent at the first
//!   one, at most a 32nd of the limit for each server, and less by those that other servers have not spent.
//! - Where little is left, allowances are of one request, so the end of a bucket is exact. An allowance ends after one window.
//! - Without Redis each server counts by itself, from what it knew last. No request waits for a Redis that is away: those under
//!   way when it goes wait for 50 ms, all others for nothing.
//! - Moments are those of Redis, or of the process's monotonic clock. A clock that is set changes nothing.

mod bucket;
mod limiter;
mod shared;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::config;
use crate::error::{Error, Result};
use crate::metrics;
use crate::values::ids::UserId;
use crate::values::network::Network;
use bucket::Quota;
use limiter::Limiter;
use shared::SharedBuckets;

const MINUTE: Duration = Duration::from_secs(60);

/// What is left of a bucket after a request was counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    /// The name of the limit.
    pub policy: &'static str,
    /// Requests that a full bucket admits, and the time in which an empty one fills up.
    pub limit: u32,
    pub window: Duration,
    pub remaining: u32,
    /// Until the bucket is full; of a request that was refused, until one is admitted again. In whole seconds, rounded up.
    pub reset_seconds: u64,
    pub is_exceeded: bool,
}

impl Budget {
    /// Refuses the request if there was nothing left for it.
    pub fn check(&self) -> Result<()> {
        if !self.is_exceeded {
            return Ok(());
        }
        metrics::REFUSED.with_label_values(&[self.policy]).inc();
        Err(Error::QuotaExceeded { policy: self.policy, retry_after: self.reset_seconds })
    }
}

/// The limits of a process.
pub struct RateLimits {
    users: Option<Limiter<UserId>>,
    bulk: Option<Limiter<UserId>>,
    /// Counted by each process for itself: they protect its processor, and Redis need not know the addresses of clients.
    addresses: Option<Limiter<Network>>,
    shared: Option<SharedBuckets>,
}

impl RateLimits {
    /// Makes the limits, shared with servers of the same name through Redis if there is an address.
    pub fn open(settings: &config::Limits, redis_url: Option<&str>, name: &str) -> redis::RedisResult<Arc<Self>> {
        let limiter = |policy, limit, window| Quota::new(policy, limit, window).map(Limiter::new);
        let redis_url = redis_url.filter(|url| !url.is_empty());
        Ok(Arc::new(Self {
            users: limiter("user", settings.max_requests, settings.window),
            bulk: limiter("bulk", settings.bulk, MINUTE),
            addresses: Quota::new("address", settings.auth, MINUTE).map(Limiter::new),
            shared: redis_url.map(|url| SharedBuckets::open(url, name, settings.redis_timeout)).transpose()?,
        }))
    }

    /// Stays connected to Redis until stopped.
    pub async fn follow(self: Arc<Self>, stop: CancellationToken) {
        if let Some(shared) = &self.shared {
            stop.run_until_cancelled(shared.run()).await;
        }
    }

    /// Whether buckets are shared with other servers now.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.shared.as_ref().is_some_and(SharedBuckets::is_connected)
    }

    /// Counts a request of a user; none without a limit.
    pub async fn user(&self, user: UserId) -> Option<Budget> {
        Some(self.users.as_ref()?.take(user, self.shared.as_ref()).await)
    }

    /// Counts an import or a bulk update of a user; none without a limit.
    pub async fn bulk(&self, user: UserId) -> Option<Budget> {
        Some(self.bulk.as_ref()?.take(user, self.shared.as_ref()).await)
    }

    /// Counts a request from an address without a user; none without a limit.
    pub async fn address(&self, client: IpAddr) -> Option<Budget> {
        Some(self.addresses.as_ref()?.take(Network::of_client(client), None).await)
    }
}
