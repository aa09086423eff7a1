//! Health and metrics of the server and what it depends on.

mod metrics;
pub mod samples;

use std::convert::Infallible;
use std::marker::PhantomData;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use chrono::SecondsFormat;
use hyper::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use sqlx::PgPool;
use tokio::time::timeout;

use crate::api::{Reply, Request, json};
use crate::app::App;
use crate::auth::public;
use crate::collections;
use crate::config::Environment;
use crate::error::Result;
use crate::freshness::{IndexState, Unusable};
use crate::http::Routes;
use crate::operation::{Answers, Nothing, Operation};
use crate::routes;
use crate::search::index;
use crate::sync::overview::{self, Health as SyncHealth, Overview};

pub(crate) use metrics::{metrics, public_report, report};

/// Longest wait for a dependency.
const PROBE: Duration = Duration::from_millis(1_000);

/// Cache key and lifetime of what was found of the dependencies: however often clients look, these are asked a few times a second.
const FOUND: &str = "dependencies";
const FOUND_LIFE: Duration = Duration::from_millis(250);

/// The same of the state of the sync.
const OVERVIEW: &str = "sync overview";
const OVERVIEW_LIFE: Duration = Duration::from_secs(2);

/// The rows below `/health`.
pub(crate) fn routes(app: &App) -> Routes {
    started();
    routes! { app, "health";
        /// Shows what works and what does not, with the reasons.
        get ()        public => health: Nothing -> Probed<Health>;
        /// Says that the process answers.
        get ("live")  public => live:   Nothing -> Liveness;
        /// Says whether requests can be answered.
        get ("ready") public => ready:  Nothing -> Probed<Readiness>;
    }
}

/// The rows below `/health` that everyone may see, where operators have a port of their own.
pub(crate) fn public_routes(app: &App) -> Routes {
    routes! { app, "health";
        /// Says whether requests can be answered.
        get ()        public => ready_briefly: Nothing -> Probed<Readiness>;
        /// Says that the process answers.
        get ("live")  public => live:          Nothing -> Liveness;
        /// Says whether requests can be answered.
        get ("ready") public => ready_briefly: Nothing -> Probed<Readiness>;
    }
}

/// The same for all that works and for what does not, which is a 503.
struct Probed<T>(PhantomData<T>);

impl<T: JsonSchema> Answers for Probed<T> {
    fn describe(operation: &mut Operation<'_>) {
        operation.answers::<T>();
        operation.also_answers::<T>(503);
    }
}

/// The state of the server and of what it depends on.
#[derive(JsonSchema, Serialize)]
struct Health {
    /// `ok`, `degraded` or `error`.
    status: &'static str,
    /// Why it is not `ok`, in sentences.
    reasons: Vec<String>,
    timestamp: String,
    /// In seconds.
    uptime: f64,
    environment: &'static str,
    checks: Checks,
}

#[derive(JsonSchema, Serialize)]
struct Checks {
    postgres: Check,
    elasticsearch: Check,
    redis: Check,
    sync: Option<SyncHealth>,
}

#[derive(JsonSchema, Serialize)]
struct Check {
    /// `up`, `down` or `absent`.
    status: &'static str,
}

#[derive(JsonSchema, Serialize)]
struct Liveness {
    status: &'static str,
}

/// Whether requests can be answered.
#[derive(JsonSchema, Serialize)]
struct Readiness {
    /// `ok`, `degraded` or `unavailable`.
    status: &'static str,
    /// Absent where operators have a port of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    reasons: Option<Vec<String>>,
}

/// What was found of the dependencies.
#[derive(Clone)]
struct Found {
    postgres: bool,
    /// `None` if none is configured, as for Redis.
    elasticsearch: Option<bool>,
    redis: Option<bool>,
    sync: Option<Overview>,
}

impl Found {
    async fn look(app: &App) -> Self {
        let probe = async { Ok::<_, Infallible>(Self::probe(app).await) };
        let Ok(found) = app.cache.get_or_read(FOUND.to_owned(), FOUND_LIFE, probe).await;
        found
    }

    async fn probe(app: &App) -> Self {
        let (postgres, elasticsearch, sync) = tokio::join!(answers(&app.db.watch), elasticsearch(app), overview(app));
        Self { postgres, elasticsearch, redis: app.feed.is_connected(), sync }
    }

