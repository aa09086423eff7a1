//! The program as a process, which a test can kill.

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};

use crate::harness::client::Client;
use crate::harness::database::Database;

/// The program with its settings, not started.
pub fn command(database: &Database) -> Command {
    command_at(&database.url, &database.name)
}

/// The same with its own name for slot and indices.
pub fn command_at(url: &str, name: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_collections"));
    command
        .env("APP_ENV", "test")
        .env("DATABASE_URL", url)
        .env("INDEX_PREFIX", name)
        .env("SYNC_SLOT", name)
        .env("NO_COLOR", "1")
        // Tests that send much come from one address.
        .env("RATE_LIMIT_MAX_REQUESTS", "0")
        .env("RATE_LIMIT_AUTH", "0")
        .env("LOGIN_MAX_FAILURES", "1000")
        .env("LOGIN_MAX_FAILURES_PER_ADDRESS", "100000")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// Adds a user by the command.
pub async fn add_user(database: &Database, username: &str, role: &str, password: &str) {
    add_user_with(command(database), username, role, password).await;
}

/// The same with other settings.
pub async fn add_user_with(mut command: Command, username: &str, role: &str, password: &str) {
    command.args(["user", "add", username, "--role", role]).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(format!("{password}\n").as_bytes()).await.unwrap();
    assert!(child.wait().await.unwrap().success());
}

/// A running `collections serve`.
pub struct Server {
    child: Child,
    pub port: u16,
    errors: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Starts the program on a port and waits until it is ready.
    pub async fn start(command: Command, port: u16) -> Self {
        Self::start_with(command, port, &["serve"]).await
    }

    /// The same with other arguments.
    pub async fn start_with(mut command: Command, port: u16, arguments: &[&str]) -> Self {
        command.args(arguments).env("PORT", port.to_string()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut log = BufReader::new(child.stdout.take().unwrap()).lines();
        let errors = Arc::new(Mutex::default());
        let server = Self { child, port, errors: errors.clone() };
        tokio::spawn(async move {
            while let Ok(Some(line)) = log.next_line().await {
                if line.contains(" ERROR ") {
                    errors.lock().unwrap().push(line);
                }
            }
        });
        let client = server.client();
        for _ in 0..600 {
            if client.try_send(reqwest::Method::GET, "/health/ready", None).await.is_ok_and(|answer| answer.status == 200) {
                return server;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the server is ready within 30 s");
    }

    /// The lines of the log at ERROR.
    pub fn errors(&self) -> Vec<String> {
        self.errors.lock().unwrap().clone()
    }

    pub fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    /// A caller without credentials.
    pub fn client(&self) -> Client {
        Client::new(format!("http://127.0.0.1:{}", self.port))
    }

    /// Resident memory of the process, in MiB.
    pub fn resident_mib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id().unwrap())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
    }

    /// Kills the process (SIGKILL).
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }
}

/// A free port, another one each time.
///
/// It lies below the kernel's ephemeral range, so that no connection gets it before its server starts, or between two starts.
pub async fn free_port() -> u16 {
    const FIRST: u16 = 20_000;
    const COUNT: u16 = 12_000;
    static NEXT: LazyLock<AtomicU16> = LazyLock::new(|| AtomicU16::new(rand::random()));
    loop {
        let port = FIRST + NEXT.fetch_add(1, Ordering::Relaxed) % COUNT;
        if tokio::net::TcpListener::bind(("127.0.0.1", port)).await.is_ok() {
            return port;
        }
    }
}
