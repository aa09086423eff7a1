//! The addresses of saved searches.

use hyper::StatusCode;
use hyper::header::LOCATION;
use schemars::JsonSchema;
use serde::Serialize;
use sqlx::PgConnection;

use super::requests::{Changes, Counting, Listing, NewSearch};
use super::saved_search::{SavedSearch, Visibility};
use super::store;
use crate::api::paging::{self, PAGE_DEFAULT, Part};
use crate::api::{Contended, Reply, Request, fields, json, no_content};
use crate::app::App;
use crate::auth::Permission::{self, Read};
use crate::auth::{Caller, may};
use crate::collections;
use crate::error::{Error, Result, Violation, Violations};
use crate::http::Routes;
use crate::operation::{Created, NoContent, Nothing};
use crate::routes;
use crate::search::query::Total;
use crate::values::ids::SavedSearchId;

const NAME: &str = "saved search";
/// Far more than a menu shows, and little work to check whenever they are listed.
const MOST_OF_AN_OWNER: i64 = 100;
/// Searches of a page that are counted: each count is a search of its own.
const MOST_COUNTED: u32 = 20;

/// The access matrix of saved searches. Who sees and changes one is a matter of its visibility and its owner.
pub fn routes(app: &App) -> Routes {
    routes! { app, "saved-searches";
        get    ()              may(Read) => list:   Listing -> Page;
        post   ()              may(Read) => create: NewSearch -> Created<Shown>;
        get    (SavedSearchId) may(Read) => read:   Counting -> Shown;
        patch  (SavedSearchId) may(Read) => change: Changes -> Shown;
        delete (SavedSearchId) may(Read) => remove: Nothing -> NoContent;
    }
}

/// A search as a caller sees it.
#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "SavedSearch")]
struct Shown<'a> {
    #[serde(flatten)]
    search: &'a SavedSearch,
    /// Absent for an invalid one.
    url: Option<String>,
    is_valid: bool,
    problems: Vec<Violation>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    count: Option<Count>,
}

/// The hits of its list now; null for an invalid one.
#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
struct Count {
    count: Option<u64>,
    count_relation: Option<&'static str>,
}

impl From<Option<Total>> for Count {
    fn from(total: Option<Total>) -> Self {
        Self { count: total.map(|total| total.value), count_relation: total.map(Total::relation) }
    }
}

#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "SavedSearchPage")]
struct Page<'a> {
    data: Vec<Shown<'a>>,
    limit: u32,
    next_cursor: Option<String>,
}

/// What the parameters of the list ask for.
struct Asked {
    collection: Option<String>,
    part: Part,
    counts: bool,
}

async fn list(caller: Caller, request: Request) -> Result<Reply> {
    let asked = Asked::read(&request)?;
    let (db, part) = (&request.app.db.read, &asked.part);
    let mut ids = store::page(db, &caller, asked.collection.as_deref(), part.after, part.to_read()).await?;
    let next_cursor = part.end(&request, &mut ids, |id| *id)?;
    let (searches, mut data) = (store::select(db, &ids).await?, Vec::with_capacity(ids.len()));
    for search in &searches {
        data.push(if asked.counts { counted(search, &caller, &request).await? } else { shown(search, &caller, &request) });
    }
    json(&Page { data, limit: part.limit, next_cursor })
}

async fn create(caller: Caller, mut request: Request) -> Result<Reply> {
    let body = request.object().await?;
    let mut violations = Violations::default();
    let search = SavedSearch::read_new(body, caller.id, &mut violations);
    if !search.collection.is_empty() {
        violations.nest("", search.problems(&caller, &request));
    }
    violations.check()?;
    check_publication(&search, Visibility::Private, &caller)?;
    request
        .write(caller.id, Contended::Record(caller.id.0), async |connection| {
            store::lock_owner(connection, search.owner_id).await?;
            if store::count_of(connection, search.owner_id).await? >= MOST_OF_AN_OWNER {
                let detail = format!("a user keeps at most {MOST_OF_AN_OWNER} searches; delete one");
                return Err(Error::conflict("too_many_saved_searches", detail));
            }
            store::insert(connection, &search).await?;
            let reply = stored(connection, SavedSearchId(search.id), &caller, &request).await?;
            let location = format!("/api/v1/saved-searches/{}", search.id);
            Ok(reply.with(LOCATION, &location).with_status(StatusCode::CREATED))
        })
        .await
}

