//! Health and metrics of the server and what it depends on.

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
use crate::sync::overview::{self, Health, Overview};
use crate::sync::store::sweep_runs::Summary;

/// Longest wait for a dependency.
const PROBE: Duration = Duration::from_millis(1_000);

/// Cache key and lifetime of the state of the sync.
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

/// The rows below `/health` that everyone may see, where operators have a port of their own.
pub(crate) fn public_routes(app: &App) -> Routes {
    routes! { app, "health";
        get ()        public => ready;
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
    let redis = app.feed.is_connected();
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
            "sync": sync.map(|sync| sync.health),
        },
    });
    Ok(json(&report)?.with_status(if postgres { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }))
}

/// Depends on nothing: restarting this process does not heal a database.
async fn live(_request: Request) -> Result<Reply> {
    json(&value!({ "status": "ok" }))
}

/// Ready for requests: the process is not stopping, and Postgres answers.
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
    let is_leading = request.app.watermark.status.report().role == Role::Leading;
    gauges.set(metrics::SYNC_LEADING, f64::from(is_leading));
    gauges.set(metrics::SYNC_KNOWN, f64::from(sync.is_some()));
    if let Some(sync) = sync {
        set_gauges(&gauges, &sync.health);
    }
    Ok(text(metrics::CONTENT_TYPE, metrics::render(&gauges).map_err(crate::error::Error::internal)?))
}

async fn answers(pool: &PgPool) -> bool {
    timeout(PROBE, sqlx::query!(r#"select 1 as "one!""#).fetch_one(pool)).await.is_ok_and(|row| row.is_ok())
}

/// Whether Elasticsearch answers; `None` if none is configured.
async fn elasticsearch(app: &App) -> Option<bool> {
    let elastic = app.search.elastic()?;
    Some(elastic.send(Verb::Get, "/_cluster/health", None, PROBE).await.is_ok())
}

/// Reads the state of the sync, at most once in a while however often it is shown.
async fn overview(app: &App) -> Option<Overview> {
    let read = async { timeout(PROBE, overview::read(app, &app.db.watch)).await.map_err(drop)?.map_err(drop) };
    app.cache.get_or_read(OVERVIEW.to_owned(), OVERVIEW_LIFE, read).await.ok()
}

/// Values that are not known are absent; see `docs/metrics.md`.
fn set_gauges(gauges: &Gauges, sync: &Health) {
    let bytes = |bytes: Option<i64>| bytes.map(|bytes| bytes as f64);
    let values = [
        (metrics::SYNC_LAG_SECONDS, Some(Duration::from_millis(sync.lag_ms).as_secs_f64())),
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
