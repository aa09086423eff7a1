//! The steps of an import: it is mapped, validated, committed, held up, undone and removed.

use sqlx::PgConnection;

use super::proposal::{self, stored_file};
use super::requests::Said;
use super::shown::{Progress, Shown};
use super::{check_visible, visible};
use crate::api::{Contended, Reply, Request, json, no_content};
use crate::auth::{Caller, Permission};
use crate::error::{Error, Result};
use crate::imports::run::{self, Task};
use crate::imports::store::{self, Import, State, mappings};
use crate::jobs::Terms;
use crate::jobs::store::{self as jobs, Command};
use crate::operation::OrJob;
use crate::values::ids::{ImportId, JobId};

/// The import when all is done, or while a job goes on with it.
pub(super) type Begun = OrJob<Shown, Shown>;

/// Maps an import, which has to be validated again.
pub(super) async fn map(id: ImportId, caller: Caller, mut request: Request) -> Result<Reply> {
    let said: Said = request.json().await?;
    let mut import = visible(id, &caller, &request).await?;
    request.expect_version(import.version)?;
    check_mappable(&import)?;
    let version = import.version;
    let file = stored_file(&import, &request).await?;
    let book = proposal::survey(&import, file, &said, &request).await?;
    let proposal = proposal::propose(&mut import, book, &said, &request).await?;
    request
        .write(caller.id, Contended::Record(id.0), async |connection| {
            let locked = store::lock(connection, id).await?;
            check_mappable(&locked)?;
            // Another request has changed it since it was read.
            if locked.version != version {
                return Err(Error::contended());
            }
            store::save(connection, &import).await?;
            if !said.columns.is_empty() && proposal.mapping.is_complete() {
                mappings::put(connection, import.target, &proposal.mapping.stored(), Some(caller.id)).await?;
            }
            proposal.answer(store::lock(connection, id).await?)
        })
        .await
}

/// What was committed stays as it was read.
fn check_mappable(import: &Import) -> Result<()> {
    if is_running(import) || import.committed_at.is_some() {
        let state = import.state.as_str();
        return Err(Error::conflict(
            "import_state",
            format!("an import that is {state} is not mapped again; upload the file again"),
        ));
    }
    Ok(())
}

fn is_running(import: &Import) -> bool {
    matches!(import.state, State::Validating | State::Committing | State::Undoing)
}

pub(super) async fn validate(id: ImportId, caller: Caller, request: Request) -> Result<Reply> {
    begin(id, Task::Validate, &caller, &request).await
}

pub(super) async fn commit(id: ImportId, caller: Caller, request: Request) -> Result<Reply> {
    begin(id, Task::Commit, &caller, &request).await
}

pub(super) async fn undo(id: ImportId, caller: Caller, request: Request) -> Result<Reply> {
    begin(id, Task::Undo, &caller, &request).await
}

/// Begins a task: a short one is done at once, a longer one by a job.
async fn begin(id: ImportId, task: Task, caller: &Caller, request: &Request) -> Result<Reply> {
    visible(id, caller, request).await?;
    request.context.put_off_deadline(request.app.config.imports.sheets.read_timeout);
    request
        .write(caller.id, Contended::Record(id.0), async |connection| {
            let import = check_visible(Some(store::lock(connection, id).await?), caller)?;
            carry_out(connection, import, task, caller, request).await
        })
        .await
}

async fn carry_out(
    connection: &mut PgConnection,
    mut import: Import,
    task: Task,
    caller: &Caller,
    request: &Request,
) -> Result<Reply> {
    if is_short(&import, task) && !request.prefers_async() {
        let import = run::run_now(&request.app, connection, import.id, task).await?;
        return shown(import);
    }
    let job = run::start(&request.app, connection, &mut import, task, Terms::default().by(caller.id)).await?;
    let import = store::lock(connection, import.id).await?;
    let version = import.version;
    Ok(request.accepted(job, &Shown::from(import))?.with_version(version))
}

/// Whether a request can wait for it.
fn is_short(import: &Import, task: Task) -> bool {
    match task {
        Task::Undo => import.committed.created + import.committed.updated <= run::SHORT,
        Task::Validate | Task::Commit => import.rows.is_some_and(|rows| rows.unsigned_abs() <= run::SHORT),
    }
}

fn shown(import: Import) -> Result<Reply> {
    let version = import.version;
    Ok(json(&Shown::from(import))?.with_version(version))
}

/// Lets a manager allow an import of more rows than its user may import alone.
pub(super) async fn approve(id: ImportId, caller: Caller, request: Request) -> Result<Reply> {
    caller.require(Permission::Import)?;
    request
        .write(caller.id, Contended::Record(id.0), async |connection| {
            let mut import = store::lock(connection, id).await?;
            import.approved_by = Some(caller.id.0);
            store::save(connection, &import).await?;
            shown(store::lock(connection, id).await?)
        })
        .await
}

pub(super) async fn pause(id: ImportId, caller: Caller, request: Request) -> Result<Reply> {
    control(id, Command::Pause, &caller, &request).await
}

pub(super) async fn resume(id: ImportId, caller: Caller, request: Request) -> Result<Reply> {
    control(id, Command::Resume, &caller, &request).await
}

pub(super) async fn cancel(id: ImportId, caller: Caller, request: Request) -> Result<Reply> {
    control(id, Command::Cancel, &caller, &request).await
}

/// Hands a command on to the job that works on the import.
async fn control(id: ImportId, command: Command, caller: &Caller, request: &Request) -> Result<Reply> {
    let import = visible(id, caller, request).await?;
    let job = import.job_id.filter(|_| is_running(&import)).map(JobId);
    let job = job.ok_or_else(|| Error::conflict("import_not_running", "no job works on this import now"))?;
    request
        .write(caller.id, Contended::Record(id.0), async |connection| {
            let job = jobs::command(connection, job, command).await?;
            let import = store::find(&mut *connection, id).await?.ok_or(Error::NotFound(super::NAME))?;
            let version = import.version;
            Ok(json(&Progress { import: import.into(), job: Some(job) })?.with_version(version))
        })
        .await
}

/// Removes an import with its file and its rows; what they became stays.
pub(super) async fn remove(id: ImportId, caller: Caller, request: Request) -> Result<Reply> {
    visible(id, &caller, &request).await?;
    request
        .write(caller.id, Contended::Record(id.0), async |connection| {
            let import = check_visible(Some(store::lock(connection, id).await?), &caller)?;
            request.expect_version(import.version)?;
            if is_running(&import) {
                return Err(Error::conflict("import_running", "a job works on this import; cancel it first"));
            }
            store::remove(connection, &import).await?;
            Ok(no_content())
        })
        .await
}
