//! Spans: a request or a batch, and by what id other systems know it.

use std::borrow::Cow;
use std::sync::Arc;

use hyper::HeaderMap;
use opentelemetry::Context;

use super::traces;

tokio::task_local! {
    static CURRENT: Span;
}

/// The work that a task does now; cheap to clone.
#[derive(Clone, Debug)]
pub struct Span(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    id: Cow<'static, str>,
    /// Of the caller, if no trace is made here.
    traceparent: Option<String>,
    trace: Option<Context>,
}

impl Span {
    /// Begins a request; it continues the caller's trace (W3C Trace Context).
    #[must_use]
    pub fn request(id: &str, method: &'static str, route: &str, headers: &HeaderMap) -> Self {
        let trace = traces::request(method, route, headers);
        let given = || headers.get("traceparent")?.to_str().ok().filter(|text| is_traceparent(text)).map(str::to_owned);
        let traceparent = if trace.is_none() { given() } else { None };
        Self(Arc::new(Inner { id: id.to_owned().into(), traceparent, trace }))
    }

    /// Begins work that no request asked for.
    #[must_use]
    pub fn background(name: &'static str) -> Self {
        Self(Arc::new(Inner { id: name.into(), traceparent: None, trace: traces::background(name) }))
    }

    /// The span of the current task.
    #[must_use]
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Self::clone).ok()
    }

    /// Does work within the span.
    pub async fn scope<T>(&self, work: impl Future<Output = T>) -> T {
        CURRENT.scope(self.clone(), work).await
    }

    /// The id of the request, or the name of the work.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// The `traceparent` for servers that are asked within the span.
    #[must_use]
    pub fn traceparent(&self) -> Option<String> {
        self.0.trace.as_ref().map(traces::traceparent).or_else(|| self.0.traceparent.clone())
    }

    /// Ends a request.
    pub fn answered(&self, status: u16) {
        if let Some(trace) = &self.0.trace {
            traces::answered(trace, status);
        }
    }

    /// Ends other work.
    pub fn ended(&self, outcome: &Result<impl Sized, impl Sized>) {
        if let Some(trace) = &self.0.trace {
            traces::ended(trace, outcome.is_err());
        }
    }

    pub(super) fn trace(&self) -> Option<&Context> {
        self.0.trace.as_ref()
    }
}

/// Version 00 of the header (W3C Trace Context, 3.2.2).
fn is_traceparent(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let is_hex = |part: &&str| part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    parts.iter().all(is_hex) && parts.iter().map(|part| part.len()).eq([2, 32, 16, 2]) && parts[0] == "00"
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIVEN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[tokio::test]
    async fn a_task_knows_its_request_and_passes_its_trace_on() {
        assert!(Span::current().is_none());
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", GIVEN.parse().unwrap());
        let span = Span::request("r-1", "GET", "/health", &headers);
        let seen = span.scope(async { Span::current().map(|span| (span.id().to_owned(), span.traceparent())) }).await;
        assert_eq!(seen, Some(("r-1".to_owned(), Some(GIVEN.to_owned()))));
    }

    #[test]
    fn only_a_valid_traceparent_is_passed_on() {
        assert!(is_traceparent(GIVEN));
        for text in
            ["", "00", "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", &GIVEN.to_uppercase(), &format!("{GIVEN}-x")]
        {
            assert!(!is_traceparent(text), "{text}");
        }
    }
}
