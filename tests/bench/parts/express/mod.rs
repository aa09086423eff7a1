//! P17: the list of accounts against a minimal implementation with Express and pg, over the same data.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use secrecy::ExposeSecret;
use tokio::process::Command;

use crate::harness::context::Context;
use crate::harness::http::client::{Client, Endpoint, Request};
use crate::harness::http::load::{CONNECTIONS, peak};
use crate::harness::report::measure::{Goal, Measure};
use crate::harness::report::statistics::median;
use crate::harness::server::Server;
use crate::parts::lists;

const PACKAGES: [&str; 2] = ["express@5", "pg@8"];

/// Measures the peak of both sides in turn, and their memory under it.
pub async fn measure(context: &Context<'_>) -> anyhow::Result<Vec<Measure>> {
    let theirs = start(context).await?;
    let measures = compare(context, &theirs).await;
    theirs.stop().await?;
    measures
}

async fn compare(context: &Context<'_>, theirs: &Server) -> anyhow::Result<Vec<Measure>> {
    let ours = context.server()?;
    let requests: Arc<[Request]> =
        lists::paths("accounts").iter().map(|path| ours.endpoint.get(path)).collect::<anyhow::Result<_>>()?;
    let reference: Arc<[Request]> =
        lists::paths("accounts").iter().map(|path| same(&theirs.endpoint, path)).collect::<anyhow::Result<_>>()?;
    let mut client = Client::open(&theirs.endpoint).await?;
    let answer: serde_json::Value = serde_json::from_slice(&client.read(&reference[0]).await?)?;
    ensure!(answer["data"].as_array().is_some_and(|rows| !rows.is_empty()), "the reference lists no accounts");
    peak(&ours.endpoint, &requests, context.round).await?;
    peak(&theirs.endpoint, &reference, context.round).await?;
    let (mut rates, mut their_rates, mut memory, mut their_memory) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..context.rounds {
        rates.push(peak(&ours.endpoint, &requests, context.round).await?.rate);
        memory.push(ours.memory()?);
        their_rates.push(peak(&theirs.endpoint, &reference, context.round).await?.rate);
        their_memory.push(theirs.memory()?);
    }
    ensure!(median(&their_rates) > 0.0, "the reference answered nothing");
    let row = |what: &str, unit, ours, reference, goal| Measure {
        id: "P17",
        what: what.to_owned(),
        unit,
        ours,
        reference,
        goal,
        how: format!(
            "The same filters, order and 25 rows with their total, over {CONNECTIONS} connections (closed loop), {:?} a round. \
             Reference: {} on Node, a pool of 20 connections, one query for the page and one for the total.",
            context.round,
            PACKAGES.join(" and ")
        ),
        ..context.measure()
    };
    Ok(vec![
        row("list of accounts against Express and pg", "req/s", rates, their_rates, Goal::RatioAtLeast(10.0)),
        row("memory under that load", "MB", memory, their_memory, Goal::RatioAtMost(1.0 / 3.0)),
    ])
}

/// Asks the reference for what a path of ours asks for.
fn same(endpoint: &Endpoint, path: &str) -> anyhow::Result<Request> {
    endpoint.get(&path.replacen("/api/v1/", "/api/", 1).replace("dueDate[gte]", "dueSince"))
}

/// Installs the packages beside the report, unless they are there, and starts the reference.
async fn start(context: &Context<'_>) -> anyhow::Result<Server> {
    let folder = std::path::absolute(context.log.parent().unwrap_or(Path::new(".")))?.join("express");
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("server.js"), include_str!("server.js"))?;
    if !folder.join("node_modules/pg").exists() {
        let mut install = Command::new("npm");
        install.args(["install", "--silent", "--prefix"]).arg(&folder).args(PACKAGES).stdin(Stdio::null());
        ensure!(install.status().await.context("P17 needs npm")?.success(), "npm cannot install {}", PACKAGES.join(" and "));
    }
    // Its client takes our `sslmode=prefer` for a demand.
    let url = context.sandbox.url.expose_secret();
    let url = url.split_once('?').map_or(url, |(url, _)| url);
    let mut serve = Command::new("node");
    serve
        .arg(folder.join("server.js"))
        .env("NODE_ENV", "production")
        .env("DATABASE_URL", url)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    Server::run_until(serve, context.log, "/health").await
}
