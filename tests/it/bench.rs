//! The benchmark's own arithmetic. It is tested here because a target that brings its own `main` runs no tests.

#[path = "../bench/harness/mod.rs"]
#[expect(dead_code, reason = "most of it is used by the benchmark alone")]
mod harness;

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use collections::search::Loaded;
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use uuid::Uuid;

use self::harness::bulk::bulk_body;
use self::harness::cpu::busy_microseconds;
use self::harness::http::client::{Client, Endpoint, Request};
use self::harness::http::load::{CONNECTIONS, peak, schedule, steady};
use self::harness::http::recording_proxy::RecordingProxy;
use self::harness::report::growth::table;
use self::harness::report::measure::{Goal, Measure};
use self::harness::report::statistics::{Latencies, median};

#[test]
fn a_percentile_is_one_of_the_latencies() {
    let hundred = Latencies::new((1..=100).rev().map(Duration::from_millis).collect());
    for (percent, expected) in [(0.0, 1.0), (50.0, 50.0), (99.0, 99.0), (99.1, 100.0), (100.0, 100.0)] {
        assert!((hundred.percentile(percent) - expected).abs() < 1e-9, "p{percent}");
    }
    let three = Latencies::new([30, 10, 20].map(Duration::from_millis).to_vec());
    assert!((three.percentile(50.0) - 20.0).abs() < 1e-9);
    assert!((three.percentile(99.0) - 30.0).abs() < 1e-9);
    assert!(Latencies::default().percentile(50.0).abs() < 1e-9);
}

#[test]
fn a_median_ignores_outliers() {
    for (values, expected) in [(&[][..], 0.0), (&[3.0][..], 3.0), (&[9e9, 1.0, 2.0][..], 2.0), (&[4.0, 1.0, 2.0, 9e9][..], 3.0)] {
        assert!((median(values) - expected).abs() < 1e-9, "{values:?}");
    }
}

fn check_row(goal: Goal, ours: &[f64], reference: &[f64], expected: &str) {
    let (ours, reference) = (ours.to_vec(), reference.to_vec());
    let measure = Measure { id: "P0", what: "x".into(), customers: 10, unit: "ms", ours, reference, goal, how: String::new() };
    assert_eq!(measure.row(), expected);
}

#[test]
fn verdicts_compare_medians() {
    check_row(
        Goal::RatioAtLeast(0.9),
        &[90.0, 1.0, 95.0],
        &[100.0, 100.0],
        "| P0 | x | 10 | 90.0 ms | 100 ms | 0.90 | ≥ 0.90 of the reference | reached |",
    );
    check_row(
        Goal::RatioAtLeast(0.9),
        &[89.0],
        &[100.0],
        "| P0 | x | 10 | 89.0 ms | 100 ms | 0.89 | ≥ 0.90 of the reference | **not reached** |",
    );
    check_row(
        Goal::AddsAtMost(0.5),
        &[1.6],
        &[1.0],
        "| P0 | x | 10 | 1.60 ms | 1.00 ms | 1.60 | adds ≤ 0.5 ms | **not reached** |",
    );
    check_row(
        Goal::RatioAtMost(1.25),
        &[13.0],
        &[10.0],
        "| P0 | x | 10 | 13.0 ms | 10.0 ms | 1.30 | ≤ 1.25 of the reference | **not reached** |",
    );
    check_row(Goal::AtMost(50.0), &[49.96], &[], "| P0 | x | 10 | 50.0 ms | – | – | ≤ 50.0 ms | reached |");
    check_row(Goal::AtLeast(50_000.0), &[50_000.0], &[], "| P0 | x | 10 | 50000 ms | – | – | ≥ 50000 ms | reached |");
    check_row(Goal::None, &[7.0], &[8.0], "| P0 | x | 10 | 7.00 ms | 8.00 ms | 0.88 | – | – |");
}

fn measure(what: &str, customers: u64, unit: &'static str, ours: f64, reference: &[f64]) -> Measure {
    let (ours, reference) = (vec![ours], reference.to_vec());
    Measure { id: "P5", what: what.into(), customers, unit, ours, reference, goal: Goal::None, how: String::new() }
}

#[test]
fn growth_relates_costs_to_the_smallest_size() {
    let measures = [
        measure("sync", 10, "docs/s", 20_000.0, &[40_000.0]),
        measure("latency", 10, "ms", 5.0, &[]),
        measure("sync", 1000, "docs/s", 10_000.0, &[40_000.0]),
        measure("latency", 1000, "ms", 9.0, &[]),
        measure("once", 1000, "docs/s", 9.0, &[]),
    ];
    let expected = "| measure | 10 | 1000 |\n|---|---|---|\n| P5 sync | 50.0 (× 1.00) | 100 (× 2.00) |\n\
                    | P5 sync, reference | 25.0 (× 1.00) | 25.0 (× 1.00) |\n";
    assert!(table(&measures).ends_with(expected), "{}", table(&measures));
}

