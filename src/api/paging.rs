//! Lists: one search, and the page that answers it.

use bytes::Bytes;
use hyper::header::{HeaderName, LINK};
use serde::Serialize;
use uuid::Uuid;

use super::{Reply, Request};
use crate::error::{Error, Result};
use crate::search::explain::{self, explain};
use crate::search::parse::{ParsedList, Rules, parse};
use crate::search::query::{Count, Engine, Page, Query, SortPosition};
use crate::search::{Answer, Collection, Filter, ListedIndex, document};
use crate::values::lsn::Lsn;

/// Says who answered.
pub(crate) const READ_SOURCE: HeaderName = HeaderName::from_static("x-read-source");
const TOTAL_COUNT: HeaderName = HeaderName::from_static("x-total-count");

/// Size of a page if the client names none, and of the largest page.
pub(crate) const PAGE_DEFAULT: u32 = 10;
pub(crate) const PAGE_LIMIT: u32 = 100;

/// Hits that are counted exactly and reached by page number: Elasticsearch's own default limits for both.
const TOTAL_LIMIT: u32 = 10_000;

/// Room for what follows the records of a page; a cursor may need more.
const END_BYTES: usize = 512;

/// What follows the records of a page.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PageEnd<'a> {
    pub(crate) total: Option<u64>,
    pub(crate) total_relation: Option<&'static str>,
    pub(crate) page: Option<u32>,
    pub(crate) limit: u32,
    pub(crate) total_pages: Option<u64>,
    pub(crate) next_cursor: Option<&'a str>,
    pub(crate) engine: &'static str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) degraded: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) stale: bool,
    /// Only of a stale answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) lag_ms: Option<u64>,
}

/// Answers a list of the part of a collection that `part` selects; `computed` returns the members that are stored in no document,
/// each behind a comma.
pub async fn list(
    request: &Request,
    collection: &'static Collection,
    part: Filter,
    computed: impl Fn(&[u8]) -> serde_json::Result<String>,
) -> Result<Reply> {
    let search = &request.app.search;
    let parameters = request.parameters().map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
    let ParsedList { mut query, page, cursor, mut hashed, highlight } = parse(collection, parameters, &rules(request))?;
    hashed.push(address(request));
    query.filter = Filter::All(vec![part, query.filter]);
    let phrase = if highlight { query.phrase.clone() } else { None };
    let mut scored_by = None;
    if let Some(cursor) = cursor {
        let cursor = search.resume(&cursor, &hashed)?;
        query.page = Page::After(cursor.position);
        scored_by = cursor.engine;
    }
    let answer = ask(request, collection, &query, scored_by).await?;

    let next = answer.hits.next.map(|last| search.cursor(&query, &hashed, last, answer.engine)).transpose()?;
    let total = answer.hits.total;
    // What is left out of the documents is more than what is added.
    let mut body = Vec::with_capacity(answer.hits.documents.iter().map(Bytes::len).sum::<usize>() + END_BYTES);
    body.extend_from_slice(br#"{"data":["#);
    for (at, document) in answer.hits.documents.iter().enumerate() {
        if at > 0 {
            body.push(b',');
        }
        body.extend_from_slice(document::record(document));
        body.extend_from_slice(computed(document).map_err(Error::internal)?.as_bytes());
        if let Some(phrase) = &phrase {
            let explained = explain(phrase, collection.fields, document).and_then(|explained| explain::member(&explained));
            body.extend_from_slice(explained.map_err(Error::internal)?.as_bytes());
        }
        body.push(b'}');
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
    body.extend_from_slice(b"],");
    body.extend_from_slice(&serde_json::to_vec(&end).map_err(Error::internal)?[1..]);
    Ok(reply(request, body, &end))
}

/// Asks for a list, which shows what the client has written.
pub(crate) async fn ask(
    request: &Request,
    collection: &'static Collection,
    query: &Query,
    scored_by: Option<Engine>,
) -> Result<Answer> {
    let seen = request.known_lsn().await?;
    let caller = request.context.caller();
    request.app.search.answer(collection, query, caller, scored_by, index(request, collection, seen)).await
}

/// Answers with a page: its body, and what the headers repeat of its end.
pub(crate) fn reply(request: &Request, body: Vec<u8>, end: &PageEnd<'_>) -> Reply {
    let mut reply = Reply::json(body).with(READ_SOURCE, end.engine);
    if let (Some(total), Some("eq")) = (end.total, end.total_relation) {
        reply = reply.with(TOTAL_COUNT, &total.to_string());
    }
    match end.next_cursor {
        Some(next) => reply.with(LINK, &link(request, next)),
        None => reply,
    }
}

/// Writes the cursor of a list that has one order and no filters, after a record.
pub(crate) fn cursor_after(request: &Request, id: Uuid) -> Result<String> {
    let query = Query {
        filter: Filter::All(Vec::new()),
        phrase: None,
        sort: Vec::new(),
        page: Page::Number(1),
        limit: PAGE_DEFAULT,
        count: Count::Exact,
    };
    let position = SortPosition { keys: Vec::new(), id, loose: false };
    request.app.search.cursor(&query, &[address(request)], position, Engine::Postgres)
}

/// Reads a cursor of [`cursor_after`].
pub(crate) fn resume_after(request: &Request, cursor: &str) -> Result<Uuid> {
    Ok(request.app.search.resume(cursor, &[address(request)])?.position.id)
}

/// A cursor belongs to its path, but the older address has the same list.
fn address(request: &Request) -> (String, String) {
    (String::new(), request.path.replacen("/api/v1/", "/api/", 1))
}

/// How the parameters of a list are read.
pub(crate) fn rules(request: &Request) -> Rules<'_> {
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
