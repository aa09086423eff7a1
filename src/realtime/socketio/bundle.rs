//! The official client for browsers, version 4.8.1, where pages that know a Socket.IO server look for it.

use hyper::Method;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderName, HeaderValue};

use crate::error::{Error, Result};
use crate::http::Response;

const BUNDLE: &str = include_str!("socket.io.min.js");

/// Whether a path below that of the protocol is that of the bundle.
pub(super) fn is_at(path: &str) -> bool {
    matches!(path, "/socket.io.js" | "/socket.io.min.js")
}

pub(super) fn answer(method: &Method) -> Result<Response> {
    if method != Method::GET && method != Method::HEAD {
        return Err(Error::MethodNotAllowed);
    }
    let headers = [
        (CONTENT_TYPE, "text/javascript; charset=utf-8"),
        (ETAG, "\"4.8.1\""),
        // Asks again, and gets 304 as a rule.
        (CACHE_CONTROL, "no-cache"),
        // Pages of other origins may run it; what they may do is decided when they connect.
        (HeaderName::from_static("cross-origin-resource-policy"), "cross-origin"),
    ];
    let mut response = Response::new(BUNDLE.into());
    response.headers_mut().extend(headers.map(|(name, value)| (name, HeaderValue::from_static(value))));
    Ok(response)
}
