//! The state of the sync in one struct, for `collections sync status`, `/health` and `/metrics`. Cheap to read.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use sqlx::PgPool;

use super::store::generations::{self, Generation};
use super::store::statement::{self, Stated};
use super::store::sweep_runs::{self, Summary};
use crate::app::App;
use crate::collections;
use crate::freshness::status::Role;
use crate::search::Collection;

/// Rows of tables that may be large are counted up to this number.
pub const COUNTED: i64 = 10_000;

/// A leader that was not heard for longer is dead, frozen or only starting: it writes every second.
const SILENCE: Duration = Duration::from_secs(3);

/// The state of the sync.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Overview {
    #[serde(flatten)]
    pub health: Health,
    /// Why lists are late or come from Postgres, in sentences; none if all is well or there is no Elasticsearch.
    pub reasons: Vec<String>,
    pub epoch: u16,
    /// Searches find every change up to this LSN, except those of the backlog.
    pub searchable: String,
    pub generations: Vec<Generation>,
}

/// What `/health` shows of it.
#[derive(Clone, Debug, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "SyncHealth")]
pub struct Health {
    /// Of this process.
    pub role: Role,
    /// The process that leads, or led last; absent before the first one.
    pub leader: Option<String>,
    /// How long ago it was heard.
    pub leader_heard_ms: u64,
    /// Why the leader, or this process, cannot work.
    pub problem: Option<String>,
    /// How long changes have waited to become searchable, in the collection where they have waited longest. Unknown before the first
    /// index.
    pub lag_ms: Option<u64>,
    /// Bytes of the log that the index lacks.
    pub lag_bytes: Option<i64>,
    pub slot: Slot,
    /// How long the oldest open transaction has been writing; Postgres keeps its log for that long.
    pub oldest_transaction_seconds: Option<f64>,
    /// Documents that Elasticsearch refused, up to 10,000.
    pub dead_letters: i64,
    /// Documents to write again, up to 10,000.
    pub backlog: i64,
    /// Rows whose children are being written, up to 10,000.
    pub fanouts: i64,
    /// By collection.
    pub sweeps: Vec<Summary>,
}

impl Health {
    /// Whether the leader was heard within seconds.
    #[must_use]
    pub fn has_leader(&self) -> bool {
        self.leader.is_some() && self.leader_heard_ms <= millis(SILENCE)
    }
}

/// The replication slot.
#[derive(Clone, Debug, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ReplicationSlot")]
pub struct Slot {
    pub name: String,
    pub state: SlotState,
    /// Bytes of the log that Postgres retains for it.
    pub retained_bytes: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, sqlx::Type)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
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
    let mut stated = statement::read(pool).await?;
    stated.problem = report.problem.or(stated.problem);
    let row = sqlx::query!(
        r#"
        select
          case when s.slot_name is null then 'missing' when s.wal_status = 'lost' then 'lost' when s.active then 'active' else 'idle' end
            as "slot_state!: SlotState",
          (pg_current_wal_lsn() - s.confirmed_flush_lsn)::bigint as lag_bytes,
          (pg_current_wal_lsn() - s.restart_lsn)::bigint as retained_bytes,
          oldest_transaction_seconds() as oldest_transaction_seconds,
          (select count(*) from (select from sync_dead_letters limit $2) as dead_letters) as "dead_letters!",
          (select count(*) from (select from sync_backlog limit $2) as backlog) as "backlog!",
          (select count(*) from (select from sync_fanouts limit $2) as fanouts) as "fanouts!"
        from (select) as always
        left join pg_replication_slots s on s.slot_name = $1
        "#,
        app.config.sync.slot,
        COUNTED,
    )
    .fetch_one(pool)
    .await?;
    let indexed = collections::indexed(app.config.search.analytics);
    let lags = indexed.iter().filter_map(|collection| stated.statement.lag(collection.name));
    let reasons = match app.search.elastic() {
        Some(_) => reasons(&stated, &indexed, app.config.search.stale_after),
        None => Vec::new(),
    };
    let health = Health {
        role: report.role,
        lag_ms: lags.max().map(millis),
        lag_bytes: row.lag_bytes,
        slot: Slot { name: app.config.sync.slot.clone(), state: row.slot_state, retained_bytes: row.retained_bytes },
        oldest_transaction_seconds: row.oldest_transaction_seconds,
        dead_letters: row.dead_letters,
        backlog: row.backlog,
        fanouts: row.fanouts,
        sweeps: sweep_runs::all(pool).await?,
        leader: stated.leader,
        leader_heard_ms: millis(stated.silence),
        problem: stated.problem,
    };
    Ok(Overview {
        health,
        reasons,
        epoch: stated.statement.epoch.0,
        searchable: stated.statement.reached.searchable.to_string(),
        generations: generations::all(pool).await?,
    })
}

