//! What analysts see of the product's own work: one sample a minute of each process, while there are indices for them.

use std::time::Duration;

use chrono::TimeDelta;
use tokio::time::{MissedTickBehavior, interval};
use uuid::Uuid;

use super::overview;
use crate::app::App;
use crate::error::{Error, Result};
use crate::metrics::{self, Totals};
use crate::values::ids;

const PERIOD: Duration = Duration::from_secs(60);
/// A month of one process is 43,200 rows.
const KEPT: TimeDelta = TimeDelta::days(30);

/// Samples until the application is stopped. A minute in which Postgres does not answer has no sample.
pub async fn run(app: App) -> Result<()> {
    let process = ids::new();
    let mut before = metrics::totals();
    let mut minute = interval(PERIOD);
    minute.set_missed_tick_behavior(MissedTickBehavior::Delay);
    minute.tick().await;
    while app.stop.run_until_cancelled(minute.tick()).await.is_some() {
        let now = metrics::totals();
        if let Err(error) = sample(&app, process, now.since(before)).await {
            tracing::warn!(%error, "cannot store a sample of this minute");
        }
        before = now;
    }
    Ok(())
}

/// Stores one sample, and removes those that are too old.
pub async fn sample(app: &App, process: Uuid, counted: Totals) -> Result<()> {
    let Some(sync) = overview(app).await else { return Err(Error::internal("postgres does not tell the state of the sync")) };
    let (now, sync) = (app.clock.now(), sync.health);
    let role = serde_json::to_value(sync.role).map_err(Error::internal)?;
    sqlx::query!(
        "insert into operation_samples
          (id, sampled_at, process, role, lag_ms, backlog, dead_letters, lists, fallbacks, requests, request_ms)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        ids::new(),
        now,
        process.to_string(),
        role.as_str().unwrap_or_default(),
        sync.lag_ms.map(|lag| i64::try_from(lag).unwrap_or(i64::MAX)),
        sync.backlog + sync.fanouts,
        sync.dead_letters,
        counted.lists,
        counted.fallbacks,
        counted.requests,
        counted.mean_ms(),
    )
    .execute(&app.db.server)
    .await?;
    sqlx::query!("delete from operation_samples where sampled_at < $1", now - KEPT).execute(&app.db.server).await?;
    Ok(())
}
