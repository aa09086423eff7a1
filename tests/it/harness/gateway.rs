//! An HTTP gateway before a server, which can answer in its place.

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// An answer to every request whose path contains a text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Canned {
    pub(crate) path: &'static str,
    pub(crate) status: u16,
    pub(crate) body: &'static str,
}

/// A gateway before one server.
pub(crate) struct Gateway {
    canned: watch::Sender<Option<Canned>>,
    accepting: JoinHandle<()>,
}

impl Gateway {
    /// Starts before the server of a URL, and returns the gateway's URL.
    pub(crate) async fn before(server: &str) -> (Self, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let canned = watch::Sender::new(None);
        let (answers, server) = (canned.clone(), server.trim_end_matches('/').to_owned());
        let client = reqwest::Client::new();
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (answers, server, client) = (answers.clone(), server.clone(), client.clone());
                let service = service_fn(move |request| {
                    let canned: Option<Canned> = *answers.borrow();
                    answer(client.clone(), server.clone(), canned, request)
                });
                tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        (Self { canned, accepting }, url)
    }

    /// Answers in the server's place from now on.
    pub(crate) fn answer(&self, canned: Canned) {
        self.canned.send_replace(Some(canned));
    }

    /// Passes everything on again.
    pub(crate) fn pass(&self) {
        self.canned.send_replace(None);
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn answer(
    client: reqwest::Client,
    server: String,
    canned: Option<Canned>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
    let (status, body) = match canned.filter(|canned| path.contains(canned.path)) {
        Some(canned) => (canned.status, Bytes::from_static(canned.body.as_bytes())),
        None => {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let mut passed = client.request(parts.method, format!("{server}{path}")).body(body);
            if let Some(kind) = parts.headers.get("content-type") {
                passed = passed.header("content-type", kind);
            }
            let answered = passed.send().await.unwrap();
            (answered.status().as_u16(), answered.bytes().await.unwrap())
        }
    };
    Ok(Response::builder().status(status).header("content-type", "application/json").body(Full::new(body)).unwrap())
}
