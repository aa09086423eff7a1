//! Figures: what is counted of a collection, for many readers at once.

use std::marker::PhantomData;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use tokio::time::timeout;

use super::paging::{self, READ_SOURCE};
use super::{Reply, Request, json};
use crate::cache::Found;
use crate::error::{Error, Result};
use crate::operation::{Answers, Operation};
use crate::search::aggregate::Counted;
use crate::search::query::Query;
use crate::search::{Collection, Reading};
use crate::values::clock::milliseconds;
use crate::values::lsn::Lsn;

/// The part of a request's time that counting takes at most: what is left is for the answer.
const SHARE_OF_REQUEST: u32 = 2;

/// Figures as they were read.
struct Read<T> {
    figures: T,
    engine: &'static str,
    degraded: bool,
    is_stale: bool,
    indexed_at: DateTime<Utc>,
    /// They show every write up to here.
    includes: Option<Lsn>,
}

/// Figures, and how current they are.
#[derive(JsonSchema, Serialize)]
#[schemars(rename = "{T}Figures")]
#[serde(rename_all = "camelCase")]
struct Shown<'a, T> {
    #[serde(flatten)]
    figures: &'a T,
    engine: &'static str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    degraded: bool,
    /// The index is old, or these are the last figures because no engine answers.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    stale: bool,
    /// Every change that was committed before is counted.
    #[serde(serialize_with = "milliseconds")]
    indexed_at: DateTime<Utc>,
    /// How long ago that was.
    lag_ms: u64,
}

/// What a route of figures answers.
pub struct Figures<T>(PhantomData<T>);

impl<T: JsonSchema> Answers for Figures<T> {
    fn describe(operation: &mut Operation<'_>) {
        operation.answers::<Shown<'_, T>>();
        operation.headers.insert("X-Read-Source");
    }
}

/// Answers with what a query of a collection counts, as `read` reads it.
///
/// All who ask for the same `key` within a second share one search; who has written since gets another one. If no engine answers, the
/// last figures do, and are marked.
///
/// # Errors
/// Those of a list, and figures that take too long, if there were none before.
pub async fn figures<T: Serialize + Send + Sync + 'static>(
    request: &Request,
    collection: &'static Collection,
    key: &str,
    query: &Query,
    read: impl FnOnce(Vec<Counted>) -> Result<T>,
) -> Result<Reply> {
    let (app, wanted) = (&request.app, request.wanted_lsn().await?);
    let count = async {
        let deadline = app.config.http.request_timeout / SHARE_OF_REQUEST;
        let asking = paging::ask(request, collection, query, Reading::Live { scored_by: None });
        let answer = timeout(deadline, asking).await.map_err(|_| too_slow())??;
        let counted = answer.hits.counted.into_iter().collect::<Option<Vec<_>>>().ok_or_else(too_slow)?;
        Ok::<_, Error>(Read {
            figures: read(counted)?,
            engine: answer.engine.name(),
            degraded: answer.degraded,
            is_stale: answer.lag >= app.config.search.stale_after,
            indexed_at: answer.indexed_at,
            includes: wanted,
        })
    };
    let found = app.figures.get(key, |read: &Read<T>| wanted <= read.includes, count).await?;
    let is_last = matches!(found, Found::Last(_));
    let (Found::Current(read) | Found::Last(read)) = found;
    let shown = Shown {
        figures: &read.figures,
        engine: read.engine,
        degraded: read.degraded,
        stale: read.is_stale || is_last,
        indexed_at: read.indexed_at,
        lag_ms: u64::try_from((app.clock.now() - read.indexed_at).num_milliseconds()).unwrap_or(0),
    };
    Ok(json(&shown)?.with(READ_SOURCE, read.engine))
}

fn too_slow() -> Error {
    Error::busy("figures_unavailable", "counting takes too long now; ask again")
}
