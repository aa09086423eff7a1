//! What Elasticsearch gets of the credentials in its address.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Parser;
use collections::search::{Elastic, index};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

#[derive(Parser)]
struct Settings {
    #[command(flatten)]
    search: collections::config::Search,
}

/// The `Authorization` that a server gets from a client whose address begins with these credentials.
async fn authorization(credentials: &str) -> Option<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{credentials}{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        let (mut head, mut chunk) = (Vec::new(), [0; 1024]);
        while !head.ends_with(b"\r\n\r\n") {
            let length = connection.read(&mut chunk).await.unwrap();
            head.extend_from_slice(&chunk[..length]);
        }
        let answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 18\r\n\r\n{\"status\":\"green\"}";
        connection.write_all(answer).await.unwrap();
        String::from_utf8(head).unwrap()
    });
    let settings = Settings::parse_from(["it", "--elasticsearch-url", &url, "--search-timeout", "10s"]);
    let elastic = Elastic::open(&settings.search).unwrap().unwrap();
    assert!(index::answers(&elastic).await);
    let head = server.await.unwrap();
    head.lines().find_map(|line| line.strip_prefix("authorization: ")).map(str::to_owned)
}

#[tokio::test]
async fn user_and_password_are_decoded() {
    let basic = |credentials: &str| Some(format!("Basic {}", STANDARD.encode(credentials)));
    assert_eq!(authorization("elastic:secret@").await, basic("elastic:secret"));
    assert_eq!(authorization("us%2Fer:p%40ss%3Aw%25rd%20%C3%A9+%23@").await, basic("us/er:p@ss:w%rd é+#"));
    assert_eq!(authorization("").await, None);
}
