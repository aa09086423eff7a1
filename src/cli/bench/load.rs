//! The load: as fast as the answers come, for the peak; at a fixed rate whatever the answers do, for latencies.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use futures_util::future::try_join_all;
use tokio::sync::{Mutex, mpsc};

use super::client::{Call, Link, Site};
use super::statistics::Latencies;

/// Connections that a load uses.
pub(super) const LINKS: usize = 16;

/// What a load came to.
pub(super) struct Run {
    /// Answers per second.
    pub(super) rate: f64,
    /// How long each answer took.
    pub(super) latencies: Latencies,
}

/// Sends the calls in turn over every connection, the next one when the last is answered (closed loop).
pub(super) async fn peak(site: &Site, calls: &Arc<[Call]>, span: Duration) -> anyhow::Result<Run> {
    let (site, calls) = (site.clone(), Arc::clone(calls));
    apart(move || async move {
        let begin = Instant::now();
        let workers = (0..LINKS).map(|number| repeat(&site, &calls, number, begin + span));
        let latencies = try_join_all(workers).await?.concat();
        Ok(Run { rate: latencies.len() as f64 / begin.elapsed().as_secs_f64(), latencies: Latencies::new(latencies) })
    })
    .await
}

async fn repeat(site: &Site, calls: &[Call], number: usize, until: Instant) -> anyhow::Result<Vec<Duration>> {
    let mut link = Link::open(site).await?;
    let mut latencies = Vec::new();
    // Each connection begins elsewhere in the list, so that no two send the same call at the same moment.
    let mut calls = calls.iter().cycle().skip(number * calls.len() / LINKS);
    while let (true, Some(call)) = (Instant::now() < until, calls.next()) {
        let begin = Instant::now();
        link.send(call).await?;
        latencies.push(begin.elapsed());
    }
    Ok(latencies)
}

/// Sends the calls in turn at a fixed rate (open loop). A latency begins when its call was due, not when a connection was free to
/// send it: otherwise a stall would hide the very calls that it delays (coordinated omission).
pub(super) async fn steady(site: &Site, calls: &Arc<[Call]>, rate: f64, span: Duration) -> anyhow::Result<Run> {
    let (site, calls) = (site.clone(), Arc::clone(calls));
    apart(move || async move {
        let (send, due) = mpsc::unbounded_channel();
        let due = Mutex::new(due);
        let mut links = try_join_all((0..LINKS).map(|_| Link::open(&site))).await?;
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
        let latencies = try_join_all(links.iter_mut().map(|link| answer(link, &calls, &due))).await?.concat();
        let rate = latencies.len() as f64 / begin.elapsed().as_secs_f64();
        pacer.join().ok().context("the pacer panicked")?;
        Ok(Run { rate, latencies: Latencies::new(latencies) })
    })
    .await
}

type Due = Mutex<mpsc::UnboundedReceiver<(usize, Instant)>>;

async fn answer(link: &mut Link, calls: &[Call], due: &Due) -> anyhow::Result<Vec<Duration>> {
    let mut latencies = Vec::new();
    loop {
        let next = due.lock().await.recv().await;
        let Some((number, begin)) = next else { return Ok(latencies) };
        link.send(&calls[number % calls.len()]).await?;
        latencies.push(begin.elapsed());
    }
}

/// When each call of an open loop is due, from its beginning on.
fn schedule(rate: f64, span: Duration) -> impl Iterator<Item = Duration> {
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

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn calls_of_an_open_loop_are_evenly_spaced_over_the_span() {
        let offsets: Vec<_> = schedule(4.0, Duration::from_secs(1)).collect();
        assert_eq!(offsets, [0, 250, 500, 750].map(Duration::from_millis));
        assert_eq!(schedule(1000.0, Duration::from_secs(60)).count(), 60_000);
    }

    /// A server that answers every request, but for a while after the first one nothing.
    async fn stalling(stall: Duration) -> Site {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let first = Arc::new(OnceLock::<Instant>::new());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let first = Arc::clone(&first);
                tokio::spawn(async move {
                    while stream.read(&mut [0; 4096]).await.is_ok_and(|read| read > 0) {
                        let end = *first.get_or_init(Instant::now) + stall;
                        tokio::time::sleep(end.saturating_duration_since(Instant::now())).await;
                        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
                    }
                });
            }
        });
        Site { address, authorization: None }
    }

    #[tokio::test]
    async fn a_stall_is_charged_to_every_call_that_was_due_meanwhile() {
        let site = stalling(Duration::from_millis(300)).await;
        let calls: Arc<[Call]> = [site.get("/").unwrap()].into();
        let run = steady(&site, &calls, 400.0, Duration::from_millis(100)).await.unwrap();
        // Far more calls than connections: most were sent after the stall, and all were due at least 200 ms before its end.
        assert_eq!(run.latencies.count(), 40);
        assert!(run.latencies.percentile(0.0) >= 200.0, "{}", run.latencies.percentile(0.0));
    }

    #[tokio::test]
    async fn a_closed_loop_sends_the_next_call_when_the_last_is_answered() {
        let site = stalling(Duration::ZERO).await;
        let calls: Arc<[Call]> = [site.get("/a").unwrap(), site.get("/b").unwrap()].into();
        let run = peak(&site, &calls, Duration::from_millis(200)).await.unwrap();
        assert!(run.latencies.count() >= LINKS);
        assert!(run.rate > 0.0);
    }

    #[tokio::test]
    async fn an_answer_that_is_no_success_ends_the_load() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let site = Site { address: listener.local_addr().unwrap().to_string(), authorization: None };
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 4096]).await;
                stream.write_all(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n").await.unwrap();
            }
        });
        let calls: Arc<[Call]> = [site.get("/").unwrap()].into();
        assert!(peak(&site, &calls, Duration::from_millis(200)).await.is_err());
    }
}