async fn read(id: SavedSearchId, caller: Caller, request: Request) -> Result<Reply> {
    let search = visible(store::find(&request.app.db.read, id).await?, &caller)?;
    let shown =
        if request.flag("count")? { counted(&search, &caller, &request).await? } else { shown(&search, &caller, &request) };
    Ok(json(&shown)?.with_version(search.version))
}

/// Changes what the request names.
async fn change(id: SavedSearchId, caller: Caller, mut request: Request) -> Result<Reply> {
    let mut body = request.object().await?;
    let owner = visible(store::find(&request.app.db.read, id).await?, &caller)?.owner_id;
    request
        .write(caller.id, Contended::Record(owner), async |connection| {
            store::lock_owner(connection, owner).await?;
            let before = changeable(connection, id, &caller, &request).await?;
            let (mut after, mut violations) = (before.clone(), Violations::default());
            after.apply(&mut body, &mut violations);
            let repeated = serde_json::to_string(&shown(&before, &caller, &request)).map_err(Error::internal)?;
            let repeated = serde_json::from_str(&repeated).map_err(Error::internal)?;
            fields::compare_rest(&body, &repeated, request.is_canonical(), &mut violations);
            // An invalid one can be renamed, unpinned or hidden all the same.
            if !after.has_list_of(&before) {
                violations.nest("", after.problems(&caller, &request));
            }
            violations.check()?;
            check_publication(&after, before.visibility, &caller)?;
            store::update(connection, &after).await?;
            stored(connection, id, &caller, &request).await
        })
        .await
}

async fn remove(id: SavedSearchId, caller: Caller, request: Request) -> Result<Reply> {
    let owner = visible(store::find(&request.app.db.read, id).await?, &caller)?.owner_id;
    request
        .write(caller.id, Contended::Record(owner), async |connection| {
            store::lock_owner(connection, owner).await?;
            changeable(connection, id, &caller, &request).await?;
            store::remove(connection, id.0).await?;
            Ok(no_content())
        })
        .await
}

/// Hides what the caller may not know of.
fn visible(search: Option<SavedSearch>, caller: &Caller) -> Result<SavedSearch> {
    search.filter(|search| search.is_visible_to(caller)).ok_or(Error::NotFound(NAME))
}

/// Reads a search that the caller may change, in the version that the request expects.
async fn changeable(connection: &mut PgConnection, id: SavedSearchId, caller: &Caller, request: &Request) -> Result<SavedSearch> {
    let search = visible(store::find(connection, id).await?, caller)?;
    search.check_change_by(caller)?;
    request.expect_version(search.version)?;
    Ok(search)
}

/// Only managers publish a search to all.
fn check_publication(after: &SavedSearch, before: Visibility, caller: &Caller) -> Result<()> {
    let is_published = after.visibility == Visibility::Global && before != Visibility::Global;
    if is_published { caller.require(Permission::Manage) } else { Ok(()) }
}

/// Answers with the search as it is stored now.
async fn stored(connection: &mut PgConnection, id: SavedSearchId, caller: &Caller, request: &Request) -> Result<Reply> {
    let search = store::find(connection, id).await?.ok_or(Error::NotFound(NAME))?;
    Ok(json(&shown(&search, caller, request))?.with_version(search.version))
}

fn shown<'a>(search: &'a SavedSearch, caller: &Caller, request: &Request) -> Shown<'a> {
    let problems = search.problems(caller, request).take();
    let is_valid = problems.is_empty();
    Shown { search, url: is_valid.then(|| search.url()), is_valid, problems, count: None }
}

async fn counted<'a>(search: &'a SavedSearch, caller: &Caller, request: &Request) -> Result<Shown<'a>> {
    let shown = shown(search, caller, request);
    let total = match collections::find(&search.collection).filter(|_| shown.is_valid) {
        Some(collection) => paging::count(request, collection, search.parameters()).await?,
        None => None,
    };
    Ok(Shown { count: Some(total.into()), ..shown })
}

impl Asked {
    fn read(request: &Request) -> Result<Self> {
        let counts = request.flag("count")?;
        let part = if counts { Part::of(PAGE_DEFAULT, MOST_COUNTED) } else { Part::new(request) };
        let mut asked = Self { collection: None, part, counts };
        for (name, value) in request.parameters() {
            if asked.part.take(request, &name, &value)? {
                continue;
            }
            let refused = |message: String| Error::malformed("bad_parameter", format!("{name}: {message}"));
            match &*name {
                "collection" => asked.collection = Some(value.into_owned()),
                "count" => {}
                _ => return Err(refused("known are collection, count, limit, cursor and syncToken".into())),
            }
        }
        Ok(asked)
    }
}