/// Why lists are late or come from Postgres.
fn reasons(stated: &Stated, indexed: &[&Collection], stale_after: Duration) -> Vec<String> {
    let mut reasons: Vec<String> = stated.problem.iter().cloned().collect();
    match &stated.leader {
        None => reasons.push("no process has led the sync yet".to_owned()),
        Some(leader) if stated.silence > SILENCE => {
            reasons.push(format!("no process leads the sync: {leader} was last heard {} s ago", stated.silence.as_secs()));
        }
        Some(_) => {}
    }
    for Collection { name, .. } in indexed {
        if !stated.statement.reached.live.contains_key(*name) {
            reasons.push(format!("{name} have no live index yet: postgres answers"));
        } else if let Some(lag) = stated.statement.lag(name).filter(|lag| *lag >= stale_after) {
            reasons.push(format!("changes of {name} have waited for {} s to become searchable", lag.as_secs()));
        }
    }
    reasons
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use chrono::{DateTime, TimeDelta, Utc};

    use super::*;
    use crate::freshness::{Reached, Statement};
    use crate::values::lsn::Epoch;

    const STALE_AFTER: Duration = Duration::from_secs(5);

    /// A sync that is well.
    fn well() -> Stated {
        let now: DateTime<Utc> = DateTime::from_timestamp(1_000, 0).unwrap();
        let names = collections::ALL.map(|collection| collection.name.to_owned());
        let live = names.iter().map(|name| (name.clone(), Arc::from("index"))).collect();
        let statement = Statement {
            epoch: Epoch(1),
            reached: Reached { live, ..Reached::default() },
            searchable_at: names.into_iter().map(|name| (name, now - TimeDelta::seconds(1))).collect(),
            read_at: now,
        };
        Stated { statement, leader: Some("process 7".into()), problem: None, silence: Duration::from_secs(1) }
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut Stated), expected: &[&str]) {
        let mut stated = well();
        change(&mut stated);
        assert_eq!(reasons(&stated, &collections::ALL, STALE_AFTER), expected);
    }

    #[test]
    fn every_reason_for_late_lists_is_named() {
        check(|_| (), &[]);
        check(|stated| stated.problem = Some("writes are blocked".into()), &["writes are blocked"]);
        check(
            |stated| stated.silence = Duration::from_secs(34),
            &["no process leads the sync: process 7 was last heard 34 s ago"],
        );
        check(|stated| stated.leader = None, &["no process has led the sync yet"]);
        check(
            |stated| drop(stated.statement.reached.live.remove("accounts")),
            &["accounts have no live index yet: postgres answers"],
        );
        let late = |seconds| {
            move |stated: &mut Stated| {
                let at = stated.statement.read_at - TimeDelta::seconds(seconds);
                stated.statement.searchable_at.insert("payments".into(), at);
            }
        };
        check(late(4), &[]);
        check(late(5), &["changes of payments have waited for 5 s to become searchable"]);
        check(|stated| stated.statement.searchable_at = BTreeMap::new(), &[]);
    }
}
