//! The state of the sync in numbers, alike for the command line, `/health` and `/metrics`. Asking is cheap, and tells nothing of debtors.

use serde::Serialize;
use sqlx::PgPool;

use super::store::checkpoint;
use super::store::generations::{self, Generation};
use super::store::sweep_runs::{self, Swept};
use crate::app::App;
use crate::freshness::status::Role;

/// Tables that may be large are counted up to here.
pub const COUNTED: i64 = 10_000;

/// The state of the sync.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Overview {
    /// What this process does for the sync.
    pub role: Role,
    /// Who leads, or led last.
    pub leader: Option<String>,
    /// What keeps that process, or this one, from its part.
    pub problem: Option<String>,
    /// The high bits of every version.
    pub epoch: u16,
    /// Everything up to here can be found.
    pub applied: String,
    /// How long changes have been waiting to be found. Unless this process leads, it is the time since the position moved, which it
    /// does every few seconds at rest.
    pub lag_ms: u64,
    /// How much of the log is beyond what the index has.
    pub lag_bytes: Option<i64>,
    /// The replication slot.
    pub slot: Slot,
    /// For how long the oldest open transaction has been writing: the log is kept for it.
    pub oldest_transaction_seconds: Option<f64>,
    /// Documents that the index refused; at most [`COUNTED`].
    pub refused: i64,
    /// Documents that are to be written again; at most [`COUNTED`].
    pub spilled: i64,
    /// Rows whose children are being written again; at most [`COUNTED`].
    pub fanouts: i64,
    /// The indices.
    pub generations: Vec<Index>,
    /// The rolling comparison with the rows, by collection.
    pub sweeps: Vec<Swept>,
}

/// The replication slot.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Slot {
    /// Its name.
    pub name: String,
    /// `active`, `idle`, `lost` or `missing`.
    pub state: String,
    /// How much log the server keeps for it.
    pub retained_bytes: Option<i64>,
}

/// An index.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Name of the collection.
    pub collection: String,
    /// Its name.
    pub index: String,
    /// What it is for.
    pub state: String,
    /// How many documents its rebuild has written.
    pub documents: i64,
    /// Why its rebuild failed.
    pub reason: Option<String>,
}

/// Reads the state.
///
/// # Errors
/// The database's.
pub async fn read(app: &App, pool: &PgPool) -> sqlx::Result<Overview> {
    let report = app.watermark.status.report();
    let known = checkpoint::read(pool).await?;
    let row = sqlx::query!(
        r#"
        select
          case when s.slot_name is null then 'missing' when s.wal_status = 'lost' then 'lost' when s.active then 'active' else 'idle' end
            as "slot_state!",
          (pg_current_wal_lsn() - s.confirmed_flush_lsn)::bigint as lag_bytes,
          (pg_current_wal_lsn() - s.restart_lsn)::bigint as retained_bytes,
          (extract(epoch from now() - t.updated_at) * 1000)::bigint as "age_ms!",
          oldest_transaction_seconds() as oldest_transaction_seconds,
          (select count(*) from (select from sync_dead_letters limit $2) as refused) as "refused!",
          (select count(*) from (select from sync_backlog limit $2) as spilled) as "spilled!",
          (select count(*) from (select from sync_fanouts limit $2) as fanouts) as "fanouts!"
        from sync_state t
        left join pg_replication_slots s on s.slot_name = $1
        "#,
        app.config.sync.slot,
        COUNTED,
    )
    .fetch_one(pool)
    .await?;
    let lag_ms = if report.role == Role::Leading {
        u64::try_from(report.lag().as_millis()).unwrap_or(u64::MAX)
    } else {
        u64::try_from(row.age_ms).unwrap_or_default()
    };
    let index = |one: Generation| Index {
        collection: one.collection,
        index: one.index,
        state: one.state,
        documents: one.documents,
        reason: one.reason,
    };
    Ok(Overview {
        role: report.role,
        leader: known.leader,
        problem: report.problem.or(known.problem),
        epoch: known.epoch.0,
        applied: known.standing.searchable.to_string(),
        lag_ms,
        lag_bytes: row.lag_bytes,
        slot: Slot { name: app.config.sync.slot.clone(), state: row.slot_state, retained_bytes: row.retained_bytes },
        oldest_transaction_seconds: row.oldest_transaction_seconds,
        refused: row.refused,
        spilled: row.spilled,
        fanouts: row.fanouts,
        generations: generations::all(pool).await?.into_iter().map(index).collect(),
        sweeps: sweep_runs::all(pool).await?,
    })
}
