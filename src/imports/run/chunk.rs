//! One chunk of rows in the transaction of the caller: a row that fails does not stop the others.
//!
//! Validation and commit call the same function. A validation rolls back what it wrote.

use std::collections::{HashMap, HashSet};

use serde_json::Value as Json;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use uuid::Uuid;

use super::outcome::Outcome;
use super::staged::{self, Staged};
use crate::api::{Context, Fields, Member};
use crate::error::{Error, Result, Violation};
use crate::features::resource::{Patch, Resource};
use crate::imports::plan::Plan;
use crate::imports::read::record::Record;
use crate::imports::store::rows::Difference;
use crate::imports::store::{Action, Mode};
use crate::imports::targets::{Companion, Draft, Match, NewCompanion};
use crate::search::Access;
use crate::values::json::Object;

/// A row whose cells are read.
struct Row {
    record: Record,
    key_hash: Option<[u8; 32]>,
    number_hash: Option<[u8; 32]>,
}

impl Row {
    fn outcome(self, action: Action) -> Outcome {
        Outcome { number_hash: self.number_hash, ..Outcome::new(action, self.record, self.key_hash) }
    }
}

/// What the rows of a chunk do.
#[derive(Default)]
struct Sorted {
    done: Vec<Outcome>,
    fresh: Vec<Row>,
    known: Vec<(Row, Uuid)>,
}

/// Turns staged rows into records. Answers what became of each, in their order.
///
/// # Errors
/// What is not about a row: the transaction is lost.
pub(super) async fn process<D: Draft>(connection: &mut PgConnection, plan: &Plan, staged: Vec<Staged>) -> Result<Vec<Outcome>> {
    let records: Vec<Record> = staged.into_iter().map(|row| row.read(&plan.layout)).collect();
    let mut known = D::look_up(connection, &records, plan).await?;
    let mut sorted = sort::<D>(connection, plan, records).await?;
    let (mut rows, mut drafts) = (Vec::new(), Vec::new());
    for mut row in sorted.fresh {
        match D::make(&mut row.record, &mut known, plan) {
            Some(draft) => {
                rows.push(row);
                drafts.push(draft);
            }
            None => sorted.done.push(row.outcome(Action::Create)),
        }
    }
    sorted.done.extend(create(connection, plan, rows, drafts).await?);
    sorted.done.extend(update::<D>(connection, plan, sorted.known, &known).await?);
    sorted.done.sort_by_key(|outcome| outcome.row);
    Ok(sorted.done)
}

/// Finds out which rows create a record, which change one, and which do neither. Rows that have failed are among them, for the faults
/// that the rules find besides.
async fn sort<D: Draft>(connection: &mut PgConnection, plan: &Plan, records: Vec<Record>) -> Result<Sorted> {
    let import = &plan.import;
    let keys: Vec<String> = records.iter().filter_map(|record| D::key(record, plan)).collect();
    let hashes: Vec<[u8; 32]> = keys.iter().map(|key| staged::hash(key)).collect();
    let first = records.first().map_or(0, |record| record.row);
    let numbers: Vec<[u8; 32]> = records.iter().filter_map(|record| D::number(record, plan)).map(staged::hash).collect();
    let (mut earlier, mut numbered) = staged::earlier_rows(connection, import.id, first, &hashes, &numbers).await?;
    let mut matches: HashMap<String, Vec<Match>> = HashMap::new();
    for found in D::find(connection, plan, &keys).await? {
        matches.entry(found.key.clone()).or_default().push(found);
    }
    let mut sorted = Sorted::default();
    let mut taken: HashSet<Uuid> = HashSet::new();
    for mut record in records {
        let key = D::key(&record, plan);
        let key_hash = key.as_deref().map(staged::hash);
        let number_hash = D::number(&record, plan).map(staged::hash);
        if let Some(hash) = number_hash {
            let first = *numbered.entry(hash).or_insert(record.row);
            if first < record.row {
                let (pointer, message) = (format!("/{}", import.target.key()), format!("row {first} has the same"));
                record.add(&plan.layout, vec![Violation { pointer, code: "repeated_row".into(), message }]);
            }
        }
        let has_failed = record.has_failed();
        let mut refuse = |code: &'static str, message: String| {
            let violation = Violation { pointer: format!("/{}", import.key), code: code.into(), message };
            record.add(&plan.layout, vec![violation]);
        };
        let repeated = key_hash.and_then(|hash| earlier.get(&hash).copied());
        let found = key.as_deref().and_then(|key| matches.get(key)).map_or(&[][..], Vec::as_slice);
        let target = match (repeated, found) {
            (Some(first), _) => {
                refuse("repeated_row", format!("row {first} has the same"));
                None
            }
            (None, [_, _, ..]) => {
                refuse("ambiguous_key", format!("{} records have this; use a key that only one has", found.len()));
                None
            }
            (None, [Match { is_deleted: true, .. }]) => {
                refuse("record_deleted", "the record with this was deleted; restore it first".into());
                None
            }
            (None, [one]) if !taken.insert(one.id) => {
                refuse("repeated_row", "an earlier row means the same record".into());
                None
            }
            (None, [one]) => Some(one.id),
            (None, []) => {
                match key {
                    _ if import.mode != Mode::Update => {}
                    Some(_) => refuse("unknown_record", "there is no record with this to update".into()),
                    None if has_failed => {}
                    None => refuse("required", "must not be blank".into()),
                }
                None
            }
        };
        if let Some(hash) = key_hash {
            earlier.entry(hash).or_insert(record.row);
        }
        let row = Row { record, key_hash, number_hash };
        let is_new = import.mode != Mode::Update && (repeated.is_some() || found.is_empty());
        match target {
            None if is_new && row.record.is_whole() => sorted.fresh.push(row),
            None => sorted.done.push(row.outcome(Action::Error)),
            Some(_) if import.mode == Mode::Insert && has_failed => sorted.done.push(row.outcome(Action::Error)),
            Some(id) if import.mode == Mode::Insert => {
                let mut outcome = row.outcome(Action::Skipped);
                outcome.record = Some((id, 0));
                sorted.done.push(outcome);
            }
            Some(id) => sorted.known.push((row, id)),
        }
    }
    Ok(sorted)
}

