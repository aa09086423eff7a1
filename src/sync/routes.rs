//! Rebuilds over HTTP: lists generations, requests a rebuild or a rollback.

use hyper::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::generations::reconcile;
use super::store::generations::{self, Generation, State};
use crate::api::{Reply, Request, json};
use crate::app::App;
use crate::auth::Permission::Operate;
use crate::auth::{Caller, may};
use crate::error::{Error, Result};
use crate::http::Routes;
use crate::operation::{Accepted, Nothing};
use crate::search::Collection;
use crate::{collections, routes};

#[must_use]
pub fn routes(app: &App) -> Routes {
    routes! { app, "sync";
        /// Lists the indices and how far each rebuild is.
        get  ("reindex") may(Operate) => list:  Nothing -> Generations;
        /// Builds the indices again, or takes back the previous ones.
        post ("reindex") may(Operate) => start: Wanted -> Accepted<Generations>;
    }
}

/// A request: for every collection unless one is named.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Reindex", extend("examples" = [{ "collection": "accounts" }]))]
struct Wanted {
    collection: Option<String>,
    #[serde(default)]
    rollback: bool,
}

/// The indices of all collections, oldest first.
#[derive(JsonSchema, Serialize)]
struct Generations {
    generations: Vec<Generation>,
}

async fn list(_caller: Caller, request: Request) -> Result<Reply> {
    generations(&request.app).await
}

async fn start(_caller: Caller, mut request: Request) -> Result<Reply> {
    let wanted: Wanted = request.json().await?;
    let app = &request.app;
    if app.search.elastic().is_none() {
        return Err(Error::conflict("no_index", "ELASTICSEARCH_URL is not set: Postgres answers every search"));
    }
    let mut collections = collections::indexed(app.config.search.analytics);
    if let Some(name) = &wanted.collection {
        collections.retain(|collection| collection.name == *name);
    }
    if collections.is_empty() {
        return Err(Error::invalid("/collection", "unknown", "is not a searchable collection"));
    }
    if wanted.rollback {
        roll_back(app, &collections).await?
    } else {
        build(app, &collections).await?
    }
    Ok(generations(app).await?.with_status(StatusCode::ACCEPTED))
}

async fn build(app: &App, collections: &[&Collection]) -> Result<()> {
    let running = |name: &str| Error::conflict("reindex_running", format!("an index of {name} is being built"));
    let known = generations::all(&app.db.sync).await?;
    let is_wanted = |name: &str| collections.iter().any(|collection| collection.name == name);
    if let Some(one) = known.iter().find(|one| one.state == State::Building && is_wanted(&one.collection)) {
        return Err(running(&one.collection));
    }
    for collection in collections {
        let requested = reconcile::request(app, collection).await.map_err(as_error)?;
        requested.ok_or_else(|| running(collection.name))?;
    }
    Ok(())
}

async fn roll_back(app: &App, collections: &[&Collection]) -> Result<()> {
    let mut found = Vec::new();
    for collection in collections {
        found.extend(generations::request_rollback(&app.db.sync, collection.name).await?);
    }
    if found.is_empty() {
        return Err(Error::conflict("nothing_to_roll_back", "no previous generation is kept"));
    }
    Ok(())
}

async fn generations(app: &App) -> Result<Reply> {
    json(&Generations { generations: generations::all(&app.db.sync).await? })
}

fn as_error(error: anyhow::Error) -> Error {
    error.downcast::<sqlx::Error>().map_or_else(Error::internal, Error::from)
}
