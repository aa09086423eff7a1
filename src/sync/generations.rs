//! Keeps one live index behind the alias of every collection: builds missing ones and those that are asked for, removes old ones.

use std::time::Duration;

use anyhow::{Context, bail};
use futures_util::future::try_join_all;
use sqlx::AssertSqlSafe;
use tracing::{error, info, warn};

use super::catalog::{self, Generation};
use super::pipeline::Progress;
use super::reach::Behind;
use super::rebuild;
use super::write::{Writer, is_outage};
use crate::app::App;
use crate::collections;
use crate::search::index::{self, Alias};
use crate::search::{Collection, Elastic, Template};

/// How soon a reindex that somebody asked for begins.
const PERIOD: Duration = Duration::from_millis(500);
/// Wait while a server is away.
const PAUSE: Duration = Duration::from_secs(5);
/// A collection without any index is tried again so long after its rebuild failed.
const SECOND_TRY_SECONDS: f64 = 60.0;

/// Creates an empty index and asks the leader to fill it and put it behind the alias. Returns its name, or nothing if one of that
/// collection is being built already.
///
/// # Errors
/// The index's or the database's.
pub async fn request(app: &App, elastic: &Elastic, collection: &'static Collection) -> anyhow::Result<Option<String>> {
    let generations = catalog::all(&app.db.sync).await?;
    if generations.iter().any(|generation| generation.collection == collection.name && generation.state == "building") {
        return Ok(None);
    }
    let hash = Template::new(collection)?.hash;
    let index = index::create(elastic, collection, app.clock.now()).await?;
    if catalog::request(&app.db.sync, collection.name, &index, &hash).await? {
        return Ok(Some(index));
    }
    index::remove(elastic, &index).await?;
    Ok(None)
}

/// Brings the cluster to what the table of generations says. Run once before the stream starts: an index that is half built has to
/// receive every live write from the first on.
///
/// # Errors
/// The index's or the database's, or an index has the name of an alias.
pub async fn reconcile(app: &App, writer: &Writer) -> anyhow::Result<()> {
    let generations = catalog::all(&app.db.sync).await?;
    for collection in collections::ALL {
        let own = || generations.iter().filter(|generation| generation.collection == collection.name);
        if let Some(live) = own().find(|generation| generation.state == "live") {
            writer.add(collection, &live.index);
            point(app, writer, collection, live).await?;
        }
        for retired in own().filter(|generation| generation.state == "retired") {
            writer.remove(&retired.index);
            index::remove(&writer.elastic, &retired.index).await?;
            catalog::forget(&app.db.sync, &retired.index).await?;
        }
        for building in own().filter(|generation| generation.state == "building") {
            writer.add(collection, &building.index);
        }
        evict(writer, collection, own().map(|generation| generation.index.as_str()).collect()).await?;
    }
    Ok(())
}

