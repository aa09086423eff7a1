//! The last step of every response: conditional requests, compression, no body for HEAD, CORS, security headers, request id.

mod compression;
mod cors;

use hyper::header::{CACHE_CONTROL, CONTENT_LENGTH, ETAG, HeaderName, HeaderValue, IF_NONE_MATCH};
use hyper::{HeaderMap, Method, StatusCode};

pub use self::compression::with_secrets;
pub(crate) use self::cors::Cors;
use self::cors::Page;
use super::{RequestContext, Response};
use crate::config::Http;
use crate::rate_limits::Budget;

/// Headers of every response: nothing is cached, sniffed, framed or run.
const HEADERS: [(&str, &str); 10] = [
    ("x-content-type-options", "nosniff"),
    ("content-security-policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; object-src 'none'"),
    ("referrer-policy", "no-referrer"),
    ("strict-transport-security", "max-age=63072000; includeSubDomains"),
    ("x-frame-options", "DENY"),
    ("cross-origin-resource-policy", "same-site"),
    ("cross-origin-opener-policy", "same-origin"),
    ("permissions-policy", ""),
    ("cache-control", "no-store"),
    ("vary", "Origin, Accept-Encoding"),
];

/// What the response depends on in the request.
pub(crate) struct Conditions {
    is_head: bool,
    is_read: bool,
    if_none_match: Option<HeaderValue>,
    is_compressed: bool,
    page: Page,
}

impl Conditions {
    pub(crate) fn new(method: &Method, headers: &HeaderMap, config: &Http) -> Self {
        let is_head = method == Method::HEAD;
        Self {
            is_head,
            is_read: is_head || method == Method::GET,
            if_none_match: headers.get(IF_NONE_MATCH).cloned(),
            is_compressed: !is_head && config.compression && compression::prefers_gzip(headers),
            page: Page::new(method, headers),
        }
    }
}

/// Completes a response; `allow` are the methods of the address, empty if there is no such address.
pub(crate) async fn finalize(
    response: &mut Response,
    conditions: &Conditions,
    context: &RequestContext,
    cors: &Cors,
    allow: &str,
) {
    let known = conditions.if_none_match.as_ref().filter(|_| conditions.is_read && response.status() == StatusCode::OK);
    if let (Some(known), Some(tag)) = (known, response.headers().get(ETAG))
        && let Some(matched) = matching(known, tag)
    {
        response.headers_mut().insert(ETAG, matched);
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        *response.body_mut() = Vec::new().into();
    } else if conditions.is_compressed {
        compression::compress(response).await;
    }
    if conditions.is_head {
        let length = hyper::body::Body::size_hint(response.body()).exact();
        *response.body_mut() = Vec::new().into();
        if let Some(length) = length.filter(|_| response.status() != StatusCode::NOT_MODIFIED) {
            response.headers_mut().insert(CONTENT_LENGTH, length.into());
        }
    }
    for (name, value) in HEADERS {
        response.headers_mut().entry(HeaderName::from_static(name)).or_insert(HeaderValue::from_static(value));
    }
    debug_assert!(response.headers().contains_key(CACHE_CONTROL));
    cors.apply(&conditions.page, allow, response.headers_mut());
    if let Some(budget) = context.budget() {
        show(&budget, response.headers_mut());
    }
    if let Ok(id) = HeaderValue::from_str(context.id()) {
        response.headers_mut().insert("x-request-id", id);
    }
}

/// Tells what is left of a rate limit (draft-ietf-httpapi-ratelimit-headers; three of the names are those of its first versions).
fn show(budget: &Budget, headers: &mut HeaderMap) {
    headers.insert("ratelimit-limit", budget.limit.into());
    headers.insert("ratelimit-remaining", budget.remaining.into());
    headers.insert("ratelimit-reset", budget.reset_seconds.into());
    let policy = format!("\"{}\";q={};w={}", budget.policy, budget.limit, budget.window.as_secs());
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert("ratelimit-policy", policy);
    }
}

/// Returns the tag of what a client has, compressed or plain, if that is current. The comparison is weak (RFC 9110, 13.1.2).
fn matching(if_none_match: &HeaderValue, tag: &HeaderValue) -> Option<HeaderValue> {
    let (known, current) = (if_none_match.to_str().ok()?, strong(tag.to_str().ok()?));
    known.split(',').map(str::trim).find_map(|one| match compression::plain_tag(strong(one)) {
        Some(plain) if current.strip_suffix('"') == Some(plain) => compression::compressed_tag(tag),
        _ => (one == "*" || strong(one) == current).then(|| tag.clone()),
    })
}

fn strong(tag: &str) -> &str {
    tag.trim_start_matches("W/")
}
