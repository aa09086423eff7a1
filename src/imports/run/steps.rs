//! The steps of a task, each in one transaction: stage, look, then rows chunk by chunk.

use serde::{Deserialize, Serialize};
use sqlx::{Connection as _, PgConnection};

use super::chunk::process;
use super::outcome::Outcome;
use super::stage::{self, Look, Staging};
use super::staged::{self, Stage, Staged};
use super::task::Task;
use super::undo;
use crate::app::App;
use crate::error::{Error, Result};
use crate::imports::fields::Target;
use crate::imports::plan::Plan;
use crate::imports::read::survey::Survey;
use crate::imports::report::Severity;
use crate::imports::store::{self, Action, Counts, Import, State, Undone};
use crate::imports::targets::{AccountDraft, ActivityDraft, CustomerDraft, PaymentDraft};
use crate::jobs::Next;
use crate::values::ids::ImportId;

/// Rows in one transaction: larger chunks are hardly faster, and hold their locks for longer.
pub(super) const ROWS: i64 = 500;

/// Where a step begins.
#[derive(Debug, Default, Serialize, Deserialize)]
pub enum Cursor {
    #[default]
    Begin,
    /// Copy the rows of the sheet behind this one.
    Stage { after: u64 },
    /// Look at the staged rows behind this one.
    Look { after: i64, survey: Survey },
    /// Turn the rows behind this one into records, or take back those before it.
    Rows { from: i64 },
}

/// What a step did, in the terms of a job.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) total: Option<i64>,
    pub(super) succeeded: i64,
    pub(super) failed: Vec<(String, Error)>,
}

/// Does one step in the transaction of the connection.
pub(super) async fn step(
    app: &App,
    connection: &mut PgConnection,
    id: ImportId,
    task: Task,
    cursor: Cursor,
) -> Result<(Next<Cursor>, Tally)> {
    let import = store::lock(connection, id).await?;
    if import.state != task.state() {
        return Err(Error::conflict("import_state", format!("the import is {} by now", import.state.as_str())));
    }
    match cursor {
        Cursor::Begin => begin(connection, import, task).await,
        Cursor::Stage { after } => stage_rows(app, connection, import, after).await,
        Cursor::Look { after, survey } => look(connection, import, after, survey).await,
        Cursor::Rows { from } if task == Task::Undo => take_back(app, connection, import, from).await,
        Cursor::Rows { from } => next_rows(app, connection, import, task, from).await,
    }
}

/// Tries failed rows again, as part of a commit.
pub(super) async fn retry(app: &App, connection: &mut PgConnection, id: ImportId, numbers: &[i64]) -> Result<Tally> {
    let mut import = store::lock(connection, id).await?;
    if !matches!(import.state, State::Partial | State::Failed) {
        return Err(Error::conflict("import_state", format!("the import is {} by now", import.state.as_str())));
    }
    let staged = staged::numbered(connection, id, numbers).await?;
    let again = staged.len() as u64;
    let outcomes = turn(app, connection, &import, Task::Commit, staged).await?;
    let counts = counted(&outcomes);
    import.committed.rows = import.committed.rows.saturating_sub(again);
    import.committed.failed = import.committed.failed.saturating_sub(again);
    import.committed.0 += counts;
    import.state = ended(&import.committed);
    store::save(connection, &import).await?;
    Ok(tally(Task::Commit, &outcomes))
}

async fn begin(connection: &mut PgConnection, mut import: Import, task: Task) -> Result<(Next<Cursor>, Tally)> {
    match task {
        Task::Validate => import.validated.0 = Counts::default(),
        // What an earlier attempt has committed stays.
        Task::Commit => import.committed.0 = counts_of_committed(connection, import.id).await?,
        Task::Undo => import.undone.0 = Undone::default(),
    }
    let next = if task == Task::Undo {
        Cursor::Rows { from: i64::MAX }
    } else if !import.is_staged {
        sqlx::query!("delete from import_rows where import_id = $1", import.id.0).execute(&mut *connection).await?;
        Cursor::Stage { after: 0 }
    } else if import.forms.is_none() {
        Cursor::Look { after: 0, survey: Survey::default() }
    } else {
        Cursor::Rows { from: 0 }
    };
    let total = if import.is_staged { Some(count(connection, import.id, task).await?) } else { None };
    store::save(connection, &import).await?;
    Ok((Next::Chunk(next), Tally { total, ..Tally::default() }))
}

