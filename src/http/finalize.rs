//! The last step of every response: security headers, request id, conditional requests, no body for HEAD.

use hyper::header::{CACHE_CONTROL, CONTENT_LENGTH, ETAG, HeaderName, HeaderValue, IF_NONE_MATCH};
use hyper::{HeaderMap, Method, StatusCode};

use super::{RequestContext, Response};
use crate::rate_limits::Budget;

/// Headers of every response: nothing is cached, sniffed, framed or run.
const HEADERS: [(&str, &str); 9] = [
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

/// What the response depends on in the request.
pub(crate) struct Conditions {
    is_head: bool,
    is_read: bool,
    if_none_match: Option<HeaderValue>,
}

impl Conditions {
    pub(crate) fn new(method: &Method, headers: &HeaderMap) -> Self {
        let is_head = method == Method::HEAD;
        Self { is_head, is_read: is_head || method == Method::GET, if_none_match: headers.get(IF_NONE_MATCH).cloned() }
    }
}

pub(crate) fn finalize(response: &mut Response, conditions: &Conditions, context: &RequestContext) {
    let tag = response.headers().get(ETAG);
    if conditions.is_read && response.status() == StatusCode::OK && matches(conditions.if_none_match.as_ref(), tag) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        *response.body_mut() = Vec::new().into();
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

/// Weak comparison (RFC 9110, 13.1.2).
fn matches(if_none_match: Option<&HeaderValue>, tag: Option<&HeaderValue>) -> bool {
    let (Some(known), Some(tag)) =
        (if_none_match.and_then(|value| value.to_str().ok()), tag.and_then(|value| value.to_str().ok()))
    else {
        return false;
    };
    known.split(',').map(str::trim).any(|one| one == "*" || one.trim_start_matches("W/") == tag.trim_start_matches("W/"))
}
