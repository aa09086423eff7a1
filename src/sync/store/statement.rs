//! What the leader states of the indices, for every server: read in one snapshot.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sqlx::PgExecutor;
use sqlx::types::Json;

use super::checkpoint::{SearchableAt, from_sql};
use crate::freshness::{Reached, Statement};
use crate::values::lsn::Epoch;

/// The statement, and what operators want to know of the leader.
#[derive(Clone, Debug)]
pub struct Stated {
    pub statement: Statement,
    /// The process that leads, or led last.
    pub leader: Option<String>,
    /// Why it cannot work.
    pub problem: Option<String>,
    /// How long ago it was heard.
    pub silence: Duration,
}

pub async fn read(executor: impl PgExecutor<'_>) -> sqlx::Result<Stated> {
    let row = sqlx::query!(
        r#"
        select
          epoch,
          searchable_lsn,
          backlog_since as "backlog_since: Json<BTreeMap<String, i64>>",
          -- While the database may have gone back, or changes may have been missed, the leader vouches for no index.
          case when unverified_since is null and publication is not null then searchable_at else '{}' end
            as "searchable_at!: Json<SearchableAt>",
          leader,
          problem,
          heard_at,
          statement_timestamp() as "read_at!",
          (
            select coalesce(jsonb_object_agg(collection, index_name), '{}')
            from index_generations
            where state = 'live'
          ) as "live!: Json<BTreeMap<String, String>>"
        from sync_state
        "#
    )
    .fetch_one(executor)
    .await?;
    let reached = Reached {
        searchable: from_sql(row.searchable_lsn),
        backlog_since: row.backlog_since.0.into_iter().map(|(collection, since)| (collection, from_sql(since))).collect(),
        live: row.live.0.into_iter().map(|(collection, index)| (collection, Arc::from(index))).collect(),
    };
    let epoch = Epoch(u16::try_from(row.epoch).unwrap_or(u16::MAX));
    Ok(Stated {
        statement: Statement { epoch, reached, searchable_at: row.searchable_at.0, read_at: row.read_at },
        leader: row.leader,
        problem: row.problem,
        silence: (row.read_at - row.heard_at).to_std().unwrap_or_default(),
    })
}
