//! What may be done with an import now, and its beginning: as a job, or at once.

use sqlx::PgConnection;

use super::kinds::{Commit, Undo, Validate};
use super::steps::{self, Cursor};
use super::task::Task;
use crate::api::Authority;
use crate::app::App;
use crate::error::{Error, Result};
use crate::imports::plan::not_mapped;
use crate::imports::store::{self, Import, KEPT};
use crate::jobs::{Next, Terms, enqueue};
use crate::values::ids::{ImportId, JobId, UserId};

/// Most rows that a request validates or commits at once, within a second or two; more are a job.
pub const SHORT: u64 = 1_000;

/// Most imports of a user that are jobs at once, so that the files of one do not keep those of others waiting.
const MOST_RUNNING: i64 = 3;

/// Begins a task as a job, in the transaction of the caller, who has locked the import.
///
/// # Errors
/// The state of the import does not allow it, it lacks a mapping or an approval, or it was committed too long ago; too many others of
/// its user are running.
pub async fn start(app: &App, connection: &mut PgConnection, import: &mut Import, task: Task, terms: Terms<'_>) -> Result<JobId> {
    begin(app, import, task)?;
    if let Some(user) = import.created_by
        && store::running(&mut *connection, UserId(user), import.id).await? >= MOST_RUNNING
    {
        let detail = format!("{MOST_RUNNING} other imports are running; wait until one has ended");
        return Err(Error::conflict("too_many_imports", detail));
    }
    let key = import.id.to_string();
    let terms = terms.once(&key);
    let job = match task {
        Task::Validate => enqueue(connection, &Validate { import: import.id }, terms).await?,
        Task::Commit => enqueue(connection, &Commit { import: import.id }, terms).await?,
        Task::Undo => enqueue(connection, &Undo { import: import.id }, terms).await?,
    };
    import.job_id = Some(job.id().0);
    store::save(connection, import).await?;
    Ok(job.id())
}

/// Does a task of a short import in the transaction of the caller, all of it or nothing; its file is stored and committed. Answers
/// the import as it is then: one that cannot be validated has a problem.
///
/// # Errors
/// As [`start`]; what fails in the server.
pub async fn run_now(app: &App, connection: &mut PgConnection, id: ImportId, task: Task) -> Result<Import> {
    let mut import = store::lock(connection, id).await?;
    begin(app, &mut import, task)?;
    import.job_id = None;
    store::save(connection, &import).await?;
    let mut cursor = Cursor::default();
    loop {
        match steps::step(app, connection, id, task, cursor).await?.0 {
            Next::Chunk(next) => cursor = next,
            Next::Finished => return store::lock(connection, id).await,
        }
    }
}

fn begin(app: &App, import: &mut Import, task: Task) -> Result<()> {
    let has_committed = import.committed_at.is_some();
    let is_void = match task {
        Task::Validate => has_committed,
        Task::Commit => false,
        Task::Undo => !has_committed,
    };
    if is_void || !task.follows(import.state) {
        let (state, verb) = (import.state.as_str(), format!("{task:?}").to_lowercase());
        return Err(Error::conflict("import_state", format!("an import that is {state} now does not allow: {verb}")));
    }
    if import.columns.is_none() {
        return Err(not_mapped());
    }
    let now = app.clock.now();
    if task == Task::Undo && import.committed_at.is_some_and(|committed| committed + KEPT < now) {
        return Err(Error::conflict("undo_expired", format!("an import can be undone for {} days", KEPT.num_days())));
    }
    if task == Task::Commit {
        check_approval(app, import)?;
    }
    import.state = task.state();
    import.problem = None;
    Ok(())
}

fn check_approval(app: &App, import: &Import) -> Result<()> {
    let most = app.config.imports.approval_rows;
    if most == 0 || import.authority == Authority::Full || import.approved_by.is_some() {
        return Ok(());
    }
    if import.forms.is_none() {
        return Err(Error::conflict(
            "import_not_validated",
            "validate the import first; then it is known whether it needs an approval",
        ));
    }
    if import.validated.rows > most {
        return Err(Error::conflict(
            "approval_required",
            format!("an import of more than {most} rows needs the approval of a manager"),
        ));
    }
    Ok(())
}
