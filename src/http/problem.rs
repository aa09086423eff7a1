//! Problem details (RFC 9457). The gateway renders them, because it knows the request's id and path.

use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use hyper::StatusCode;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use serde_json::json;

use super::{RequestContext, Response};
use crate::error::{Error, clipped};

/// Most bytes of an answer that refuses a request: a client must not get back much more than it sent.
const MOST_BYTES: usize = 64 * 1024;

/// Most segments of a path that are repeated: more than any address has.
const MOST_SEGMENTS: usize = 10;

/// Most characters of `detail`, which may repeat what `errors` says.
const MOST_DETAIL: usize = 2_000;

/// The type of problem for which a standard has a name (draft-ietf-httpapi-ratelimit-headers).
const QUOTA_EXCEEDED: &str = "https://iana.org/assignments/http-problem-types#quota-exceeded";

/// A response that carries the error; [`render`] writes its body.
pub(crate) fn unrendered(error: Arc<Error>) -> Response {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.extensions_mut().insert(error);
    response
}

/// Writes body and headers of the error that a response carries, if any, and logs the cause of an internal error.
pub(crate) fn render(response: &mut Response, context: &RequestContext, path: &str, allow: &str, now: DateTime<Utc>) {
    let Some(error) = response.extensions_mut().remove::<Arc<Error>>() else { return };
    if let Error::Internal(cause) = &*error {
        tracing::error!(request_id = context.id(), error = %chain(cause.as_ref()), "internal error");
    }
    let detail = match &*error {
        Error::MethodNotAllowed => format!("this address accepts {allow}"),
        error => error.to_string().chars().take(MOST_DETAIL).collect(),
    };
    *response.body_mut() = body(&error, &detail, context, &shown(path), now).into();
    let mut set = |name: HeaderName, value: &str| {
        HeaderValue::from_str(value).map(|value| response.headers_mut().insert(name, value)).ok();
    };
    set(CONTENT_TYPE, "application/problem+json");
    match &*error {
        Error::Unauthenticated(_) => set(WWW_AUTHENTICATE, "Bearer"),
        Error::MethodNotAllowed => set(ALLOW, allow),
        _ => {}
    }
    if let Some(seconds) = error.retry_after() {
        set(RETRY_AFTER, &seconds.to_string());
    }
}

/// Writes the problem with as many violations as fit.
fn body(error: &Error, detail: &str, context: &RequestContext, path: &str, now: DateTime<Utc>) -> String {
    let status = error.status();
    let title = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("Error");
    let mut body = json!({
        "type": format!("urn:collections:error:{}", error.code()),
        "title": title,
        "status": status,
        "detail": detail,
        "instance": path,
        "code": error.code(),
        "requestId": context.id(),
        // The same in the words of the older `/api`.
        "statusCode": status,
        "timestamp": now.to_rfc3339_opts(SecondsFormat::Millis, true),
        "path": path,
        "message": detail,
    });
    match error {
        Error::Stale { current } => body["currentVersion"] = json!(current),
        Error::QuotaExceeded { policy, .. } => {
            body["type"] = json!(QUOTA_EXCEEDED);
            body["violated-policies"] = json!([policy]);
        }
        Error::Conflict { more, .. } => more.iter().for_each(|(name, value)| body[name] = value.clone()),
        _ => {}
    }
    let mut told = error.violations();
    loop {
        body["errors"] = json!(told);
        let untold = error.untold() + error.violations().len() - told.len();
        if untold > 0 {
            body["moreErrors"] = json!(untold);
        }
        let text = body.to_string();
        if text.len() <= MOST_BYTES || told.is_empty() {
            return text;
        }
        told = &told[..told.len() / 2];
    }
}

/// The path, its segments cut at the length that errors repeat.
fn shown(path: &str) -> String {
    let segments = path.split('/').take(MOST_SEGMENTS).map(clipped);
    segments.collect::<Vec<_>>().join("/")
}

/// The chain of causes, outermost first. Leaves out `DETAIL` of Postgres, which repeats values of the row.
fn chain(cause: &(dyn std::error::Error + 'static)) -> String {
    let mut text = cause.to_string();
    let mut source = cause.source();
    while let Some(inner) = source {
        let more = inner.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        source = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::config::Http;
    use crate::error::Violations;
    use crate::http::slots::Slots;

    fn written(violations: Violations) -> (usize, Value) {
        #[derive(clap::Parser)]
        struct Settings {
            #[command(flatten)]
            http: Http,
        }
        let limits = <Settings as clap::Parser>::parse_from(["test"]).http;
        let context = RequestContext::new([127, 0, 0, 1].into(), &hyper::HeaderMap::new(), Slots::new(&limits).slot());
        let mut response = unrendered(Arc::new(violations.check().unwrap_err()));
        let text = body(&response.extensions_mut().remove::<Arc<Error>>().unwrap(), "", &context, "/", DateTime::default());
        (text.len(), serde_json::from_str(&text).unwrap())
    }

    #[test]
    fn as_many_violations_are_told_as_fit() {
        let with = |count: usize, message: &str| {
            let mut violations = Violations::default();
            (0..count).for_each(|n| violations.add(format!("/{n}"), "wrong", message));
            written(violations)
        };
        for (count, message, told) in
            [(100, "short", 100), (101, "short", 100), (100, "x".repeat(5_000).as_str(), 12), (1, &"x".repeat(MOST_BYTES), 0)]
        {
            let (size, body) = with(count, message);
            assert!(size <= MOST_BYTES, "{size}");
            assert_eq!(body["errors"].as_array().unwrap().len(), told);
            let untold = Some((count - told) as u64).filter(|untold| *untold > 0);
            assert_eq!(body["moreErrors"].as_u64(), untold);
        }
    }

    #[test]
    fn a_path_is_shown_without_what_is_too_long() {
        let id = "/api/v1/customers/01890000-0000-7000-8000-000000000000/contact-points/01890000-0000-7000-8000-000000000000";
        assert_eq!(shown(id), id);
        assert_eq!(shown(&format!("/a/{}", "x".repeat(65))), format!("/a/{}…", "x".repeat(64)));
        assert_eq!(shown(&"/x".repeat(1_000)), "/x".repeat(MOST_SEGMENTS - 1));
    }
}