/// Inserts all drafts at once, or one by one if the database refuses one of them.
async fn create<D: Draft>(connection: &mut PgConnection, plan: &Plan, rows: Vec<Row>, drafts: Vec<D>) -> Result<Vec<Outcome>> {
    let mut inserted: Vec<Result<()>> = Vec::new();
    if try_all(connection, async |connection| D::insert(connection, &drafts, plan).await).await?.is_err() {
        for draft in &drafts {
            let one = std::slice::from_ref(draft);
            inserted.push(try_all(connection, async |connection| D::insert(connection, one, plan).await).await?);
        }
    }
    let ids: Vec<Uuid> = drafts.iter().map(Draft::id).collect();
    let versions = versions(connection, D::Record::collection().name, &ids).await?;
    let companions: Vec<NewCompanion<'_>> = drafts.iter().filter_map(Draft::companion).collect();
    let mut companion_versions = HashMap::new();
    if let Some(NewCompanion { table, .. }) = companions.first() {
        let ids: Vec<Uuid> = companions.iter().map(|companion| companion.id).collect();
        companion_versions = self::versions(connection, table, &ids).await?;
    }
    let mut outcomes = Vec::new();
    let mut inserted = inserted.into_iter();
    for (mut row, draft) in rows.into_iter().zip(&drafts) {
        match inserted.next().unwrap_or(Ok(())) {
            Ok(()) => {
                let mut outcome = row.outcome(Action::Create);
                outcome.record = versions.get(&draft.id()).map(|version| (draft.id(), *version));
                if let Some(NewCompanion { table, id, number }) = draft.companion() {
                    let version = companion_versions.get(&id);
                    outcome.companion = version.map(|version| Companion { table: table.to_owned(), id, version: *version });
                    outcome.companion_number = number.map(str::to_owned);
                }
                outcomes.push(outcome);
            }
            // Another client created it since the lookup.
            Err(Error::Duplicate(violation))
                if violation.pointer == format!("/{}", plan.import.key) && plan.import.mode == Mode::Insert =>
            {
                outcomes.push(row.outcome(Action::Skipped));
            }
            Err(error) => {
                row.record.add(&plan.layout, violations(error)?);
                outcomes.push(row.outcome(Action::Error));
            }
        }
    }
    Ok(outcomes)
}

/// Changes records as their rows say: all at once, or one by one if one of them is refused.
async fn update<D: Draft>(
    connection: &mut PgConnection,
    plan: &Plan,
    rows: Vec<(Row, Uuid)>,
    known: &D::Known,
) -> Result<Vec<Outcome>> {
    let ids: Vec<Uuid> = rows.iter().map(|(_, id)| *id).collect();
    let mut befores = lock_all::<D::Record>(connection, &ids).await?;
    let mut outcomes = Vec::new();
    let context = plan.context();
    let (mut changed, mut changes) = (Vec::new(), Vec::new());
    for (mut row, id) in rows {
        let Some(before) = befores.remove(&id) else {
            let message = "the record was deleted meanwhile".to_owned();
            let violation = Violation { pointer: format!("/{}", plan.import.key), code: "record_deleted".into(), message };
            row.record.add(&plan.layout, vec![violation]);
            outcomes.push(row.outcome(Action::Error));
            continue;
        };
        let members = D::patch(&mut row.record, &before, known, plan);
        if row.record.has_failed() {
            let found = faults(connection, &before, members, &context).await?;
            row.record.add(&plan.layout, found);
            outcomes.push(row.outcome(Action::Error));
        } else {
            changed.push(row);
            changes.push((before, members));
        }
    }
    let apply = async |connection: &mut PgConnection, changes: &[(D::Record, Object)]| {
        for (before, members) in changes {
            let patch = Patch { members: members.clone(), is_replacement: false };
            D::Record::change(connection, before, patch, &context).await?;
        }
        Ok(())
    };
    let mut applied: Vec<Result<()>> = Vec::new();
    if try_all(connection, async |connection| apply(connection, &changes).await).await?.is_err() {
        for change in &changes {
            applied.push(try_all(connection, async |connection| apply(connection, std::slice::from_ref(change)).await).await?);
        }
    }
    let ids: Vec<Uuid> = changes.iter().map(|(before, _)| before.id()).collect();
    let mut afters: HashMap<Uuid, D::Record> =
        D::Record::select(connection, &ids).await?.into_iter().map(|after| (after.id(), after)).collect();
    let mut applied = applied.into_iter();
    for (mut row, (before, _)) in changed.into_iter().zip(&changes) {
        if let Err(error) = applied.next().unwrap_or(Ok(())) {
            row.record.add(&plan.layout, violations(error)?);
            row.record.refuse();
            outcomes.push(row.outcome(Action::Error));
            continue;
        }
        let after = afters.remove(&before.id()).ok_or(Error::NotFound(D::Record::NAME))?;
        let is_changed = after.locked().version != before.locked().version;
        let mut outcome = row.outcome(if is_changed { Action::Update } else { Action::Unchanged });
        outcome.record = Some((after.id(), after.locked().version));
        if is_changed {
            let (before, after) = (shown(before)?, shown(&after)?);
            outcome.changes = differences::<D::Record>(&before, &after, D::SHOWN);
            let restored = differences::<D::Record>(&before, &after, D::RESTORED);
            outcome.before = Some(restored.into_iter().map(|change| (change.field, change.before)).collect());
        }
        outcomes.push(outcome);
    }
    Ok(outcomes)
}