    /// Why not everything works, in sentences.
    fn reasons(&self, app: &App) -> Vec<String> {
        let mut reasons = Vec::new();
        let mut add = |is_so: bool, reason: &str| reasons.extend(is_so.then(|| reason.to_owned()));
        add(!self.postgres, "postgres does not answer");
        add(self.elasticsearch == Some(false), "elasticsearch does not answer: postgres answers lists");
        add(self.redis == Some(false), "redis does not answer: servers learn of changes from postgres");
        add(self.elasticsearch.is_some() && self.sync.is_none(), "postgres does not tell the state of the sync");
        reasons.extend(self.sync.iter().flat_map(|sync| sync.reasons.clone()));
        if self.elasticsearch == Some(true) {
            reasons.extend(collections::ALL.into_iter().filter_map(|collection| unusable(app, collection.name)));
        }
        reasons
    }
}

/// Why this server does not read an index that there is.
fn unusable(app: &App, collection: &str) -> Option<String> {
    match app.watermark.index(collection) {
        IndexState::Unusable(Unusable::NotBuilt | Unusable::NoPostgres) => None,
        IndexState::Unusable(reason) => Some(format!("postgres answers lists of {collection}: {reason}")),
        IndexState::Unknown { .. } | IndexState::Usable(_) => None,
    }
}

async fn health(request: Request) -> Result<Reply> {
    let app = &request.app;
    let found = Found::look(app).await;
    let reasons = found.reasons(app);
    let status = match (found.postgres, reasons.is_empty()) {
        (false, _) => "error",
        (true, false) => "degraded",
        (true, true) => "ok",
    };
    let report = Health {
        status,
        reasons,
        timestamp: app.clock.now().to_rfc3339_opts(SecondsFormat::Millis, true),
        uptime: started().elapsed().as_secs_f64(),
        environment: environment(app.config.environment),
        checks: Checks {
            postgres: check(Some(found.postgres)),
            elasticsearch: check(found.elasticsearch),
            redis: check(found.redis),
            sync: found.sync.map(|sync| sync.health),
        },
    };
    Ok(json(&report)?.with_status(if found.postgres { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }))
}

/// Depends on nothing: restarting this process does not heal a database.
async fn live(_request: Request) -> Result<Reply> {
    json(&Liveness { status: "ok" })
}

/// Ready for requests: the process is not stopping, and Postgres answers. Without anything else lists are marked, and it says so.
async fn ready(request: Request) -> Result<Reply> {
    readiness(&request, |status, reasons| Readiness { status, reasons: Some(reasons) }).await
}

/// The same for those who may not know the reasons.
async fn ready_briefly(request: Request) -> Result<Reply> {
    readiness(&request, |status, _| Readiness { status, reasons: None }).await
}

async fn readiness(request: &Request, show: fn(&'static str, Vec<String>) -> Readiness) -> Result<Reply> {
    let app = &request.app;
    let unavailable =
        |reason: &str| Ok(json(&show("unavailable", vec![reason.to_owned()]))?.with_status(StatusCode::SERVICE_UNAVAILABLE));
    if app.stop.is_cancelled() {
        return unavailable("stopping");
    }
    let found = Found::look(app).await;
    if !found.postgres {
        return unavailable("postgres does not answer");
    }
    let reasons = found.reasons(app);
    json(&show(if reasons.is_empty() { "ok" } else { "degraded" }, reasons))
}

async fn answers(pool: &PgPool) -> bool {
    timeout(PROBE, sqlx::query!(r#"select 1 as "one!""#).fetch_one(pool)).await.is_ok_and(|row| row.is_ok())
}

/// Whether Elasticsearch answers, and not something in front of it; `None` if none is configured.
async fn elasticsearch(app: &App) -> Option<bool> {
    let elastic = app.search.elastic()?;
    Some(timeout(PROBE, index::answers(elastic)).await.unwrap_or(false))
}

/// Reads the state of the sync, at most once in a while however often it is shown.
async fn overview(app: &App) -> Option<Overview> {
    let read = async { timeout(PROBE, overview::read(app, &app.db.watch)).await.map_err(drop)?.map_err(drop) };
    app.cache.get_or_read(OVERVIEW.to_owned(), OVERVIEW_LIFE, read).await.ok()
}

fn check(up: Option<bool>) -> Check {
    Check { status: up.map_or("absent", |up| if up { "up" } else { "down" }) }
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
