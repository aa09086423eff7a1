//! Requests to Elasticsearch: deadlines, one retry for reads, typed errors. Nothing else imports the client crate.

use std::str::Utf8Error;
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use elasticsearch::auth::Credentials;
use elasticsearch::http::headers::{ACCEPT_ENCODING, HeaderMap, HeaderValue};
use elasticsearch::http::response::Response;
use elasticsearch::http::transport::{SingleNodeConnectionPool, Transport, TransportBuilder};
use elasticsearch::http::{Method, Url};
use percent_encoding::percent_decode_str;
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::config;
use crate::telemetry::{self, Span};

mod aggregate;
mod compile;
mod fault;
mod outcome;
mod phrase;
mod point;
mod search;
mod spans;

pub(super) use fault::Cause;
pub use fault::ElasticError;
pub(super) use outcome::{Acknowledged, Shards};

/// Largest answer that is read; a page of documents is far below.
const ANSWER_LIMIT: usize = 64 << 20;

/// A pool of connections to Elasticsearch; cheap to share behind an `Arc`.
#[derive(Debug)]
pub struct Elastic {
    transport: Transport,
    /// What the names of all indices and aliases begin with.
    pub prefix: String,
    /// Deadline of a search.
    pub search_deadline: Duration,
    /// Deadline of bulk writes and index administration.
    pub write_deadline: Duration,
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
    /// Opens a pool of connections without connecting, if an address is configured.
    ///
    /// # Errors
    /// An address that cannot be read.
    pub fn open(config: &config::Search) -> anyhow::Result<Option<Self>> {
        // A file of settings has no other way to say that there is none.
        let Some(url) = config.url.as_ref().filter(|url| !url.expose_secret().is_empty()) else { return Ok(None) };
        // A path such as `/search` in the address needs its final slash, or joining would replace it.
        let mut url = Url::parse(url.expose_secret()).context("ELASTICSEARCH_URL is not an address of Elasticsearch")?;
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        let credentials = credentials(&url).context("the user or password in ELASTICSEARCH_URL is not UTF-8")?;
        // The address without its password, because the client's errors quote it.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        // Compression would cost both sides more time than the few kilobytes of a page save.
        let mut transport = TransportBuilder::new(SingleNodeConnectionPool::new(url))
            .header(ACCEPT_ENCODING, HeaderValue::from_static("identity"))
            .enable_meta_header(false)
            .disable_proxy();
        if let Some(credentials) = credentials {
            transport = transport.auth(credentials);
        }
        Ok(Some(Self {
            transport: transport.build()?,
            prefix: config.index_prefix.clone(),
            search_deadline: config.timeout,
            write_deadline: config.bulk_timeout,
        }))
    }

    /// How long a search takes of a server that is slow: half of the deadline.
    #[must_use]
    pub(in crate::search) fn slow_after(&self) -> Duration {
        self.search_deadline / 2
    }

    /// Reads an answer; asks a second time when the connection broke or a gateway refused.
    pub async fn read<T: DeserializeOwned>(
        &self,
        verb: Verb,
        path: &str,
        body: Option<Bytes>,
        deadline: Duration,
    ) -> Result<T, ElasticError> {
        parse(&self.fetch(verb, path, body, deadline).await?)
    }

    /// As [`Elastic::read`], without reading it: for a caller that keeps parts of the answer.
    async fn fetch(&self, verb: Verb, path: &str, body: Option<Bytes>, deadline: Duration) -> Result<Bytes, ElasticError> {
        match self.send(verb, path, body.clone(), deadline).await {
            Err(ElasticError::Unavailable(_)) => self.send(verb, path, body, deadline).await,
            first => first,
        }
    }

    /// Changes something, once: the caller knows whether it may be repeated.
    pub async fn write<T: DeserializeOwned>(&self, verb: Verb, path: &str, body: Option<Bytes>) -> Result<T, ElasticError> {
        parse(&self.send(verb, path, body, self.write_deadline).await?)
    }

