//! Cross-origin requests (Fetch standard, 3.3): which web pages may read the answers.
//!
//! A page sends its token itself, in `Authorization`. There are no cookies, so browsers need no leave to send credentials and get
//! none: what a page of a foreign origin can send is what anyone can send, and it does not learn the answer.

use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS,
    ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, HeaderValue, ORIGIN,
};
use hyper::{HeaderMap, Method};

use crate::config::Http;
use crate::values::origin::Origin;

/// What pages may send besides what every page may.
const REQUEST_HEADERS: &str = "Accept, Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Prefer, X-API-Key, \
     X-Request-Id, X-Sync-Token";

/// What pages may read besides what every page may: all that answers say of themselves.
const EXPOSED_HEADERS: &str = "Allow, Content-Disposition, Deprecation, ETag, Idempotent-Replayed, Link, Location, \
     Preference-Applied, RateLimit, RateLimit-Limit, RateLimit-Policy, RateLimit-Remaining, RateLimit-Reset, Retry-After, Sunset, \
     WWW-Authenticate, X-Possible-Duplicate-Of, X-Read-Source, X-Request-Id, X-Sync-Token, X-Total-Count";

/// Seconds that a browser may remember the answer to a preflight: a changed setting is noticed after them.
const MAX_AGE: &str = "600";

/// The origins whose pages may read answers.
pub(crate) struct Cors {
    has_any: bool,
    listed: Vec<HeaderValue>,
}

/// What a request says of the page that sends it.
pub(crate) struct Page {
    origin: Option<HeaderValue>,
    is_preflight: bool,
}

impl Page {
    pub(super) fn new(method: &Method, headers: &HeaderMap) -> Self {
        let is_preflight = method == Method::OPTIONS && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        Self { origin: headers.get(ORIGIN).cloned(), is_preflight }
    }
}

impl Cors {
    pub(crate) fn new(config: &Http) -> Self {
        let listed = config.origins().filter_map(|origin| match origin {
            Origin::One(origin) => HeaderValue::from_str(origin).ok(),
            Origin::Any => None,
        });
        Self { has_any: config.origins().any(|origin| *origin == Origin::Any), listed: listed.collect() }
    }

    /// Adds what a browser asks for, if the page is of an allowed origin; `allow` are the methods of the address.
    pub(super) fn apply(&self, page: &Page, allow: &str, headers: &mut HeaderMap) {
        let Some(origin) = page.origin.as_ref().and_then(|origin| self.allowed(origin)) else { return };
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        match HeaderValue::from_str(allow) {
            Ok(allow) if page.is_preflight && !allow.is_empty() => {
                headers.insert(ACCESS_CONTROL_ALLOW_METHODS, allow);
                headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(REQUEST_HEADERS));
                headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE));
            }
            _ => {
                headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED_HEADERS));
            }
        }
    }

    fn allowed(&self, origin: &HeaderValue) -> Option<HeaderValue> {
        if self.has_any {
            return Some(HeaderValue::from_static("*"));
        }
        self.listed.contains(origin).then(|| origin.clone())
    }
}
