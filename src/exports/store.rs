//! Exports that jobs do, in SQL.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use super::plan::Occasion;
use super::table::{Format, Mark};
use crate::collections;
use crate::error::{Error, Result};
use crate::jobs::State;
use crate::search::Collection;
use crate::values::clock::milliseconds;
use crate::values::ids::{ExportId, FileId, JobId, UserId};
use crate::values::personal::Disclosure;

/// An export that a job does, or has done.
#[derive(Clone, Debug, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Export")]
pub(super) struct Export {
    pub(super) id: Uuid,
    /// None once the job was removed.
    pub(super) job_id: Option<Uuid>,
    pub(super) collection: String,
    pub(super) format: String,
    pub(super) file_name: String,
    /// Of the job.
    pub(super) status: State,
    /// Records of the list; null while they are not counted.
    pub(super) total: Option<i64>,
    /// Records that are written.
    pub(super) processed: i64,
    /// Records of the complete file.
    pub(super) rows: Option<i64>,
    /// Of what is written.
    pub(super) bytes: i64,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
    #[serde(serialize_with = "milliseconds")]
    pub(super) created_at: DateTime<Utc>,
    /// When its file is removed.
    #[serde(serialize_with = "milliseconds")]
    pub(super) expires_at: DateTime<Utc>,
    #[serde(skip)]
    pub(super) created_by: Uuid,
    #[serde(skip)]
    pub(super) parameters: Value,
    #[serde(skip)]
    pub(super) disclosure: String,
    #[serde(skip)]
    pub(super) is_older: bool,
    #[serde(skip)]
    pub(super) file_id: Uuid,
}

impl Export {
    pub(super) fn collection(&self) -> Result<&'static Collection> {
        collections::find(&self.collection).ok_or_else(|| Error::internal("an export of an unknown collection"))
    }

    pub(super) fn file(&self) -> FileId {
        FileId(self.file_id)
    }

    /// Names and values, as they were asked for.
    pub(super) fn parameters(&self) -> Result<Vec<(String, String)>> {
        serde_json::from_value(self.parameters.clone()).map_err(Error::internal)
    }

    pub(super) fn occasion(&self) -> Occasion {
        let mark = if self.is_older { Mark::Never } else { Mark::ForSpreadsheets };
        Occasion { disclosure: self.disclosure(), now: self.created_at, mark }
    }

    pub(super) fn disclosure(&self) -> Disclosure {
        if self.disclosure == word(Disclosure::Full) { Disclosure::Full } else { Disclosure::Masked }
    }
}

/// An export that is asked for.
pub(super) struct New<'a> {
    pub(super) id: ExportId,
    pub(super) collection: &'static Collection,
    pub(super) parameters: &'a [(String, String)],
    pub(super) format: Format,
    pub(super) occasion: Occasion,
    pub(super) file: FileId,
    pub(super) job: JobId,
    pub(super) by: UserId,
}

pub(super) async fn insert(connection: &mut PgConnection, new: New<'_>) -> Result<()> {
    let parameters = serde_json::to_value(new.parameters).map_err(Error::internal)?;
    let inserted = sqlx::query!(
        r#"
        insert into exports (id, collection, parameters, format, disclosure, is_older, file_id, job_id, created_by, created_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        "#,
        new.id.0,
        new.collection.name,
        parameters,
        new.format.name(),
        word(new.occasion.disclosure),
        new.occasion.mark == Mark::Never,
        new.file.0,
        new.job.0,
        new.by.0,
        new.occasion.now,
    );
    inserted.execute(connection).await?;
    Ok(())
}

/// Finds an export whose file has not expired.
pub(super) async fn find(executor: impl PgExecutor<'_>, id: ExportId, now: DateTime<Utc>) -> Result<Option<Export>> {
    Ok(select(executor, Some(id.0), None, now, None, 1).await?.pop())
}

/// Lists exports whose files have not expired, the newest first, behind the one with the id `before`; of one user, or of all.
pub(super) async fn page(
    executor: impl PgExecutor<'_>,
    of: Option<UserId>,
    now: DateTime<Utc>,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Export>> {
    select(executor, None, of, now, before, limit).await
}

async fn select(
    executor: impl PgExecutor<'_>,
    id: Option<Uuid>,
    of: Option<UserId>,
    now: DateTime<Utc>,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Export>> {
    let exports = sqlx::query_as!(
        Export,
        r#"
        select
          e.id as "id!", e.job_id, e.collection as "collection!", e.format as "format!", f.name as "file_name!",
          coalesce(j.state, case when e.rows is null then 'failed' else 'succeeded' end) as "status!: State", j.total as "total?",
          coalesce(j.succeeded, e.rows, 0) as "processed!", e.rows, f.bytes as "bytes!", j.error as "error?",
          e.created_at as "created_at!", f.expires_at as "expires_at!", e.created_by as "created_by!",
          e.parameters as "parameters!", e.disclosure as "disclosure!", e.is_older as "is_older!", e.file_id as "file_id!"
        from exports e
        join stored_files f on f.id = e.file_id
        left join jobs j on j.id = e.job_id
        where ($1::uuid is null or e.id = $1)
        and ($2::uuid is null or e.created_by = $2)
        and f.expires_at > $3
        and ($4::uuid is null or e.id < $4)
        order by e.id desc
        limit $5
        "#,
        id,
        of.map(Uuid::from),
        now,
        before,
        limit,
    );
    Ok(exports.fetch_all(executor).await?)
}

/// States that the file is complete.
pub(super) async fn complete(connection: &mut PgConnection, id: ExportId, rows: i64) -> Result<()> {
    sqlx::query!("update exports set rows = $2 where id = $1", id.0, rows).execute(connection).await?;
    Ok(())
}

fn word(disclosure: Disclosure) -> &'static str {
    match disclosure {
        Disclosure::Full => "full",
        Disclosure::Masked => "masked",
    }
}
