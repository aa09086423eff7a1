//! A cheap HTTP client, because it shares the machine with the server: one connection, one request at a time.

use std::net::Ipv4Addr;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpSocket, TcpStream};

#[derive(Clone, Debug)]
pub struct Endpoint {
    /// `host:port`.
    pub address: String,
    /// Value of the `authorization` header, if the server needs one.
    pub authorization: Option<String>,
}

/// Built once, sent many times.
pub type Request = hyper::Request<Full<Bytes>>;

impl Endpoint {
    pub fn get(&self, path: &str) -> anyhow::Result<Request> {
        self.request(Method::GET, path, Bytes::new())
    }

    /// The body is JSON or newline-delimited JSON.
    pub fn post(&self, path: &str, body: impl Into<Bytes>) -> anyhow::Result<Request> {
        self.request(Method::POST, path, body.into())
    }

    pub fn request(&self, method: Method, path: &str, body: Bytes) -> anyhow::Result<Request> {
        let mut request = hyper::Request::builder().method(method).uri(path).header(HOST, &self.address);
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        Ok(request.body(Full::new(body))?)
    }
}

/// Connects to this machine from one of its addresses of loopback.
pub async fn connect_from(from: Ipv4Addr, endpoint: &Endpoint) -> anyhow::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    Ok(socket.connect(endpoint.address.parse()?).await?)
}

/// One keep-alive connection.
pub struct Client {
    sender: SendRequest<Full<Bytes>>,
}

impl Client {
    pub async fn open(endpoint: &Endpoint) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(&endpoint.address).await;
        Self::on(stream.with_context(|| format!("cannot connect to {}", endpoint.address))?).await
    }

    pub async fn on(stream: TcpStream) -> anyhow::Result<Self> {
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self { sender })
    }

    /// Sends a request and discards the body of the answer. Fails unless the status is 2xx.
    pub async fn send(&mut self, request: &Request) -> anyhow::Result<()> {
        self.sender.ready().await?;
        let response = self.sender.send_request(request.clone()).await?;
        let status = response.status();
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            frame?;
        }
        if !status.is_success() {
            bail!("{} {} answered {status}", request.method(), request.uri().path());
        }
        Ok(())
    }

    /// Sends a request and returns the body. Fails unless the status is 2xx.
    pub async fn read(&mut self, request: &Request) -> anyhow::Result<Bytes> {
        let answer = self.exchange(request).await?;
        if !answer.status().is_success() {
            let (uri, status) = (request.uri(), answer.status());
            bail!("{} {uri} answered {status}: {}", request.method(), String::from_utf8_lossy(answer.body()));
        }
        Ok(answer.into_body())
    }

    /// Sends a request and returns the answer, whatever its status.
    pub async fn exchange(&mut self, request: &Request) -> anyhow::Result<Response<Bytes>> {
        self.sender.ready().await?;
        let (parts, body) = self.sender.send_request(request.clone()).await?.into_parts();
        Ok(Response::from_parts(parts, body.collect().await?.to_bytes()))
    }
}
