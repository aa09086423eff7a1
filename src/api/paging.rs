//! Lists: one search, and the page that answers it.

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use hyper::Method;
use hyper::header::{HeaderName, LINK};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::{Authors, RecordWriter, Reply, Request, json};
use crate::app::App;
use crate::error::{Error, Result, clipped};
use crate::search::aggregate::Aggregated;
use crate::search::explain::explain;
use crate::search::parse::{self, ParsedList, Rules, Shape, View};
use crate::search::query::{Page, Query, SortPosition, Total};
use crate::search::{Answer, Asked, Collection, Filter, ListedIndex, Place, Reading, document};
use crate::values::clock::milliseconds;
use crate::values::json::Object;
use crate::values::lsn::Lsn;

/// Says who answered.
pub(crate) const READ_SOURCE: HeaderName = HeaderName::from_static("x-read-source");
const TOTAL_COUNT: HeaderName = HeaderName::from_static("x-total-count");

/// Size of a page if the client names none.
pub(crate) const PAGE_DEFAULT: u32 = 10;

/// Size of the largest page of the older address, whose clients know no larger one.
const OLDER_PAGE_LIMIT: u32 = 100;

/// Hits that are counted exactly and reached by page number: Elasticsearch's own default limits for both.
const TOTAL_LIMIT: u32 = 10_000;

/// Room for what follows the records of a page; a cursor may need more.
const END_BYTES: usize = 512;

/// What follows the records of a page.
#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PageEnd<'a> {
    pub(crate) total: Option<u64>,
    pub(crate) total_relation: Option<&'static str>,
    pub(crate) page: Option<u32>,
    pub(crate) limit: u32,
    pub(crate) total_pages: Option<u64>,
    pub(crate) next_cursor: Option<&'a str>,
    pub(crate) engine: &'static str,
    /// `frozen` if all pages show one moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) view: Option<&'static str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) degraded: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) stale: bool,
    /// Every change that was committed before is shown.
    #[serde(serialize_with = "milliseconds")]
    pub(crate) indexed_at: DateTime<Utc>,
    /// How long ago that was.
    pub(crate) lag_ms: u64,
    #[serde(flatten)]
    pub(crate) aggregated: Option<Aggregated<'a>>,
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
    let ParsedList { mut query, page, cursor, view, mut hashed, shape, about, typed } = parsed;
    hashed.push(address(request));
    query.filter = Filter::All(vec![part, query.filter]);
    let now = request.app.clock.now();
    let mut reading = if view == View::Frozen { Reading::Freeze } else { Reading::Live { scored_by: None } };
    if let Some(cursor) = cursor {
        let Place { position, scored_by, view } = search.resume(&cursor, &hashed)?;
        query.page = Page::After(position);
        reading = view.map_or(Reading::Live { scored_by }, Reading::Frozen);
    }
    let answer = ask(request, collection, &query, reading).await?;

    let scored_by = query.is_scored().then_some(answer.engine);
    let (is_frozen, lag_ms) = (answer.view.is_some(), answer.lag_ms(now));
    let place = answer.hits.next.map(|position| Place { position, scored_by, view: answer.view });
    let next = place.map(|place| search.cursor(&hashed, place)).transpose()?;
    let total = answer.hits.total;
    let records = answer.hits.documents.iter().map(|document| document::record(document));
    let phrase = query.phrase.as_ref().filter(|_| shape.highlight);
    let authors = Authors::of(&request.app, &request.app.db.read, records.clone()).await?;
    let writer =
        RecordWriter::open(&request.app, request.context.disclosure(), collection, &shape, authors, records.clone()).await?;
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
    let end = PageEnd {
        total: total.map(|total| total.value),
        total_relation: total.map(Total::relation),
        page,
        limit: query.limit,
        total_pages: total.map(|total| total.value.div_ceil(u64::from(query.limit))),
        next_cursor: next.as_deref(),
        engine: answer.engine.name(),
        degraded: answer.degraded,
        view: is_frozen.then_some("frozen"),
        stale: answer.lag >= request.app.config.search.stale_after,
        indexed_at: answer.indexed_at,
        lag_ms,
        aggregated: (!query.aggregates.is_empty())
            .then_some(Aggregated { aggregates: &query.aggregates, counted: &answer.hits.counted }),
    };
    body.extend_from_slice(b"],");
    body.extend_from_slice(&serde_json::to_vec(&end).map_err(Error::internal)?[1..]);
    request.log_search(collection.name, &about, &typed);
    Ok(reply(request, body, &end))
}

