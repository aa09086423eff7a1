//! The cheapest HTTP client at hand, because it shares the machine with what it measures: one connection, one request at a time.

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Where requests go.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// `host:port`.
    pub address: String,
    /// Value of the `authorization` header, if the endpoint wants one.
    pub authorization: Option<String>,
}

/// A request that is made once and sent many times.
pub type Call = Request<Full<Bytes>>;

impl Endpoint {
    /// Makes a request without a body.
    pub fn get(&self, path: &str) -> anyhow::Result<Call> {
        self.call(Method::GET, path, Bytes::new())
    }

    /// Makes a request with a body of JSON, or of lines of JSON.
    pub fn post(&self, path: &str, body: impl Into<Bytes>) -> anyhow::Result<Call> {
        self.call(Method::POST, path, body.into())
    }

    /// Makes a request.
    pub fn call(&self, method: Method, path: &str, body: Bytes) -> anyhow::Result<Call> {
        let mut call = Request::builder().method(method).uri(path).header(HOST, &self.address);
        if let Some(authorization) = &self.authorization {
            call = call.header(AUTHORIZATION, authorization);
        }
        if !body.is_empty() {
            call = call.header(CONTENT_TYPE, "application/json");
        }
        Ok(call.body(Full::new(body))?)
    }
}

/// A connection that is kept alive.
pub struct Client {
    sender: SendRequest<Full<Bytes>>,
}

impl Client {
    /// Connects.
    pub async fn open(endpoint: &Endpoint) -> anyhow::Result<Self> {
        let stream =
            TcpStream::connect(&endpoint.address).await.with_context(|| format!("cannot connect to {}", endpoint.address))?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self { sender })
    }

    /// Sends a request, reads the answer to its end and throws it away; anything but a success is an error.
    pub async fn send(&mut self, call: &Call) -> anyhow::Result<()> {
        self.sender.ready().await?;
        let response = self.sender.send_request(call.clone()).await?;
        let status = response.status();
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            frame?;
        }
        if !status.is_success() {
            bail!("{} {} answered {status}", call.method(), call.uri().path());
        }
        Ok(())
    }

    /// Sends a request and returns the body of a successful answer.
    pub async fn read(&mut self, call: &Call) -> anyhow::Result<Bytes> {
        let answer = self.exchange(call).await?;
        if !answer.status().is_success() {
            let (uri, status) = (call.uri(), answer.status());
            bail!("{} {uri} answered {status}: {}", call.method(), String::from_utf8_lossy(answer.body()));
        }
        Ok(answer.into_body())
    }

    /// Sends a request and returns the answer, whatever it is.
    pub async fn exchange(&mut self, call: &Call) -> anyhow::Result<Response<Bytes>> {
        self.sender.ready().await?;
        let (parts, body) = self.sender.send_request(call.clone()).await?.into_parts();
        Ok(Response::from_parts(parts, body.collect().await?.to_bytes()))
    }
}
