//! What a handler gets: the shared state and one request whose body is not yet read.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::pin::Pin;
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures_util::future::ready;
use futures_util::{Stream, StreamExt};
use hyper::header::CONTENT_LENGTH;
use hyper::{HeaderMap, Method};
use serde::de::DeserializeOwned;
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::time::timeout;
use uuid::Uuid;
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::path::FullPath;

use super::{Authority, Context, json};
use crate::app::App;
use crate::audit::{Action, Entry};
use crate::error::{Error, Result};
use crate::http::{BodyRoom, Denied, RequestContext, message};
use crate::search::parse::flag;
use crate::threads::BODIES;
use crate::values::aging::AsOf;
use crate::values::ids::UserId;
use crate::values::json::Object;

/// Bodies above this many bytes are parsed off the request threads: it takes milliseconds, in which other requests would wait.
const PARSED_AT_ONCE: usize = 64 * 1024;

pub(super) type Body = Pin<Box<dyn Stream<Item = Result<Bytes, warp::Error>> + Send + Sync>>;

pub struct Request {
    pub app: App,
    pub method: Method,
    pub path: String,
    /// The raw query string, empty if absent.
    pub query: String,
    pub headers: HeaderMap,
    /// SHA-256 of the body once it is read: tells a repeated request from another one with the same idempotency key.
    pub(crate) digest: Vec<u8>,
    pub context: RequestContext,
    pub(super) body: Body,
    pub(super) body_limit: u64,
    pub(super) body_timeout: Duration,
    /// Counts the body's memory, for as long as what was made of it may be there.
    room: Option<BodyRoom>,
}

impl Request {
    /// Refuses what no read takes, whichever it is.
    fn checked(self) -> Result<Self> {
        if self.method == Method::GET {
            self.sync_token()?;
        }
        Ok(self)
    }

    /// The parameters of the query string in their order, decoded (application/x-www-form-urlencoded).
    pub fn parameters(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        form_urlencoded::parse(self.query.as_bytes())
    }

