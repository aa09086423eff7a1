//! Lists: one search, and the page that answers it.

use hyper::header::{HeaderName, LINK};
use serde::Serialize;

use super::{Reply, Request};
use crate::error::{Error, Result};
use crate::search::parse::{ParsedList, Rules, parse};
use crate::search::query::{Page, Total};
use crate::search::{Collection, Filter, ListedIndex, document};
use crate::values::lsn::Lsn;

/// Says who answered.
pub(crate) const READ_SOURCE: HeaderName = HeaderName::from_static("x-read-source");
const TOTAL_COUNT: HeaderName = HeaderName::from_static("x-total-count");

/// Size of a page if the client names none, and of the largest page.
pub(crate) const PAGE_DEFAULT: u32 = 10;
pub(crate) const PAGE_LIMIT: u32 = 100;

/// Hits that are counted exactly and reached by page number: Elasticsearch's own default limits for both.
const TOTAL_LIMIT: u32 = 10_000;

/// What follows the records of a page.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PageEnd<'a> {
    total: Option<u64>,
    total_relation: Option<&'static str>,
    page: Option<u32>,
    limit: u32,
    total_pages: Option<u64>,
    next_cursor: Option<&'a str>,
    engine: &'static str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    degraded: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    stale: bool,
    /// Only of a stale answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    lag_ms: Option<u64>,
}

/// Answers a list of the part of a collection that `part` selects; `computed` returns the members that are stored in no document,
/// each behind a comma.
pub async fn list(
    request: &Request,
    collection: &'static Collection,
    part: Filter,
    computed: impl Fn(&str) -> serde_json::Result<String>,
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
    let answer = search.answer(collection, &query, scored_by, index(request, collection, seen)).await?;

    let next = answer.hits.next.map(|last| search.cursor(&query, &hashed, last, answer.engine)).transpose()?;
    let total = answer.hits.total;
    let mut body = String::from(r#"{"data":["#);
    for (at, document) in answer.hits.documents.iter().enumerate() {
        let more = computed(document.get()).map_err(Error::internal)?;
        let comma = if at > 0 { "," } else { "" };
        body.extend([comma, document::record(document.get()), &more, "}"]);
    }
    let stale = answer.lag >= request.app.config.search.stale_after;
    let end = PageEnd {
        total: total.map(|total| total.value),
        total_relation: total.map(|total| if total.at_least { "gte" } else { "eq" }),
        page,
        limit: query.limit,
        total_pages: total.map(|total| total.value.div_ceil(u64::from(query.limit))),
        next_cursor: next.as_deref(),
        engine: answer.engine.name(),
        degraded: answer.degraded,
        stale,
        lag_ms: stale.then(|| u64::try_from(answer.lag.as_millis()).unwrap_or(u64::MAX)),
    };
    body.extend(["],", &serde_json::to_string(&end).map_err(Error::internal)?[1..]]);
    let mut reply = Reply::json(body.into_bytes()).with(READ_SOURCE, answer.engine.name());
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

/// The live index of a collection, once it shows every change up to the LSN that the client has seen; none if that takes too long.
async fn index(request: &Request, collection: &Collection, seen: Option<Lsn>) -> Option<ListedIndex> {
    let watermark = &request.app.watermark;
    let mut index = watermark.live_index(collection.name).await?;
    if let Some(position) = seen {
        if position > watermark.get() && request.is_beyond_log(position).await {
            return None;
        }
        if !watermark.reached(collection.name, position, request.app.config.sync.wait).await {
            return None;
        }
        // Another one may have reached it.
        index = watermark.live_index(collection.name).await?;
    }
    Some(ListedIndex { name: index.name, lag: index.lag })
}

fn link(request: &Request, cursor: &str) -> String {
    let kept = request.parameters().filter(|(name, _)| !matches!(&**name, "page" | "cursor"));
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(kept).append_pair("cursor", cursor).finish();
    format!("<{}?{query}>; rel=\"next\"", request.path)
}
