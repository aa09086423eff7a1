//! Keeps one live index behind the alias of every collection: builds, swaps, rolls back and removes.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};
use tracing::{error, info, warn};
use uuid::Uuid;

use super::index_rollback::detect_index_rollback;
use super::{alias, analytics, rebuild};
use crate::app::App;
use crate::freshness::status::Concern;
use crate::search::{Collection, Template, index};
use crate::sync::integrity::verify;
use crate::sync::integrity::wait::Behind;
use crate::sync::pipeline::progress::Progress;
use crate::sync::store::checkpoint::{self, Superseded};
use crate::sync::store::dead_letters;
use crate::sync::store::generations::{self, Generation, State, Wanted};
use crate::sync::writer::Writer;
use crate::sync::writer::write::is_outage;
use crate::{collections, failpoint};

/// How soon a request is taken up.
const PERIOD: Duration = Duration::from_millis(100);
/// How often aliases and shard checkpoints are checked: a process that was suspended may have moved an alias back.
const CHECK: Duration = Duration::from_secs(3);
/// Pause after a fault.
const PAUSE: Duration = Duration::from_secs(5);
/// Pause before a collection without any index is tried again after its rebuild failed.
const RETRY_SECONDS: f64 = 60.0;

/// When aliases were last checked. The lock also lets only one task at a time decide where an alias leads.
type Checked = Option<Instant>;

/// Requests a rebuild. Returns the name of the new index, or `None` if one of that collection is under way.
pub async fn request(app: &App, collection: &Collection) -> anyhow::Result<Option<String>> {
    let hash = Template::new(collection)?.hash;
    let index = index::name(&app.config.search.index_prefix, collection, &hash, app.clock.now());
    let is_new = generations::request(&app.db.sync, collection.name, &index, &hash).await?;
    Ok(is_new.then_some(index))
}

/// Registers every index that receives live writes: live ones, rollback targets and those that are half built.
///
/// Elasticsearch may be away: what waits for it goes into the backlog.
pub async fn register(app: &App, writer: &Writer) -> anyhow::Result<()> {
    let generations = generations::all(&app.db.sync).await?;
    writer.assign_roles(&generations);
    for generation in generations {
        let Some(collection) = collections::find(&generation.collection) else { continue };
        let is_current = match generation.state {
            State::Live => true,
            State::Retired => !generation.is_expired,
            State::Building => generation.cursor.is_some(),
            State::Failed => false,
        };
        if is_current {
            writer.add_index(collection, &generation.index);
        }
    }
    Ok(())
}

/// Builds one index after the other as requested, and meanwhile reconciles aliases and indices with the table of generations.
///
/// # Errors
/// Another process has taken over.
pub async fn run(app: &App, writer: &Writer, lease: i64, progress: &Progress) -> anyhow::Result<()> {
    let retry = Retry { app, concern: Concern::Indices };
    while !retry.pause_after(clean_up(app, writer, lease).await.map(|()| true)).await? {}
    let checked = Mutex::new(None);
    let building = async {
        let retry = Retry { app, concern: Concern::Rebuild };
        loop {
            let built = build(app, writer, lease, progress, &checked).await;
            if let Err(error) = retry.pause_after(built).await {
                break error;
            }
        }
    };
    let reconciling = async {
        let retry = Retry { app, concern: Concern::Indices };
        loop {
            let reconciled = reconcile(app, writer, lease, progress, &mut *checked.lock().await).await;
            if let Err(error) = retry.pause_after(reconciled).await {
                break error;
            }
        }
    };
    tokio::select! {
        error = building => Err(error),
        error = reconciling => Err(error),
    }
}

/// Retries a step that fails, and reports why. The change stream flows on meanwhile.
struct Retry<'a> {
    app: &'a App,
    concern: Concern,
}