    /// Returns the value of a parameter; the last one if it is repeated, as in lists.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<Cow<'_, str>> {
        self.parameters().filter(|(known, _)| known == name).last().map(|(_, value)| value)
    }

    /// Reads a parameter that is true or false; absent is false.
    pub fn flag(&self, name: &str) -> Result<bool> {
        let Some(value) = self.parameter(name) else { return Ok(false) };
        flag(&value).map_err(|wrong| Error::malformed("bad_parameter", format!("{name}: {wrong}")))
    }

    /// Whether the client asks for deleted records too.
    pub fn includes_deleted(&self) -> Result<bool> {
        self.flag("includeDeleted")
    }

    /// By what day the answer to a write shows a record: in the zone `tz`, if that is one.
    #[must_use]
    pub fn as_of(&self) -> AsOf<'_> {
        let config = &self.app.config;
        let zone = self.parameter("tz").and_then(|zone| zone.parse().ok()).unwrap_or(config.default_time_zone);
        AsOf { today: zone.day_of(self.app.clock.now()), aging: &config.aging_days }
    }

    /// What the rules of a write depend on.
    #[must_use]
    pub fn rule_context(&self, by: UserId, authority: Authority) -> Context<'_> {
        Context { is_strict: self.is_canonical(), ..Context::of(&self.app, by, authority) }
    }

    /// Notes in the audit log that the caller was shown a record.
    pub fn log_read(&self, kind: &'static str, id: Uuid) {
        self.app.audit.note(|| self.audit_entry(Action::Read, kind, Some(id), None));
    }

    /// Notes in the audit log that the caller was shown a list: what its conditions are about, and a keyed hash of what was typed.
    pub fn log_search(&self, kind: &'static str, about: &BTreeSet<String>, typed: &str) {
        if let Some(caller) = self.context.caller() {
            self.app.usage.search(caller);
        }
        self.app.audit.note(|| {
            let typed = (!typed.is_empty()).then(|| self.app.audit.keys.mask(typed));
            let details = json!({ "fields": about, "q": typed });
            self.audit_entry(Action::Search, kind, None, Some(details.to_string()))
        });
    }

    /// An entry of the audit log about this request. `details` is JSON without personal data.
    #[must_use]
    pub fn audit_entry(&self, action: Action, kind: &'static str, subject: Option<Uuid>, details: Option<String>) -> Entry {
        let (actor, request) = (self.context.caller(), self.context.id().to_owned());
        Entry { at: self.app.clock.now(), actor, request, action, kind, subject, details }
    }

    /// Returns a header's value if it is visible ASCII.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Whether the request came to `/api/v1` and not to the alias `/api`.
    #[must_use]
    pub fn is_canonical(&self) -> bool {
        self.path.starts_with("/api/v1/")
    }

    /// Reads the body as bounded, closed JSON; see `json::read`.
    pub async fn json<T: DeserializeOwned + Send + 'static>(&mut self) -> Result<T> {
        self.read(json::read).await
    }

    /// Reads the body as a JSON object of any members; see `json::object`.
    pub async fn object(&mut self) -> Result<Object> {
        self.read(json::object).await
    }

    /// Reads the body of a request that changes many records; see `json::object_of_many`.
    pub async fn object_of_many(&mut self) -> Result<Object> {
        self.read(json::object_of_many).await
    }

    async fn read<T: Send + 'static>(&mut self, read: fn(&[u8]) -> Result<T>) -> Result<T> {
        message::check_json(&self.headers)?;
        let bytes = self.bytes().await?;
        let parse = move |bytes: Vec<u8>| read(&bytes).map(|read| (Sha256::digest(&bytes).to_vec(), read));
        let (digest, read) = if bytes.len() > PARSED_AT_ONCE { BODIES.run(move || parse(bytes)).await? } else { parse(bytes) }?;
        self.digest = digest;
        Ok(read)
    }

    /// Reads the whole body, up to the limit of its route and within the body timeout. The request leaves its slot meanwhile.
    async fn bytes(&mut self) -> Result<Vec<u8>> {
        self.check_announced_length()?;
        let room = self.room.insert(self.context.slot().expect_body()?);
        let whole = timeout(self.body_timeout, gather(&mut self.body, self.body_limit, room));
        self.context.slot().leave_during(whole).await?.unwrap_or(Err(Error::BodyTimeout))
    }

    /// Refuses a body that is said to be too large before any of it is read.
    pub(super) fn check_announced_length(&self) -> Result<()> {
        let announced = self.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        match self.body_limit {
            limit if announced.is_some_and(|length| length > limit) => Err(Error::TooLarge { limit }),
            _ => Ok(()),
        }
    }
}

async fn gather(body: &mut Body, limit: u64, room: &mut BodyRoom) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|_| Error::malformed("broken_body", "the body ended before it was complete"))?;
        let length = bytes.len() + chunk.len();
        if length as u64 > limit {
            return Err(Error::TooLarge { limit });
        }
        room.grow(length)?;
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// The filter that extracts the [`Request`] for a handler, with a body of up to so many bytes, which come within a time.
#[must_use]
pub fn request(app: &App, body_limit: u64, body_timeout: Duration) -> BoxedFilter<(Request,)> {
    let app = app.clone();
    let query = warp::query::raw().or(warp::any().map(String::new)).unify();
    warp::method()
        .and(warp::path::full())
        .and(query)
        .and(warp::header::headers_cloned())
        .and(warp::ext::get::<RequestContext>())
        .and(warp::body::stream())
        .and_then(move |method, path: FullPath, query, headers, context, body| {
            let body: Body = Box::pin(contiguous(body));
            let path = path.as_str().to_owned();
            let (app, digest) = (app.clone(), Vec::new());
            let request =
                Request { app, method, path, query, headers, context, digest, body, body_limit, body_timeout, room: None };
            ready(request.checked().map_err(|error| warp::reject::custom(Denied::from(error))))
        })
        .boxed()
}

fn contiguous<B: Buf>(body: impl Stream<Item = Result<B, warp::Error>>) -> impl Stream<Item = Result<Bytes, warp::Error>> {
    body.map(|chunk| chunk.map(|mut buffer| buffer.copy_to_bytes(buffer.remaining())))
}