/// Finds the faults of a change that is not to be.
async fn faults<R: Resource>(
    connection: &mut PgConnection,
    before: &R,
    members: Object,
    context: &Context<'_>,
) -> Result<Vec<Violation>> {
    let mut savepoint = connection.begin().await?;
    let tried = R::change(&mut savepoint, before, Patch { members, is_replacement: false }, context).await;
    savepoint.rollback().await?;
    tried.map_or_else(violations, |()| Ok(Vec::new()))
}

/// Locks records that are not deleted, by their ids in order, and reads them.
pub(super) async fn lock_all<R: Resource>(connection: &mut PgConnection, ids: &[Uuid]) -> Result<HashMap<Uuid, R>> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let table = R::collection().name;
    let lock = format!("select id from {table} where id = any($1) and deleted_at is null order by id for no key update");
    let locked: Vec<Uuid> = sqlx::query_scalar(AssertSqlSafe(lock)).bind(ids).fetch_all(&mut *connection).await?;
    Ok(R::select(connection, &locked).await?.into_iter().map(|record| (record.id(), record)).collect())
}

/// The versions of rows of a table.
async fn versions(connection: &mut PgConnection, table: &'static str, ids: &[Uuid]) -> Result<HashMap<Uuid, i64>> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let select = format!("select id, version from {table} where id = any($1)");
    let versions: Vec<(Uuid, i64)> = sqlx::query_as(AssertSqlSafe(select)).bind(ids).fetch_all(connection).await?;
    Ok(versions.into_iter().collect())
}

/// The members of a record as clients see them.
fn shown<R: Resource>(record: &R) -> Result<Json> {
    serde_json::to_value(record).map_err(Error::internal)
}

/// The members that a request writes, and those with these names, where two forms of a record differ.
fn differences<R: Fields>(before: &Json, after: &Json, more: &[&str]) -> Vec<Difference> {
    let is_told = |member: &Member<R>| member.field.access == Access::Write || more.contains(&member.field.name);
    let differs = |member: &Member<R>| {
        let (before, after) = (&before[member.field.name], &after[member.field.name]);
        let difference = || Difference { field: member.field.name.to_owned(), before: before.clone(), after: after.clone() };
        (before != after).then(difference)
    };
    R::MEMBERS.iter().filter(|member| is_told(member)).filter_map(differs).collect()
}

/// Does all or nothing, and keeps the transaction usable. The outer error ends the chunk.
pub(super) async fn try_all(
    connection: &mut PgConnection,
    write: impl AsyncFnOnce(&mut PgConnection) -> Result<()>,
) -> Result<Result<()>> {
    let mut savepoint = connection.begin().await?;
    match write(&mut savepoint).await {
        Ok(()) => savepoint.commit().await?,
        // The transaction may be lost as well.
        Err(error) if error.status() >= 500 => return Err(error),
        Err(error) => {
            savepoint.rollback().await?;
            return Ok(Err(error));
        }
    }
    Ok(Ok(()))
}

/// Turns an error into violations of its row.
///
/// # Errors
/// The error is not about the row.
fn violations(error: Error) -> Result<Vec<Violation>> {
    let (code, message) = match error {
        Error::Invalid(_) | Error::Duplicate(_) => return Ok(error.violations().to_vec()),
        Error::Conflict { code, detail, .. } => (code, detail),
        Error::Forbidden(_) => ("forbidden", error.to_string()),
        Error::NotFound(what) => ("not_found", format!("there is no such {what}")),
        other => return Err(other),
    };
    Ok(vec![Violation { pointer: String::new(), code: code.into(), message }])
}
