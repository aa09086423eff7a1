//! How the server and what it depends on are.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use chrono::SecondsFormat;
use hyper::StatusCode;
use serde_json::{Value, json as value};
use sqlx::PgPool;
use tokio::time::timeout;

use crate::api::{Reply, Request, json, text};
use crate::app::App;
use crate::auth::public;
use crate::config::Environment;
use crate::error::Result;
use crate::freshness::status::Role;
use crate::http::Routes;
use crate::metrics::{self, Gauges};
use crate::routes;
use crate::search::elastic::Verb;
use crate::sync::overview::{self, Overview};
use crate::sync::store::sweep_runs::Swept;

/// Longest wait for a dependency to answer a probe.
const PROBE: Duration = Duration::from_millis(1_000);

/// Where the state of the sync is remembered, and for how long.
const OVERVIEW: &str = "sync overview";
const OVERVIEW_LIFE: Duration = Duration::from_secs(2);

/// The rows below `/health`.
pub(crate) fn routes(app: &App) -> Routes {
    started();
    routes! { app, "health";
        get ()        public => health;
        get ("live")  public => live;
        get ("ready") public => ready;
    }
}

/// The row `/metrics`.
pub(crate) fn metrics(app: &App) -> Routes {
    routes! { app, "metrics";
        get () public => scrape;
    }
}

async fn health(request: Request) -> Result<Reply> {
    let app = &request.app;
    let (postgres, elasticsearch, sync) = tokio::join!(answers(&app.db.watch), elasticsearch(app), overview(app));
    let redis = app.cache.is_connected();
    let status = match (postgres, elasticsearch, redis) {
        (false, ..) => "error",
        (true, Some(false), _) | (true, _, Some(false)) => "degraded",
        _ => "ok",
    };
    let report = value!({
        "status": status,
        "timestamp": app.clock.now().to_rfc3339_opts(SecondsFormat::Millis, true),
        "uptime": started().elapsed().as_secs_f64(),
        "environment": environment(app.config.environment),
        "checks": {
            "postgres": check(Some(postgres)),
            "elasticsearch": check(elasticsearch),
            "redis": check(redis),
            "sync": sync.map(|sync| value!({
                "role": sync.role,
                "slot": sync.slot.state,
                "lagMs": sync.lag_ms,
                "lagBytes": sync.lag_bytes,
                "retainedBytes": sync.slot.retained_bytes,
                "oldestTransactionSeconds": sync.oldest_transaction_seconds,
                "refused": sync.refused,
                "spilled": sync.spilled,
                "fanouts": sync.fanouts,
                "sweeps": sync.sweeps,
            })),
        },
    });
    Ok(json(&report)?.with_status(if postgres { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }))
}

/// The process works at all. Depends on nothing: restarting this process does not heal a database.
async fn live(_request: Request) -> Result<Reply> {
    json(&value!({ "status": "ok" }))
}

/// New requests are welcome: the process is not about to stop, and Postgres answers.
async fn ready(request: Request) -> Result<Reply> {
    let app = &request.app;
    let reason = if app.stop.is_cancelled() {
        "stopping"
    } else if !answers(&app.db.watch).await {
        "postgres does not answer"
    } else {
        return json(&value!({ "status": "ok" }));
    };
    Ok(json(&value!({ "status": "unavailable", "reason": reason }))?.with_status(StatusCode::SERVICE_UNAVAILABLE))
}

async fn scrape(request: Request) -> Result<Reply> {
    let db = &request.app.db;
    let pools = [("server", &db.server), ("read", &db.read), ("search", &db.search), ("sync", &db.sync), ("watch", &db.watch)];
    for (name, pool) in pools {
        let idle = i64::try_from(pool.num_idle()).unwrap_or(i64::MAX);
        metrics::POOL_CONNECTIONS.with_label_values(&[name, "idle"]).set(idle);
        metrics::POOL_CONNECTIONS.with_label_values(&[name, "busy"]).set(i64::from(pool.size()) - idle);
    }
    let (gauges, sync) = (Gauges::default(), overview(&request.app).await);
    let role = request.app.watermark.status.report().role;
    gauges.set(metrics::SYNC_LEADING, f64::from(role == Role::Leading));
    gauges.set(metrics::SYNC_KNOWN, f64::from(sync.is_some()));
    if let Some(sync) = sync {
        tell(&gauges, &sync);
    }
    Ok(text(metrics::CONTENT_TYPE, metrics::render(&gauges).map_err(crate::error::Error::internal)?))
}

async fn answers(pool: &PgPool) -> bool {
    timeout(PROBE, sqlx::query!(r#"select 1 as "one!""#).fetch_one(pool)).await.is_ok_and(|row| row.is_ok())
}

/// Whether Elasticsearch answers; none if it is not meant to be there.
async fn elasticsearch(app: &App) -> Option<bool> {
    let elastic = app.search.elastic()?;
    Some(elastic.send(Verb::Get, "/_cluster/health", None, PROBE).await.is_ok())
}

/// The state of the sync, which is asked for once in a while however often it is shown.
async fn overview(app: &App) -> Option<Overview> {
    let read = async { timeout(PROBE, overview::read(app, &app.db.watch)).await.map_err(drop)?.map_err(drop) };
    app.cache.get_or_read(OVERVIEW.to_owned(), OVERVIEW_LIFE, read).await.ok()
}

fn tell(gauges: &Gauges, sync: &Overview) {
    gauges.set(metrics::SYNC_LAG_SECONDS, Duration::from_millis(sync.lag_ms).as_secs_f64());
    gauges.set(metrics::SYNC_REFUSED, sync.refused as f64);
    gauges.set(metrics::SYNC_SPILLED, sync.spilled as f64);
    gauges.set(metrics::SYNC_FANOUTS, sync.fanouts as f64);
    // Without a slot, there is nothing to be behind.
    for (gauge, bytes) in [(metrics::SYNC_LAG_BYTES, sync.lag_bytes), (metrics::SYNC_RETAINED_BYTES, sync.slot.retained_bytes)] {
        if let Some(bytes) = bytes {
            gauges.set(gauge, bytes as f64);
        }
    }
    gauges.set(metrics::SYNC_OLDEST_TRANSACTION_SECONDS, sync.oldest_transaction_seconds.unwrap_or(0.0));
    let each = |value: fn(&Swept) -> Option<f64>| {
        sync.sweeps.iter().filter_map(move |swept| Some((swept.collection.as_str(), value(swept)?)))
    };
    gauges.set_each(metrics::SYNC_VERIFIED_SECONDS, each(|swept| swept.verified_seconds_ago));
    gauges.set_each(metrics::SYNC_DRIFT_FOUND, each(|swept| Some(swept.total_found as f64)));
    gauges.set_each(metrics::SYNC_DRIFT_REPAIRED, each(|swept| Some(swept.total_repaired as f64)));
}

fn check(up: Option<bool>) -> Value {
    value!({ "status": up.map_or("absent", |up| if up { "up" } else { "down" }) })
}

fn environment(environment: Environment) -> &'static str {
    match environment {
        Environment::Development => "development",
        Environment::Test => "test",
        Environment::Production => "production",
    }
}

fn started() -> Instant {
    static STARTED: OnceLock<Instant> = OnceLock::new();
    *STARTED.get_or_init(Instant::now)
}
