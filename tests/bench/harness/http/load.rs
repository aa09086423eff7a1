//! The load: as fast as the answers come, for the peak; at a fixed rate whatever the answers do, for latencies.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures_util::future::try_join_all;
use tokio::sync::{Mutex, mpsc};

use super::super::report::statistics::Latencies;
use super::client::{Call, Client, Endpoint};

/// Connections that a load uses.
pub const CONNECTIONS: usize = 16;

/// What a load came to.
pub struct Run {
    /// Answers per second.
    pub rate: f64,
    /// How long each answer took.
    pub latencies: Latencies,
}

/// Sends the calls in turn over every connection, the next one when the last is answered (closed loop).
pub async fn peak(endpoint: &Endpoint, calls: &Arc<[Call]>, span: Duration) -> anyhow::Result<Run> {
    let (endpoint, calls) = (endpoint.clone(), Arc::clone(calls));
    apart(move || async move {
        let begin = Instant::now();
        let workers = (0..CONNECTIONS).map(|number| repeat(&endpoint, &calls, number, begin + span));
        let latencies = try_join_all(workers).await?.concat();
        Ok(Run { rate: latencies.len() as f64 / begin.elapsed().as_secs_f64(), latencies: Latencies::new(latencies) })
    })
    .await
}

async fn repeat(endpoint: &Endpoint, calls: &[Call], number: usize, until: Instant) -> anyhow::Result<Vec<Duration>> {
    let mut client = Client::open(endpoint).await?;
    let mut latencies = Vec::new();
    // Each connection begins elsewhere in the list, so that no two send the same call at the same moment.
    let mut calls = calls.iter().cycle().skip(number * calls.len() / CONNECTIONS);
    while let (true, Some(call)) = (Instant::now() < until, calls.next()) {
        let begin = Instant::now();
        client.send(call).await?;
        latencies.push(begin.elapsed());
    }
    Ok(latencies)
}

/// Sends the calls in turn at a fixed rate (open loop). A latency begins when its call was due, not when a connection was free to
/// send it: otherwise a stall would hide the very calls that it delays (coordinated omission).
pub async fn steady(endpoint: &Endpoint, calls: &Arc<[Call]>, rate: f64, span: Duration) -> anyhow::Result<Run> {
    let (endpoint, calls) = (endpoint.clone(), Arc::clone(calls));
    apart(move || async move {
        let (send, due) = mpsc::unbounded_channel();
        let due = Mutex::new(due);
        let mut clients = try_join_all((0..CONNECTIONS).map(|_| Client::open(&endpoint))).await?;
        let begin = Instant::now();
        // A thread keeps the time: a timer of the runtime is a whole millisecond coarse.
        let pacer = std::thread::spawn(move || {
            for (number, offset) in schedule(rate, span).enumerate() {
                std::thread::sleep((begin + offset).saturating_duration_since(Instant::now()));
                if send.send((number, begin + offset)).is_err() {
                    break;
                }
            }
        });
        let latencies = try_join_all(clients.iter_mut().map(|client| answer(client, &calls, &due))).await?.concat();
        let rate = latencies.len() as f64 / begin.elapsed().as_secs_f64();
        pacer.join().ok().context("the pacer panicked")?;
        Ok(Run { rate, latencies: Latencies::new(latencies) })
    })
    .await
}

type Due = Mutex<mpsc::UnboundedReceiver<(usize, Instant)>>;

async fn answer(client: &mut Client, calls: &[Call], due: &Due) -> anyhow::Result<Vec<Duration>> {
    let mut latencies = Vec::new();
    loop {
        let next = due.lock().await.recv().await;
        let Some((number, begin)) = next else { return Ok(latencies) };
        client.send(&calls[number % calls.len()]).await?;
        latencies.push(begin.elapsed());
    }
}

/// When each call of an open loop is due, from its beginning on.
pub fn schedule(rate: f64, span: Duration) -> impl Iterator<Item = Duration> {
    (0..).map(move |number| Duration::from_secs_f64(f64::from(number) / rate)).take_while(move |offset| *offset < span)
}

/// Runs a load on a thread and a runtime of its own, so that nothing else of this process wakes between a call and its answer.
async fn apart<F, W>(load: F) -> anyhow::Result<Run>
where
    F: FnOnce() -> W + Send + 'static,
    W: Future<Output = anyhow::Result<Run>>,
{
    tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(load())
    })
    .await?
}
