//! `collections tail`: events in a terminal, one a line.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use reqwest::{Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::sleep;

/// Pause before the server is asked again.
const RETRY_PAUSE: Duration = Duration::from_secs(2);

/// The server says something every 25 seconds; one that is silent for longer has gone.
const SILENCE: Duration = Duration::from_secs(60);

/// Prints events while they happen, and after an interruption those that were missed.
#[derive(Args)]
pub(super) struct Tail {
    /// Topics as in docs/events.md, such as `payments` or `account:…`.
    #[arg(required = true)]
    topics: Vec<String>,
    /// Where the server is.
    #[arg(long, default_value = "http://127.0.0.1:3000")]
    server: String,
    /// An access token or an API key.
    #[arg(long, env = "COLLECTIONS_TOKEN", hide_env_values = true)]
    token: SecretString,
}

impl Tail {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let client = reqwest::Client::builder().read_timeout(SILENCE).build()?;
        let mut last = None;
        loop {
            if let Some(response) = self.connect(&client, last.as_deref()).await? {
                follow(response, &mut last).await;
            }
            sleep(RETRY_PAUSE).await;
        }
    }

    /// Opens the stream; none if the server is away for now.
    async fn connect(&self, client: &reqwest::Client, last: Option<&str>) -> anyhow::Result<Option<Response>> {
        let topics: String = form_urlencoded::byte_serialize(self.topics.join(",").as_bytes()).collect();
        let request = client
            .get(format!("{}/api/v1/events?topics={topics}", self.server.trim_end_matches('/')))
            .header("accept", "text/event-stream")
            .header("last-event-id", last.unwrap_or_default())
            .bearer_auth(self.token.expose_secret());
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) if error.is_builder() => bail!("{} is no address of a server", self.server),
            Err(error) => {
                eprintln!("{}: {error}; trying again", self.server);
                return Ok(None);
            }
        };
        match response.status() {
            StatusCode::OK => Ok(Some(response)),
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => Ok(None),
            status => {
                let problem: serde_json::Value = serde_json::from_str(&response.text().await.context("no answer")?)?;
                bail!("{status}: {}", problem["detail"].as_str().unwrap_or_default())
            }
        }
    }
}

/// Prints what comes until the stream ends.
async fn follow(mut response: Response, last: &mut Option<String>) {
    let mut received = Vec::new();
    while let Ok(Some(piece)) = response.chunk().await {
        received.extend_from_slice(&piece);
        while let Some(end) = received.windows(2).position(|window| window == b"\n\n") {
            let block: Vec<u8> = received.drain(..end + 2).collect();
            show(&String::from_utf8_lossy(&block), last);
        }
    }
}

fn show(block: &str, last: &mut Option<String>) {
    let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    if let Some(id) = field("id") {
        *last = Some(id.to_owned());
    }
    if let Some(data) = field("data") {
        println!("{data}");
    }
}
