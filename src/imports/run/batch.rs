//! One batch of rows in one transaction: a row that fails does not stop the others.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::hash::{BuildHasher, RandomState};

use anyhow::Context;
use sqlx::{Connection, PgConnection, PgPool};

use crate::error::{Error, Result, Violation};
use crate::imports::Import;
use crate::imports::read::record::Record;
use crate::imports::read::survey::Survey;
use crate::imports::report::{Issue, Severity, Summary};

/// Keys that are remembered to find repeated rows (16 MB); later repetitions count as existing records.
const REMEMBERED_KEYS: usize = 1_000_000;

/// A record on its way from a row of a file into its table.
pub(in crate::imports) trait Draft: Sized + Send + Sync {
    /// The records that rows refer to.
    type Known: Send;

    /// The key of the row; `None` if its columns are blank.
    fn key(record: &Record) -> Option<String>;

    /// Looks up what the rows refer to, and locks it until the transaction ends.
    fn look_up(connection: &mut PgConnection, records: &[Record]) -> impl Future<Output = Result<Self::Known>> + Send;

    /// Returns the keys that exist already.
    fn existing(connection: &mut PgConnection, keys: &[String]) -> impl Future<Output = Result<Vec<String>>> + Send;

    /// Makes a record by the rules of the API. Adds violations to the row and returns `None` if it breaks them.
    fn make(record: &mut Record, known: &mut Self::Known, survey: &Survey, import: &Import) -> Option<Self>;

    /// Inserts all or none, by the steps of the feature.
    fn insert(connection: &mut PgConnection, drafts: &[Self], import: &Import) -> impl Future<Output = Result<()>> + Send;
}

/// Hashes of the keys of earlier rows, to find repeated rows.
#[derive(Default)]
pub(in crate::imports) struct Seen {
    rows: HashMap<u64, u64>,
    hasher: RandomState,
}

impl Seen {
    /// Returns the earlier row with this key. Else remembers the key if there is room.
    fn insert(&mut self, key: &str, row: u64, room: usize) -> Option<u64> {
        let has_room = self.rows.len() < room;
        match self.rows.entry(self.hasher.hash_one(key)) {
            Entry::Occupied(earlier) => Some(*earlier.get()),
            Entry::Vacant(place) => {
                if has_room {
                    place.insert(row);
                }
                None
            }
        }
    }
}

/// What became of a batch.
#[derive(Default)]
pub(in crate::imports) struct Outcome {
    pub(in crate::imports) summary: Summary,
    pub(in crate::imports) issues: Vec<Issue>,
}

impl Outcome {
    fn count(&mut self, record: Record) {
        if record.has_failed() {
            self.summary.failed += 1;
        } else {
            self.summary.created += 1;
        }
        self.summary.warnings += record.issues.iter().filter(|issue| issue.severity == Severity::Warning).count() as u64;
        self.issues.extend(record.issues);
    }
}

/// Imports a batch. A dry run rolls it back.
pub(in crate::imports) async fn write<D: Draft>(
    pool: &PgPool,
    import: &Import,
    survey: &Survey,
    records: Vec<Record>,
    seen: &mut Seen,
) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    outcome.summary.rows = records.len() as u64;
    let mut transaction = pool.begin().await.context("the database is not available")?;
    let mut known = D::look_up(&mut transaction, &records).await?;
    let fresh = sift::<D>(&mut transaction, import, survey, records, seen, &mut outcome).await?;
    let (mut rows, mut drafts) = (Vec::new(), Vec::new());
    for mut record in fresh {
        match D::make(&mut record, &mut known, survey, import) {
            Some(draft) => {
                rows.push(record);
                drafts.push(draft);
            }
            None => outcome.count(record),
        }
    }
    if try_insert(&mut transaction, &drafts, import).await?.is_ok() {
        rows.into_iter().for_each(|record| outcome.count(record));
    } else {
        // The database refused one of them. Inserted one by one, only that one fails.
        let key = format!("/{}", import.target.key());
        for (mut record, draft) in rows.into_iter().zip(&drafts) {
            match try_insert(&mut transaction, std::slice::from_ref(draft), import).await? {
                Ok(()) => outcome.count(record),
                // Another client created it since the lookup.
                Err(Error::Duplicate(violation)) if violation.pointer == key => outcome.summary.existing += 1,
                Err(error) => {
                    record.add(survey, import.target.fields(), violations(error)?);
                    outcome.count(record);
                }
            }
        }
    }
    outcome.issues.sort_by_key(|issue| issue.row);
    if import.dry_run {
        transaction.rollback().await?
    } else {
        transaction.commit().await?
    }
    Ok(outcome)
}

/// Returns the rows to insert: without a broken cell, a key of an earlier row, or an existing record.
async fn sift<D: Draft>(
    connection: &mut PgConnection,
    import: &Import,
    survey: &Survey,
    records: Vec<Record>,
    seen: &mut Seen,
    outcome: &mut Outcome,
) -> anyhow::Result<Vec<Record>> {
    let keys: Vec<String> = records.iter().filter_map(D::key).collect();
    let existing: HashSet<String> = D::existing(connection, &keys).await?.into_iter().collect();
    let mut fresh = Vec::new();
    for mut record in records {
        let key = D::key(&record).filter(|_| !record.has_failed());
        let earlier = key.as_ref().and_then(|key| seen.insert(key, record.row, REMEMBERED_KEYS));
        if let Some(earlier) = earlier {
            let violation = Violation {
                pointer: format!("/{}", import.target.key()),
                code: "repeated_row".into(),
                message: format!("row {earlier} has the same"),
            };
            record.add(survey, import.target.fields(), vec![violation]);
        }
        if record.has_failed() {
            outcome.count(record);
        } else if key.is_some_and(|key| existing.contains(&key)) {
            outcome.summary.existing += 1;
        } else {
            fresh.push(record);
        }
    }
    Ok(fresh)
}

/// Inserts all or none and keeps the transaction usable. The outer error ends the import.
async fn try_insert<D: Draft>(connection: &mut PgConnection, drafts: &[D], import: &Import) -> anyhow::Result<Result<()>> {
    let mut savepoint = connection.begin().await?;
    let inserted = D::insert(&mut savepoint, drafts, import).await;
    match inserted {
        Ok(()) => savepoint.commit().await?,
        // The transaction may be lost as well.
        Err(error @ (Error::Unavailable { .. } | Error::Timeout)) => return Err(error.into()),
        Err(error) => {
            savepoint.rollback().await?;
            return Ok(Err(error));
        }
    }
    Ok(Ok(()))
}

/// Turns an error into violations of its row. An error that is not about the row ends the import.
fn violations(error: Error) -> anyhow::Result<Vec<Violation>> {
    let (code, message) = match error {
        Error::Invalid(_) | Error::Duplicate(_) => return Ok(error.violations().to_vec()),
        Error::Conflict { code, detail, .. } => (code, detail),
        Error::Forbidden(_) => ("forbidden", error.to_string()),
        Error::NotFound(what) => ("not_found", format!("there is no such {what}")),
        other => return Err(other.into()),
    };
    Ok(vec![Violation { pointer: String::new(), code: code.into(), message }])
}
