//! The outermost layer of every request: admission, deadline, panics, log line, metrics.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::header::{ALLOW, CONNECTION, HeaderValue};
use hyper::{HeaderMap, Method, StatusCode};
use tokio_util::task::TaskTracker;
use tower_service::Service as _;

use super::connections::Purpose;
use super::finalize::{Conditions, Cors, finalize};
use super::routes::{Address, Table};
use super::slots::{Slot, Slots};
use super::{Protocol, RequestContext, Response, Routes, context, message, problem};
use crate::app::App;
use crate::config::Http;
use crate::error::{Error, Result};
use crate::metrics;
use crate::telemetry::Span;

/// A handler is cancelled after this many times its deadline.
const CANCEL_AFTER: u32 = 3;

pub(crate) struct Gateway {
    app: App,
    table: Table,
    protocols: Vec<Arc<dyn Protocol>>,
    slots: Slots,
    cors: Cors,
    handlers: TaskTracker,
}

impl Gateway {
    pub(crate) fn new(app: App, routes: Routes) -> Self {
        Self {
            table: Table::new(routes.routes),
            protocols: routes.protocols,
            slots: Slots::new(&app.config.http),
            cors: Cors::new(&app.config.http),
            handlers: TaskTracker::new(),
            app,
        }
    }

    pub(crate) fn limits(&self) -> &Http {
        &self.app.config.http
    }

    /// Waits until no handler runs.
    pub(crate) async fn finished(&self) {
        self.handlers.close();
        self.handlers.wait().await;
    }

    /// Creates the context of a request.
    pub(crate) fn context(&self, peer: IpAddr, headers: &HeaderMap) -> RequestContext {
        let client = context::client(peer, headers, self.limits().trusted_proxies.as_ref());
        RequestContext::new(client, headers, self.slots.slot())
    }

