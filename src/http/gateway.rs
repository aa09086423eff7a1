//! The outermost layer of every request: admission, deadline, panics, log line, metrics.

use std::sync::Arc;
use std::time::Instant;

use hyper::body::Incoming;
use hyper::header::{ALLOW, HOST, HeaderValue};
use hyper::{Method, StatusCode, Version};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tower_service::Service as _;
use warp::Filter;
use warp::filters::BoxedFilter;

use super::finalize::{Conditions, finalize};
use super::routes::Table;
use super::{RequestContext, Response, Routes, problem, unmatched};
use crate::app::App;
use crate::config::Http;
use crate::error::{Error, Result};
use crate::metrics;

/// A handler is cancelled after this many times its deadline.
const CANCEL_AFTER: u32 = 3;

pub(crate) struct Gateway {
    app: App,
    routes: BoxedFilter<(Response,)>,
    table: Table,
    in_flight: Arc<Semaphore>,
}

impl Gateway {
    pub(crate) fn new(app: App, routes: Routes) -> Self {
        let in_flight = Arc::new(Semaphore::new(app.config.http.max_in_flight));
        Self {
            routes: routes.filter.recover(unmatched::recover).unify().boxed(),
            table: Table::new(&routes.table),
            in_flight,
            app,
        }
    }

    pub(crate) fn limits(&self) -> &Http {
        &self.app.config.http
    }

    /// Waits until no handler runs.
    pub(crate) async fn finished(&self) {
        let _all = self.in_flight.acquire_many(u32::try_from(self.limits().max_in_flight).unwrap_or(u32::MAX)).await;
    }

    /// Answers one request. Every path ends in a complete response and one log line.
    pub(crate) async fn answer(&self, context: RequestContext, request: hyper::Request<Incoming>) -> Response {
        let started = Instant::now();
        let method = request.method().clone();
        let path = request.uri().path().to_owned();
        let conditions = Conditions::new(&method, request.headers());
        let route = self.table.find(&path);
        let allow = route.map_or("", |route| route.allow.as_str());
        let mut response = match route {
            Some(_) if method == Method::OPTIONS => options(allow),
            _ => self.handle(&context, request).await.unwrap_or_else(|error| problem::unrendered(Arc::new(error))),
        };
        problem::render(&mut response, &context, &path, allow, self.app.clock.now());
        finalize(&mut response, &conditions, &context);
        // The pattern and not the path: paths hold what clients searched for.
        let pattern = route.map_or("unmatched", |route| route.pattern.as_str());
        let status = response.status().as_u16();
        let took = started.elapsed();
        metrics::HTTP_SECONDS
            .with_label_values(&[metrics::method(&method), pattern, status_class(status)])
            .observe(took.as_secs_f64());
        tracing::info!(
            method = metrics::method(&method),
            route = pattern,
            status,
            ms = took.as_secs_f64() * 1000.0,
            request_id = context.id(),
            user_id = context.caller().map(tracing::field::display),
            "request answered"
        );
        response
    }

    async fn handle(&self, context: &RequestContext, mut request: hyper::Request<Incoming>) -> Result<Response> {
        if request.version() == Version::HTTP_11 && !request.headers().contains_key(HOST) {
            return Err(Error::malformed("missing_host", "a request needs a Host header"));
        }
        if request.method() == Method::HEAD {
            *request.method_mut() = Method::GET;
        }
        let permit = self.admit(request.uri().path())?;
        request.extensions_mut().insert(context.clone());
        let mut routes = warp::service(self.routes.clone());
        let deadline = self.limits().request_timeout;
        // In a task of its own, so that a disconnect or the deadline does not cancel a write half-way, and a panic ends only this
        // request. A handler that runs long after its deadline waits for a dead peer: statements have shorter timeouts.
        let handler = tokio::spawn(async move {
            let _permit = permit;
            timeout(deadline * CANCEL_AFTER, routes.call(request)).await
        });
        match timeout(deadline, handler).await {
            Ok(Ok(Ok(Ok(response)))) => Ok(response),
            // Without what it says, which may quote a record.
            Ok(Err(_)) => Err(Error::internal("the handler panicked")),
            Ok(Ok(_)) | Err(_) => Err(Error::Timeout),
        }
    }

    /// Admits a request below the limit. Probes always pass: an overloaded server must not be restarted for being busy.
    fn admit(&self, path: &str) -> Result<Option<OwnedSemaphorePermit>> {
        if path == "/metrics" || path == "/health" || path.starts_with("/health/") {
            return Ok(None);
        }
        Arc::clone(&self.in_flight).try_acquire_owned().map(Some).map_err(|_| Error::Unavailable {
            code: "overloaded",
            detail: "the server is at its limit of concurrent requests".into(),
            retry_after: 1,
        })
    }
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
