//! A whole import in one request: the file is mapped by itself and committed.

use schemars::JsonSchema;
use serde::Serialize;
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use super::new::{begin, keep};
use super::requests::{BulkUploadForm, SHORT_FORM, Said};
use super::shown::Warning;
use super::{UPLOAD_TIME, upload_limit};
use crate::api::files::Upload;
use crate::api::{Contended, Reply, Request, json};
use crate::app::App;
use crate::audit;
use crate::auth::Permission::Import;
use crate::auth::{Caller, count_bulk, may};
use crate::error::{Error, Result, Violations};
use crate::http::Routes;
use crate::imports::run::{self, Task};
use crate::imports::store::rows::{self as stored_rows, Filter};
use crate::imports::store::{self, Action, Counts};
use crate::imports::{Issue, Severity, Target};
use crate::jobs::Terms;
use crate::operation::OrJob;
use crate::routes;
use crate::values::ids::ImportId;

/// The access matrix of uploads beside the records that they become.
pub fn routes(app: &App) -> Routes {
    Routes::join(vec![
        routes! { app, "customers";
            /// Import a file of customers in one request. Many rows are a job.
            post ("bulk-upload") may(Import) up_to(upload_limit(app)) within(UPLOAD_TIME) => customers: BulkUploadForm -> Uploaded;
        },
        routes! { app, "accounts";
            /// Import a file of accounts in one request. Many rows are a job.
            post ("bulk-upload") may(Import) up_to(upload_limit(app)) within(UPLOAD_TIME) => accounts: BulkUploadForm -> Uploaded;
        },
        routes! { app, "payments";
            /// Import a file of payments in one request. Many rows are a job.
            post ("bulk-upload") may(Import) up_to(upload_limit(app)) within(UPLOAD_TIME) => payments: BulkUploadForm -> Uploaded;
        },
    ])
}

/// What became of each row, or the job that goes on.
type Uploaded = OrJob<Summary, Begun>;

/// What became of the rows of a file, in the words of existing clients and in those of imports.
#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "BulkUploadSummary")]
struct Summary {
    message: String,
    /// Rows of the file.
    total: u64,
    /// Rows whose record is there now, also those of records that were there before.
    successful: u64,
    failed: u64,
    /// Every error of every row that failed.
    errors: Vec<RowError>,
    /// The same as `total`.
    total_processed: u64,
    /// The same as `successful`.
    success_count: u64,
    /// The same as `failed`.
    error_count: u64,
    created: u64,
    updated: u64,
    unchanged: u64,
    /// Their records were there, and the mode is `insert`.
    skipped: u64,
    /// The import, with its report and its undo.
    import_id: Uuid,
    warnings: Vec<Warning>,
}

/// An upload that goes on after the answer.
#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "BulkUploadBegun")]
struct Begun {
    message: &'static str,
    job_id: Uuid,
    import_id: Uuid,
    warnings: Vec<Warning>,
}

/// One error of a row.
#[derive(JsonSchema, Serialize)]
#[schemars(rename = "BulkUploadError")]
struct RowError {
    /// As a spreadsheet counts: the headings are above it.
    row: u64,
    /// Null if it is about the whole row.
    field: Option<String>,
    message: String,
    /// Stable word for programs.
    code: String,
    /// The heading of the column.
    column: Option<String>,
    /// Such as F17.
    cell: Option<String>,
    value: Option<String>,
    /// What to type instead, or what to do.
    suggestion: Option<String>,
}

impl From<Issue> for RowError {
    fn from(issue: Issue) -> Self {
        let Issue { row, field, message, code, column, cell, value, suggestion, .. } = issue;
        Self { row, field, message, code, column, cell, value, suggestion }
    }
}

async fn customers(caller: Caller, request: Request) -> Result<Reply> {
    upload(Target::Customers, caller, request).await
}

async fn accounts(caller: Caller, request: Request) -> Result<Reply> {
    upload(Target::Accounts, caller, request).await
}

async fn payments(caller: Caller, request: Request) -> Result<Reply> {
    upload(Target::Payments, caller, request).await
}

async fn upload(target: Target, caller: Caller, mut request: Request) -> Result<Reply> {
    count_bulk(&request, &caller).await?;
    let mut upload = request.upload(&SHORT_FORM).await?;
    let mut violations = Violations::default();
    let said = Said::of_form(std::mem::take(&mut upload.fields), &mut violations);
    violations.check()?;
    let (import, proposal) = begin(target, &upload, &said, &caller, &request).await?;
    let mut violations = Violations::default();
    proposal.mapping.check(&mut violations);
    violations.check()?;
    let import = stored(import, upload, &caller, &request).await?;
    request.context.put_off_deadline(request.app.config.imports.sheets.read_timeout);
    let (id, warnings) = (import.id, proposal.warnings);
    let reply = request.write(caller.id, Contended::Nothing, async |connection| {
        let mut import = import;
        if import.rows.is_none_or(|rows| rows.unsigned_abs() > run::SHORT) || request.prefers_async() {
            let job = run::start(&request.app, connection, &mut import, Task::Commit, Terms::default().by(caller.id)).await?;
            let begun = Begun { message: "the import has begun", job_id: job.0, import_id: id.0, warnings };
            return request.accepted(job, &begun);
        }
        let import = run::run_now(&request.app, connection, id, Task::Commit).await?;
        if let Some(problem) = import.problem {
            return Err(Error::invalid("/file", "import_refused", problem));
        }
        json(&Summary::of(connection, id, import.committed.0, warnings).await?)
    });
    let reply = reply.await;
    // Nothing of an upload that failed stays, nor of one that was answered before.
    if !reply.as_ref().is_ok_and(|reply| !reply.is_replayed()) {
        forget(id, &request).await?;
    }
    reply
}

/// Stores the import and its file in a transaction of their own: what reads the file has to see it.
async fn stored(mut import: store::Import, upload: Upload, caller: &Caller, request: &Request) -> Result<store::Import> {
    let mut connection = request.app.db.server.acquire().await?;
    let mut transaction = connection.begin_with(audit::begin(Some(caller.id), request.context.id())).await?;
    import.file_id = Some(keep(&mut transaction, upload, caller, request).await?);
    store::insert(&mut transaction, &import).await?;
    let import = store::lock(&mut transaction, import.id).await?;
    transaction.commit().await?;
    Ok(import)
}

async fn forget(id: ImportId, request: &Request) -> Result<()> {
    let mut transaction = request.app.db.server.begin().await?;
    let import = store::lock(&mut transaction, id).await?;
    store::remove(&mut transaction, &import).await?;
    Ok(transaction.commit().await?)
}

impl Summary {
    /// Reads what became of the rows.
    async fn of(connection: &mut PgConnection, id: ImportId, counts: Counts, warnings: Vec<Warning>) -> Result<Self> {
        let Counts { rows, created, updated, unchanged, skipped, failed, .. } = counts;
        let filter = Filter { action: Some(Action::Error), status: None };
        let failed_rows = stored_rows::page(connection, id, &filter, 0, i64::try_from(rows).map_err(Error::internal)?).await?;
        let issues = failed_rows.into_iter().filter_map(|row| row.issues).flat_map(|issues| issues.0);
        let errors = issues.filter(|issue| issue.severity == Severity::Error).map(RowError::from).collect();
        let successful = rows.saturating_sub(failed);
        Ok(Self {
            message: format!("{successful} of {rows} rows are imported"),
            total: rows,
            successful,
            failed,
            errors,
            total_processed: rows,
            success_count: successful,
            error_count: failed,
            created,
            updated,
            unchanged,
            skipped,
            import_id: id.0,
            warnings,
        })
    }
}
