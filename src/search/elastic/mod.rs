//! Elasticsearch over HTTP: deadlines, one retry for reads, typed errors.

use std::time::Duration;

use anyhow::Context;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, USER_AGENT};
use hyper::http::uri::{Authority, Scheme, Uri};
use hyper::{Method, Request};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use percent_encoding::percent_decode_str;
use rustls::crypto::ring;
use secrecy::ExposeSecret;
use serde::de::DeserializeOwned;
use tokio::time::timeout;
use url::Url;

use crate::config;

mod compile;
mod fault;
mod phrase;
mod search;

pub(super) use fault::Cause;
pub use fault::ElasticError;

/// Largest answer that is read; a page of documents is far below.
const ANSWER_LIMIT: usize = 64 << 20;
/// Between probes of an idle connection, so that a firewall does not forget it.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// A pool of connections to Elasticsearch; cheap to share behind an `Arc`.
pub struct Elastic {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    address: Address,
    /// What the names of all indices and aliases begin with.
    pub prefix: String,
    /// Deadline of a search.
    pub search_deadline: Duration,
    /// Deadline of bulk writes and index administration.
    pub write_deadline: Duration,
}

/// Where the server is, taken apart once: parsing a URL for every request would cost as much as sending it.
struct Address {
    scheme: Scheme,
    authority: Authority,
    /// Path before every request's path; ends with a slash.
    base: String,
    headers: HeaderMap,
}

/// Method of a request.
#[derive(Clone, Copy, Debug)]
pub enum Verb {
    /// Reads without a body.
    Get,
    /// Searches, bulk writes and actions.
    Post,
    /// Creates or replaces.
    Put,
    /// Removes.
    Delete,
}

impl Elastic {
    /// Makes the pool without connecting, if an address is configured.
    ///
    /// # Errors
    /// An address that cannot be read.
    pub fn open(config: &config::Search) -> anyhow::Result<Option<Self>> {
        let Some(url) = &config.url else { return Ok(None) };
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(KEEPALIVE));
        let tls = HttpsConnectorBuilder::new().with_provider_and_webpki_roots(ring::default_provider())?;
        let connector = tls.https_or_http().enable_http1().wrap_connector(tcp);
        Ok(Some(Self {
            client: Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connector),
            address: Address::read(url.expose_secret())?,
            prefix: config.index_prefix.clone(),
            search_deadline: config.timeout,
            write_deadline: config.bulk_timeout,
        }))
    }

    /// Reads an answer; asks a second time when the connection broke or a gateway refused.
    pub async fn read<T: DeserializeOwned>(
        &self,
        verb: Verb,
        path: &str,
        body: Option<Bytes>,
        deadline: Duration,
    ) -> Result<T, ElasticError> {
        let answer = match self.send(verb, path, body.clone(), deadline).await {
            Err(ElasticError::Unavailable(_)) => self.send(verb, path, body, deadline).await?,
            first => first?,
        };
        parse(&answer)
    }

    /// Changes something, once: the caller knows whether it may be repeated.
    pub async fn write<T: DeserializeOwned>(&self, verb: Verb, path: &str, body: Option<Bytes>) -> Result<T, ElasticError> {
        parse(&self.send(verb, path, body, self.write_deadline).await?)
    }

    /// Sends one request within a deadline and returns the body of a successful answer.
    pub async fn send(&self, verb: Verb, path: &str, body: Option<Bytes>, deadline: Duration) -> Result<Bytes, ElasticError> {
        let mut request = Request::new(Full::new(body.unwrap_or_default()));
        *request.method_mut() = match verb {
            Verb::Get => Method::GET,
            Verb::Post => Method::POST,
            Verb::Put => Method::PUT,
            Verb::Delete => Method::DELETE,
        };
        *request.uri_mut() = self.address.uri(path)?;
        *request.headers_mut() = self.address.headers.clone();
        let exchange = async {
            let response = self.client.request(request).await.map_err(|error| ElasticError::unavailable(&error))?;
            let status = response.status();
            let body = Limited::new(response.into_body(), ANSWER_LIMIT).collect().await.map_err(|error| {
                if error.is::<LengthLimitError>() {
                    return ElasticError::Broken(format!("the answer is larger than {ANSWER_LIMIT} bytes"));
                }
                ElasticError::unavailable(&*error)
            })?;
            Ok((status, body.to_bytes()))
        };
        let (status, body) = timeout(deadline, exchange).await.map_err(|_| ElasticError::Timeout)??;
        if status.is_success() { Ok(body) } else { Err(ElasticError::from_answer(status.as_u16(), &body)) }
    }
}

impl Address {
    /// Reads `http://user:password@host:port/path`; user and password are percent-encoded (RFC 3986).
    fn read(url: &str) -> anyhow::Result<Self> {
        let url = Url::parse(url)?;
        // Compression would cost both sides more time than the few kilobytes of a page save.
        let mut headers = HeaderMap::from_iter([
            (ACCEPT, HeaderValue::from_static("application/json")),
            (ACCEPT_ENCODING, HeaderValue::from_static("identity")),
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (USER_AGENT, HeaderValue::from_static("collections")),
        ]);
        if !url.username().is_empty() {
            let decode = |text| percent_decode_str(text).decode_utf8_lossy();
            let pair = format!("{}:{}", decode(url.username()), decode(url.password().unwrap_or_default()));
            let mut credentials = HeaderValue::try_from(format!("Basic {}", BASE64_STANDARD.encode(pair)))?;
            credentials.set_sensitive(true);
            headers.insert(AUTHORIZATION, credentials);
        }
        let host = url.host_str().context("an address of Elasticsearch needs a host")?;
        Ok(Self {
            scheme: url.scheme().parse()?,
            authority: url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")).parse()?,
            base: format!("{}/", url.path().trim_end_matches('/')),
            headers,
        })
    }

    fn uri(&self, path: &str) -> Result<Uri, ElasticError> {
        let path = format!("{}{}", self.base, path.trim_start_matches('/'));
        let uri = Uri::builder().scheme(self.scheme.clone()).authority(self.authority.clone()).path_and_query(path).build();
        uri.map_err(|error| ElasticError::Broken(format!("not an address: {error}")))
    }
}

impl std::fmt::Debug for Elastic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Elastic").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

fn parse<T: DeserializeOwned>(answer: &[u8]) -> Result<T, ElasticError> {
    serde_json::from_slice(answer).map_err(|error| ElasticError::Broken(format!("the answer cannot be read: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_keeps_its_path_and_hides_its_password() {
        let address = Address::read("https://elastic:p%40ss@search.example.com:9243/cluster").unwrap();
        let uri = address.uri("/accounts/_search?size=0").unwrap();
        assert_eq!(uri, "https://search.example.com:9243/cluster/accounts/_search?size=0");
        assert_eq!(address.headers[AUTHORIZATION], "Basic ZWxhc3RpYzpwQHNz");
        let plain = Address::read("http://[::1]").unwrap();
        assert_eq!(plain.uri("_bulk").unwrap(), "http://[::1]/_bulk");
        assert!(!plain.headers.contains_key(AUTHORIZATION));
    }

    #[test]
    fn an_address_without_a_host_is_refused() {
        for broken in ["", "localhost:9200", "http://", "unix:/run/search"] {
            assert!(Address::read(broken).is_err(), "{broken}");
        }
    }
}
