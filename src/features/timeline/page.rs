//! One page of a timeline: its rows, and what they show.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;
use sqlx::PgConnection;
use uuid::Uuid;

use super::Subject;
use super::asked::{Asked, Place};
use super::change::Change;
use super::kind::Kind;
use crate::api::Request;
use crate::error::{Error, Result};
use crate::features::accounts::{self, LedgerEntry};
use crate::features::activities::Activity;
use crate::features::payments::Payment;
use crate::features::resource::{self, Resource};
use crate::values::clock::milliseconds;

/// An entry as the statement finds it.
pub(super) struct Row {
    rank: i32,
    id: Uuid,
    at: DateTime<Utc>,
    by: Option<Uuid>,
    by_name: Option<String>,
    /// Of a change: the table, what was done, and the members.
    kind: Option<String>,
    action: Option<String>,
    details: Option<String>,
}

impl Row {
    pub(super) fn place(&self) -> Place {
        Place { at: self.at, rank: self.rank, id: self.id }
    }
}

/// An entry as it is shown. The member that is named like its type has what happened.
#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "TimelineEntry")]
pub(super) struct Entry {
    #[serde(rename = "type")]
    kind: Kind,
    /// Of the activity, the payment or the entry of the ledger; a change has one that nothing else has.
    id: Uuid,
    /// Of a payment, when it was recorded.
    #[serde(serialize_with = "milliseconds")]
    occurred_at: DateTime<Utc>,
    /// The user who did it.
    by: Option<Uuid>,
    by_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Activity>")]
    activity: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Payment>")]
    payment: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ledger: Option<LedgerEntry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<Change>,
}

/// Reads the rows of a page, and one more if there is one.
pub(super) async fn rows(connection: &mut PgConnection, subject: &Subject, asked: &Asked) -> Result<Vec<Row>> {
    // A plan for any values would not know that few rows are wanted, and might sort all of them.
    sqlx::raw_sql("set local plan_cache_mode = force_custom_plan").execute(&mut *connection).await?;
    let records: Vec<Uuid> = subject.accounts.iter().copied().chain([subject.customer]).collect();
    let ranks: Vec<i32> = asked.kinds.iter().map(|kind| kind.rank()).collect();
    let rows = sqlx::query_file_as!(
        Row,
        "src/features/timeline/page.sql",
        &subject.accounts,
        &records,
        &ranks,
        asked.from,
        asked.behind.at,
        asked.behind.rank,
        asked.behind.id,
        i64::from(asked.limit) + 1,
    );
    Ok(rows.fetch_all(connection).await?)
}

/// Adds to rows what they show, as far as the caller may see it.
pub(super) async fn entries(connection: &mut PgConnection, rows: Vec<Row>, request: &Request) -> Result<Vec<Entry>> {
    let ids = |kind: Kind| rows.iter().filter(|row| row.rank == kind.rank()).map(|row| row.id).collect::<Vec<_>>();
    let mut activities = shown::<Activity>(connection, &ids(Kind::Activity), request).await?;
    let mut payments = shown::<Payment>(connection, &ids(Kind::Payment), request).await?;
    let ledger = accounts::ledger_entries(connection, &ids(Kind::Ledger)).await?;
    let mut ledger: HashMap<Uuid, LedgerEntry> = ledger.into_iter().map(|entry| (entry.id, entry)).collect();
    let entry = |row: Row| {
        let kind = Kind::ALL.into_iter().find(|kind| kind.rank() == row.rank);
        let change = row.kind.zip(row.action).map(|(table, action)| Change::read(&table, action, row.details.as_deref()));
        Ok(Entry {
            kind: kind.ok_or_else(|| Error::internal("the statement finds entries of known kinds"))?,
            id: row.id,
            occurred_at: row.at,
            by: row.by,
            by_name: row.by_name,
            activity: activities.remove(&row.id),
            payment: payments.remove(&row.id),
            ledger: ledger.remove(&row.id),
            change: change.transpose()?,
        })
    };
    rows.into_iter().map(entry).collect()
}

/// Reads records as lists show them.
async fn shown<R: Resource>(
    connection: &mut PgConnection,
    ids: &[Uuid],
    request: &Request,
) -> Result<HashMap<Uuid, Box<RawValue>>> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let records = R::select(&mut *connection, ids).await?;
    let shown = resource::show_all(connection, &records, request).await?;
    Ok(records.iter().map(R::id).zip(shown).collect())
}