impl Retry<'_> {
    /// Pauses after a step unless the step says that there is more to do, and returns what it said. Only a successor ends the work.
    async fn pause_after(&self, step: anyhow::Result<bool>) -> anyhow::Result<bool> {
        let status = &self.app.watermark.status;
        match step {
            Err(fault) if fault.is::<Superseded>() => Err(fault),
            Err(fault) => {
                let problem = format!("{fault:#}");
                if status.report_problem(self.concern, problem.clone()) {
                    error!(error = problem, "cannot reconcile indices; trying again");
                }
                sleep(PAUSE).await;
                Ok(false)
            }
            Ok(has_more) => {
                status.solve(self.concern);
                if !has_more {
                    sleep(PERIOD).await;
                }
                Ok(has_more)
            }
        }
    }
}

/// Clears away what earlier leaders have left, and repairs aliases and index templates.
async fn clean_up(app: &App, writer: &Writer, lease: i64) -> anyhow::Result<()> {
    analytics::follow_setting(app, writer).await?;
    let generations = generations::all(&app.db.sync).await?;
    for generation in &generations {
        let Some(collection) = collections::find(&generation.collection) else { continue };
        match generation.state {
            State::Retired if generation.is_expired => alias::delete(app, writer, &generation.index).await?,
            // Created by an earlier leader that did not begin to fill it: what it lacks is unknown.
            State::Building if generation.cursor.is_none() => alias::remove(app, writer, &generation.index).await?,
            State::Live => {
                if generation.hash != Template::new(collection)?.hash && !is_due(app, collection, &generations)? {
                    let name = collection.name;
                    warn!(collection = name, "the mapping has changed: run `collections reindex --collection {name}`");
                }
                alias::repoint(app, writer, lease, collection, generation).await?;
            }
            _ => {}
        }
    }
    for collection in collections::indexed(app.config.search.analytics) {
        alias::remove_orphans(app, writer, collection).await?;
        if index::ensure_template(&writer.elastic, collection).await? {
            warn!(collection = collection.name, "replaced an index template that had been changed");
        }
    }
    Ok(())
}

/// Rolls back on request, removes expired indices, and checks aliases and shard checkpoints. Returns whether there is more to do.
async fn reconcile(app: &App, writer: &Writer, lease: i64, progress: &Progress, checked: &mut Checked) -> anyhow::Result<bool> {
    let generations = generations::all(&app.db.sync).await?;
    writer.assign_roles(&generations);
    for generation in generations.iter().filter(|one| one.state == State::Retired) {
        if generation.is_expired {
            alias::delete(app, writer, &generation.index).await?;
        } else if generation.wanted == Some(Wanted::Live) {
            // The alias may move even if the promotion fails.
            *checked = None;
            if go_live(app, writer, lease, progress, generation).await? {
                info!(collection = generation.collection, index = generation.index, "rolled back to the previous generation");
            }
            return Ok(true);
        }
    }
    let live: Vec<_> = generations.iter().filter(|one| one.state == State::Live).collect();
    if checked.is_none_or(|at| at.elapsed() > CHECK) {
        for generation in &live {
            let Some(collection) = collections::find(&generation.collection) else { continue };
            if alias::repoint(app, writer, lease, collection, generation).await? {
                warn!(index = generation.index, "an alias did not lead to its live index; repointed it");
            }
        }
        if detect_index_rollback(app, writer, &generations).await? {
            *checked = None;
            return Ok(true);
        }
        *checked = Some(Instant::now());
    }
    if *progress.is_certain.borrow() {
        let live = live.into_iter().map(|one| (one.collection.clone(), Arc::from(one.index.as_str()))).collect();
        progress.live.send_replace(live);
        progress.publish(app);
    }
    Ok(false)
}

