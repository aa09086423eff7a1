//! Generic handlers: list, read, change, replace, remove, restore. A feature implements [`Resource`] for what differs.

mod bulk;
mod described;
mod personal;

use std::future::Future;

use futures_util::future::BoxFuture;
use hyper::StatusCode;
use hyper::header::LOCATION;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::api::fields;
use crate::api::{Authors, Contended, Context, Fields, Record, RecordWriter, Reply, Request, disclosed, no_content, paging};
use crate::auth::Caller;
use crate::db::rows::{self, Locked};
use crate::error::{Error, Result, Violations};
use crate::search::{Collection, Field, FieldKind, Filter, Loaded, PastDue, Terms, document};
use crate::values::aging::AsOf;
use crate::values::ids::UserId;
use crate::values::json::{Object, Value};
use crate::values::personal::Disclosure;

pub use bulk::{Begun, Bulk, BulkChanged, ChangeMany, change_many};
pub use described::{Changes, ChangesOfMany, List, New, Page, Removal, Replacement, Search, Shape, View};
pub(crate) use described::{NewOf, ViewOf};
pub use personal::{Reason, reveal};

/// A kind of record with an address of its own. Its table has the collection's name.
pub trait Resource: Fields + Serialize + JsonSchema + Default + Clone + Send + Sync {
    type Id: Copy + Send + Into<Uuid>;
    /// What a request for a new record takes besides the writable fields, and what it needs.
    type New: JsonSchema;
    /// What a request for changes takes besides the writable fields.
    type Changed: JsonSchema;
    /// In the singular, for messages.
    const NAME: &'static str;

    fn collection() -> &'static Collection;

    /// Returns the search forms; amounts and endings are added by the table of fields.
    fn terms(&self) -> Terms;

    /// Reads records with everything that they show, in one statement. Ids without a row are absent.
    fn select(connection: &mut PgConnection, ids: &[Uuid]) -> impl Future<Output = sqlx::Result<Vec<Self>>> + Send;

    /// Reads what documents compare and records do not show, for records that become documents.
    fn select_hidden(_connection: &mut PgConnection, _records: &mut [Self]) -> impl Future<Output = sqlx::Result<()>> + Send {
        async { Ok(()) }
    }

