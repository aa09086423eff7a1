//! Metrics: what the process has counted, and what it finds of its pools and of the sync.

use std::time::Duration;

use chrono::SecondsFormat;
use schemars::JsonSchema;
use serde::Serialize;
use tokio::time::timeout;

use super::{PROBE, environment, overview, started};
use crate::api::{Reply, Request, json, text};
use crate::app::App;
use crate::auth::Permission::Operate;
use crate::auth::{Caller, may, public};
use crate::error::{Error, Result};
use crate::freshness::status::Role;
use crate::http::Routes;
use crate::jobs::{self, Lane};
use crate::metrics::{self, Gauges, Report};
use crate::operation::{Nothing, Text};
use crate::routes;
use crate::sync::overview::Health;
use crate::sync::store::sweep_runs::Summary;

/// The row `/metrics`.
pub(crate) fn metrics(app: &App) -> Routes {
    routes! { app, "metrics";
        /// Shows the metrics for Prometheus.
        get () public => scrape: Nothing -> Text;
    }
}

/// The row `/metrics` below `/api`, for admins.
pub(crate) fn report(app: &App) -> Routes {
    routes! { app, "metrics";
        /// Shows the metrics with percentiles.
        get () may(Operate) => show_to_admin: Nothing -> Metrics;
    }
}

/// The same on a port that operators alone can reach.
pub(crate) fn public_report(app: &App) -> Routes {
    routes! { app, "metrics";
        /// Shows the metrics with percentiles.
        get () public => show: Nothing -> Metrics;
    }
}

async fn scrape(request: Request) -> Result<Reply> {
    let gauges = look(&request.app).await;
    Ok(text(metrics::CONTENT_TYPE, metrics::render(&gauges).map_err(Error::internal)?))
}

async fn show_to_admin(_caller: Caller, request: Request) -> Result<Reply> {
    show(request).await
}

async fn show(request: Request) -> Result<Reply> {
    let app = &request.app;
    json(&Metrics {
        timestamp: app.clock.now().to_rfc3339_opts(SecondsFormat::Millis, true),
        uptime: started().elapsed().as_secs_f64(),
        environment: environment(app.config.environment),
        report: metrics::report(&look(app).await),
    })
}

/// The metrics of the process.
#[derive(JsonSchema, Serialize)]
struct Metrics {
    timestamp: String,
    /// In seconds.
    uptime: f64,
    environment: &'static str,
    #[serde(flatten)]
    report: Report,
}

/// Sets the gauges of what is now.
async fn look(app: &App) -> Gauges {
    let db = &app.db;
    let pools = [
        ("server", &db.server),
        ("read", &db.read),
        ("search", &db.search),
        ("exports", &db.exports),
        ("sync", &db.sync),
        ("jobs", &db.jobs),
        ("watch", &db.watch),
    ];
    metrics::BREAKER_OPEN.set(app.search.is_breaker_open().into());
    for (name, pool) in pools {
        let idle = i64::try_from(pool.num_idle()).unwrap_or(i64::MAX);
        metrics::POOL_CONNECTIONS.with_label_values(&[name, "idle"]).set(idle);
        metrics::POOL_CONNECTIONS.with_label_values(&[name, "busy"]).set(i64::from(pool.size()) - idle);
    }
    let (gauges, sync) = (Gauges::default(), overview(app).await);
    set_jobs(app, &gauges).await;
    let is_leading = app.watermark.status.report().role == Role::Leading;
    gauges.set(metrics::SYNC_LEADING, f64::from(is_leading));
    gauges.set(metrics::SYNC_KNOWN, f64::from(sync.is_some()));
    if let Some(sync) = sync {
        set_gauges(&gauges, &sync.health);
    }
    gauges
}

/// Counts unfinished jobs by lane, unless Postgres does not answer.
async fn set_jobs(app: &App, gauges: &Gauges) {
    let Ok(Ok(waiting)) = timeout(PROBE, jobs::store::waiting(&app.db.watch)).await else { return };
    let (mut counts, mut seconds) = (Vec::new(), Vec::new());
    for lane in Lane::ALL.map(Lane::name) {
        let counted = waiting.iter().find(|counted| counted.lane == lane);
        counts.push(([lane, "queued"], counted.map_or(0.0, |counted| counted.queued as f64)));
        counts.push(([lane, "running"], counted.map_or(0.0, |counted| counted.running as f64)));
        seconds.push(([lane], counted.map_or(0.0, |counted| counted.oldest_seconds)));
    }
    gauges.set_by(metrics::JOBS, ["lane", "status"], counts);
    gauges.set_by(metrics::JOB_WAITING_SECONDS, ["lane"], seconds);
}

/// Values that are not known are absent; see `docs/metrics.md`.
fn set_gauges(gauges: &Gauges, sync: &Health) {
    let bytes = |bytes: Option<i64>| bytes.map(|bytes| bytes as f64);
    let values = [
        (metrics::SYNC_LAG_SECONDS, sync.lag_ms.map(|lag| Duration::from_millis(lag).as_secs_f64())),
        (metrics::SYNC_LAG_BYTES, bytes(sync.lag_bytes)),
        (metrics::SYNC_RETAINED_BYTES, bytes(sync.slot.retained_bytes)),
        (metrics::SYNC_OLDEST_TRANSACTION_SECONDS, Some(sync.oldest_transaction_seconds.unwrap_or_default())),
        (metrics::SYNC_DEAD_LETTERS, Some(sync.dead_letters as f64)),
        (metrics::SYNC_BACKLOG, Some(sync.backlog as f64)),
        (metrics::SYNC_FANOUTS, Some(sync.fanouts as f64)),
    ];
    for (gauge, value) in values {
        if let Some(value) = value {
            gauges.set(gauge, value);
        }
    }
    let each = |value: fn(&Summary) -> Option<f64>| {
        sync.sweeps.iter().filter_map(move |sweep| Some((sweep.collection.as_str(), value(sweep)?)))
    };
    gauges.set_each(metrics::SYNC_VERIFIED_SECONDS, each(|sweep| sweep.verified_seconds_ago));
    gauges.set_each(metrics::SYNC_DRIFT_FOUND, each(|sweep| Some(sweep.total_found as f64)));
    gauges.set_each(metrics::SYNC_DRIFT_REPAIRED, each(|sweep| Some(sweep.total_repaired as f64)));
}
