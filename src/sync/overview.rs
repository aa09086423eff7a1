//! The state of the sync in one struct, for `collections sync status`, `/health` and `/metrics`. Cheap to read.

use serde::Serialize;
use sqlx::PgPool;

use super::store::checkpoint;
use super::store::generations::{self, Generation};
use super::store::sweep_runs::{self, Summary};
use crate::app::App;
use crate::freshness::status::Role;

/// Rows of tables that may be large are counted up to this number.
pub const COUNTED: i64 = 10_000;

/// The state of the sync.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Overview {
    #[serde(flatten)]
    pub health: Health,
    /// The process that leads, or led last.
    pub leader: Option<String>,
    /// Why that process, or this one, cannot work.
    pub problem: Option<String>,
    pub epoch: u16,
    /// Searches find every change up to this LSN, except those of the backlog.
    pub searchable: String,
    pub generations: Vec<Generation>,
}

/// What `/health` shows of it without a login: numbers only, as messages may name hosts.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// Of this process.
    pub role: Role,
    /// How long changes have waited to become searchable. Unless this process leads, the time since the checkpoint moved, which it
    /// does every few seconds at rest.
    pub lag_ms: u64,
    /// Bytes of the log that the index lacks.
    pub lag_bytes: Option<i64>,
    pub slot: Slot,
    /// How long the oldest open transaction has been writing; Postgres keeps its log for that long.
    pub oldest_transaction_seconds: Option<f64>,
    /// Documents that Elasticsearch refused, up to [`COUNTED`].
    pub dead_letters: i64,
    /// Documents to write again, up to [`COUNTED`].
    pub backlog: i64,
    /// Rows whose children are being written, up to [`COUNTED`].
    pub fanouts: i64,
    /// By collection.
    pub sweeps: Vec<Summary>,
}

/// The replication slot.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Slot {
    pub name: String,
    pub state: SlotState,
    /// Bytes of the log that Postgres retains for it.
    pub retained_bytes: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, sqlx::Type)]
#[serde(rename_all = "camelCase")]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub enum SlotState {
    Active,
    Idle,
    /// Postgres has removed log that the slot needs.
    Lost,
    Missing,
}

/// Reads the state.
pub async fn read(app: &App, pool: &PgPool) -> sqlx::Result<Overview> {
    let report = app.watermark.status.report();
    let known = checkpoint::read(pool).await?;
    let row = sqlx::query!(
        r#"
        select
          case when s.slot_name is null then 'missing' when s.wal_status = 'lost' then 'lost' when s.active then 'active' else 'idle' end
            as "slot_state!: SlotState",
          (pg_current_wal_lsn() - s.confirmed_flush_lsn)::bigint as lag_bytes,
          (pg_current_wal_lsn() - s.restart_lsn)::bigint as retained_bytes,
          (extract(epoch from now() - t.updated_at) * 1000)::bigint as "age_ms!",
          oldest_transaction_seconds() as oldest_transaction_seconds,
          (select count(*) from (select from sync_dead_letters limit $2) as dead_letters) as "dead_letters!",
          (select count(*) from (select from sync_backlog limit $2) as backlog) as "backlog!",
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
    let health = Health {
        role: report.role,
        lag_ms,
        lag_bytes: row.lag_bytes,
        slot: Slot { name: app.config.sync.slot.clone(), state: row.slot_state, retained_bytes: row.retained_bytes },
        oldest_transaction_seconds: row.oldest_transaction_seconds,
        dead_letters: row.dead_letters,
        backlog: row.backlog,
        fanouts: row.fanouts,
        sweeps: sweep_runs::all(pool).await?,
    };
    Ok(Overview {
        health,
        leader: known.leader,
        problem: report.problem.or(known.problem),
        epoch: known.epoch.0,
        searchable: known.checkpoint.searchable.to_string(),
        generations: generations::all(pool).await?,
    })
}
