//! Lists: one search, and the page that answers it.

use bytes::Bytes;
use hyper::Method;
use hyper::header::{HeaderName, LINK};
use serde::Serialize;
use uuid::Uuid;

use super::{RecordWriter, Reply, Request};
use crate::error::{Error, Result, clipped};
use crate::search::explain::explain;
use crate::search::parse::{self, ParsedList, Rules, Shape};
use crate::search::query::{Count, Engine, Page, Query, SortPosition, Total};
use crate::search::{Answer, Collection, Filter, ListedIndex, document};
use crate::values::json::Object;
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

/// Reads what the address of a list asks for.
pub fn parse(request: &Request, collection: &'static Collection) -> Result<ParsedList> {
    parse::parse(collection, owned_parameters(request), &rules(request))
}

/// Reads what the body of a search asks for; its address says nothing but what every read may say.
pub fn parse_body(request: &Request, collection: &'static Collection, body: &Object) -> Result<ParsedList> {
    match request.parameters().find(|(name, _)| name != "syncToken") {
        None => parse::parse_body(collection, body, &rules(request)),
        Some((name, _)) => {
            let detail = format!("{}: a search takes its conditions in the body", clipped(&name));
            Err(Error::malformed("bad_parameter", detail))
        }
    }
}

/// Reads how the address of a record asks to show it.
pub fn parse_shape(request: &Request, collection: &'static Collection) -> Result<Shape> {
    parse::parse_shape(collection, &owned_parameters(request), &rules(request))
}

fn owned_parameters(request: &Request) -> Vec<(String, String)> {
    request.parameters().map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
}

/// Answers a list of the part of a collection that `part` selects.
pub async fn list(request: &Request, collection: &'static Collection, part: Filter, parsed: ParsedList) -> Result<Reply> {
    let search = &request.app.search;
    let ParsedList { mut query, page, cursor, mut hashed, shape } = parsed;
    hashed.push(address(request));
    query.filter = Filter::All(vec![part, query.filter]);
    let mut scored_by = None;
    if let Some(cursor) = cursor {
        let cursor = search.resume(&cursor, &hashed)?;
        query.page = Page::After(cursor.position);
        scored_by = cursor.engine;
    }
    let answer = ask(request, collection, &query, scored_by).await?;

    let next = answer.hits.next.map(|last| search.cursor(&query, &hashed, last, answer.engine)).transpose()?;
    let total = answer.hits.total;
    let records = answer.hits.documents.iter().map(|document| document::record(document));
    let phrase = query.phrase.as_ref().filter(|_| shape.highlight);
    let writer = RecordWriter::open(&request.app, collection, &shape, records.clone()).await?;
    // What is left out of the documents is more than what is added.
    let mut body = Vec::with_capacity(answer.hits.documents.iter().map(Bytes::len).sum::<usize>() + END_BYTES);
    body.extend_from_slice(br#"{"data":["#);
    for (at, record) in records.enumerate() {
        if at > 0 {
            body.push(b',');
        }
        match phrase {
            Some(phrase) => {
                let explanation = explain(phrase, collection.fields, &answer.hits.documents[at]).map_err(Error::internal)?;
                writer.write_found(record, &explanation, &mut body)?;
            }
            None => writer.write(record, &mut body)?,
        }
    }
    let stale = answer.lag >= request.app.config.search.stale_after;
    let end = PageEnd {
        total: total.map(|total| total.value),
        total_relation: total.map(Total::relation),
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

/// Reads the parameters of a list that is not asked for now, and refuses them as the list would.
pub(crate) fn check(request: &Request, collection: &'static Collection, parameters: Vec<(String, String)>) -> Result<()> {
    parse::parse(collection, parameters, &rules(request)).map(drop)
}

/// Counts what a list with these parameters has, as its first page would say.
pub(crate) async fn count(
    request: &Request,
    collection: &'static Collection,
    parameters: Vec<(String, String)>,
) -> Result<Option<Total>> {
    let query = parse::parse(collection, parameters, &rules(request))?.query;
    Ok(ask(request, collection, &query, None).await?.hits.total)
}

/// Answers with a page: its body, and what the headers repeat of its end.
pub(crate) fn reply(request: &Request, body: Vec<u8>, end: &PageEnd<'_>) -> Reply {
    let mut reply = Reply::json(body).with(READ_SOURCE, end.engine);
    if let (Some(total), Some("eq")) = (end.total, end.total_relation) {
        reply = reply.with(TOTAL_COUNT, &total.to_string());
    }
    // The next page of a search is asked for with its body.
    match end.next_cursor.filter(|_| request.method != Method::POST) {
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
    let position = SortPosition { keys: Vec::new(), id, loose: None };
    request.app.search.cursor(&query, &[address(request)], position, Engine::Postgres)
}

/// Reads a cursor of [`cursor_after`].
pub(crate) fn resume_after(request: &Request, cursor: &str) -> Result<Uuid> {
    Ok(request.app.search.resume(cursor, &[address(request)])?.position.id)
}

/// A cursor belongs to its path, but the older address has the same list, and a search too.
fn address(request: &Request) -> (String, String) {
    let path = request.path.replacen("/api/v1/", "/api/", 1);
    let list = path.strip_suffix("/search").filter(|_| request.method == Method::POST);
    (String::new(), list.unwrap_or(&path).to_owned())
}

/// How the parameters of a list are read.
pub(crate) fn rules(request: &Request) -> Rules<'_> {
    let config = &request.app.config;
    Rules {
        refuse_large_pages: request.is_canonical(),
        region: &config.default_region,
        currency: config.default_currency,
        zone: config.default_time_zone,
        aging: &config.aging_days,
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
