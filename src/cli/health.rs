//! `collections health`: asks the server on this machine whether it is ready, for container health checks and scripts.

use std::net::{IpAddr, Ipv4Addr};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Args;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::config::Http;

const DEADLINE: Duration = Duration::from_secs(3);

/// Succeeds when the server of the same settings is ready.
#[derive(Args)]
pub(super) struct Health {
    #[command(flatten)]
    http: Http,
}

impl Health {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        // A server on all addresses is asked on loopback.
        let host = if self.http.host.is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { self.http.host };
        let status = tokio::time::timeout(DEADLINE, ask(host, self.http.port))
            .await
            .with_context(|| format!("no answer from {host}:{} within {DEADLINE:?}", self.http.port))?
            .with_context(|| format!("cannot ask {host}:{}", self.http.port))?;
        ensure!(status.split(' ').nth(1) == Some("200"), "not ready: {}", status.trim());
        println!("ready");
        Ok(ExitCode::SUCCESS)
    }
}

/// The status line of the answer; the image has no client to ask with.
async fn ask(host: IpAddr, port: u16) -> std::io::Result<String> {
    let mut stream = TcpStream::connect((host, port)).await?;
    stream.write_all(b"GET /health/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
    let mut status = String::new();
    BufReader::new(stream.take(200)).read_line(&mut status).await?;
    Ok(status)
}