    /// Sends one request within a deadline and returns the body of a successful answer.
    pub async fn send(&self, verb: Verb, path: &str, body: Option<Bytes>, deadline: Duration) -> Result<Bytes, ElasticError> {
        let asked = Instant::now();
        let answer = self.exchange(verb, path, body, deadline).await;
        let address = path.split('?').next().unwrap_or_default();
        telemetry::elasticsearch(
            operation(address),
            address,
            asked.elapsed(),
            answer.as_ref().map_or_else(ElasticError::name, |_| "ok"),
        );
        answer
    }

    async fn exchange(&self, verb: Verb, path: &str, body: Option<Bytes>, deadline: Duration) -> Result<Bytes, ElasticError> {
        let method = match verb {
            Verb::Get => Method::Get,
            Verb::Post => Method::Post,
            Verb::Put => Method::Put,
            Verb::Delete => Method::Delete,
        };
        let sent = self.transport.send(method, path, headers(), None::<&()>, body, Some(deadline));
        let response = sent.await.map_err(ElasticError::from_transport)?;
        let status = response.status_code().as_u16();
        let body = receive(response).await?;
        if (200..300).contains(&status) { Ok(body) } else { Err(ElasticError::from_answer(status, &body)) }
    }
}

/// Tells Elasticsearch which request asks: it shows the id in its slow log and its list of tasks.
fn headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    let Some(span) = Span::current() else { return headers };
    let given = [("x-opaque-id", Some(span.id().to_owned())), ("traceparent", span.traceparent())];
    for (name, value) in given {
        if let Some(Ok(value)) = value.map(HeaderValue::try_from) {
            headers.insert(name, value);
        }
    }
    headers
}

/// What a request to an address does, in a word of few: the last API in it, or else `index`.
fn operation(address: &str) -> &'static str {
    const KNOWN: [(&str, &str); 8] = [
        ("_search", "search"),
        ("_bulk", "bulk"),
        ("_pit", "pit"),
        ("_count", "count"),
        ("_refresh", "refresh"),
        ("_stats", "stats"),
        ("_aliases", "alias"),
        ("_index_template", "template"),
    ];
    let mut apis = address.split('/').rev().filter(|segment| segment.starts_with('_'));
    let known = |api: &str| KNOWN.into_iter().find(|(name, _)| *name == api).map_or("other", |(_, word)| word);
    apis.next().map_or("index", known)
}

/// Reads user and password, which an address holds percent-encoded (RFC 3986, 3.2.1).
fn credentials(url: &Url) -> Result<Option<Credentials>, Utf8Error> {
    if url.username().is_empty() {
        return Ok(None);
    }
    let decoded = |part: &str| Ok(percent_decode_str(part).decode_utf8()?.into_owned());
    Ok(Some(Credentials::Basic(decoded(url.username())?, decoded(url.password().unwrap_or_default())?)))
}

async fn receive(response: Response) -> Result<Bytes, ElasticError> {
    if response.content_length().is_some_and(|length| length > ANSWER_LIMIT as u64) {
        return Err(ElasticError::TooLarge);
    }
    let body = response.bytes().await.map_err(ElasticError::from_transport)?;
    if body.len() > ANSWER_LIMIT { Err(ElasticError::TooLarge) } else { Ok(body) }
}

fn parse<'a, T: Deserialize<'a>>(answer: &'a [u8]) -> Result<T, ElasticError> {
    serde_json::from_slice(answer).map_err(|error| ElasticError::Broken(format!("the answer cannot be read: {error}")))
}

#[cfg(test)]
mod tests {
    use super::operation;

    #[test]
    fn an_operation_is_one_of_few_words() {
        for (address, expected) in [
            ("c-customers-1/_search", "search"),
            ("_search", "search"),
            ("_bulk", "bulk"),
            ("c-accounts-1/_pit", "pit"),
            ("_index_template/c-accounts", "template"),
            ("_nodes/http", "other"),
            ("c-accounts-1", "index"),
            ("", "index"),
        ] {
            assert_eq!(operation(address), expected, "{address}");
        }
    }
}