/// Builds what is missing or asked for, one after the other, until it is cancelled.
///
/// # Errors
/// Another process has taken over.
pub async fn tend(app: &App, writer: &Writer, lease: i64, progress: &Progress) -> anyhow::Result<()> {
    loop {
        let tended = tend_once(app, writer, lease, progress).await;
        match tended {
            Ok(true) => {}
            Ok(false) => tokio::time::sleep(PERIOD).await,
            Err(error) if is_passing(&error) => {
                warn!(error = %format!("{error:#}"), "building indices waits");
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Whether a server was away or busy, and the rebuild can go on after its cursor.
fn is_passing(error: &anyhow::Error) -> bool {
    is_outage(error) || error.is::<sqlx::Error>() || error.is::<Behind>()
}

/// Does the next thing there is to do, and says whether there was any.
async fn tend_once(app: &App, writer: &Writer, lease: i64, progress: &Progress) -> anyhow::Result<bool> {
    let generations = catalog::all(&app.db.sync).await?;
    if generations.iter().any(|generation| generation.state == "retired") {
        reconcile(app, writer).await?;
    }
    let has =
        |collection: &Collection, state| generations.iter().any(|one| one.collection == collection.name && one.state == state);
    let failed_just_now = |collection: &Collection| {
        let failed = |one: &&Generation| one.collection == collection.name && one.state == "failed";
        generations.iter().filter(failed).any(|one| one.age_seconds < SECOND_TRY_SECONDS)
    };
    let bare = collections::ALL.into_iter().filter(|one| !has(one, "live") && !has(one, "building") && !failed_just_now(one));
    let requested = try_join_all(bare.map(|collection| request(app, &writer.elastic, collection))).await?;
    if !requested.is_empty() {
        return Ok(true);
    }
    if collections::ALL.into_iter().all(|collection| has(collection, "live")) {
        progress.is_live.send_replace(true);
        progress.tell(app);
    }
    let Some(generation) = generations.iter().find(|generation| generation.state == "building") else { return Ok(false) };
    let collection = collections::find(&generation.collection).context("a generation of an unknown collection")?;
    match rebuild::run(app, writer, progress, collection, generation).await {
        Ok(()) => {
            catalog::promote(&app.db.sync, lease, generation).await?;
            reconcile(app, writer).await?;
            info!(collection = collection.name, index = generation.index, "a new index is live");
            Ok(true)
        }
        Err(error) if is_passing(&error) => Err(error),
        Err(error) => {
            error!(collection = collection.name, index = generation.index, error = %format!("{error:#}"), "a rebuild failed");
            writer.remove(&generation.index);
            index::remove(&writer.elastic, &generation.index).await?;
            catalog::fail(&app.db.sync, &generation.index, &format!("{error:#}")).await?;
            Ok(true)
        }
    }
}

/// Counts the rows of a collection.
///
/// # Errors
/// The database's.
pub async fn rows(app: &App, collection: &Collection) -> anyhow::Result<u64> {
    let sql = format!("select count(*) from {}", collection.from);
    let rows: i64 = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&app.db.sync).await?;
    Ok(u64::try_from(rows)?)
}

/// Makes sure that the alias leads to the live generation.
async fn point(app: &App, writer: &Writer, collection: &'static Collection, live: &Generation) -> anyhow::Result<()> {
    match index::inspect(&writer.elastic, collection).await? {
        Alias::Live { index, current } if index == live.index => {
            if !current {
                warn!(
                    collection = collection.name,
                    "the mapping has changed: run `collections reindex --collection {}`", collection.name
                );
            }
        }
        Alias::Occupied => bail!(
            "an index has the name {}, which the alias needs: remove it or set another INDEX_PREFIX",
            index::alias(&writer.elastic, collection)
        ),
        Alias::Missing | Alias::Live { .. } | Alias::Ambiguous(_) => {
            match index::swap(&writer.elastic, collection, &live.index).await {
                Err(error) if error.is_missing() => {
                    warn!(index = live.index, "an index has gone; it will be built again");
                    writer.remove(&live.index);
                    catalog::forget(&app.db.sync, &live.index).await?;
                }
                swapped => swapped?,
            }
        }
    }
    Ok(())
}

/// Removes an index from behind the alias that this database knows nothing of: left over from another one, it would answer lists.
async fn evict(writer: &Writer, collection: &'static Collection, known: Vec<&str>) -> anyhow::Result<()> {
    let behind = match index::inspect(&writer.elastic, collection).await? {
        Alias::Live { index, .. } => vec![index],
        Alias::Ambiguous(indices) => indices,
        Alias::Missing => Vec::new(),
        Alias::Occupied => bail!(
            "an index has the name {}, which the alias needs: remove it or set another INDEX_PREFIX",
            index::alias(&writer.elastic, collection)
        ),
    };
    for index in behind.iter().filter(|index| !known.contains(&index.as_str())) {
        warn!(index, "an index of another database is behind the alias; removing it");
        index::remove(&writer.elastic, index).await?;
    }
    Ok(())
}
