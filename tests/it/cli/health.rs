//! `collections health`, from which a container and `bin/dev` learn that the server is ready.

use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::process::Command;

use crate::harness::app::TestApp;

async fn is_healthy(address: &str) -> bool {
    let (host, port) = address.rsplit_once(':').unwrap();
    let program = env!("CARGO_BIN_EXE_collections");
    Command::new(program).args(["health", "--host", host, "--port", port]).output().await.unwrap().status.success()
}

#[tokio::test]
async fn the_health_command_finds_a_server_ready() {
    let test = TestApp::start_api(&[]).await;
    assert!(is_healthy(test.base().trim_start_matches("http://")).await);
}

#[tokio::test]
async fn the_health_command_fails_for_a_server_that_is_not_ready() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 503 Service Unavailable\r\n\r\n").await.unwrap();
    });
    assert!(!is_healthy(&address).await);
}

#[tokio::test]
async fn the_health_command_gives_up_on_a_server_that_never_answers() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    assert!(!is_healthy(&listener.local_addr().unwrap().to_string()).await);
}
