//! Lists: one search, and the page that answers it.

use hyper::header::{HeaderName, LINK};
use serde::Serialize;
use serde_json::value::RawValue;

use super::{Reply, Request, json};
use crate::error::{Error, Result};
use crate::search::parse::{ParsedList, Rules, parse};
use crate::search::query::{Page, Total};
use crate::search::{Collection, Filter};
use crate::values::lsn::Lsn;

/// Says who answered.
pub(crate) const READ_SOURCE: HeaderName = HeaderName::from_static("x-read-source");
const TOTAL_COUNT: HeaderName = HeaderName::from_static("x-total-count");

/// Size of a page if the client names none, and of the largest page.
pub(crate) const PAGE_DEFAULT: u32 = 10;
pub(crate) const PAGE_LIMIT: u32 = 100;

/// Hits that are counted exactly and reached by page number: Elasticsearch's own default limits for both.
const TOTAL_LIMIT: u32 = 10_000;

/// A page on the wire.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PageView<'a> {
    data: Vec<Box<RawValue>>,
    total: Option<u64>,
    total_relation: Option<&'static str>,
    page: Option<u32>,
    limit: u32,
    total_pages: Option<u64>,
    next_cursor: Option<&'a str>,
    engine: &'static str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    degraded: bool,
}

/// Answers a list of a collection; `render` turns a stored document into what the wire shows.
///
/// # Errors
/// Parameters that cannot be read, a cursor of another list, an engine that cannot answer.
pub async fn list(
    request: &Request,
    collection: &'static Collection,
    render: impl Fn(&RawValue) -> serde_json::Result<Box<RawValue>>,
) -> Result<Reply> {
    list_within(request, collection, Filter::All(Vec::new()), render).await
}

/// Answers a list of the part of a collection that the address names.
///
/// # Errors
/// As [`list`].
pub async fn list_within(
    request: &Request,
    collection: &'static Collection,
    part: Filter,
    render: impl Fn(&RawValue) -> serde_json::Result<Box<RawValue>>,
) -> Result<Reply> {
    let search = &request.app.search;
    let parameters = request.parameters().map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
    let ParsedList { mut query, page, cursor, mut hashed } = parse(collection, parameters, &rules(request))?;
    // A cursor belongs to its path, but the older address has the same list.
    hashed.push(("".into(), request.path.replacen("/api/v1/", "/api/", 1)));
    query.filter = Filter::All(vec![part, query.filter]);
    let mut scored_by = None;
    if let Some(cursor) = cursor {
        let cursor = search.resume(&cursor, &hashed)?;
        query.page = Page::After(cursor.position);
        scored_by = cursor.engine;
    }
    let seen = request.sync_token()?;
    let answer = search.answer(collection, &query, scored_by, caught_up(request, collection, seen)).await?;

    let next = answer.hits.next.map(|last| search.cursor(&query, &hashed, last, answer.engine)).transpose()?;
    let data = answer.hits.documents.iter().map(|document| render(document)).collect::<serde_json::Result<_>>();
    let total = answer.hits.total;
    let mut reply = json(&PageView {
        data: data.map_err(Error::internal)?,
        total: total.map(|total| total.value),
        total_relation: total.map(|total| if total.at_least { "gte" } else { "eq" }),
        page,
        limit: query.limit,
        total_pages: total.map(|total| total.value.div_ceil(u64::from(query.limit))),
        next_cursor: next.as_deref(),
        engine: answer.engine.name(),
        degraded: answer.degraded,
    })?;
    reply = reply.with(READ_SOURCE, answer.engine.name());
    if let Some(Total { value, at_least: false }) = total {
        reply = reply.with(TOTAL_COUNT, &value.to_string());
    }
    if let Some(next) = next {
        reply = reply.with(LINK, &link(request, &next));
    }
    Ok(reply)
}

fn rules(request: &Request) -> Rules<'_> {
    let config = &request.app.config;
    Rules {
        refuse_large_pages: request.is_canonical(),
        region: &config.default_region,
        currency: config.default_currency,
        page_default: PAGE_DEFAULT,
        page_limit: PAGE_LIMIT,
        total_limit: TOTAL_LIMIT,
        now: request.app.clock.now(),
    }
}

async fn caught_up(request: &Request, collection: &Collection, seen: Option<Lsn>) -> bool {
    let Some(position) = seen else { return true };
    let watermark = &request.app.watermark;
    if position > watermark.get() && request.is_beyond_log(position).await {
        return false;
    }
    watermark.reached(collection.name, position, request.app.config.sync.wait).await
}

fn link(request: &Request, cursor: &str) -> String {
    let kept = request.parameters().filter(|(name, _)| !matches!(&**name, "page" | "cursor"));
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(kept).append_pair("cursor", cursor).finish();
    format!("<{}?{query}>; rel=\"next\"", request.path)
}
