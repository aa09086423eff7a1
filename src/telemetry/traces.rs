//! Traces by OpenTelemetry's exporter (OTLP over HTTP), for a collector that the settings name. Without one a span costs nothing.
//!
//! Spans are made where the work is timed anyway, so no second subscriber listens to events. They wait in a bounded queue; a collector
//! that is away loses spans and holds up nothing.

use std::pin::Pin;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use hyper::{HeaderMap, Request, Response};
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{Span as _, SpanBuilder, SpanKind, Status, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue, time};
use opentelemetry_http::{HeaderExtractor, HttpClient, HttpError};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tokio::runtime::Handle;

static TRACER: OnceLock<SdkTracer> = OnceLock::new();

/// Longest wait for the collector.
const EXPORT: Duration = Duration::from_secs(10);

/// The same when the program ends.
const LAST_EXPORT: Duration = Duration::from_secs(2);

/// Sends finished spans from a thread of its own.
pub struct Exporter(Option<SdkTracerProvider>);

impl Exporter {
    /// Starts sending to an address, if there is one.
    pub(super) fn start(address: Option<String>) -> anyhow::Result<Self> {
        let Some(address) = address else { return Ok(Self(None)) };
        let http = reqwest::Client::builder().no_proxy().timeout(EXPORT).build()?;
        let client = Client { http, runtime: Handle::current(), failed: false.into() };
        let exporter = SpanExporter::builder().with_http().with_http_client(client).with_endpoint(address).build();
        let exporter = exporter.context("cannot send traces to OTEL_EXPORTER_OTLP_ENDPOINT")?;
        let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource()).build();
        TRACER.set(provider.tracer("collections")).ok();
        Ok(Self(Some(provider)))
    }

    /// Sends what waits, within two seconds.
    pub async fn finish(self) {
        let Some(provider) = self.0 else { return };
        tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(LAST_EXPORT)).await.ok();
    }
}

/// `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` win over the name of the program.
fn resource() -> Resource {
    let given = Resource::builder().build();
    let is_named = given.get(&"service.name".into()).is_some_and(|name| !name.as_str().starts_with("unknown_service"));
    if is_named { given } else { Resource::builder().with_service_name("collections").build() }
}

pub(super) fn request(method: &'static str, route: &str, headers: &HeaderMap) -> Option<Context> {
    let tracer = TRACER.get()?;
    let parent = TraceContextPropagator::new().extract_with_context(&Context::new(), &HeaderExtractor(headers));
    let attributes = [KeyValue::new("http.request.method", method), KeyValue::new("http.route", route.to_owned())];
    let builder = SpanBuilder::from_name(format!("{method} {route}")).with_kind(SpanKind::Server).with_attributes(attributes);
    Some(parent.with_span(tracer.build_with_context(builder, &parent)))
}

pub(super) fn background(name: &'static str) -> Option<Context> {
    let (tracer, none) = (TRACER.get()?, Context::new());
    Some(none.with_span(tracer.build_with_context(SpanBuilder::from_name(name), &none)))
}

pub(super) fn answered(trace: &Context, status: u16) {
    trace.span().set_attribute(KeyValue::new("http.response.status_code", i64::from(status)));
    ended(trace, status >= 500);
}

pub(super) fn ended(trace: &Context, is_failed: bool) {
    if is_failed {
        trace.span().set_status(Status::error(""));
    }
    trace.span().end();
}

/// Adds a call to a server that has just ended.
pub(super) fn record(trace: &Context, system: &'static str, operation: &str, took: Duration, outcome: &'static str) {
    let (Some(tracer), true) = (TRACER.get(), trace.span().span_context().is_sampled()) else { return };
    let attributes = [KeyValue::new("db.system.name", system), KeyValue::new("db.operation.name", operation.to_owned())];
    let now = time::now();
    let builder = SpanBuilder::from_name(format!("{system} {operation}"))
        .with_kind(SpanKind::Client)
        .with_start_time(now - took)
        .with_attributes(attributes);
    let mut span = tracer.build_with_context(builder, trace);
    if outcome != "ok" {
        span.set_status(Status::error(outcome));
    }
    span.end_with_timestamp(now);
}

/// The header for servers that continue the trace.
pub(super) fn traceparent(trace: &Context) -> String {
    let span = trace.span();
    let context = span.span_context();
    format!("00-{}-{}-{:02x}", context.trace_id(), context.span_id(), context.trace_flags())
}

/// The program's own HTTP client, on its runtime: the exporter's thread has none.
#[derive(Debug)]
struct Client {
    http: reqwest::Client,
    runtime: Handle,
    /// Whether the last request failed, so that an outage is logged once.
    failed: AtomicBool,
}

impl Client {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (http, request) = (self.http.clone(), request.try_into()?);
        let sent = self.runtime.spawn(async move {
            let response = http.execute(request).await?;
            let status = response.status();
            Ok::<_, reqwest::Error>((status, response.bytes().await?))
        });
        let (status, body) = sent.await??;
        let mut response = Response::new(body);
        *response.status_mut() = status;
        Ok(response)
    }
}

impl HttpClient for Client {
    fn send_bytes<'client, 'sending>(
        &'client self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'sending>>
    where
        'client: 'sending,
        Self: 'sending,
    {
        Box::pin(async {
            let sent = self.send(request).await;
            let is_failed = !sent.as_ref().is_ok_and(|response| response.status().is_success());
            if is_failed && !self.failed.swap(true, Ordering::Relaxed) {
                tracing::warn!("cannot send traces to the collector");
            } else if !is_failed && self.failed.swap(false, Ordering::Relaxed) {
                tracing::info!("traces are sent to the collector again");
            }
            sent
        })
    }
}
