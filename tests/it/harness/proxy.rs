//! A TCP proxy that a test can break: what stands between the product and a server that is away.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, copy, copy_bidirectional, sink};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

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
    /// Answers every HTTP request with a status and a body.
    Answer(&'static str, &'static str),
    /// Passes everything on, each answer as late as this.
    Late(Duration),
}

impl Mode {
    /// Something else answers in the place of the server.
    pub const GARBAGE: Self = Self::Answer("200 OK", "{}");
    /// Elasticsearch with full queues.
    pub const OVERLOADED: Self = Self::Answer(
        "429 Too Many Requests",
        r#"{"error":{"root_cause":[],"type":"search_phase_execution_exception","reason":"rejected execution"},"status":429}"#,
    );
    /// Elasticsearch without one of two shards, and nothing found on the other.
    pub const HALF: Self = Self::Answer(
        "200 OK",
        r#"{"took":1,"timed_out":false,"_shards":{"total":2,"successful":1,"skipped":0,"failed":1},"hits":{"total":{"value":0,"relation":"eq"},"max_score":null,"hits":[]}}"#,
    );
    /// Elasticsearch that ran out of time before it had found anything.
    pub const TIMED_OUT: Self = Self::Answer(
        "200 OK",
        r#"{"took":500,"timed_out":true,"_shards":{"total":1,"successful":1,"skipped":0,"failed":0},"hits":{"total":{"value":0,"relation":"eq"},"max_score":null,"hits":[]}}"#,
    );
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
            Mode::Answer(status, body) => {
                tokio::select! {
                    _ = answer_all(&mut client, status, body) => return,
                    _ = mode.changed() => return,
                }
            }
            Mode::Late(delay) => {
                let Ok(mut server) = TcpStream::connect(&target).await else { return };
                let ((mut asked, mut answered), (mut answers, mut questions)) = (client.split(), server.split());
                tokio::select! {
                    _ = copy(&mut asked, &mut questions) => return,
                    _ = copy_late(&mut answers, &mut answered, delay) => return,
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

async fn copy_late(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    delay: Duration,
) -> std::io::Result<()> {
    let mut chunk = vec![0; 65_536];
    loop {
        let length = from.read(&mut chunk).await?;
        if length == 0 {
            return Ok(());
        }
        sleep(delay).await;
        to.write_all(&chunk[..length]).await?;
    }
}

/// Reads request after request and gives each the same answer.
async fn answer_all(client: &mut TcpStream, status: &str, body: &str) -> std::io::Result<()> {
    let answer = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len());
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
        let mut asked = vec![0; length];
        client.read_exact(&mut asked).await?;
        client.write_all(answer.as_bytes()).await?;
    }
}
