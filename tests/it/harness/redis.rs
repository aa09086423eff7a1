//! A Redis of its own for the tests that break it.

use std::io::Write;
use std::process::Stdio;

use tokio::process::{Child, Command};

use crate::harness::eventually::eventually;
use crate::harness::process::free_port;

/// A private server, killed when this value is dropped.
pub struct Redis {
    server: Child,
    port: u16,
    pub url: String,
}

impl Redis {
    /// Starts a server; none on a machine without the program, which skips the test and says so.
    pub async fn start() -> Option<Self> {
        let port = free_port().await;
        let Ok(server) = spawn(port) else {
            let thread = std::thread::current();
            writeln!(std::io::stderr(), "without redis-server skipped: {}", thread.name().unwrap_or("a test")).ok();
            return None;
        };
        let redis = Self { server, port, url: format!("redis://127.0.0.1:{port}") };
        redis.answers().await;
        Some(redis)
    }

    /// Starts it again, empty, after it was killed.
    pub async fn restart(&mut self) {
        self.server.wait().await.unwrap();
        self.server = spawn(self.port).unwrap();
        self.answers().await;
    }

    async fn answers(&self) {
        eventually("redis answers", async || self.try_call(&["PING"]).await.is_ok()).await;
    }

    pub async fn call(&self, command: &[&str]) {
        self.try_call(command).await.unwrap();
    }

    async fn try_call(&self, command: &[&str]) -> redis::RedisResult<()> {
        let client = redis::Client::open(self.url.as_str())?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        redis::cmd(command[0]).arg(&command[1..]).exec_async(&mut connection).await
    }

    /// Sends a signal: `STOP` freezes the server, `CONT` wakes it up, `KILL` ends it.
    pub async fn signal(&self, name: &str) {
        let id = self.server.id().unwrap().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().await.unwrap().success());
    }
}

fn spawn(port: u16) -> std::io::Result<Child> {
    let arguments = ["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
    let mut command = Command::new("redis-server");
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).spawn()
}
