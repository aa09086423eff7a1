//! Settings of the HTTP server.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::Environment;
use super::range::{HOUR, MILLISECOND, duration, duration_or_milliseconds, number};
use crate::values::network::Networks;
use crate::values::origin::{Origin, Origins};

#[derive(Args, Clone, Debug)]
pub struct Http {
    /// Address to listen on.
    #[arg(long, env = "HOST", default_value = "127.0.0.1")]
    pub host: IpAddr,
    /// Port to listen on; 0 picks a free one.
    #[arg(long, env = "PORT", default_value_t = 3000)]
    pub port: u16,
    /// Port for operators, with `/metrics` and the details of `/health`, neither of which `PORT` shows then; 0 picks a free one.
    #[arg(id = "admin-port", long = "admin-port", env = "ADMIN_PORT")]
    pub admin_port: Option<u16>,
    /// Connections open at once. Beyond them only health probes are answered.
    #[arg(
        id = "http-max-connections",
        long = "http-max-connections",
        env = "HTTP_MAX_CONNECTIONS",
        default_value_t = 10_000,
        value_parser = number(1..=1_000_000_usize)
    )]
    pub max_connections: usize,
    /// Connections open at once from one address, or one IPv6 network of 64 bits; a proxy in front of the server is one address.
    #[arg(
        id = "http-max-connections-per-address",
        long = "http-max-connections-per-address",
        env = "HTTP_MAX_CONNECTIONS_PER_ADDRESS",
        default_value_t = 6_000,
        value_parser = number(1..=1_000_000_usize)
    )]
    pub max_connections_per_address: usize,
    /// WebSockets and other streams of events open at once; one user has at most half of them.
    #[arg(
        id = "max-sockets",
        long = "max-sockets",
        env = "MAX_SOCKETS",
        default_value_t = 20_000,
        value_parser = number(1..=1_000_000_usize)
    )]
    pub max_sockets: usize,
    /// Proxies in front of the server, as addresses or networks such as `10.0.0.0/8`, separated by commas. What they add to
    /// `X-Forwarded-For` is believed.
    #[arg(id = "trusted-proxies", long = "trusted-proxies", env = "TRUSTED_PROXIES")]
    pub trusted_proxies: Option<Networks>,
    /// Requests worked on at once; more are refused with 503. Requests whose body has not arrived are not among them.
    #[arg(
        id = "http-max-in-flight",
        long = "http-max-in-flight",
        env = "HTTP_MAX_IN_FLIGHT",
        default_value_t = 512,
        value_parser = number(1..=100_000_usize)
    )]
    pub max_in_flight: usize,
    /// Longest work on one request.
    #[arg(
        id = "http-request-timeout",
        long = "http-request-timeout",
        env = "HTTP_REQUEST_TIMEOUT",
        default_value = "30s",
        value_parser = duration(100 * MILLISECOND..=HOUR)
    )]
    pub request_timeout: Duration,
    /// Largest JSON body, in bytes.
    #[arg(
        id = "http-body-limit",
        long = "http-body-limit",
        env = "HTTP_BODY_LIMIT",
        default_value_t = 1_048_576,
        value_parser = number(1..=16 * 1_048_576_u64)
    )]
    pub body_limit: u64,
    /// After a stop signal, time to keep serving while load balancers notice; 5s in production, else none.
    #[arg(
        id = "shutdown-delay",
        long = "shutdown-delay",
        env = "SHUTDOWN_DELAY",
        value_parser = duration_or_milliseconds(Duration::ZERO..=HOUR)
    )]
    pub shutdown_delay: Option<Duration>,
    /// Then, time to finish requests in progress.
    #[arg(
        id = "shutdown-timeout",
        long = "shutdown-timeout",
        env = "SHUTDOWN_TIMEOUT",
        default_value = "20s",
        value_parser = duration_or_milliseconds(Duration::ZERO..=HOUR)
    )]
    pub shutdown_timeout: Duration,
    /// Refuse writes without If-Match (428).
    #[arg(id = "require-if-match", long = "require-if-match", env = "REQUIRE_IF_MATCH", default_value_t = false, action = clap::ArgAction::Set)]
    pub require_if_match: bool,
    /// Origins of the web pages that may call the API from a browser, separated by commas, such as `https://app.example.org`.
    /// `*` stands for all and is refused in production.
    #[arg(id = "cors-origin", long = "cors-origin", env = "CORS_ORIGIN")]
    pub cors_origin: Option<Origins>,
    /// More of them.
    #[arg(id = "allowed-origins", long = "allowed-origins", env = "ALLOWED_ORIGINS")]
    pub allowed_origins: Option<Origins>,
    /// Address of the front end, whose origin is one of them too.
    #[arg(id = "frontend-url", long = "frontend-url", env = "FRONTEND_URL")]
    pub frontend_url: Option<Origins>,
    /// Compress answers with gzip for clients that accept it; off where a proxy does.
    #[arg(id = "http-compression", long = "http-compression", env = "HTTP_COMPRESSION", default_value_t = true, action = clap::ArgAction::Set)]
    pub compression: bool,
    /// File with the server's certificate and its chain, in PEM, for TLS on `PORT`. A renewed one is read within 10 seconds.
    #[arg(id = "tls-cert", long = "tls-cert", env = "TLS_CERT")]
    pub tls_cert: Option<PathBuf>,
    /// File with the key of the certificate, in PEM.
    #[arg(id = "tls-key", long = "tls-key", env = "TLS_KEY")]
    pub tls_key: Option<PathBuf>,
    /// How often the files of the certificate are looked at: a renewed one comes days before the old one expires.
    #[arg(skip = Duration::from_secs(10))]
    pub certificate_check: Duration,
    /// Longest wait for a request's headers: a client sends them in one packet, an attacker byte by byte.
    #[arg(skip = Duration::from_secs(5))]
    pub header_timeout: Duration,
    /// Longest wait for a request's whole body: 1 MiB over a connection of 1 Mbit/s.
    #[arg(skip = Duration::from_secs(10))]
    pub body_timeout: Duration,
    /// Longest that a client may take to read a response; half the request timeout, since no response is larger than a page.
    #[arg(skip = Duration::from_secs(15))]
    pub write_timeout: Duration,
}

impl Http {
    /// The origins of the pages that may read answers: those of all three settings.
    pub fn origins(&self) -> impl Iterator<Item = &Origin> {
        let settings = [&self.cors_origin, &self.allowed_origins, &self.frontend_url];
        settings.into_iter().flatten().flat_map(|origins| &origins.0)
    }

    pub(super) fn check(&self, environment: Environment) -> Result<(), String> {
        if environment == Environment::Production && self.origins().any(|origin| *origin == Origin::Any) {
            return Err(
                "CORS_ORIGIN, ALLOWED_ORIGINS and FRONTEND_URL name the origins of production one by one, without *".into()
            );
        }
        if self.tls_cert.is_some() != self.tls_key.is_some() {
            return Err("TLS needs both TLS_CERT and TLS_KEY".into());
        }
        Ok(())
    }

    /// The files of certificate and key, if the server is to speak TLS.
    #[must_use]
    pub fn certificate(&self) -> Option<(&Path, &Path)> {
        self.tls_cert.as_deref().zip(self.tls_key.as_deref())
    }

    /// How long the server keeps serving after a stop signal.
    #[must_use]
    pub fn shutdown_delay(&self, environment: Environment) -> Duration {
        let default = if environment == Environment::Production { Duration::from_secs(5) } else { Duration::ZERO };
        self.shutdown_delay.unwrap_or(default)
    }
}