#[test]
fn a_single_size_has_no_growth_table() {
    assert_eq!(table(&[measure("sync", 10, "docs/s", 1.0, &[])]), "");
}

#[test]
fn requests_of_an_open_loop_are_evenly_spaced_over_the_span() {
    let offsets: Vec<_> = schedule(4.0, Duration::from_secs(1)).collect();
    assert_eq!(offsets, [0, 250, 500, 750].map(Duration::from_millis));
    assert_eq!(schedule(1000.0, Duration::from_secs(60)).count(), 60_000);
}

/// A server that answers nothing for a while after the first request, and then everything.
async fn stalling(stall: Duration) -> Endpoint {
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
    Endpoint { address, authorization: None }
}

#[tokio::test]
async fn a_stall_delays_every_request_that_was_due_meanwhile() {
    let endpoint = stalling(Duration::from_millis(300)).await;
    let requests: Arc<[Request]> = [endpoint.get("/").unwrap()].into();
    let run = steady(&endpoint, &requests, 400.0, Duration::from_millis(100)).await.unwrap();
    // Far more requests than connections: most were sent after the stall, and all were due at least 200 ms before its end.
    assert_eq!(run.latencies.count(), 40);
    assert!(run.latencies.percentile(0.0) >= 200.0, "{}", run.latencies.percentile(0.0));
}

#[tokio::test]
async fn a_closed_loop_sends_the_next_request_when_the_last_is_answered() {
    let endpoint = stalling(Duration::ZERO).await;
    let requests: Arc<[Request]> = [endpoint.get("/a").unwrap(), endpoint.get("/b").unwrap()].into();
    let run = peak(&endpoint, &requests, Duration::from_millis(200)).await.unwrap();
    assert!(run.latencies.count() >= CONNECTIONS);
    assert!(run.rate > 0.0);
}

#[tokio::test]
async fn a_failed_request_ends_the_load() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Endpoint { address: listener.local_addr().unwrap().to_string(), authorization: None };
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            stream.write_all(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        }
    });
    let requests: Arc<[Request]> = [endpoint.get("/").unwrap()].into();
    assert!(peak(&endpoint, &requests, Duration::from_millis(200)).await.is_err());
}

#[tokio::test]
async fn a_recorded_search_is_forwarded_unchanged() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let elasticsearch =
        Endpoint { address: listener.local_addr().unwrap().to_string(), authorization: Some("Basic eA==".into()) };
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 4096];
        while let Ok(length @ 1..) = stream.read(&mut request).await {
            assert!(String::from_utf8_lossy(&request[..length]).contains("authorization: Basic eA=="));
            stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n").await.unwrap();
        }
    });
    let proxy = RecordingProxy::open(elasticsearch).await.unwrap();
    // Without a server in front, its search goes straight to the proxy.
    let server = Endpoint { address: proxy.url.replace("http://", ""), authorization: None };
    let mut client = Client::open(&server).await.unwrap();
    let search = server.post("/accounts/_search?filter_path=hits", r#"{"size":25}"#).unwrap();
    let recorded = proxy.record(&mut client, &search).await.unwrap();
    assert_eq!(recorded.uri(), "/accounts/_search?filter_path=hits");
    assert_eq!(recorded.into_body().collect().await.unwrap().to_bytes(), r#"{"size":25}"#);
    assert_eq!(client.read(&search).await.unwrap(), "{}");
    assert!(proxy.record(&mut client, &server.get("/_cluster/health").unwrap()).await.is_err());
    let greeting = client.exchange(&server.get("/").unwrap()).await.unwrap();
    assert_eq!(greeting.headers()["x-elastic-product"], "Elasticsearch");
}

#[test]
fn reference_documents_carry_an_external_version() {
    let documents = [Loaded { id: Uuid::nil(), source: br#"{"a":1}"#.to_vec() }];
    assert_eq!(
        bulk_body(&documents, 7),
        "{\"index\":{\"_id\":\"00000000-0000-0000-0000-000000000000\",\"version\":7,\"version_type\":\"external\"}}\n{\"a\":1}\n"
    );
}

#[test]
fn idle_and_iowait_are_not_busy_time() {
    assert_eq!(busy_microseconds("cpu  10 20 30 4000 500 6 7 80 0 0\ncpu0 1 2 3 4\n"), 730_000.0);
    assert_eq!(busy_microseconds(""), 0.0);
}
