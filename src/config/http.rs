//! Settings of the HTTP server.

use std::net::IpAddr;

use clap::Args;

/// Settings of the HTTP server.
#[derive(Args, Clone, Debug)]
pub struct Http {
    /// Address to listen on.
    #[arg(long, env = "HOST", default_value = "127.0.0.1")]
    pub host: IpAddr,
    /// Port to listen on; 0 takes a free one.
    #[arg(long, env = "PORT", default_value_t = 3000)]
    pub port: u16,
    /// Connections open at once.
    #[arg(id = "http-max-connections", long = "http-max-connections", env = "HTTP_MAX_CONNECTIONS", default_value_t = 10_000)]
    pub max_connections: usize,
    /// Requests worked on at once; more are refused with 503.
    #[arg(id = "http-max-in-flight", long = "http-max-in-flight", env = "HTTP_MAX_IN_FLIGHT", default_value_t = 512)]
    pub max_in_flight: usize,
    /// Longest wait for a request's headers, in milliseconds.
    #[arg(
        id = "http-header-timeout-ms",
        long = "http-header-timeout-ms",
        env = "HTTP_HEADER_TIMEOUT_MS",
        default_value_t = 5_000
    )]
    pub header_timeout_ms: u64,
    /// Longest wait for a request's whole body, in milliseconds.
    #[arg(id = "http-body-timeout-ms", long = "http-body-timeout-ms", env = "HTTP_BODY_TIMEOUT_MS", default_value_t = 10_000)]
    pub body_timeout_ms: u64,
    /// Longest work on one request, in milliseconds.
    #[arg(
        id = "http-request-timeout-ms",
        long = "http-request-timeout-ms",
        env = "HTTP_REQUEST_TIMEOUT_MS",
        default_value_t = 30_000
    )]
    pub request_timeout_ms: u64,
    /// Longest wait for a client to take an answer, in milliseconds.
    #[arg(id = "http-write-timeout-ms", long = "http-write-timeout-ms", env = "HTTP_WRITE_TIMEOUT_MS", default_value_t = 15_000)]
    pub write_timeout_ms: u64,
    /// Largest JSON body, in bytes.
    #[arg(id = "http-body-limit", long = "http-body-limit", env = "HTTP_BODY_LIMIT", default_value_t = 1_048_576)]
    pub body_limit: u64,
    /// After a stop signal, time to go on serving while load balancers notice, in milliseconds; 5000 in production, else 0.
    #[arg(id = "shutdown-delay-ms", long = "shutdown-delay-ms", env = "SHUTDOWN_DELAY")]
    pub shutdown_delay_ms: Option<u64>,
    /// Then, time to finish what is under way, in milliseconds.
    #[arg(id = "shutdown-timeout-ms", long = "shutdown-timeout-ms", env = "SHUTDOWN_TIMEOUT", default_value_t = 20_000)]
    pub shutdown_timeout_ms: u64,
    /// Refuse writes without If-Match (428).
    #[arg(id = "require-if-match", long = "require-if-match", env = "REQUIRE_IF_MATCH", default_value_t = false, action = clap::ArgAction::Set)]
    pub require_if_match: bool,
}
