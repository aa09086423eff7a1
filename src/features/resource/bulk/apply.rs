//! Changes some records in the transaction of the caller: read and locked together, written together where that is possible.

use std::collections::HashMap;

use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use super::Bulk;
use super::body::Target;
use crate::api::{Context, fields};
use crate::db::rows;
use crate::error::{Error, Result};
use crate::features::resource::{Patch, personal};
use crate::search::Access;
use crate::values::json::Object;
use crate::values::personal::Disclosure;

/// What is done to every record, and for whom.
pub(super) struct Work<'a> {
    /// The changes of records that have none of their own.
    pub(super) set: &'a Object,
    pub(super) context: Context<'a>,
    pub(super) disclosure: Disclosure,
}

/// What became of one record.
pub(super) enum Outcome {
    Updated,
    Unchanged,
    Failed(Error),
}

/// A change that the rules allow so far.
struct Step<'r, R> {
    before: &'r R,
    patch: Patch,
    /// The record as its row is to be, if that is all.
    row: Option<R>,
}

/// Changes records, each by the rules of a request of its own; answers what became of each.
///
/// # Errors
/// Only what does not lie in a record: the database is away, or another write has locked a record for too long.
pub(super) async fn apply<R: Bulk>(connection: &mut PgConnection, work: &Work<'_>, targets: &[Target]) -> Result<Vec<Outcome>> {
    let table = R::collection().name;
    let ids: Vec<Uuid> = targets.iter().map(|target| target.id).collect();
    let changes: Vec<&Object> = targets.iter().map(|target| work.changes(target)).collect();
    R::hold_parents(&mut *connection, &changes).await?;
    rows::lock_all(&mut *connection, table, &ids).await?;
    let records = R::select(&mut *connection, &ids).await?;
    R::lock_neighbours(&mut *connection, &records, &changes).await?;
    let records: HashMap<Uuid, R> = records.into_iter().map(|record| (record.id(), record)).collect();

    let mut failed: HashMap<Uuid, Error> = HashMap::new();
    let (mut plain, mut single) = (Vec::new(), Vec::new());
    for target in targets {
        match work.step(records.get(&target.id), target) {
            Ok(step) if step.row.as_ref() == Some(step.before) => {}
            Ok(step) if step.row.is_some() => plain.push(step),
            Ok(step) => single.push(step),
            Err(error) => drop(failed.insert(target.id, error)),
        }
    }
    if !work.write_rows(&mut *connection, &plain).await? {
        // The database refuses one of them. One by one, only that one fails.
        single.append(&mut plain);
    }
    for step in single {
        let id = step.before.id();
        if let Err(error) = work.take(&mut *connection, step).await? {
            failed.insert(id, error);
        }
    }
    let versions: HashMap<Uuid, i64> = rows::versions(connection, table, &ids).await?.into_iter().collect();
    let outcome = |id: &Uuid| match failed.remove(id) {
        Some(error) => Outcome::Failed(error),
        None if records.get(id).map(|before| before.locked().version) == versions.get(id).copied() => Outcome::Unchanged,
        None => Outcome::Updated,
    };
    Ok(ids.iter().map(outcome).collect())
}

impl Work<'_> {
    fn changes<'a>(&'a self, target: &'a Target) -> &'a Object {
        target.set.as_ref().unwrap_or(self.set)
    }

    fn step<'r, R: Bulk>(&self, record: Option<&'r R>, target: &Target) -> Result<Step<'r, R>> {
        let before = record.filter(|record| record.locked().deleted_at.is_none()).ok_or(Error::NotFound(R::NAME))?;
        let current = before.locked().version;
        if target.version.is_some_and(|version| version != current) {
            return Err(Error::Stale { current });
        }
        let mut members = self.changes(target).clone();
        personal::unmask(before, &mut members, self.disclosure)?;
        let patch = Patch { members, is_replacement: false };
        let row = R::changed_row(before, patch.clone(), &self.context)?;
        Ok(Step { before, patch, row })
    }

    /// Writes the rows of all steps with one statement; false if the database refuses one, and none is written.
    async fn write_rows<R: Bulk>(&self, connection: &mut PgConnection, steps: &[Step<'_, R>]) -> Result<bool> {
        let columns = |record: &R| fields::columns(record, |access| access == Access::Write);
        let mut rows: Vec<(Object, Object)> =
            steps.iter().filter_map(|step| Some((columns(step.before), columns(step.row.as_ref()?)))).collect();
        let Some((_, first)) = rows.first() else { return Ok(true) };
        let is_same = |name: &String| rows.iter().all(|(before, after)| before.get(name) == after.get(name));
        let same: Vec<String> = first.keys().filter(|name| is_same(name)).cloned().collect();
        for ((_, row), step) in rows.iter_mut().zip(steps) {
            row.retain(|name, _| !same.contains(name));
            row.insert("id".into(), step.before.id().to_string().into());
        }
        let rows: Vec<Object> = rows.into_iter().map(|(_, row)| row).collect();
        let mut savepoint = connection.begin().await?;
        let by = self.context.by.map(Uuid::from);
        match rows::update_all(&mut savepoint, R::collection().name, &rows, by).await.map_err(Error::from) {
            Ok(()) => savepoint.commit().await?,
            Err(error @ (Error::Unavailable { .. } | Error::Timeout)) => return Err(error),
            Err(_) => {
                savepoint.rollback().await?;
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Takes one step as a request of its own would. The outer error is not the record's.
    async fn take<R: Bulk>(&self, connection: &mut PgConnection, step: Step<'_, R>) -> Result<Result<()>> {
        let mut savepoint = connection.begin().await?;
        match R::change(&mut savepoint, step.before, step.patch, &self.context).await {
            Ok(()) => savepoint.commit().await?,
            Err(error) if error.status() >= 500 => return Err(error),
            Err(error) => {
                savepoint.rollback().await?;
                return Ok(Err(error));
            }
        }
        Ok(Ok(()))
    }
}
