//! Limits: slow and silent clients, too many requests, and graceful shutdown.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use collections::api::{Reply, Request, json as reply};
use collections::app::App;
use collections::auth::public;
use collections::error::Result;
use collections::http::Routes;
use collections::operation::{NoContent, Nothing};
use collections::routes;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::harness::app::TestApp;
use crate::harness::eventually::eventually;
use crate::harness::raw_socket::{Wire, body, status};
use crate::http::answers::serve;

/// Counts requests in [`wait`] and lets them leave. Each test uses its own, chosen by the query.
struct Latch {
    entered: AtomicUsize,
    finished: AtomicUsize,
    leave: Semaphore,
}

static LATCHES: [Latch; 4] =
    [const { Latch { entered: AtomicUsize::new(0), finished: AtomicUsize::new(0), leave: Semaphore::const_new(0) } }; 4];

async fn wait(request: Request) -> Result<Reply> {
    let latch = &LATCHES[request.query.parse::<usize>().unwrap()];
    latch.entered.fetch_add(1, Ordering::SeqCst);
    latch.leave.acquire().await.unwrap().forget();
    latch.finished.fetch_add(1, Ordering::SeqCst);
    reply(&json!({}))
}

async fn echo(mut request: Request) -> Result<Reply> {
    reply(&request.json::<Value>().await?)
}

/// Bytes of an answer that the kernel takes at once.
const MEDIUM: usize = 150_000;

async fn medium(_: Request) -> Result<Reply> {
    reply(&"x".repeat(MEDIUM))
}

async fn large(_: Request) -> Result<Reply> {
    reply(&"x".repeat(64 << 20))
}

fn odd(app: &App) -> Routes {
    routes! { app, "odd";
        get  ("wait")   public => wait:   Nothing -> NoContent;
        post ("echo")   public => echo:   Nothing -> NoContent;
        get  ("medium") public => medium: Nothing -> NoContent;
        get  ("large")  public => large:  Nothing -> NoContent;
    }
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")
}

#[tokio::test]
async fn slow_clients_are_disconnected_and_others_served() {
    let test = TestApp::start_api_tuned(&[], |config| {
        config.http.header_timeout = Duration::from_millis(300);
        config.http.body_timeout = Duration::from_millis(300);
    })
    .await;
    let address = serve(&test.app, odd(&test.app)).await;
    let mut silent = Wire::open(address).await;
    let mut half_header = Wire::open(address).await;
    half_header.send("GET /odd/echo HTTP/1.1\r\nHo").await;
    let mut half_body = Wire::open(address).await;
    half_body
        .send("POST /odd/echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{\"a\"")
        .await;
    let mut idle = Wire::open(address).await;
    idle.send(get("/odd/nothing")).await;
    assert_eq!(status(&idle.answer().await), 404);
    let good = Wire::exchange(
        address,
        "POST /odd/echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n[]",
    );
    assert_eq!(status(&good.await), 200);
    assert_eq!(silent.rest().await, "");
    assert_eq!(half_header.rest().await, "");
    assert_eq!(idle.rest().await, "");
    let answer = half_body.rest().await;
    assert_eq!((status(&answer), body(&answer)["code"].as_str()), (408, Some("body_timeout")), "{answer}");
}

/// With one connection allowed, another is served only while the first is closed.
async fn is_served(address: SocketAddr) -> bool {
    status(&Wire::exchange(address, close("/odd/nothing")).await) == 404
}

#[tokio::test]
async fn a_client_that_reads_no_response_is_disconnected() {
    let test = TestApp::start_api_tuned(&["--http-max-connections", "1"], |config| {
        config.http.write_timeout = Duration::from_millis(300);
    })
    .await;
    let address = serve(&test.app, odd(&test.app)).await;
    let mut greedy = Wire::open(address).await;
    greedy.send(get("/odd/large")).await;
    assert_ne!(greedy.read_some(1).await, 0);
    assert!(!is_served(address).await);
    eventually("the connection is closed", async || is_served(address).await).await;
}

