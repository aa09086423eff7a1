//! Loads: a closed loop for peak throughput, an open loop for latencies.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures_util::future::try_join_all;
use tokio::sync::{Mutex, mpsc, oneshot};

use super::super::report::statistics::Latencies;
use super::client::{Client, Endpoint, Request};

/// Connections of a load.
pub const CONNECTIONS: usize = 16;

pub struct Run {
    /// Answers per second.
    pub rate: f64,
    pub latencies: Latencies,
}

/// Sends each request as soon as the previous one of its connection is answered.
pub async fn peak(endpoint: &Endpoint, requests: &Arc<[Request]>, span: Duration) -> anyhow::Result<Run> {
    let (endpoint, requests) = (endpoint.clone(), Arc::clone(requests));
    closed_loop(span, move |number, until| repeat(endpoint.clone(), Arc::clone(&requests), number, until)).await
}

async fn repeat(endpoint: Endpoint, requests: Arc<[Request]>, number: usize, until: Instant) -> anyhow::Result<Vec<Duration>> {
    let mut client = Client::open(&endpoint).await?;
    let mut latencies = Vec::new();
    // Each connection begins elsewhere in the list, so that no two send the same request at the same moment.
    let mut requests = requests.iter().cycle().skip(number * requests.len() / CONNECTIONS);
    while let (true, Some(request)) = (Instant::now() < until, requests.next()) {
        let begin = Instant::now();
        client.send(request).await?;
        latencies.push(begin.elapsed());
    }
    Ok(latencies)
}

/// Runs one worker per connection, which returns its latencies when the time is over.
pub async fn closed_loop<W>(span: Duration, worker: impl Fn(usize, Instant) -> W + Send + 'static) -> anyhow::Result<Run>
where
    W: Future<Output = anyhow::Result<Vec<Duration>>>,
{
    on_own_thread(move || async move {
        let begin = Instant::now();
        let latencies = try_join_all((0..CONNECTIONS).map(|number| worker(number, begin + span))).await?.concat();
        Ok(Run { rate: latencies.len() as f64 / begin.elapsed().as_secs_f64(), latencies: Latencies::new(latencies) })
    })
    .await
}

/// Sends the requests at a fixed rate (open loop).
///
/// A latency begins when the request was due, not when a connection was free to send it: otherwise a stall would hide the
/// requests that it delays (coordinated omission).
pub async fn steady(endpoint: &Endpoint, requests: &Arc<[Request]>, rate: f64, span: Duration) -> anyhow::Result<Run> {
    let (endpoint, requests) = (endpoint.clone(), Arc::clone(requests));
    on_own_thread(move || async move {
        let (send, due) = mpsc::unbounded_channel();
        let due = Mutex::new(due);
        let mut clients = try_join_all((0..CONNECTIONS).map(|_| Client::open(&endpoint))).await?;
        let begin = Instant::now();
        // A thread, because the runtime's timers have a resolution of one millisecond.
        let pacer = std::thread::spawn(move || {
            for (number, offset) in schedule(rate, span).enumerate() {
                std::thread::sleep((begin + offset).saturating_duration_since(Instant::now()));
                if send.send((number, begin + offset)).is_err() {
                    break;
                }
            }
        });
        let latencies = try_join_all(clients.iter_mut().map(|client| answer(client, &requests, &due))).await?.concat();
        let rate = latencies.len() as f64 / begin.elapsed().as_secs_f64();
        pacer.join().ok().context("the pacer panicked")?;
        Ok(Run { rate, latencies: Latencies::new(latencies) })
    })
    .await
}

type Due = Mutex<mpsc::UnboundedReceiver<(usize, Instant)>>;

async fn answer(client: &mut Client, requests: &[Request], due: &Due) -> anyhow::Result<Vec<Duration>> {
    let mut latencies = Vec::new();
    loop {
        let next = due.lock().await.recv().await;
        let Some((number, begin)) = next else { return Ok(latencies) };
        client.send(&requests[number % requests.len()]).await?;
        latencies.push(begin.elapsed());
    }
}

/// Offsets from the begin at which the requests of an open loop are due.
pub fn schedule(rate: f64, span: Duration) -> impl Iterator<Item = Duration> {
    (0..).map(move |number| Duration::from_secs_f64(f64::from(number) / rate)).take_while(move |offset| *offset < span)
}

/// Runs a load on a thread and a runtime of its own, so that no other task of this process delays it.
pub async fn on_own_thread<F, W, T>(load: F) -> anyhow::Result<T>
where
    F: FnOnce() -> W + Send + 'static,
    W: Future<Output = anyhow::Result<T>>,
    T: Send + 'static,
{
    let (done, loaded) = oneshot::channel();
    let run = || tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(load());
    std::thread::spawn(move || done.send(run()).ok());
    loaded.await?
}
