//! Raw sockets: what a client that keeps to no rules sends and sees.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

/// Far more than any limit in these tests; a test that hangs this long has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection without a client library around it.
pub struct Wire(TcpStream);

impl Wire {
    pub async fn open(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.unwrap())
    }

    /// The same from another address of this machine, such as 127.0.0.2.
    pub async fn open_from(local: IpAddr, address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((local, 0).into()).unwrap();
        Self(socket.connect(address).await.unwrap())
    }

    /// The same with so little memory for what it receives that the server has to wait for it to be read.
    pub async fn open_narrow(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(2 * 1024).unwrap();
        Self(socket.connect(address).await.unwrap())
    }

    /// Reads up to so many bytes; zero at the end, which a reset is too.
    pub async fn read_some(&mut self, most: usize) -> usize {
        let mut bytes = vec![0; most];
        timeout(PATIENCE, self.0.read(&mut bytes)).await.expect("the server sends or closes").unwrap_or_default()
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Sends as much as the server takes.
    pub async fn try_send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.ok();
    }

    /// Sends all of it, unless the server takes no more.
    pub async fn has_sent(&mut self, bytes: &[u8]) -> bool {
        timeout(PATIENCE, self.0.write_all(bytes)).await.is_ok_and(|sent| sent.is_ok())
    }

    /// Ends the client's side of the connection.
    pub async fn finish(&mut self) {
        self.0.shutdown().await.ok();
    }

    /// Waits until the server has sent something or closed the connection.
    pub async fn readable(&self) {
        self.0.readable().await.unwrap();
    }

    /// Reads until the server closes the connection.
    pub async fn rest(&mut self) -> String {
        let mut bytes = Vec::new();
        // A reset is an end too.
        timeout(PATIENCE, self.0.read_to_end(&mut bytes)).await.expect("the server closes the connection").ok();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Reads one answer that says its length or comes in chunks; the connection stays open.
    pub async fn answer(&mut self) -> String {
        let mut bytes = Vec::new();
        let complete = async {
            while !is_complete(&bytes) {
                assert_ne!(self.0.read_buf(&mut bytes).await.unwrap(), 0, "the server closed the connection: {bytes:?}");
            }
        };
        timeout(PATIENCE, complete).await.expect("the server answers");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Reads the first answer, or what comes before the connection is closed.
    pub async fn try_answer(&mut self, is_head: bool) -> String {
        let mut bytes = Vec::new();
        loop {
            if let Some(rest) = bytes.strip_prefix(b"HTTP/1.1 100 Continue\r\n\r\n") {
                bytes = rest.to_vec();
            }
            if let Some(length) = length(&bytes, is_head).filter(|length| *length <= bytes.len()) {
                bytes.truncate(length);
                return String::from_utf8_lossy(&bytes).into_owned();
            }
            if self.0.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                return String::from_utf8_lossy(&bytes).into_owned();
            }
        }
    }

    /// Sends everything at once and reads until the end.
    pub async fn exchange(address: SocketAddr, bytes: impl AsRef<[u8]>) -> String {
        let mut wire = Self::open(address).await;
        wire.send(bytes).await;
        wire.rest().await
    }
}

fn is_complete(bytes: &[u8]) -> bool {
    length(bytes, false).is_some_and(|length| length <= bytes.len())
}

/// The length of an answer with its body, once its head and all heads of chunks are complete.
fn length(bytes: &[u8], is_head: bool) -> Option<usize> {
    let end = line_end(bytes, b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).unwrap();
    if head.contains("transfer-encoding: chunked\r\n") && !is_head {
        return chunked(bytes, end);
    }
    let body = head.lines().find_map(|line| line.strip_prefix("content-length: ")).filter(|_| !is_head);
    Some(end + body.map_or(0, |length| length.parse::<usize>().unwrap()))
}

/// Where the last chunk ends, of which the first starts at `start`.
fn chunked(bytes: &[u8], mut start: usize) -> Option<usize> {
    loop {
        let data = start + line_end(bytes.get(start..)?, b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&bytes[start..data - 2]).unwrap(), 16).unwrap();
        start = data + size + 2;
        if size == 0 {
            return Some(start);
        }
    }
}

/// Where the first such mark ends.
fn line_end(bytes: &[u8], mark: &[u8]) -> Option<usize> {
    Some(bytes.windows(mark.len()).position(|window| window == mark)? + mark.len())
}

/// The status of an answer; 0 if there is none.
pub fn status(answer: &str) -> u16 {
    answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok()).unwrap_or(0)
}

/// The JSON body of an answer.
#[track_caller]
pub fn body(answer: &str) -> serde_json::Value {
    let (_, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no body in {answer:?}"));
    serde_json::from_str(body).unwrap_or_else(|_| panic!("no JSON in {answer:?}"))
}
