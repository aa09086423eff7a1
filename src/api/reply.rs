//! Replies: JSON with its status and headers, and errors as problem details.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;
use hyper::header::{CONTENT_TYPE, ETAG, HeaderName, HeaderValue, LOCATION};
use hyper::{HeaderMap, StatusCode};
use serde::Serialize;
use sha2::{Digest, Sha256};
use warp::Reply as _;

use crate::error::{Error, Result};
use crate::http::{Response, problem};

/// An answer, complete but for the headers of the transport.
#[derive(Debug)]
pub struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body,
}

/// The body of an answer.
pub(crate) enum Body {
    Whole(Vec<u8>),
    /// Comes as the client takes it; an error breaks the connection.
    Stream(Pin<Box<dyn Stream<Item = Result<Bytes>> + Send + Sync>>),
}

impl Body {
    /// Whether there is nothing to send.
    pub(crate) fn is_absent(&self) -> bool {
        matches!(self, Self::Whole(body) if body.is_empty())
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Whole(body) => f.debug_tuple("Whole").field(&body.len()).finish(),
            Self::Stream(_) => f.write_str("Stream"),
        }
    }
}

/// Answers 200 with a JSON body.
pub fn json(value: &impl Serialize) -> Result<Reply> {
    Ok(Reply::json(serde_json::to_vec(value).map_err(Error::internal)?))
}

/// Answers 201 with a JSON body and the address of what was created.
pub fn created(location: &str, value: &impl Serialize) -> Result<Reply> {
    let mut reply = json(value)?.with(LOCATION, location);
    reply.status = StatusCode::CREATED;
    Ok(reply)
}

#[must_use]
pub fn text(content_type: &'static str, body: String) -> Reply {
    let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(content_type))]);
    Reply { status: StatusCode::OK, headers, body: Body::Whole(body.into_bytes()) }
}

#[must_use]
pub fn no_content() -> Reply {
    Reply { status: StatusCode::NO_CONTENT, headers: HeaderMap::new(), body: Body::Whole(Vec::new()) }
}

impl Reply {
    /// Answers 200 with JSON that is written already.
    #[must_use]
    pub fn json(body: Vec<u8>) -> Self {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        Self { status: StatusCode::OK, headers, body: Body::Whole(body) }
    }

    /// Answers 200 with a body that comes as the client takes it.
    #[must_use]
    pub(crate) fn stream(content_type: &str, chunks: impl Stream<Item = Result<Bytes>> + Send + Sync + 'static) -> Self {
        let body = Body::Stream(Box::pin(chunks));
        Self { status: StatusCode::OK, headers: HeaderMap::new(), body }.with(CONTENT_TYPE, content_type)
    }

    /// Adds a header; a value that is not valid in one is left out.
    #[must_use]
    pub fn with(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }

    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// Adds the row's version and a digest of the body as `ETag: "v17-5c1f2a90"`.
    ///
    /// `If-Match` compares the version alone. The digest is for `If-None-Match`: a record also shows other rows, such as a
    /// customer's balances, which change without a new version of its own row.
    #[must_use]
    pub fn with_version(self, version: i64) -> Self {
        let body = match &self.body {
            Body::Whole(body) => body.as_slice(),
            Body::Stream(_) => &[],
        };
        let tag = match Sha256::digest(body)[..] {
            [a, b, c, d, ..] if !body.is_empty() => format!("\"v{version}-{a:02x}{b:02x}{c:02x}{d:02x}\""),
            _ => format!("\"v{version}\""),
        };
        self.with(ETAG, &tag)
    }
}

/// Turns what a handler returned into what warp sends.
pub fn respond(result: Result<Reply>) -> Response {
    let reply = match result {
        Ok(reply) => reply,
        Err(error) => return problem::unrendered(Arc::new(error)),
    };
    let mut response = match reply.body {
        Body::Whole(body) => Response::new(body.into()),
        Body::Stream(chunks) => warp::reply::stream(chunks).into_response(),
    };
    *response.status_mut() = reply.status;
    *response.headers_mut() = reply.headers;
    response
}
