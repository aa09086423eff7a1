//! Problem details (RFC 9457). The gateway renders them, because it knows the request's id and path.

use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use hyper::StatusCode;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use serde_json::json;

use super::{RequestContext, Response};
use crate::error::Error;

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
        error => error.to_string(),
    };
    *response.body_mut() = body(&error, &detail, context, path, now).into();
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
        "errors": error.violations(),
        // The same in the words of the older `/api`.
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