    /// Answers one request. Every path ends in a complete response and one log line.
    pub(crate) async fn answer(&self, context: RequestContext, purpose: &Purpose, request: hyper::Request<Incoming>) -> Response {
        let (started, _in_flight) = (Instant::now(), InFlight::count());
        let method = request.method().clone();
        let path = request.uri().path().to_owned();
        let conditions = Conditions::new(&method, request.headers(), self.limits());
        let protocol = self.protocols.iter().find_map(|protocol| Some((protocol, protocol.address(&request)?)));
        let route = self.table.find(&path);
        // The pattern and not the path: paths hold what clients searched for.
        let (pattern, allow) = match (&protocol, route) {
            (Some((_, address)), _) => (address.pattern, address.allow),
            (None, Some(route)) => (route.pattern.as_str(), route.allow.as_str()),
            (None, None) => ("unmatched", ""),
        };
        let span = Span::request(context.id(), metrics::method(&method), pattern, request.headers());
        let handled = match message::check(&request) {
            Ok(()) if method == Method::OPTIONS && !allow.is_empty() => Ok(options(allow)),
            Ok(()) => match protocol {
                Some((protocol, _)) => self.speak(Arc::clone(protocol), &context, purpose, request).await,
                None => self.handle(&context, purpose, &span, route, request).await,
            },
            Err(error) => Err(error),
        };
        let mut response = handled.unwrap_or_else(|error| problem::unrendered(Arc::new(error)));
        if let Purpose::Probes(_) = purpose {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        problem::render(&mut response, &context, &path, allow, self.app.clock.now());
        finalize(&mut response, &conditions, &context, &self.cors, allow).await;
        let (status, took) = (response.status().as_u16(), started.elapsed());
        count(metrics::method(&method), pattern, status, took);
        span.answered(status);
        tracing::info!(
            method = metrics::method(&method),
            route = pattern,
            status,
            ms = took.as_micros() as f64 / 1000.0,
            request_id = context.id(),
            user_id = context.caller().map(tracing::field::display),
            "request answered"
        );
        response
    }

    /// Lets a protocol answer. It holds no slot: it waits more than it works.
    async fn speak(
        &self,
        protocol: Arc<dyn Protocol>,
        context: &RequestContext,
        purpose: &Purpose,
        request: hyper::Request<Incoming>,
    ) -> Result<Response> {
        needed_slot(context, purpose, request.uri().path())?;
        let answer = self.handlers.spawn(protocol.answer(context.clone(), request));
        match context.in_time(self.limits().request_timeout, answer).await {
            Some(Ok(answered)) => answered,
            Some(Err(_)) => Err(Error::internal("the protocol panicked")),
            None => Err(Error::Timeout),
        }
    }

    async fn handle(
        &self,
        context: &RequestContext,
        purpose: &Purpose,
        span: &Span,
        route: Option<&Address>,
        mut request: hyper::Request<Incoming>,
    ) -> Result<Response> {
        if request.method() == Method::HEAD {
            *request.method_mut() = Method::GET;
        }
        let slot = needed_slot(context, purpose, request.uri().path())?;
        let route = route.ok_or(Error::NotFound("address"))?;
        request.extensions_mut().insert(context.clone());
        let mut route = warp::service(route.filter.clone());
        let deadline = self.limits().request_timeout;
        let span = span.clone();
        // In a task of its own, so that a disconnect or the deadline does not cancel a write half-way, and a panic ends only this
        // request. A handler that runs long after its deadline waits for a dead peer: statements have shorter timeouts.
        let worked = context.clone();
        let handler = self.handlers.spawn(async move {
            // Not before the work begins: requests whose bodies are still to come pass here one by one, and hold no slot together.
            if let Some(slot) = slot {
                slot.take()?;
            }
            let answered = span.scope(worked.in_time(deadline * CANCEL_AFTER, route.call(request))).await;
            let Ok(response) = answered.ok_or(Error::Timeout)?;
            Ok(response)
        });
        match context.in_time(deadline, handler).await {
            Some(Ok(answered)) => answered,
            // Without what it says, which may quote a record.
            Some(Err(_)) => Err(Error::internal("the handler panicked")),
            None => Err(Error::Timeout),
        }
    }
}

/// The slot that a request needs. Probes need none: an overloaded server must not be restarted for being busy.
fn needed_slot(context: &RequestContext, purpose: &Purpose, path: &str) -> Result<Option<Slot>> {
    if path == "/metrics" || path == "/api/metrics" || path == "/health" || path.starts_with("/health/") {
        return Ok(None);
    }
    match purpose {
        Purpose::Requests => Ok(Some(context.slot().clone())),
        Purpose::Probes(_) => {
            Err(Error::busy("overloaded", "the server is at its limit of connections, in all or from one address"))
        }
    }
}

/// Counts and logs a request that hyper could not read, and answered with a status alone.
pub(crate) fn refused(error: &hyper::Error) {
    let is_large = error.is_parse_too_large();
    let status = if is_large { StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE } else { StatusCode::BAD_REQUEST }.as_u16();
    count("other", "unreadable", status, Duration::ZERO);
    tracing::info!(method = "other", route = "unreadable", status, "request answered");
}

/// Counts a request while it is answered, or until its client goes away.
struct InFlight;

impl InFlight {
    fn count() -> Self {
        metrics::HTTP_IN_FLIGHT.inc();
        Self
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        metrics::HTTP_IN_FLIGHT.dec();
    }
}

fn count(method: &str, route: &str, status: u16, took: Duration) {
    metrics::HTTP_SECONDS.with_label_values(&[method, route, status_class(status)]).observe(took.as_secs_f64());
}

fn options(allow: &str) -> Response {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::NO_CONTENT;
    if let Ok(allow) = HeaderValue::from_str(allow) {
        response.headers_mut().insert(ALLOW, allow);
    }
    response
}

fn status_class(status: u16) -> &'static str {
    match status {
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        500..=599 => "5xx",
        _ => "1xx",
    }
}
