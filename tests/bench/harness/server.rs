//! The server under test, a child process with settings of its own.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use secrecy::ExposeSecret;
use tokio::process::{Child, Command};

use super::http::client::{Client, Endpoint};
use super::sandbox::Sandbox;

/// `USER_HZ`, ticks per second in /proc; 100 on every common Linux.
const TICKS: f64 = 100.0;
/// For a start or a stop.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Login that `collections seed --demo` creates.
const DEMO_LOGIN: (&str, &str) = ("admin", "admin123");

/// A running `collections serve`.
pub struct Server {
    pub endpoint: Endpoint,
    /// From the start of the process until it reported ready.
    pub ready_after: Duration,
    child: Child,
}

impl Server {
    /// Starts a server that writes to the log file, and waits until it is ready.
    pub async fn start(sandbox: &Sandbox, log: &Path) -> anyhow::Result<Self> {
        Self::run(command(sandbox, &["serve"]), log).await
    }

    /// Runs a command that serves, and waits until it is ready.
    pub async fn run(command: Command, log: &Path) -> anyhow::Result<Self> {
        Self::run_until(command, log, "/health/ready").await
    }

    /// Runs a command that serves, and waits until it answers a path.
    pub async fn run_until(mut command: Command, log: &Path, path: &str) -> anyhow::Result<Self> {
        let endpoint = Endpoint { address: format!("127.0.0.1:{}", free_port()?), authorization: None };
        let log = std::fs::File::options().create(true).append(true).open(log).context("cannot write the server's log")?;
        let begin = Instant::now();
        let child = command
            .env("PORT", endpoint.address.rsplit(':').next().unwrap_or_default())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let mut server = Self { endpoint, ready_after: Duration::ZERO, child };
        while !server.answers(path).await {
            if let Some(status) = server.child.try_wait()? {
                bail!("the server ended with {status} before it was ready; see its log");
            }
            if begin.elapsed() > TIMEOUT {
                bail!("the server is not ready after {TIMEOUT:?}; see its log");
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        server.ready_after = begin.elapsed();
        Ok(server)
    }

    async fn answers(&self, path: &str) -> bool {
        let Ok(mut client) = Client::open(&self.endpoint).await else { return false };
        let Ok(request) = self.endpoint.get(path) else { return false };
        client.send(&request).await.is_ok()
    }

    /// Signs in; later requests to the endpoint carry the token.
    pub async fn sign_in(&mut self) -> anyhow::Result<()> {
        self.endpoint.authorization = Some(self.token_of(DEMO_LOGIN).await?);
        Ok(())
    }

    /// Signs a user in; returns the value of the `authorization` header.
    pub async fn token_of(&self, (username, password): (&str, &str)) -> anyhow::Result<String> {
        let body = serde_json::json!({ "username": username, "password": password }).to_string();
        let request = self.endpoint.post("/api/v1/auth/login", body)?;
        let answer: serde_json::Value = serde_json::from_slice(&Client::open(&self.endpoint).await?.read(&request).await?)?;
        let token = answer["access_token"].as_str().context("the login's answer has no access_token")?;
        Ok(format!("Bearer {token}"))
    }

    /// Resident memory in MB.
    pub fn memory(&self) -> anyhow::Result<f64> {
        let id = self.child.id().context("the server has ended")?;
        let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS in the process's status")?;
        let kilobytes: f64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kilobytes * 1024.0 / 1e6)
    }

    /// Processor time used so far, in seconds.
    pub fn cpu_seconds(&self) -> anyhow::Result<f64> {
        let id = self.child.id().context("the server has ended")?;
        let status = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
        // The name in parentheses may contain blanks; user and system time are the 12th and 13th field after it.
        let fields = status.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
        let ticks = fields.map(str::parse::<f64>).sum::<Result<f64, _>>()?;
        Ok(ticks / TICKS)
    }

    /// Sends SIGKILL.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Sends SIGTERM and waits.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        let id = self.child.id().context("the server has ended")?;
        Command::new("sh").arg("-c").arg(format!("kill -TERM {id}")).status().await?;
        let status = tokio::time::timeout(TIMEOUT, self.child.wait()).await.context("the server does not stop")??;
        // A server without a handler for the signal ends by it.
        if status.success() || status.code().is_none() { Ok(()) } else { bail!("the server stopped with {status}") }
    }
}

/// The program with the sandbox's settings, without the caller's settings that would influence a measure.
pub fn command(sandbox: &Sandbox, arguments: &[impl AsRef<OsStr>]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_collections"));
    command
        .args(arguments)
        .env("DATABASE_URL", sandbox.url.expose_secret())
        .env_remove("DATABASE_OWNER_URL")
        .env("INDEX_PREFIX", &sandbox.name)
        .env("SYNC_SLOT", &sandbox.name)
        .env("HOST", "127.0.0.1")
        // A kept previous generation would be written too and slow down everything measured after a reindex.
        .env("SYNC_KEEP", "0s")
        .env("JWT_EXPIRES_IN", "12h")
        // Counted, as in production, and never exceeded.
        .env("RATE_LIMIT_MAX_REQUESTS", "1000000")
        .env("RATE_LIMIT_WINDOW", "1s")
        .env("RATE_LIMIT_AUTH", "1000000")
        .env("RATE_LIMIT_BULK", "1000000")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

fn free_port() -> anyhow::Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
