//! Settings of the HTTP server.

use std::net::IpAddr;
use std::time::Duration;

use clap::Args;

use super::Environment;

#[derive(Args, Clone, Debug)]
pub struct Http {
    /// Address to listen on.
    #[arg(long, env = "HOST", default_value = "127.0.0.1")]
    pub host: IpAddr,
    /// Port to listen on; 0 picks a free one.
    #[arg(long, env = "PORT", default_value_t = 3000)]
    pub port: u16,
    /// Connections open at once.
    #[arg(id = "http-max-connections", long = "http-max-connections", env = "HTTP_MAX_CONNECTIONS", default_value_t = 10_000)]
    pub max_connections: usize,
    /// Requests in progress at once; more are refused with 503.
    #[arg(id = "http-max-in-flight", long = "http-max-in-flight", env = "HTTP_MAX_IN_FLIGHT", default_value_t = 512)]
    pub max_in_flight: usize,
    /// Longest work on one request.
    #[arg(
        id = "http-request-timeout",
        long = "http-request-timeout",
        env = "HTTP_REQUEST_TIMEOUT",
        default_value = "30s",
        value_parser = humantime::parse_duration
    )]
    pub request_timeout: Duration,
    /// Largest JSON body, in bytes.
    #[arg(id = "http-body-limit", long = "http-body-limit", env = "HTTP_BODY_LIMIT", default_value_t = 1_048_576)]
    pub body_limit: u64,
    /// After a stop signal, time to keep serving while load balancers notice; 5s in production, else none.
    #[arg(id = "shutdown-delay", long = "shutdown-delay", env = "SHUTDOWN_DELAY", value_parser = duration_or_milliseconds)]
    pub shutdown_delay: Option<Duration>,
    /// Then, time to finish requests in progress.
    #[arg(
        id = "shutdown-timeout",
        long = "shutdown-timeout",
        env = "SHUTDOWN_TIMEOUT",
        default_value = "20s",
        value_parser = duration_or_milliseconds
    )]
    pub shutdown_timeout: Duration,
    /// Refuse writes without If-Match (428).
    #[arg(id = "require-if-match", long = "require-if-match", env = "REQUIRE_IF_MATCH", default_value_t = false, action = clap::ArgAction::Set)]
    pub require_if_match: bool,
    /// Longest wait for a request's headers: a client sends them in one packet, an attacker byte by byte.
    #[arg(skip = Duration::from_secs(5))]
    pub header_timeout: Duration,
    /// Longest wait for a request's whole body: 1 MiB over a connection of 1 Mbit/s.
    #[arg(skip = Duration::from_secs(10))]
    pub body_timeout: Duration,
    /// Longest wait for a client to read a response; half the request timeout, since no response is larger than a page.
    #[arg(skip = Duration::from_secs(15))]
    pub write_timeout: Duration,
}

impl Http {
    /// How long the server keeps serving after a stop signal.
    #[must_use]
    pub fn shutdown_delay(&self, environment: Environment) -> Duration {
        let default = if environment == Environment::Production { Duration::from_secs(5) } else { Duration::ZERO };
        self.shutdown_delay.unwrap_or(default)
    }
}

/// Reads `20s`, or a plain number as milliseconds: existing deployments set `SHUTDOWN_TIMEOUT=30000`.
fn duration_or_milliseconds(text: &str) -> Result<Duration, humantime::DurationError> {
    text.parse().map(Duration::from_millis).or_else(|_| humantime::parse_duration(text))
}