/// Asks for a list, which shows what the client has written.
pub(crate) async fn ask(request: &Request, collection: &'static Collection, query: &Query, reading: Reading) -> Result<Answer> {
    let wanted = request.wanted_lsn().await?;
    let asked = Asked { caller: request.context.caller(), reading, now: request.app.clock.now() };
    request.app.search.answer(collection, query, asked, index(&request.app, collection, wanted)).await
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
    Ok(ask(request, collection, &query, Reading::Live { scored_by: None }).await?.hits.total)
}

/// Answers with a page: its body, and what the headers repeat of its end.
pub(crate) fn reply(request: &Request, body: Vec<u8>, end: &PageEnd<'_>) -> Reply {
    let mut reply = Reply::json(body).with(READ_SOURCE, end.engine);
    if let (Some(total), Some("eq")) = (end.total, end.total_relation) {
        reply = reply.with(TOTAL_COUNT, &total.to_string());
    }
    // The other pages of a search are asked for with its body.
    let links = if request.method == Method::POST { Vec::new() } else { links(request, end) };
    if links.is_empty() { reply } else { reply.with(LINK, &links.join(", ")) }
}

/// Writes the cursor of a list that has one order and no filters, after a record.
pub(crate) fn cursor_after(request: &Request, id: Uuid) -> Result<String> {
    cursor_at(request, &[], SortPosition { keys: Vec::new(), id, loose: None })
}

/// Writes the cursor of a list of rows behind a position in its order; `about` is what decides besides the address which rows it has.
pub(crate) fn cursor_at(request: &Request, about: &[(String, String)], position: SortPosition) -> Result<String> {
    let hashed = [&[address(request)], about].concat();
    request.app.search.cursor(&hashed, Place { position, scored_by: None, view: None })
}

/// Reads a cursor of [`cursor_after`].
pub(crate) fn resume_after(request: &Request, cursor: &str) -> Result<Uuid> {
    Ok(resume_at(request, &[], cursor)?.id)
}

/// Reads a cursor of [`cursor_at`].
pub(crate) fn resume_at(request: &Request, about: &[(String, String)], cursor: &str) -> Result<SortPosition> {
    let hashed = [&[address(request)], about].concat();
    Ok(request.app.search.resume(cursor, &hashed)?.position)
}

/// The part of a list of rows that a request asks for. Such a list has one order.
pub struct Part {
    pub limit: u32,
    /// The last row of the part before.
    pub after: Option<Uuid>,
    most: u32,
}

/// Reads what part of a list of rows a request asks for; `others` are the parameters that the list knows besides.
pub fn part(request: &Request, others: &[&str]) -> Result<Part> {
    let mut part = Part::new(request);
    for (name, value) in request.parameters() {
        if !part.take(request, &name, &value)? && !others.contains(&&*name) {
            let known = [&["limit", "cursor", "syncToken"], others].concat().join(", ");
            return Err(Error::malformed("bad_parameter", format!("{}: known are {known}", clipped(&name))));
        }
    }
    Ok(part)
}

impl Part {
    /// The first part, of the usual size.
    #[must_use]
    pub fn new(request: &Request) -> Self {
        Self::of(PAGE_DEFAULT, rules(request).page_limit)
    }

    /// The first part, of so many rows or up to so many.
    #[must_use]
    pub fn of(limit: u32, most: u32) -> Self {
        Self { limit, after: None, most }
    }

