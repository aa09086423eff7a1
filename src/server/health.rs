//! How the server and what it depends on are.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use chrono::SecondsFormat;
use hyper::StatusCode;
use serde_json::{Value, json as value};
use sqlx::PgPool;
use tokio::time::timeout;

use crate::app::App;
use crate::auth::public;
use crate::config::Environment;
use crate::error::Result;
use crate::http::{Reply, Request, Routes, json, text};
use crate::search::elastic::Verb;
use crate::sync::state::{self, Figures};
use crate::{metrics, routes};

/// Longest wait for a dependency to answer a probe.
const PROBE: Duration = Duration::from_millis(1_000);

/// The rows below `/health`.
pub(super) fn routes(app: &App) -> Routes {
    started();
    routes! { app, "health";
        get ()        public => health;
        get ("live")  public => live;
        get ("ready") public => ready;
    }
}

/// The row `/metrics`.
pub(super) fn metrics(app: &App) -> Routes {
    routes! { app, "metrics";
        get () public => scrape;
    }
}

async fn health(request: Request) -> Result<Reply> {
    let app = &request.app;
    let (postgres, elasticsearch, sync) = tokio::join!(answers(&app.db.server), elasticsearch(app), figures(app));
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
                "slot": sync.slot_state,
                "lagSeconds": sync.updated_seconds_ago,
                "lagBytes": sync.lag_bytes,
                "refused": sync.refused,
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
    } else if !answers(&app.db.server).await {
        "postgres does not answer"
    } else {
        return json(&value!({ "status": "ok" }));
    };
    Ok(json(&value!({ "status": "unavailable", "reason": reason }))?.with_status(StatusCode::SERVICE_UNAVAILABLE))
}

async fn scrape(request: Request) -> Result<Reply> {
    let db = &request.app.db;
    for (name, pool) in [("server", &db.server), ("search", &db.search), ("sync", &db.sync)] {
        let idle = i64::try_from(pool.num_idle()).unwrap_or(i64::MAX);
        metrics::POOL_CONNECTIONS.with_label_values(&[name, "idle"]).set(idle);
        metrics::POOL_CONNECTIONS.with_label_values(&[name, "busy"]).set(i64::from(pool.size()) - idle);
    }
    if let Some(sync) = figures(&request.app).await {
        metrics::SYNC_LAG_SECONDS.set(sync.updated_seconds_ago);
        metrics::SYNC_LAG_BYTES.set(sync.lag_bytes.unwrap_or(0));
        metrics::SYNC_RETAINED_BYTES.set(sync.retained_bytes.unwrap_or(0));
        metrics::SYNC_REFUSED.set(sync.refused);
    }
    Ok(text(metrics::CONTENT_TYPE, metrics::render().map_err(crate::error::Error::internal)?))
}

async fn answers(pool: &PgPool) -> bool {
    timeout(PROBE, sqlx::query!(r#"select 1 as "one!""#).fetch_one(pool)).await.is_ok_and(|row| row.is_ok())
}

/// Whether Elasticsearch answers; none if it is not meant to be there.
async fn elasticsearch(app: &App) -> Option<bool> {
    let elastic = app.search.elastic()?;
    Some(elastic.send(Verb::Get, "/_cluster/health", None, PROBE).await.is_ok())
}

async fn figures(app: &App) -> Option<Figures> {
    timeout(PROBE, state::figures(&app.db.server, &app.config.sync.slot)).await.ok()?.ok()
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
