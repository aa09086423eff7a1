//! What is really asked of Elasticsearch: a listener in between that notes every search and passes everything on.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::ensure;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use super::client::{Call, Client, Endpoint};

type Searches = Arc<Mutex<Vec<Call>>>;

/// A listener that stands for Elasticsearch.
pub struct RecordingProxy {
    /// Where it listens, as `ELASTICSEARCH_URL`.
    pub url: String,
    searches: Searches,
    listening: tokio::task::JoinHandle<()>,
}

impl RecordingProxy {
    /// Listens, and passes everything on to Elasticsearch, but for `GET /`, which its minimal distribution does not answer and clients
    /// in other languages insist on.
    pub async fn open(elasticsearch: Endpoint) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let searches = Searches::default();
        let noted = Arc::clone(&searches);
        let listening = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(pass_on(stream, elasticsearch.clone(), Arc::clone(&noted)));
            }
        });
        Ok(Self { url, searches, listening })
    }

    /// Sends a request to the server behind and returns the one search that it made of it.
    pub async fn translate(&self, client: &mut Client, call: &Call) -> anyhow::Result<Call> {
        let searches = || std::mem::take(&mut *self.searches.lock().unwrap_or_else(PoisonError::into_inner));
        searches();
        client.read(call).await?;
        let mut searches = searches();
        ensure!(searches.len() == 1, "{} made {} searches of Elasticsearch instead of one", call.uri(), searches.len());
        Ok(searches.remove(0))
    }
}

impl Drop for RecordingProxy {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn pass_on(stream: TcpStream, elasticsearch: Endpoint, searches: Searches) -> anyhow::Result<()> {
    let client = tokio::sync::Mutex::new(Client::open(&elasticsearch).await?);
    let service = service_fn(async |request: Request<Incoming>| {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let method = request.method().clone();
        if (method.as_str(), path.as_str()) == ("GET", "/") {
            return greeting();
        }
        let body = request.into_body().collect().await?.to_bytes();
        let call = elasticsearch.call(method, &path, body)?;
        if path.contains("/_search") {
            searches.lock().unwrap_or_else(PoisonError::into_inner).push(call.clone());
        }
        let (mut parts, body) = client.lock().await.exchange(&call).await?.into_parts();
        parts.headers.remove(TRANSFER_ENCODING);
        parts.headers.remove(CONTENT_LENGTH);
        anyhow::Ok(Response::from_parts(parts, Full::<Bytes>::new(body)))
    });
    Ok(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await?)
}

/// What a full distribution says of itself, as far as a client looks.
fn greeting() -> anyhow::Result<Response<Full<Bytes>>> {
    let text = r#"{"version":{"number":"8.0.0","build_flavor":"default"},"tagline":"You Know, for Search"}"#;
    let answer = Response::builder().header(CONTENT_TYPE, "application/json").header("x-elastic-product", "Elasticsearch");
    Ok(answer.body(Full::new(Bytes::from_static(text.as_bytes())))?)
}
