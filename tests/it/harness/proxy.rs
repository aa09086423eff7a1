//! A TCP proxy that a test can break: what stands between the product and a server that is away.

use std::net::SocketAddr;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, copy, copy_bidirectional, sink};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How the proxy treats connections, old ones and new ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Passes everything on.
    Pass,
    /// Closes what is open and what comes, as a stopped server does.
    Refuse,
    /// Accepts and never answers, as a frozen server does.
    Hang,
    /// What is open is never answered again and what comes is passed on, as after a fail-over that reset nothing.
    Abandon,
    /// The same for the one connection that the server knows by this port of the proxy's; all others go on.
    AbandonOne(u16),
    /// Passes on what is asked and throws the answers away.
    Swallow,
    /// Answers every HTTP request with an empty JSON object.
    Garbage,
}

/// A proxy in front of one server.
pub struct Proxy {
    pub address: SocketAddr,
    mode: watch::Sender<Mode>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Starts in front of `host:port`.
    pub async fn start(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mode = watch::Sender::new(Mode::Pass);
        let (changes, target) = (mode.clone(), target.to_owned());
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, target.clone(), changes.subscribe()));
            }
        });
        Self { address, mode, accepting }
    }

    /// Starts in front of the server of a URL, and returns that URL with the proxy's address.
    pub async fn before(url: &str) -> (Self, String) {
        let (scheme, rest) = url.split_once("://").unwrap();
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let (credentials, host) = authority.rsplit_once('@').map_or(("", authority), |(credentials, host)| (credentials, host));
        let proxy = Self::start(host).await;
        let at = if credentials.is_empty() { "" } else { "@" };
        let url = format!("{scheme}://{credentials}{at}{}{path}", proxy.address);
        (proxy, url)
    }

    /// Changes how connections are treated, at once.
    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(mut client: TcpStream, target: String, mut mode: watch::Receiver<Mode>) {
    let mut fresh = true;
    loop {
        let now = *mode.borrow_and_update();
        match now {
            Mode::Refuse => return,
            Mode::Garbage => {
                tokio::select! {
                    _ = answer_garbage(&mut client) => return,
                    _ = mode.changed() => return,
                }
            }
            Mode::Swallow => {
                let Ok(mut server) = TcpStream::connect(&target).await else { return };
                let (mut answers, mut questions) = server.split();
                let mut nowhere = sink();
                tokio::select! {
                    _ = copy(&mut client, &mut questions) => return,
                    _ = copy(&mut answers, &mut nowhere) => return,
                    _ = mode.changed() => return,
                }
            }
            Mode::Hang | Mode::Abandon | Mode::AbandonOne(_) if !fresh || now == Mode::Hang => {
                if mode.changed().await.is_err() {
                    return;
                }
                // Requests to a frozen server stay without an answer, also when it is back.
                return;
            }
            _ => {
                fresh = false;
                let Ok(mut server) = TcpStream::connect(&target).await else { return };
                let port = server.local_addr().unwrap().port();
                let is_meant = |mode: &Mode| *mode != now && !matches!(mode, Mode::AbandonOne(other) if *other != port);
                tokio::select! {
                    _ = copy_bidirectional(&mut client, &mut server) => return,
                    changed = mode.wait_for(is_meant) => if changed.is_err() { return },
                }
            }
        }
    }
}

/// Reads request after request and answers each as something does that stands in front of the server and knows nothing of it.
async fn answer_garbage(client: &mut TcpStream) -> std::io::Result<()> {
    let mut client = BufReader::new(client);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if client.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            if let Some((_, value)) = line.split_once(':').filter(|(name, _)| name.eq_ignore_ascii_case("content-length")) {
                length = value.trim().parse().unwrap();
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        client.read_exact(&mut body).await?;
        client.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}").await?;
    }
}