    /// Takes a parameter that every list of rows has; false for any other.
    pub fn take(&mut self, request: &Request, name: &str, value: &str) -> Result<bool> {
        match name {
            "limit" => {
                let limit = value.parse().ok().filter(|limit| (1..=self.most).contains(limit));
                let wrong = || Error::malformed("bad_parameter", format!("limit: takes a whole number from 1 to {}", self.most));
                self.limit = limit.ok_or_else(wrong)?;
            }
            // The request was refused if its token is wrong.
            "syncToken" => {}
            "cursor" if value.is_empty() => {}
            "cursor" => self.after = Some(resume_after(request, value)?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// How many rows to read: one more than are shown tells that another part follows.
    #[must_use]
    pub fn to_read(&self) -> i64 {
        i64::from(self.limit) + 1
    }

    /// Leaves out the row that is not shown; returns the cursor of the part that it begins.
    pub fn end<T>(&self, request: &Request, rows: &mut Vec<T>, id: impl Fn(&T) -> Uuid) -> Result<Option<String>> {
        let (limit, has_more) = (self.limit as usize, rows.len() > self.limit as usize);
        rows.truncate(limit);
        rows.last().filter(|_| has_more).map(|last| cursor_after(request, id(last))).transpose()
    }

    /// Answers with the rows that were read, and where the next part begins.
    pub fn answer<T: Serialize>(&self, request: &Request, mut rows: Vec<T>, id: impl Fn(&T) -> Uuid) -> Result<Reply> {
        let next_cursor = self.end(request, &mut rows, id)?;
        json(&Rows { data: rows, limit: self.limit, next_cursor })
    }
}

/// A part of a list of rows.
#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "{T}Page")]
pub struct Rows<T> {
    data: Vec<T>,
    limit: u32,
    next_cursor: Option<String>,
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
    let page_limit = config.search.page_limit;
    Rules {
        refuse_large_pages: request.is_canonical(),
        region: &config.default_region,
        currency: config.default_currency,
        zone: config.default_time_zone,
        aging: &config.aging_days,
        page_default: PAGE_DEFAULT,
        page_limit: if request.is_canonical() { page_limit } else { page_limit.min(OLDER_PAGE_LIMIT) },
        total_limit: TOTAL_LIMIT,
        now: request.app.clock.now(),
        disclosure: request.context.disclosure(),
    }
}

/// The live index of a collection, once it shows every change up to the wanted LSN; none if that takes too long.
pub(crate) async fn index(app: &App, collection: &Collection, wanted: Option<Lsn>) -> Option<ListedIndex> {
    let (watermark, config) = (&app.watermark, &app.config);
    let mut index = watermark.live_index(collection.name).await?;
    if let Some(wanted) = wanted {
        // An index that is stale already does not catch up in a moment.
        let patience = if index.lag < config.search.stale_after { config.sync.wait } else { Duration::ZERO };
        if !watermark.reached(collection.name, wanted, patience).await {
            return None;
        }
        // Another one may have reached it.
        index = watermark.live_index(collection.name).await?;
    }
    Some(ListedIndex { name: index.name, lag: index.lag })
}

/// The pages around this one (RFC 8288). The one before is known by its number only.
fn links(request: &Request, end: &PageEnd<'_>) -> Vec<String> {
    let link = |relation: &str, place: Option<(&str, &str)>| {
        let kept = request.parameters().filter(|(name, _)| !matches!(&**name, "page" | "cursor"));
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(kept).extend_pairs(place).finish();
        let mark = if query.is_empty() { "" } else { "?" };
        format!("<{}{mark}{query}>; rel=\"{relation}\"", request.path)
    };
    let mut links: Vec<String> = end.next_cursor.map(|next| link("next", Some(("cursor", next)))).into_iter().collect();
    if let Some(page) = end.page.filter(|page| *page > 1) {
        links.push(link("prev", Some(("page", &(page - 1).to_string()))));
    }
    if end.page.is_some_and(|page| page > 1) || request.parameter("cursor").is_some() {
        links.push(link("first", None));
    }
    links
}
