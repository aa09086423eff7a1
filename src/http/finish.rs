//! What every answer gets at the end: safe headers, the request's name, 304 for what the client has, and no body for HEAD.

use hyper::header::{CACHE_CONTROL, CONTENT_LENGTH, ETAG, HeaderName, HeaderValue, IF_NONE_MATCH};
use hyper::{HeaderMap, Method, StatusCode};

use super::{RequestContext, Response};

/// Headers of every answer: nothing is cached, sniffed, framed or run.
const FIXED: [(&str, &str); 9] = [
    ("x-content-type-options", "nosniff"),
    ("content-security-policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; object-src 'none'"),
    ("referrer-policy", "no-referrer"),
    ("strict-transport-security", "max-age=63072000; includeSubDomains"),
    ("x-frame-options", "DENY"),
    ("cross-origin-resource-policy", "same-site"),
    ("cross-origin-opener-policy", "same-origin"),
    ("permissions-policy", ""),
    ("cache-control", "no-store"),
];

/// What the end of an answer depends on in the request.
pub(crate) struct Asked {
    head: bool,
    readable: bool,
    known: Option<HeaderValue>,
}

impl Asked {
    pub(crate) fn new(method: &Method, headers: &HeaderMap) -> Self {
        let head = method == Method::HEAD;
        Self { head, readable: head || method == Method::GET, known: headers.get(IF_NONE_MATCH).cloned() }
    }
}

/// Completes an answer.
pub(crate) fn finish(response: &mut Response, asked: &Asked, exchange: &RequestContext) {
    let tag = response.headers().get(ETAG);
    if asked.readable && response.status() == StatusCode::OK && matches(asked.known.as_ref(), tag) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        *response.body_mut() = Vec::new().into();
    }
    if asked.head {
        let length = hyper::body::Body::size_hint(response.body()).exact();
        *response.body_mut() = Vec::new().into();
        if let Some(length) = length.filter(|_| response.status() != StatusCode::NOT_MODIFIED) {
            response.headers_mut().insert(CONTENT_LENGTH, length.into());
        }
    }
    for (name, value) in FIXED {
        response.headers_mut().entry(HeaderName::from_static(name)).or_insert(HeaderValue::from_static(value));
    }
    debug_assert!(response.headers().contains_key(CACHE_CONTROL));
    if let Ok(id) = HeaderValue::from_str(exchange.id()) {
        response.headers_mut().insert("x-request-id", id);
    }
}

/// Weak comparison (RFC 9110, 13.1.2).
fn matches(known: Option<&HeaderValue>, tag: Option<&HeaderValue>) -> bool {
    let (Some(known), Some(tag)) = (known.and_then(|value| value.to_str().ok()), tag.and_then(|value| value.to_str().ok()))
    else {
        return false;
    };
    known.split(',').map(str::trim).any(|one| one == "*" || one.trim_start_matches("W/") == tag.trim_start_matches("W/"))
}