/// Builds the next index that is missing or requested; returns whether there was one.
async fn build(app: &App, writer: &Writer, lease: i64, progress: &Progress, checked: &Mutex<Checked>) -> anyhow::Result<bool> {
    let generations = generations::all(&app.db.sync).await?;
    for collection in collections::indexed(app.config.search.analytics) {
        if is_due(app, collection, &generations)? && request(app, collection).await?.is_some() {
            return Ok(true);
        }
    }
    let Some(generation) = generations.iter().find(|one| one.state == State::Building) else { return Ok(false) };
    let (index, pool) = (&generation.index, &app.db.sync);
    let collection = collections::find(&generation.collection).context("a generation of an unknown collection")?;
    let problem = match Box::pin(rebuild::run(app, writer, progress, collection, generation)).await {
        Ok(()) => {
            let mut checked = checked.lock().await;
            if go_live(app, writer, lease, progress, generation).await? {
                info!(collection = collection.name, index, "a new index is live");
                release_accepted(app, writer, collection, index).await?;
                return Ok(true);
            }
            *checked = None;
            reconcile(app, writer, lease, progress, &mut checked).await?;
            "it was cancelled".to_owned()
        }
        Err(error) if is_transient(&error) => return Err(error),
        Err(error) => format!("{error:#}"),
    };
    error!(collection = collection.name, index, error = problem, "a rebuild failed");
    checkpoint::check_lease(pool, lease).await?;
    alias::remove(app, writer, index).await?;
    generations::fail(pool, index, &problem).await?;
    if let Some(live) = generations::live(pool, collection.name).await? {
        release_accepted(app, writer, collection, &live).await?;
    }
    Ok(true)
}

/// Whether the work can go on where it was once a server is back or less busy.
fn is_transient(error: &anyhow::Error) -> bool {
    is_outage(error) || error.is::<sqlx::Error>() || error.is::<Behind>()
}

/// Makes a generation live. Returns false if it was abandoned meanwhile.
///
/// Its shard checkpoints are recorded before, so that servers can tell the index from another one. They learn its name together with
/// an LSN that it has reached; until then both indices are current.
async fn go_live(app: &App, writer: &Writer, lease: i64, progress: &Progress, generation: &Generation) -> anyhow::Result<bool> {
    let collection = collections::find(&generation.collection).context("a generation of an unknown collection")?;
    if detect_index_rollback(app, writer, std::slice::from_ref(generation)).await? {
        return Ok(false);
    }
    failpoint::abort_at("sync-before-promotion");
    alias::repoint(app, writer, lease, collection, generation).await?;
    let is_live = generations::promote(&app.db.sync, lease, generation, app.config.reindex.keep).await?;
    if is_live {
        // Before the previous index is refreshed no more.
        progress.live.send_modify(|live| {
            if let Some(index) = live.get_mut(&generation.collection) {
                *index = Arc::from(generation.index.as_str());
            }
        });
        progress.publish(app);
    }
    failpoint::abort_at("sync-after-promotion");
    Ok(is_live)
}

/// Releases dead letters that only another index refused: the live index has the documents.
async fn release_accepted(app: &App, writer: &Writer, collection: &'static Collection, live: &str) -> anyhow::Result<()> {
    let refused = dead_letters::quarantined_of(&app.db.sync, collection.name, None).await?;
    let wrong = verify::documents(app, &writer.elastic, collection, live, &refused).await?;
    let accepted: Vec<Uuid> = refused.into_iter().filter(|id| !wrong.contains_key(id)).collect();
    writer.release(collection.name, &accepted).await
}

/// Whether a rebuild is due without a request: no index is live, or its mapping is not this program's and the settings say so.
///
/// A rebuild that has just failed is not repeated at once, and a mapping that failed or was rolled back not at all.
fn is_due(app: &App, collection: &Collection, generations: &[Generation]) -> anyhow::Result<bool> {
    let own = |state: State| generations.iter().filter(move |one| one.collection == collection.name && one.state == state);
    if own(State::Building).next().is_some() {
        return Ok(false);
    }
    let Some(live) = own(State::Live).next() else {
        return Ok(!own(State::Failed).any(|one| one.age_seconds < RETRY_SECONDS));
    };
    let hash = Template::new(collection)?.hash;
    let is_tried = own(State::Failed).chain(own(State::Retired)).any(|one| one.hash == hash);
    Ok(app.config.reindex.auto && live.hash != hash && !is_tried)
}
