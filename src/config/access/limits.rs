//! Settings of what one user and one address may send.

use std::time::Duration;

use clap::Args;

use crate::config::range::{DAY, SECOND, duration, duration_or_milliseconds, number};

#[derive(Args, Clone, Debug)]
pub struct Limits {
    /// Requests of one user within `RATE_LIMIT_WINDOW`, at all servers together; 0 sets no limit.
    #[arg(
        id = "rate-limit-max-requests",
        long = "rate-limit-max-requests",
        env = "RATE_LIMIT_MAX_REQUESTS",
        default_value_t = 1_000,
        value_parser = number(0..=1_000_000_u32)
    )]
    pub max_requests: u32,
    /// Time within which a user may send as many; a plain number is in milliseconds.
    #[arg(
        id = "rate-limit-window",
        long = "rate-limit-window",
        env = "RATE_LIMIT_WINDOW",
        default_value = "1m",
        value_parser = duration_or_milliseconds(SECOND..=DAY)
    )]
    pub window: Duration,
    /// Imports, exports and bulk updates of one user in a minute, at all servers together; 0 sets no limit.
    #[arg(
        id = "rate-limit-bulk",
        long = "rate-limit-bulk",
        env = "RATE_LIMIT_BULK",
        default_value_t = 10,
        value_parser = number(0..=1_000_000_u32)
    )]
    pub bulk: u32,
    /// Log-ins, and other requests to sign in, from one address or IPv6 network of 64 bits in a minute, at each server; 0 sets no
    /// limit. An office behind one address signs in at the same hour.
    #[arg(
        id = "rate-limit-auth",
        long = "rate-limit-auth",
        env = "RATE_LIMIT_AUTH",
        default_value_t = 300,
        value_parser = number(0..=1_000_000_u32)
    )]
    pub auth: u32,
    /// Wrong passwords for one account within `LOGIN_LOCK` that lock it.
    #[arg(
        id = "login-max-failures",
        long = "login-max-failures",
        env = "LOGIN_MAX_FAILURES",
        default_value_t = 5,
        value_parser = number(1..=1_000_000_u32)
    )]
    pub login_max_failures: u32,
    /// Wrong passwords and tokens from one address within `LOGIN_LOCK` that lock it.
    #[arg(
        id = "login-max-failures-per-address",
        long = "login-max-failures-per-address",
        env = "LOGIN_MAX_FAILURES_PER_ADDRESS",
        default_value_t = 100,
        value_parser = number(1..=1_000_000_u32)
    )]
    pub login_max_failures_per_address: u32,
    /// How long a locked account or address stays locked.
    #[arg(id = "login-lock", long = "login-lock", env = "LOGIN_LOCK", default_value = "15m", value_parser = duration(SECOND..=DAY))]
    pub login_lock: Duration,
    /// Longest wait for Redis, which is on the same network, before a server counts for itself.
    #[arg(skip = Duration::from_millis(50))]
    pub redis_timeout: Duration,
}