/// Reads 100 bytes ten times a second until the connection ends; returns how many bytes came.
async fn sip(wire: &mut Wire) -> usize {
    let mut read = 0;
    for _ in 0..900 {
        match wire.read_some(100).await {
            0 => return read,
            some => read += some,
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the server still sends after {read} bytes");
}

#[tokio::test]
async fn a_client_that_reads_byte_by_byte_is_disconnected() {
    let test = TestApp::start_api_tuned(&["--http-max-connections", "1"], |config| {
        config.http.write_timeout = Duration::from_secs(1);
        config.http.header_timeout = Duration::from_secs(1);
    })
    .await;
    let address = serve(&test.app, odd(&test.app)).await;
    // The second answer fits into the memory of the server's kernel, which would pass it on for as long as the client likes.
    for (path, size) in [("/odd/large", 64 << 20), ("/odd/medium", MEDIUM)] {
        eventually("there is a connection", async || is_served(address).await).await;
        let mut slow = Wire::open_narrow(address).await;
        slow.send(get(path)).await;
        let read = sip(&mut slow).await;
        assert!((1..size).contains(&read), "{path}: {read} bytes of {size}");
    }
    eventually("its connection is free again", async || is_served(address).await).await;
}

#[tokio::test]
async fn chunked_bodies_are_read_up_to_the_limit() {
    let test = TestApp::start_api(&["--http-body-limit", "1000"]).await;
    let address = serve(&test.app, odd(&test.app)).await;
    let head = "POST /odd/echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
    let small = Wire::exchange(address, format!("{head}3\r\n[1,\r\n2\r\n2]\r\n0\r\n\r\n")).await;
    assert_eq!((status(&small), body(&small)), (200, json!([1, 2])));
    let mut endless = Wire::open(address).await;
    endless.send(head).await;
    for _ in 0..20 {
        endless.send(format!("64\r\n{}\r\n", " ".repeat(100))).await;
    }
    assert_eq!(status(&endless.answer().await), 413);
    let both = "POST /odd/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /odd/nothing HTTP/1.1\r\nHost: x\r\n\r\n";
    let answer = Wire::exchange(address, both).await;
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "no request is smuggled: {answer}");
}

#[tokio::test]
async fn clients_that_send_all_of_a_refused_body_get_their_answer() {
    let test = TestApp::start_api(&["--http-body-limit", "1000"]).await;
    let address = serve(&test.app, odd(&test.app)).await;
    let head =
        "POST /odd/echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 4000000\r\n\r\n".to_owned();
    let request = head + &" ".repeat(4_000_000);
    // More at once than bodies are read on.
    let answers = join_all((0..10).map(async |_| {
        let mut client = Wire::open(address).await;
        client.send(&request).await;
        client.answer().await
    }));
    for answer in answers.await {
        assert_eq!(status(&answer), 413, "{answer}");
    }
}

#[tokio::test]
async fn requests_beyond_the_limit_are_refused_and_probes_are_not() {
    let test = TestApp::start_api(&["--http-max-in-flight", "2"]).await;
    let address =
        serve(&test.app, collections::http::Routes::join(vec![odd(&test.app), collections::server::routes(&test.app)])).await;
    let latch = &LATCHES[0];
    let waiting: Vec<_> = (0..2).map(|_| tokio::spawn(Wire::exchange(address, close("/odd/wait?0")))).collect();
    eventually("two requests are inside", async || latch.entered.load(Ordering::SeqCst) == 2).await;
    let refused = Wire::exchange(address, close("/odd/wait?0")).await;
    assert_eq!((status(&refused), body(&refused)["code"].as_str()), (503, Some("overloaded")));
    assert!(refused.contains("retry-after: 1\r\n"), "{refused}");
    assert_eq!(status(&Wire::exchange(address, close("/health/live")).await), 200);
    latch.leave.add_permits(2);
    for answer in waiting {
        assert_eq!(status(&answer.await.unwrap()), 200);
    }
    assert_eq!(latch.entered.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_deadline_or_a_disconnect_never_cancels_a_handler() {
    let test = TestApp::start_api(&["--http-request-timeout", "300ms"]).await;
    let address = serve(&test.app, odd(&test.app)).await;
    let latch = &LATCHES[1];
    let late = Wire::exchange(address, close("/odd/wait?1")).await;
    assert_eq!((status(&late), body(&late)["code"].as_str()), (504, Some("timeout")));
    let mut gone = Wire::open(address).await;
    gone.send(get("/odd/wait?1")).await;
    eventually("two requests are inside", async || latch.entered.load(Ordering::SeqCst) == 2).await;
    drop(gone);
    latch.leave.add_permits(2);
    eventually("both requests are finished", async || latch.finished.load(Ordering::SeqCst) == 2).await;
}

#[tokio::test]
async fn a_stop_finishes_requests_in_progress_and_accepts_no_new_ones() {
    let test = TestApp::start_api(&[]).await;
    let socket = collections::http::bind(&test.app.config.http).await.unwrap();
    let address = socket.local_addr().unwrap();
    let server = tokio::spawn(collections::http::listen(test.app.clone(), socket, odd(&test.app)));
    let latch = &LATCHES[2];
    let mut idle = Wire::open(address).await;
    idle.send(get("/odd/nothing")).await;
    idle.answer().await;
    let busy = tokio::spawn(Wire::exchange(address, get("/odd/wait?2")));
    eventually("one request is inside", async || latch.entered.load(Ordering::SeqCst) == 1).await;
    test.app.stop.cancel();
    assert_eq!(idle.rest().await, "", "the idle connection is closed");
    eventually("the port is closed", async || std::net::TcpStream::connect(address).is_err()).await;
    assert!(!server.is_finished(), "the server waits for the request");
    latch.leave.add_permits(1);
    let answer = busy.await.unwrap();
    assert_eq!(status(&answer), 200);
    assert!(answer.contains("connection: close\r\n"), "{answer}");
    server.await.unwrap();
}

#[tokio::test]
async fn a_stop_waits_no_longer_than_its_timeout() {
    let test = TestApp::start_api(&["--shutdown-timeout", "300ms"]).await;
    let socket = collections::http::bind(&test.app.config.http).await.unwrap();
    let address = socket.local_addr().unwrap();
    let server = tokio::spawn(collections::http::listen(test.app.clone(), socket, odd(&test.app)));
    let latch = &LATCHES[3];
    let mut stuck = Wire::open(address).await;
    stuck.send(get("/odd/wait?3")).await;
    eventually("one request is inside", async || latch.entered.load(Ordering::SeqCst) == 1).await;
    test.app.stop.cancel();
    tokio::time::timeout(Duration::from_secs(30), server).await.expect("the stop is bounded").unwrap();
}

#[tokio::test]
async fn many_silent_connections_leave_room_for_an_active_one() {
    let test = TestApp::start_api_tuned(&[], |config| config.http.header_timeout = Duration::from_secs(60)).await;
    let address = serve(&test.app, odd(&test.app)).await;
    let mut silent = Vec::new();
    for _ in 0..300 {
        let mut wire = Wire::open(address).await;
        wire.send("GET /odd/wait HTTP/1.1\r\n").await;
        silent.push(wire);
    }
    assert_eq!(status(&Wire::exchange(address, close("/odd/nothing")).await), 404);
}

fn close(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
}
