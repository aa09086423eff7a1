//! Rate limits of several servers, with a Redis that works and with one that does not.

use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use collections::config::Limits;
use collections::rate_limits::RateLimits;
use collections::values::ids::UserId;
use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use crate::harness::eventually::eventually;
use crate::harness::redis::Redis;

#[derive(Parser)]
struct Settings {
    #[command(flatten)]
    limits: Limits,
}

/// Servers that share a Redis. Their limit is so many requests an hour, which refills too slowly to matter.
struct Servers {
    limits: Vec<Arc<RateLimits>>,
    stop: CancellationToken,
}

impl Servers {
    async fn start(redis: &Redis, count: usize, limit: u32, timeout: Duration) -> Self {
        let limit = limit.to_string();
        let arguments = ["it", "--rate-limit-max-requests", &limit, "--rate-limit-window", "1h"];
        let settings = Limits { redis_timeout: timeout, ..Settings::parse_from(arguments).limits };
        let open = |_| RateLimits::open(&settings, Some(&redis.url), "it").unwrap();
        let servers = Self { limits: (0..count).map(open).collect(), stop: CancellationToken::new() };
        for limits in &servers.limits {
            tokio::spawn(Arc::clone(limits).follow(servers.stop.clone()));
        }
        servers.are_shared().await;
        servers
    }

    async fn are_shared(&self) {
        eventually("all servers share", async || self.limits.iter().all(|limits| limits.is_shared())).await;
    }

    /// Sends requests of a user to all servers at once; returns how many are admitted.
    async fn send(&self, user: UserId, requests: usize) -> usize {
        let send = |number: usize| {
            let limits = Arc::clone(&self.limits[number % self.limits.len()]);
            tokio::spawn(async move { !limits.user(user).await.unwrap().is_exceeded })
        };
        join_all((0..requests).map(send)).await.into_iter().filter(|admitted| *admitted.as_ref().unwrap()).count()
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

const PATIENT: Duration = Duration::from_secs(60);
const USUAL: Duration = Duration::from_millis(50);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_requests_to_four_servers_are_admitted_up_to_the_limit_exactly() {
    let Some(redis) = Redis::start().await else { return };
    let servers = Servers::start(&redis, 4, 1_000, PATIENT).await;
    let (user, began) = (UserId::new(), Instant::now());
    let admitted = servers.send(user, 10_000).await;
    let refilled = usize::try_from(began.elapsed().as_millis() / 3_600).unwrap();
    assert!((1_000..=1_000 + refilled + 1).contains(&admitted), "{admitted}, {refilled} of them refilled");
    assert_eq!(servers.send(UserId::new(), 100).await, 100, "another user has a limit of its own");
}

#[tokio::test]
async fn bulk_work_has_a_limit_of_its_own() {
    let Some(redis) = Redis::start().await else { return };
    let servers = Servers::start(&redis, 2, 1_000, PATIENT).await;
    let user = UserId::new();
    let mut admitted = 0;
    for number in 0..20 {
        admitted += u32::from(!servers.limits[number % 2].bulk(user).await.unwrap().is_exceeded);
    }
    assert!((10..20).contains(&admitted), "ten a minute, and one more every six seconds: {admitted}");
    assert!(!servers.limits[0].user(user).await.unwrap().is_exceeded);
}

#[tokio::test]
async fn what_one_server_admits_is_missing_at_another() {
    let Some(redis) = Redis::start().await else { return };
    let servers = Servers::start(&redis, 2, 320, PATIENT).await;
    let user = UserId::new();
    for _ in 0..300 {
        assert!(!servers.limits[0].user(user).await.unwrap().is_exceeded);
    }
    let mut admitted = 0;
    while !servers.limits[1].user(user).await.unwrap().is_exceeded {
        admitted += 1;
    }
    // The first may have some on an allowance: a 32nd of what was left when it asked.
    assert!((10..=21).contains(&admitted), "{admitted}");
}

#[tokio::test]
async fn a_redis_that_fails_lets_no_more_pass_and_holds_nothing_up() {
    let Some(redis) = Redis::start().await else { return };
    let servers = Servers::start(&redis, 1, 30, USUAL).await;
    let limits = &servers.limits[0];
    let user = UserId::new();
    assert_eq!(servers.send(user, 10).await, 10);
    for (fault, mended) in [
        (&["CONFIG", "SET", "maxmemory", "1"][..], &["CONFIG", "SET", "maxmemory", "0"][..]),
        (&["REPLICAOF", "127.0.0.1", "1"], &["REPLICAOF", "NO", "ONE"]),
    ] {
        redis.call(fault).await;
        let other = UserId::new();
        assert_eq!(servers.send(other, 40).await, 30, "{fault:?}");
        assert!(!limits.is_shared(), "{fault:?}");
        redis.call(mended).await;
        servers.are_shared().await;
        assert_eq!(servers.send(other, 40).await, 0, "what was admitted meanwhile is not forgotten");
    }
    redis.signal("STOP").await;
    let (other, began) = (UserId::new(), Instant::now());
    let mut admitted = 0;
    for _ in 0..400 {
        admitted += u32::from(!limits.user(other).await.unwrap().is_exceeded);
    }
    assert_eq!(admitted, 30, "a frozen Redis");
    assert!(began.elapsed() < Duration::from_secs(15), "400 requests that each wait would take 20 s: {:?}", began.elapsed());
    redis.signal("CONT").await;
    servers.are_shared().await;
    redis.signal("KILL").await;
    assert_eq!(servers.send(user, 30).await, 20, "and the rest of the first user's, without any Redis");
    assert_eq!(servers.send(user, 30).await, 0);
}

#[tokio::test]
async fn forgotten_scripts_are_loaded_again() {
    let Some(redis) = Redis::start().await else { return };
    let servers = Servers::start(&redis, 2, 20, PATIENT).await;
    let user = UserId::new();
    assert_eq!(servers.send(user, 8).await, 8);
    redis.call(&["SCRIPT", "FLUSH"]).await;
    assert_eq!(servers.send(user, 40).await, 12);
    assert!(servers.limits.iter().all(|limits| limits.is_shared()));
}

#[tokio::test]
async fn a_moment_far_ahead_is_no_more_than_an_empty_bucket() {
    let Some(redis) = Redis::start().await else { return };
    let servers = Servers::start(&redis, 1, 3_600, PATIENT).await;
    let user = UserId::new();
    redis.call(&["SET", &format!("it:rate:user:{user}"), "9000000000000000"]).await;
    let budget = servers.limits[0].user(user).await.unwrap();
    assert!(budget.is_exceeded && budget.reset_seconds <= 2, "{budget:?}");
    eventually("it fills up again", async || !servers.limits[0].user(user).await.unwrap().is_exceeded).await;
    redis.call(&["SET", &format!("it:rate:user:{user}"), "garbage"]).await;
    eventually("an answer is found without it", async || !servers.limits[0].user(user).await.unwrap().is_exceeded).await;
}
