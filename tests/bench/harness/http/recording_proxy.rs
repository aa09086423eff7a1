//! A proxy in front of Elasticsearch that records every search.

use std::sync::Arc;

use anyhow::ensure;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Response;
use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};

use super::client::{Client, Endpoint, Request};

type Searches = Arc<Mutex<Vec<Request>>>;

pub struct RecordingProxy {
    /// For `ELASTICSEARCH_URL`.
    pub url: String,
    searches: Searches,
    listening: tokio::task::JoinHandle<()>,
}

impl RecordingProxy {
    /// Forwards everything but `GET /`, which Elasticsearch's minimal distribution does not answer and clients in other languages
    /// insist on.
    pub async fn open(elasticsearch: Endpoint) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let searches = Searches::default();
        let recorded = Arc::clone(&searches);
        let listening = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(forward(stream, elasticsearch.clone(), Arc::clone(&recorded)));
            }
        });
        Ok(Self { url, searches, listening })
    }

    /// Sends a request to the server in front and returns the one search that it caused.
    pub async fn record(&self, client: &mut Client, request: &Request) -> anyhow::Result<Request> {
        let take = || std::mem::take(&mut *self.searches.lock());
        take();
        client.read(request).await?;
        let mut searches = take();
        ensure!(searches.len() == 1, "{} caused {} searches instead of one", request.uri(), searches.len());
        Ok(searches.remove(0))
    }
}

impl Drop for RecordingProxy {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn forward(stream: TcpStream, elasticsearch: Endpoint, searches: Searches) -> anyhow::Result<()> {
    let client = tokio::sync::Mutex::new(Client::open(&elasticsearch).await?);
    let service = service_fn(async |request: hyper::Request<Incoming>| {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let method = request.method().clone();
        if (method.as_str(), path.as_str()) == ("GET", "/") {
            return greeting();
        }
        let body = request.into_body().collect().await?.to_bytes();
        let request = elasticsearch.request(method, &path, body)?;
        if path.contains("/_search") {
            searches.lock().push(request.clone());
        }
        let (mut parts, body) = client.lock().await.exchange(&request).await?.into_parts();
        parts.headers.remove(TRANSFER_ENCODING);
        parts.headers.remove(CONTENT_LENGTH);
        anyhow::Ok(Response::from_parts(parts, Full::<Bytes>::new(body)))
    });
    Ok(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await?)
}

/// The fields of a full distribution's answer that clients check.
fn greeting() -> anyhow::Result<Response<Full<Bytes>>> {
    let text = r#"{"version":{"number":"8.0.0","build_flavor":"default"},"tagline":"You Know, for Search"}"#;
    let answer = Response::builder().header(CONTENT_TYPE, "application/json").header("x-elastic-product", "Elasticsearch");
    Ok(answer.body(Full::new(Bytes::from_static(text.as_bytes())))?)
}
