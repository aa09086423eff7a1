//! Errors on the wire: problem details (RFC 9457), rendered at the edge, where the request's name and address are known.

use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use hyper::StatusCode;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use serde_json::json;

use super::{RequestContext, Response};
use crate::error::Error;

/// Answers with an error that is not rendered yet.
pub(crate) fn carry(error: Arc<Error>) -> Response {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.extensions_mut().insert(error);
    response
}

/// Writes the body and headers of the error that a response carries, if it carries one, and logs the cause of a fault of ours.
pub(crate) fn render(response: &mut Response, exchange: &RequestContext, path: &str, allow: &str, now: DateTime<Utc>) {
    let Some(error) = response.extensions_mut().remove::<Arc<Error>>() else { return };
    if let Error::Internal(cause) = &*error {
        tracing::error!(request_id = exchange.id(), error = %chain(cause.as_ref()), "request failed by a fault of ours");
    }
    let detail = match &*error {
        Error::MethodNotAllowed { .. } => format!("this address takes {allow}"),
        error => error.to_string(),
    };
    *response.body_mut() = body(&error, &detail, exchange, path, now).into();
    let mut set = |name: HeaderName, value: &str| {
        HeaderValue::from_str(value).map(|value| response.headers_mut().insert(name, value)).ok();
    };
    set(CONTENT_TYPE, "application/problem+json");
    match &*error {
        Error::Unauthenticated(_) => set(WWW_AUTHENTICATE, "Bearer"),
        Error::MethodNotAllowed { .. } => set(ALLOW, allow),
        _ => {}
    }
    if let Some(seconds) = error.retry_after() {
        set(RETRY_AFTER, &seconds.to_string());
    }
}

fn body(error: &Error, detail: &str, exchange: &RequestContext, path: &str, now: DateTime<Utc>) -> String {
    let status = error.status();
    let title = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("Error");
    let mut body = json!({
        "type": format!("urn:collections:error:{}", error.code()),
        "title": title,
        "status": status,
        "detail": detail,
        "instance": path,
        "code": error.code(),
        "requestId": exchange.id(),
        "errors": error.faults(),
        // The same again in the words of an older interface.
        "statusCode": status,
        "timestamp": now.to_rfc3339_opts(SecondsFormat::Millis, true),
        "path": path,
        "message": detail,
    });
    match error {
        Error::Stale { current } => body["currentVersion"] = json!(current),
        Error::Conflict { more, .. } => more.iter().for_each(|(name, value)| body[name] = value.clone()),
        _ => {}
    }
    body.to_string()
}

/// The causes of a fault, outermost first. What a database says beyond its message (`DETAIL`) repeats values of the row, and is
/// not part of it.
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