    /// Applies a request to the locked record and writes what came of it.
    fn change(
        connection: &mut PgConnection,
        before: &Self,
        patch: Patch,
        context: &Context<'_>,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Holds what the record belongs to, if that comes before its own row in the order of locks; see [`rows`].
    fn hold_parent(_connection: &mut PgConnection, _parent: Parent<'_>) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }

    /// Finds the record that writes to this one contend for: its own row, unless they lock a busier one. `members` is what a request
    /// changes.
    fn contended(_request: &Request, id: Uuid, _members: &Object) -> impl Future<Output = Result<Contended>> + Send {
        async move { Ok(Contended::Record(id)) }
    }

    /// Deletes the locked record softly; `is_forced` overrides what a caller should know first.
    fn remove(
        connection: &mut PgConnection,
        record: &Self,
        _is_forced: bool,
        by: Option<UserId>,
    ) -> impl Future<Output = Result<()>> + Send {
        async move { Ok(rows::remove(connection, Self::collection().name, record.id(), by.map(Uuid::from)).await?) }
    }

    /// Brings the locked record back.
    fn restore(connection: &mut PgConnection, record: &Self, by: Option<UserId>) -> impl Future<Output = Result<()>> + Send {
        async move { Ok(rows::restore(connection, Self::collection().name, record.id(), by.map(Uuid::from)).await?) }
    }
}

/// What a record belongs to after a step.
#[derive(Clone, Copy, Debug)]
pub enum Parent<'a> {
    /// The one that a request names, if it names one.
    Named(&'a Object),
    /// The one that the record with this id has.
    Current(Uuid),
}

/// A request to change or replace a record.
#[derive(Clone, Debug)]
pub struct Patch {
    pub members: Object,
    /// Whether members that are absent are cleared.
    pub is_replacement: bool,
}

impl Patch {
    /// Returns the record to apply the request to: without what a replacement does not name.
    pub fn base<R: Resource>(&self, before: &R) -> R {
        let mut base = before.clone();
        if self.is_replacement {
            fields::clear_unnamed(&mut base, &self.members);
        }
        base
    }
}

/// Applies the plain members of a request, and checks that the rest repeats what `before` shows.
pub fn apply<R: Resource>(
    before: &R,
    after: &mut R,
    mut patch: Patch,
    context: &Context<'_>,
    violations: &mut Violations,
) -> Result<()> {
    fields::apply(after, &mut patch.members, violations);
    // What repeats a computed member is gone by now; see `take_repeated`.
    let past_due = R::collection().past_due.iter().flat_map(|_| PastDue::FIELDS);
    for name in past_due.chain(Collection::AUTHORS.map(|(_, name)| name)) {
        if patch.members.remove(name).is_some() && context.is_strict {
            violations.add(format!("/{name}"), "not_changeable", "is computed and can only be repeated");
        }
    }
    if !patch.members.is_empty() {
        let shown = serde_json::to_vec(before).and_then(|shown| serde_json::from_slice(&shown)).map_err(Error::internal)?;
        fields::compare_rest(&patch.members, &shown, context.is_strict, violations);
    }
    Ok(())
}

/// For collections whose documents say all that is shown.
pub fn nothing_computed(_: &[u8], _: AsOf<'_>) -> serde_json::Result<String> {
    Ok(String::new())
}

/// Builds the documents for [`crate::search::Collection::load`].
pub fn load<'a, R: Resource>(connection: &'a mut PgConnection, ids: &'a [Uuid]) -> BoxFuture<'a, sqlx::Result<Vec<Loaded>>> {
    Box::pin(async move {
        let mut records = R::select(connection, ids).await?;
        R::select_hidden(connection, &mut records).await?;
        let load = |record: &R| Ok(Loaded { id: record.id(), source: document::write(record, &terms(record))? });
        records.iter().map(load).collect::<serde_json::Result<_>>().map_err(|error| sqlx::Error::Encode(error.into()))
    })
}

fn terms<R: Resource>(record: &R) -> Terms {
    let mut terms = record.terms();
    for member in R::MEMBERS {
        let column = || (member.get)(record).column();
        if let Field { kind: FieldKind::Money, indexed: true, name, .. } = member.field
            && let Some(minor) = column().as_i64()
        {
            terms.amount(name, minor);
        }
        if let Some(endings) = member.field.endings
            && let Some(number) = column().as_str()
        {
            terms.endings(endings.name, number);
        }
    }
    terms
}

/// Reads one record.
pub async fn find<R: Resource>(connection: &mut PgConnection, id: Uuid) -> Result<R> {
    R::select(connection, &[id]).await?.pop().ok_or(Error::NotFound(R::NAME))
}

/// Locks a record that is not deleted.
pub async fn lock<R: Resource>(connection: &mut PgConnection, id: Uuid) -> Result<Locked> {
    let locked = rows::lock(connection, R::collection().name, id).await?;
    locked.filter(|locked| locked.deleted_at.is_none()).ok_or(Error::NotFound(R::NAME))
}

/// Answers with a record: the same bytes that a list hands through from a document.
pub async fn answer<R: Resource>(connection: &mut PgConnection, record: &R, request: &Request) -> Result<Reply> {
    show(connection, record, request, request.context.disclosure()).await
}

async fn show<R: Resource>(
    connection: &mut PgConnection,
    record: &R,
    request: &Request,
    disclosure: Disclosure,
) -> Result<Reply> {
    let json = json_of(record)?;
    let authors = Authors::of(&request.app, connection, [json.as_slice()].into_iter()).await?;
    let shown = complete::<R>(&json, &computed::<R>(&json, &authors, request)?, disclosure)?;
    Ok(Reply::json(shown).with_version(record.locked().version))
}

/// The members of a record that are stored in no document, each behind a comma.
fn computed<R: Resource>(json: &[u8], authors: &Authors, request: &Request) -> Result<String> {
    let mut computed = (R::collection().computed)(json, request.as_of()).map_err(Error::internal)?;
    authors.write(json, &mut computed);
    Ok(computed)
}

/// Closes the JSON of a record, as far as a client may see it.
fn complete<R: Resource>(json: &[u8], computed: &str, disclosure: Disclosure) -> Result<Vec<u8>> {
    let mut shown = disclosed(json, R::collection(), disclosure)?.into_owned();
    shown.extend_from_slice(computed.as_bytes());
    shown.push(b'}');
    Ok(shown)
}

/// Serialises records as lists show them.
pub async fn show_all<R: Resource>(
    connection: &mut PgConnection,
    records: &[R],
    request: &Request,
) -> Result<Vec<Box<RawValue>>> {
    let records: Vec<Vec<u8>> = records.iter().map(json_of).collect::<Result<_>>()?;
    let authors = Authors::of(&request.app, connection, records.iter().map(Vec::as_slice)).await?;
    let show =
        |record: &Vec<u8>| raw(complete::<R>(record, &computed::<R>(record, &authors, request)?, request.context.disclosure())?);
    records.iter().map(show).collect()
}

/// Serialises something with members of a record, as far as the caller may see them.
pub fn show_part<R: Resource>(part: &impl Serialize, request: &Request) -> Result<Box<RawValue>> {
    raw(complete::<R>(&json_of(part)?, "", request.context.disclosure())?)
}

fn raw(json: Vec<u8>) -> Result<Box<RawValue>> {
    RawValue::from_string(String::from_utf8(json).map_err(Error::internal)?).map_err(Error::internal)
}

/// Serialises a record without the closing brace.
fn json_of(record: &impl Serialize) -> Result<Vec<u8>> {
    let mut json = serde_json::to_vec(record).map_err(Error::internal)?;
    json.pop();
    Ok(json)
}

/// Answers 201 with a new record.
pub async fn created<R: Resource>(connection: &mut PgConnection, id: Uuid, request: &Request) -> Result<Reply> {
    let record = find::<R>(connection, id).await?;
    let reply = answer(connection, &record, request).await?;
    let location = format!("/api/v1/{}/{id}", R::collection().name);
    Ok(reply.with(LOCATION, &location).with_status(StatusCode::CREATED))
}

pub async fn list<R: Resource>(caller: Caller, request: Request) -> Result<Reply> {
    list_part::<R>(&caller, &request, Filter::All(Vec::new())).await
}

/// Lists the records that a filter selects besides the request's own.
pub async fn list_part<R: Resource>(caller: &Caller, request: &Request, part: Filter) -> Result<Reply> {
    let list = paging::parse(request, R::collection())?;
    if list.shape.includes_deleted {
        caller.check_sees_deleted()?;
    }
    paging::list(request, R::collection(), part, list).await
}

/// Lists what the body of the request selects.
pub async fn search<R: Resource>(caller: Caller, mut request: Request) -> Result<Reply> {
    let body = request.object().await?;
    let list = paging::parse_body(&request, R::collection(), &body)?;
    if list.shape.includes_deleted {
        caller.check_sees_deleted()?;
    }
    paging::list(&request, R::collection(), Filter::All(Vec::new()), list).await
}

pub async fn read<R: Resource>(id: R::Id, caller: Caller, request: Request) -> Result<Reply> {
    let (id, shape) = (id.into(), paging::parse_shape(&request, R::collection())?);
    if shape.includes_deleted {
        caller.check_sees_deleted()?;
    }
    let read = async |connection: &mut PgConnection| {
        let Some(record) = R::select(connection, &[id]).await?.pop() else { return Ok(None) };
        let (json, mut shown) = (json_of(&record)?, Vec::new());
        let records = [json.as_slice()].into_iter();
        let authors = Authors::of(&request.app, connection, records.clone()).await?;
        let writer =
            RecordWriter::open(&request.app, request.context.disclosure(), R::collection(), &shape, authors, records).await?;
        writer.write(&json, &mut shown)?;
        let locked = record.locked();
        Ok(Some(Record { reply: Reply::json(shown).with_version(locked.version), is_deleted: locked.deleted_at.is_some() }))
    };
    let reply = request.record(R::NAME, read).await?;
    request.log_read(R::collection().name, id);
    Ok(reply)
}

/// Changes what the request names (RFC 7396).
pub async fn change<R: Resource>(id: R::Id, caller: Caller, mut request: Request) -> Result<Reply> {
    let members = request.object().await?;
    edit::<R>(id.into(), &caller, &request, Patch { members, is_replacement: false }).await
}

/// Replaces all that a client can set; clients of the older address mean a change.
pub async fn replace<R: Resource>(id: R::Id, caller: Caller, mut request: Request) -> Result<Reply> {
    let members = request.object().await?;
    let is_replacement = request.is_canonical();
    edit::<R>(id.into(), &caller, &request, Patch { members, is_replacement }).await
}

/// Applies a patch, which the caller may make, to one record.
pub async fn edit<R: Resource>(id: Uuid, caller: &Caller, request: &Request, patch: Patch) -> Result<Reply> {
    let context = request.rule_context(caller.id, caller.authority());
    let contended = R::contended(request, id, &patch.members).await?;
    request
        .write(caller.id, contended, async |connection| {
            R::hold_parent(connection, Parent::Named(&patch.members)).await?;
            request.expect_version(lock::<R>(connection, id).await?.version)?;
            let before = find::<R>(connection, id).await?;
            let mut patch = patch;
            take_repeated(connection, &before, &mut patch.members, request).await?;
            personal::unmask(&before, &mut patch.members, request.context.disclosure())?;
            R::change(connection, &before, patch, &context).await?;
            let after = find::<R>(connection, id).await?;
            answer(connection, &after, request).await
        })
        .await
}

/// Takes out the computed members that a request repeats as they are shown in its zone.
async fn take_repeated<R: Resource>(
    connection: &mut PgConnection,
    before: &R,
    members: &mut Object,
    request: &Request,
) -> Result<()> {
    let json = json_of(before)?;
    let authors = Authors::of(&request.app, connection, [json.as_slice()].into_iter()).await?;
    let computed = computed::<R>(&json, &authors, request)?;
    for (name, shown) in document::members(computed.as_bytes()) {
        let shown = serde_json::from_slice::<Value>(shown).map_err(Error::internal)?;
        members.retain(|member, value| member.as_bytes() != name || *value != shown);
    }
    Ok(())
}

pub async fn remove<R: Resource>(id: R::Id, caller: Caller, request: Request) -> Result<Reply> {
    let id = id.into();
    let is_forced = request.flag("force")?;
    let contended = R::contended(&request, id, &Object::new()).await?;
    request
        .write(caller.id, contended, async |connection| {
            request.expect_version(lock::<R>(connection, id).await?.version)?;
            let record = find::<R>(connection, id).await?;
            R::remove(connection, &record, is_forced, Some(caller.id)).await?;
            Ok(no_content())
        })
        .await
}

pub async fn restore<R: Resource>(id: R::Id, caller: Caller, request: Request) -> Result<Reply> {
    let id = id.into();
    let contended = R::contended(&request, id, &Object::new()).await?;
    request
        .write(caller.id, contended, async |connection| {
            R::hold_parent(connection, Parent::Current(id)).await?;
            let locked = rows::lock(connection, R::collection().name, id).await?.ok_or(Error::NotFound(R::NAME))?;
            request.expect_version(locked.version)?;
            let record = find::<R>(connection, id).await?;
            if record.locked().deleted_at.is_none() {
                return answer(connection, &record, &request).await;
            }
            R::restore(connection, &record, Some(caller.id)).await?;
            let after = find::<R>(connection, id).await?;
            answer(connection, &after, &request).await
        })
        .await
}