/// The rows that are to be done.
async fn count(connection: &mut PgConnection, id: ImportId, task: Task) -> Result<i64> {
    let count = sqlx::query_scalar!(
        r#"
        select count(*) as "count!"
        from import_rows
        where import_id = $1
        and (status = 'committed') = $2
        and (not $2 or action in ('create', 'update'))
        "#,
        id.0,
        task == Task::Undo,
    );
    Ok(count.fetch_one(connection).await?)
}

async fn counts_of_committed(connection: &mut PgConnection, id: ImportId) -> Result<Counts> {
    let counts = sqlx::query!(
        r#"
        select action as "action!: Action", count(*) as "count!", sum(json_array_length(coalesce(issues, '[]'))) as "warnings!"
        from import_rows
        where import_id = $1
        and status = 'committed'
        group by action
        "#,
        id.0,
    );
    let mut all = Counts::default();
    for row in counts.fetch_all(connection).await? {
        let count = row.count.unsigned_abs();
        all.rows += count;
        all.warnings += row.warnings.unsigned_abs();
        match row.action {
            Action::Create => all.created = count,
            Action::Update => all.updated = count,
            Action::Unchanged => all.unchanged = count,
            Action::Skipped => all.skipped = count,
            Action::Error => all.failed = count,
        }
    }
    Ok(all)
}

async fn stage_rows(app: &App, connection: &mut PgConnection, mut import: Import, after: u64) -> Result<(Next<Cursor>, Tally)> {
    match stage::stage(app, connection, &import, after).await? {
        Staging::After(after) => Ok((Next::Chunk(Cursor::Stage { after }), Tally::default())),
        Staging::Complete => {
            import.is_staged = true;
            store::save(connection, &import).await?;
            let total = Some(count(connection, import.id, Task::Validate).await?);
            let next = Cursor::Look { after: 0, survey: Survey::default() };
            Ok((Next::Chunk(next), Tally { total, ..Tally::default() }))
        }
        Staging::Refused(error) => refuse(connection, import, error.to_string()).await,
    }
}

async fn look(
    connection: &mut PgConnection,
    mut import: Import,
    after: i64,
    mut survey: Survey,
) -> Result<(Next<Cursor>, Tally)> {
    match stage::look(connection, &import, after, &mut survey).await? {
        Look::After(after) => Ok((Next::Chunk(Cursor::Look { after, survey }), Tally::default())),
        Look::Complete(forms) => {
            import.forms = Some(sqlx::types::Json(forms));
            store::save(connection, &import).await?;
            Ok((Next::Chunk(Cursor::Rows { from: 0 }), Tally::default()))
        }
        Look::Ambiguous(why) => refuse(connection, import, why).await,
    }
}

/// Ends the task before a row was tried; the owner of the import has to do something.
async fn refuse(connection: &mut PgConnection, mut import: Import, problem: String) -> Result<(Next<Cursor>, Tally)> {
    // The problem may quote a cell, and what is said of jobs has no personal data.
    let error = Error::conflict("import_refused", "the file cannot be imported as it is; its import says why");
    import.problem = Some(problem);
    import.state = State::Mapped;
    store::save(connection, &import).await?;
    Ok((Next::Finished, Tally { failed: vec![("file".to_owned(), error)], ..Tally::default() }))
}

async fn next_rows(
    app: &App,
    connection: &mut PgConnection,
    mut import: Import,
    task: Task,
    after: i64,
) -> Result<(Next<Cursor>, Tally)> {
    let staged = staged::next(connection, import.id, after, ROWS).await?;
    let Some(last) = staged.last().map(|row| row.number) else {
        import.state = if task == Task::Validate { State::Validated } else { ended(&import.committed) };
        store::save(connection, &import).await?;
        return Ok((Next::Finished, Tally::default()));
    };
    let outcomes = turn(app, connection, &import, task, staged).await?;
    let counts = counted(&outcomes);
    if task == Task::Validate {
        import.validated.0 += counts;
    } else {
        import.committed.0 += counts;
        if counts.created + counts.updated > 0 && import.committed_at.is_none() {
            import.committed_at = Some(app.clock.now());
        }
    }
    store::save(connection, &import).await?;
    Ok((Next::Chunk(Cursor::Rows { from: last }), tally(task, &outcomes)))
}

