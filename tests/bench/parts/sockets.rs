//! P8 to the client's socket, and P15: ten thousand idle sockets, and a change that all of them hear of.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use futures_util::future::try_join_all;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_util::sync::CancellationToken;

use super::announcements::{self, Times};
use crate::harness::context::Context;
use crate::harness::report::measure::{Goal, Measure};
use crate::harness::report::statistics::Latencies;
use crate::harness::rows;
use crate::harness::server::{self, Server};
use crate::parts::freshness;

const TIMEOUT: Duration = Duration::from_secs(60);

/// Sockets of P15. They take as many files of this process, and as many of the server.
const IDLE: usize = 10_000;

/// Sockets that are opened at once.
const OPENED_AT_ONCE: usize = 100;

/// Changes that all of them hear of.
const BROADCASTS: i64 = 20;

type Socket = WebSocketStream<TcpStream>;

/// P8: one socket hears of accounts while these change at a steady rate.
pub async fn latency(context: &Context<'_>) -> anyhow::Result<Vec<Measure>> {
    let stop = CancellationToken::new();
    let receiver = receive(open(context.server()?).await?, stop.clone());
    let commits = announcements::commit(context).await?;
    tokio::time::sleep(announcements::LOSS_TIMEOUT).await;
    stop.cancel();
    let received = receiver.await??;
    let found = commits.iter().filter_map(|(row, begin)| Some(received.get(row)?.saturating_duration_since(*begin)));
    let latencies = Latencies::new(found.collect());
    let how = format!(
        "{} changes of one account each, {} per second, by SQL; from the commit's return until a WebSocket has the event.",
        latencies.count(),
        freshness::RATE
    );
    let row = |what: &str, unit, ours, goal| Measure {
        id: "P8",
        what: what.to_owned(),
        unit,
        ours: vec![ours],
        goal: Goal::AtMost(goal),
        how: how.clone(),
        ..context.measure()
    };
    Ok(vec![
        row("commit → socket, p50", "ms", latencies.percentile(50.0), 5.0),
        row("commit → socket, p99", "ms", latencies.percentile(99.0), 20.0),
        row("changes that the socket has not heard of", "changes", (commits.len() - latencies.count()) as f64, 0.0),
    ])
}

/// P15: the memory of idle sockets, and how long it takes until all have heard of a change.
pub async fn idle(context: &mut Context<'_>) -> anyhow::Result<Vec<Measure>> {
    context.stop_server().await?;
    let mut command = server::command(context.sandbox, &["serve"]);
    // They are all of one user, from one address.
    for name in ["MAX_SOCKETS", "HTTP_MAX_CONNECTIONS", "HTTP_MAX_CONNECTIONS_PER_ADDRESS"] {
        command.env(name, (3 * IDLE).to_string());
    }
    context.server = Some(Server::run(command, context.log).await?);
    context.sign_in().await?;
    let server = context.server()?;
    let before = server.memory()?;
    let mut sockets = Vec::new();
    while sockets.len() < IDLE {
        sockets.extend(try_join_all((0..OPENED_AT_ONCE).map(|_| open(server))).await?);
    }
    let memory = server.memory()? - before;
    let mut waits = Vec::new();
    for account in rows::random(&context.sandbox.pool, "accounts", BROADCASTS).await? {
        let change = sqlx::query("update accounts set creditor = 'broadcast' where id = $1");
        let hearing = sockets.drain(..).map(|mut socket| {
            tokio::spawn(async move {
                timeout(TIMEOUT, event(&mut socket)).await.context("a socket has not heard of the change")??;
                anyhow::Ok((socket, Instant::now()))
            })
        });
        let hearing: Vec<_> = hearing.collect();
        change.bind(account).execute(&context.sandbox.pool).await?;
        let committed = Instant::now();
        for heard in hearing {
            let (socket, at) = heard.await??;
            waits.push(at.saturating_duration_since(committed));
            sockets.push(socket);
        }
    }
    let waits = Latencies::new(waits);
    let row = |what: &str, unit, ours, goal, how: &str| {
        let (what, goal, how) = (what.to_owned(), Goal::AtMost(goal), how.to_owned());
        Measure { id: "P15", what, unit, ours: vec![ours], goal, how, ..context.measure() }
    };
    let measures = vec![
        row("memory of 10,000 idle sockets", "MB", memory, 300.0, "Resident set with them, without that before."),
        row(
            "commit → 10,000 sockets, p99",
            "ms",
            waits.percentile(99.0),
            1_000.0,
            "Changes of one account, which all of them hear of, in one process on the same machine.",
        ),
    ];
    drop(sockets);
    context.stop_server().await?;
    context.server = Some(Server::start(context.sandbox, context.log).await?);
    Ok(measures)
}

/// Opens a socket that hears of accounts.
async fn open(server: &Server) -> anyhow::Result<Socket> {
    let endpoint = &server.endpoint;
    let mut request = format!("ws://{}/ws", endpoint.address).into_client_request()?;
    let token = endpoint.authorization.as_deref().context("the server has no token")?;
    request.headers_mut().insert("authorization", token.parse()?);
    let stream = TcpStream::connect(&endpoint.address).await.context("cannot connect; `ulimit -n` has to admit 12,000 files")?;
    let (mut socket, _) = tokio_tungstenite::client_async(request, stream).await?;
    socket.send(Message::text(json!({ "type": "subscribe", "topics": ["accounts"] }).to_string())).await?;
    while said(&mut socket).await?["type"] != "subscribed" {}
    Ok(socket)
}

/// Records when each version of a row was heard of, until stopped.
fn receive(mut socket: Socket, stop: CancellationToken) -> JoinHandle<anyhow::Result<Times>> {
    tokio::spawn(async move {
        let mut received = Times::new();
        while let Some(event) = stop.run_until_cancelled(event(&mut socket)).await {
            let (event, now) = (event?, Instant::now());
            let data = &event["data"];
            let id = data["id"].as_str().unwrap_or_default().parse();
            if let (Ok(id), Some(version)) = (id, data["version"].as_i64()) {
                received.entry((id, version)).or_insert(now);
            }
        }
        Ok(received)
    })
}

async fn event(socket: &mut Socket) -> anyhow::Result<Value> {
    loop {
        let said = said(socket).await?;
        if said["event"] == "account.updated" {
            return Ok(said);
        }
    }
}

async fn said(socket: &mut Socket) -> anyhow::Result<Value> {
    loop {
        match socket.next().await.context("the server has closed a socket")?? {
            Message::Text(text) => return Ok(serde_json::from_str(&text)?),
            Message::Close(frame) => bail!("the server has closed a socket: {frame:?}"),
            // Pings are answered by the library.
            _ => {}
        }
    }
}
