//! The addresses of the files that jobs write.

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::TryStreamExt;
use hyper::header::CONTENT_LENGTH;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use sqlx::PgConnection;

use super::link;
use super::plan::Plan;
use super::store::{self, Export};
use super::table::Format;
use crate::api::paging::{self, Rows};
use crate::api::{self, Contended, Reply, Request, files, no_content};
use crate::app::App;
use crate::audit::Action;
use crate::auth::Permission::{self, Manage, Personal};
use crate::auth::{self, Caller, may, public};
use crate::error::{Error, Result};
use crate::http::Routes;
use crate::jobs::store::Command;
use crate::operation::{Answers, NoContent, Nothing, Operation, Takes, Unversioned};
use crate::routes;
use crate::storage;
use crate::values::clock::milliseconds;
use crate::values::ids::{ExportId, JobId, UserId};
use crate::values::personal::Disclosure;

const NAME: &str = "export";

/// How long a file is kept: those who asked for it are back at work within a week.
pub(super) const KEPT: TimeDelta = TimeDelta::days(7);

/// The access matrix of exports that jobs do. Users see their own ones, managers those of all.
pub(super) fn routes(app: &App) -> Routes {
    use Permission::Export;
    routes! { app, "exports";
        get    ()                  may(Export) => list:     Listing -> Rows<Shown>;
        get    (ExportId)          may(Export) => read:     Nothing -> Shown;
        /// Delete an export with its file. A job that is still at it is cancelled.
        delete (ExportId)          may(Export) => remove:   Unversioned<Nothing> -> NoContent;
        /// Download the file of an export, with a session or by a signed link.
        get    (ExportId / "file") public      => download: Link -> StoredFile;
    }
}

/// An export as clients see it.
#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "StoredExport")]
pub(super) struct Shown {
    #[serde(flatten)]
    export: Export,
    /// Where the file is: an address that needs no session for a while.
    #[serde(skip_serializing_if = "Option::is_none")]
    download_url: Option<String>,
    /// Until when.
    #[serde(serialize_with = "milliseconds", skip_serializing_if = "Option::is_none")]
    download_expires_at: Option<DateTime<Utc>>,
}

impl Shown {
    fn new(export: Export, app: &App, caller: &Caller) -> Self {
        let is_there = export.rows.is_some() && check_disclosed(&export, caller).is_ok();
        let (download_url, download_expires_at) = is_there.then(|| link::sign(app, ExportId(export.id), caller.id)).unzip();
        Self { export, download_url, download_expires_at }
    }
}

/// The parameters of the list.
struct Listing;

impl Takes for Listing {
    fn describe(operation: &mut Operation<'_>) {
        operation.pages();
    }
}

/// The file that a job has written.
struct StoredFile;

impl Answers for StoredFile {
    fn describe(operation: &mut Operation<'_>) {
        operation.answers_files(Format::ALL.map(Format::bare_media_type));
        // The row is open to signed links, and asks others for a session and the permission.
        operation.problems.extend([401, 403, 409]);
    }
}

/// The parameters of a signed link.
struct Link;

impl Takes for Link {
    fn describe(operation: &mut Operation<'_>) {
        let text = || json!({ "type": "string" });
        operation.query("user", "Whose link it is.", text());
        operation.query("until", "Until when it is good, in seconds since 1970.", text());
        operation.query("signature", "Stands for a session; `downloadUrl` of an export has all three.", text());
    }
}

/// An export that the caller has just asked for.
pub(super) async fn shown(connection: &mut PgConnection, id: ExportId, caller: &Caller, request: &Request) -> Result<Shown> {
    let export = store::find(connection, id, request.app.clock.now()).await?.ok_or(Error::NotFound(NAME))?;
    Ok(Shown::new(export, &request.app, caller))
}

async fn list(caller: Caller, request: Request) -> Result<Reply> {
    let part = paging::part(&request, &[])?;
    let (app, of) = (&request.app, (!caller.has(Manage)).then_some(caller.id));
    let exports = store::page(&app.db.read, of, app.clock.now(), part.after, part.to_read()).await?;
    let exports = exports.into_iter().map(|export| Shown::new(export, app, &caller)).collect();
    part.answer(&request, exports, |shown: &Shown| shown.export.id)
}

async fn read(id: ExportId, caller: Caller, request: Request) -> Result<Reply> {
    let export = visible(id, &caller, &request).await?;
    api::json(&Shown::new(export, &request.app, &caller))
}

async fn remove(id: ExportId, caller: Caller, request: Request) -> Result<Reply> {
    let export = visible(id, &caller, &request).await?;
    let remove = async |connection: &mut PgConnection| {
        if let Some(job) = export.job_id.filter(|_| !export.status.is_finished()) {
            match crate::jobs::store::command(connection, JobId(job), Command::Cancel).await {
                // It finished meanwhile.
                Err(Error::Conflict { .. }) => {}
                cancelled => drop(cancelled?),
            }
        }
        storage::remove(connection, export.file()).await?;
        Ok(no_content())
    };
    request.write(caller.id, Contended::Nothing, remove).await
}

async fn download(id: ExportId, request: Request) -> Result<Reply> {
    let export = match link::verify(&request, id)? {
        Some(user) => linked(id, user, &request).await?,
        None => {
            let caller = auth::caller(&request).await?;
            let caller = caller.ok_or(Error::Unauthenticated("this needs a valid access token, or a signed link"))?;
            request.context.identify(caller.id);
            caller.require(Permission::Export)?;
            let export = visible(id, &caller, &request).await?;
            check_disclosed(&export, &caller)?;
            export
        }
    };
    let Some(rows) = export.rows else {
        return Err(Error::conflict(
            "export_unfinished",
            format!("the file is not complete: its job is {}", export.status.name()),
        ));
    };
    let plan = Plan::read(&request.app, export.collection()?, &export.parameters()?, export.occasion())?;
    let mut details = plan.details(&request.app);
    details["rows"] = rows.into();
    let entry = request.audit_entry(Action::Export, plan.collection.name, Some(id.0), Some(details.to_string()));
    request.app.audit.write(entry).await?;
    let (file, pool) = (export.file(), request.app.db.read.clone());
    let media_type = Format::read(&export.format)?.media_type();
    let reply = files::generated(&export.file_name, media_type, |sink| async move {
        let mut parts = std::pin::pin!(storage::stream(pool, file));
        while let Some(part) = parts.try_next().await? {
            sink.send(part).await;
        }
        Ok(())
    });
    Ok(reply.with(CONTENT_LENGTH, &export.bytes.to_string()))
}

/// The export of a link, which says that its user may have it.
async fn linked(id: ExportId, user: UserId, request: &Request) -> Result<Export> {
    request.context.identify(user);
    store::find(&request.app.db.read, id, request.app.clock.now()).await?.ok_or(Error::NotFound(NAME))
}

/// Reads an export; one of another user is not found, but by managers.
async fn visible(id: ExportId, caller: &Caller, request: &Request) -> Result<Export> {
    let export = store::find(&request.app.db.read, id, request.app.clock.now()).await?;
    export.filter(|export| export.created_by == caller.id.0 || caller.has(Manage)).ok_or(Error::NotFound(NAME))
}

/// Refuses personal data to a caller who may not, or no longer, see it.
fn check_disclosed(export: &Export, caller: &Caller) -> Result<()> {
    match export.disclosure() {
        Disclosure::Full => caller.require(Personal),
        Disclosure::Masked => Ok(()),
    }
}