/// Turns rows into records and writes what became of them; a validation keeps the latter only.
async fn turn(
    app: &App,
    connection: &mut PgConnection,
    import: &Import,
    task: Task,
    staged: Vec<Staged>,
) -> Result<Vec<Outcome>> {
    let plan = Plan::new(app, import.clone())?;
    let (outcomes, stage) = if task == Task::Commit {
        (by_target(connection, &plan, staged).await?, Stage::Done)
    } else {
        let mut savepoint = connection.begin().await?;
        let outcomes = by_target(&mut savepoint, &plan, staged).await?;
        savepoint.rollback().await?;
        (outcomes, Stage::Found)
    };
    staged::record(connection, import.id, &outcomes, stage).await?;
    Ok(outcomes)
}

async fn by_target(connection: &mut PgConnection, plan: &Plan, staged: Vec<Staged>) -> Result<Vec<Outcome>> {
    match plan.import.target {
        Target::Customers => process::<CustomerDraft>(connection, plan, staged).await,
        Target::Accounts => process::<AccountDraft>(connection, plan, staged).await,
        Target::Payments => process::<PaymentDraft>(connection, plan, staged).await,
        Target::Activities => process::<ActivityDraft>(connection, plan, staged).await,
    }
}

async fn take_back(app: &App, connection: &mut PgConnection, mut import: Import, before: i64) -> Result<(Next<Cursor>, Tally)> {
    let done = staged::done_before(connection, import.id, before, ROWS).await?;
    let Some(last) = done.last().map(|row| row.number) else {
        import.state = State::Undone;
        store::save(connection, &import).await?;
        return Ok((Next::Finished, Tally::default()));
    };
    let plan = Plan::new(app, import.clone())?;
    let reversals = match import.target {
        Target::Customers => undo::take_back::<CustomerDraft>(connection, &plan, done).await?,
        Target::Accounts => undo::take_back::<AccountDraft>(connection, &plan, done).await?,
        Target::Payments => undo::take_back::<PaymentDraft>(connection, &plan, done).await?,
        Target::Activities => undo::take_back::<ActivityDraft>(connection, &plan, done).await?,
    };
    staged::record_reversals(connection, import.id, &reversals).await?;
    let mut tally = Tally::default();
    for reversal in reversals {
        match reversal.status {
            "reversed" => import.undone.reversed += 1,
            "kept" => import.undone.kept += 1,
            _ => import.undone.errored += 1,
        }
        tally.succeeded += 1;
    }
    store::save(connection, &import).await?;
    Ok((Next::Chunk(Cursor::Rows { from: last }), tally))
}

fn counted(outcomes: &[Outcome]) -> Counts {
    let mut counts = Counts::default();
    outcomes.iter().for_each(|outcome| counts += outcome.counts());
    counts
}

/// The state that a commit with these counts leaves.
fn ended(counts: &Counts) -> State {
    match counts {
        Counts { failed: 0, .. } => State::Committed,
        Counts { rows, failed, .. } if rows > failed => State::Partial,
        _ => State::Failed,
    }
}

/// To find faults is what a validation is for; to a commit they are items that failed.
fn tally(task: Task, outcomes: &[Outcome]) -> Tally {
    let mut tally = Tally::default();
    for outcome in outcomes {
        if task == Task::Commit && outcome.action == Action::Error {
            tally.failed.push((outcome.row.to_string(), failure(outcome)));
        } else {
            tally.succeeded += 1;
        }
    }
    tally
}

/// The faults of a row in the terms of a job: without the values of its cells.
fn failure(outcome: &Outcome) -> Error {
    let errors = outcome.issues.iter().filter(|issue| issue.severity == Severity::Error);
    let said: Vec<String> = errors
        .map(|issue| format!("{}: {} [{}]", issue.cell.as_deref().unwrap_or("the row"), issue.message, issue.code))
        .collect();
    Error::conflict("import_row", said.join("; "))
}
