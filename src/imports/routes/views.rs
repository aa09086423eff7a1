//! What imports show of themselves: their progress, their rows, and what is wrong with those.

use clap::ValueEnum;
use serde_json::Value;
use uuid::Uuid;

use super::requests::UNDONE;
use super::shown::{Limits, Preview, Progress, Report, Shown, ShownRow, TargetFields};
use super::{owner, visible};
use crate::api::paging;
use crate::api::{Reply, Request, json};
use crate::auth::Caller;
use crate::error::{Error, Result};
use crate::imports::store::rows::{self as stored_rows, Difference, Filter, Row};
use crate::imports::store::{self, ACTIONS, Action, Import, issues};
use crate::imports::{Target, guide, run};
use crate::jobs;
use crate::search::FieldKind;
use crate::values::ids::{ImportId, JobId};
use crate::values::personal::{Disclosure, Personal};

/// Rows of a kind that a preview shows.
const PREVIEWED: i64 = 10;

/// Endings of the files that are read.
const FORMATS: [&str; 6] = ["xlsx", "xlsm", "xls", "ods", "csv", "tsv"];

pub(super) async fn limits(_caller: Caller, request: Request) -> Result<Reply> {
    let sheets = &request.app.config.imports.sheets;
    let fields =
        |target: Target| TargetFields { target, key: target.key(), required: target.required(), fields: guide::guides(target) };
    json(&Limits {
        max_file_bytes: sheets.max_file_bytes,
        max_rows: sheets.max_rows,
        max_columns: sheets.max_columns,
        formats: FORMATS,
        rows_at_once: run::SHORT,
        targets: Target::value_variants().iter().copied().map(fields).collect(),
    })
}

pub(super) async fn list(caller: Caller, request: Request) -> Result<Reply> {
    let part = paging::part(&request, &[])?;
    let imports = store::page(&request.app.db.read, owner(&caller), part.after, part.to_read()).await?;
    part.answer(&request, imports.into_iter().map(Shown::from).collect(), |import| import.id)
}

pub(super) async fn read(id: ImportId, caller: Caller, request: Request) -> Result<Reply> {
    let import = visible(id, &caller, &request).await?;
    progress(import, &request).await
}

/// Answers with an import and the job that works on it.
pub(super) async fn progress(import: Import, request: &Request) -> Result<Reply> {
    let version = import.version;
    let job = match import.job_id {
        Some(job) => jobs::store::find(&request.app.db.read, JobId(job)).await?,
        None => None,
    };
    Ok(json(&Progress { import: import.into(), job })?.with_version(version))
}

/// What a commit would do: counts, and the first rows of each kind.
pub(super) async fn preview(id: ImportId, caller: Caller, request: Request) -> Result<Reply> {
    let import = visible(id, &caller, &request).await?;
    let first = async |action| {
        let filter = Filter { action: Some(action), status: None };
        let rows = stored_rows::page(&request.app.db.read, id, &filter, 0, PREVIEWED).await?;
        Ok::<_, Error>(rows.into_iter().map(|row| shown(row, &import, &caller)).collect())
    };
    json(&Preview {
        state: import.state,
        counts: import.validated.0,
        updates: first(Action::Update).await?,
        creates: first(Action::Create).await?,
        errors: first(Action::Error).await?,
    })
}

pub(super) async fn rows(id: ImportId, caller: Caller, request: Request) -> Result<Reply> {
    let import = visible(id, &caller, &request).await?;
    let part = paging::part(&request, &["status"])?;
    let filter = request.parameter("status").map(|status| filter(&status)).transpose()?.unwrap_or_default();
    let after = part.after.map_or(0, number_of);
    let rows = stored_rows::page(&request.app.db.read, id, &filter, after, part.to_read()).await?;
    let rows = rows.into_iter().map(|row| shown(row, &import, &caller)).collect();
    part.answer(&request, rows, |row: &ShownRow| place_of(row.row))
}

/// A cursor holds a UUID.
fn place_of(number: i64) -> Uuid {
    Uuid::from_u64_pair(0, number.unsigned_abs())
}

fn number_of(place: Uuid) -> i64 {
    i64::try_from(place.as_u64_pair().1).unwrap_or(i64::MAX)
}

/// Reads the parameter `status`: what rows do, or what an undo did.
fn filter(status: &str) -> Result<Filter> {
    if UNDONE.contains(&status) {
        return Ok(Filter { action: None, status: Some(status.to_owned()) });
    }
    let known = || ACTIONS.known.iter().copied().chain(UNDONE).collect::<Vec<_>>().join(", ");
    let action = serde_json::from_value::<Action>(status.into());
    let action = action.map_err(|_| Error::malformed("bad_parameter", format!("status: takes one of {}", known())))?;
    Ok(Filter { action: Some(action), status: None })
}

/// A row as a caller may see it: what stood in a record is masked like the record.
fn shown(row: Row, import: &Import, caller: &Caller) -> ShownRow {
    let mut row = ShownRow::from(row);
    if caller.disclosure() == Disclosure::Masked {
        row.changes.iter_mut().for_each(|change| mask(change, import.target));
    }
    row
}

/// Masks what stood in a personal field; what is no field of the record's own is of its address.
fn mask(change: &mut Difference, target: Target) {
    let own = target.collection().fields.iter().find(|field| field.name == change.field);
    let Some(personal) = own.map_or(Some(Personal::Text), |field| field.personal) else { return };
    let is_text = !own.is_some_and(|field| matches!(field.kind, FieldKind::Day));
    change.before = match change.before.as_str().filter(|_| is_text) {
        Some(text) => personal.mask(text).into(),
        None => Value::Null,
    };
}

pub(super) async fn report(id: ImportId, caller: Caller, request: Request) -> Result<Reply> {
    let import = visible(id, &caller, &request).await?;
    let issues = issues::groups(&request.app.db.read, id).await?;
    json(&Report {
        state: import.state,
        validated: import.validated.0,
        committed: import.committed.0,
        undone: import.undone.0,
        issues,
    })
}
