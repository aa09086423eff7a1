//! Keeps one live index behind the alias of every collection: builds missing ones and those that are asked for, goes back to the one
//! before, removes what is not kept any longer.

use std::time::Duration;

use anyhow::Context;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};
use tracing::{error, info, warn};
use uuid::Uuid;

use super::{alias, index_rollback, rebuild};
use crate::app::App;
use crate::search::{Collection, Template, index};
use crate::sync::integrity::verify;
use crate::sync::integrity::wait::Behind;
use crate::sync::pipeline::progress::Progress;
use crate::sync::store::checkpoint::{self, Superseded};
use crate::sync::store::generations::{self, Generation};
use crate::sync::writer::Writer;
use crate::sync::writer::write::is_outage;
use crate::{collections, failpoint};

/// How soon what somebody asked for begins.
const PERIOD: Duration = Duration::from_millis(100);
/// How often the aliases are looked at: a process that slept may have led one to where it was.
const LOOK: Duration = Duration::from_secs(3);
/// Wait while a server is away.
const PAUSE: Duration = Duration::from_secs(5);
/// A collection without any index is tried again so long after its rebuild failed.
const SECOND_TRY_SECONDS: f64 = 60.0;

/// When the aliases were looked at last.
type Looked = Option<Instant>;

/// Asks the leader to build an index anew and put it behind the alias. Returns its name, or nothing if one of that collection is
/// being built already.
///
/// # Errors
/// The database's.
pub async fn request(app: &App, collection: &Collection) -> anyhow::Result<Option<String>> {
    let hash = Template::new(collection)?.hash;
    let index = index::name(&app.config.search.index_prefix, collection, &hash, app.clock.now());
    let is_taken = generations::request(&app.db.sync, collection.name, &index, &hash).await?;
    Ok(is_taken.then_some(index))
}

/// Lets every index that has to be kept current receive live writes, from the first of a leader on.
///
/// Those are the ones that lists read, that are kept for a way back, and that are half built. The index server may be away: what waits
/// for it is stored.
///
/// # Errors
/// The database's.
pub async fn enlist(app: &App, writer: &Writer) -> anyhow::Result<()> {
    let generations = generations::all(&app.db.sync).await?;
    writer.assign(&generations);
    for generation in generations {
        let Some(collection) = collections::find(&generation.collection) else { continue };
        let is_current = match generation.state.as_str() {
            "live" => true,
            "retired" => !generation.is_expired,
            "building" => generation.cursor.is_some(),
            _ => false,
        };
        if is_current {
            writer.add(collection, &generation.index);
        }
    }
    Ok(())
}

/// Brings the cluster to what the table of generations says.
///
/// # Errors
/// The index's or the database's, or an alias is not ours to have.
async fn reconcile(app: &App, writer: &Writer, lease: i64) -> anyhow::Result<()> {
    let generations = generations::all(&app.db.sync).await?;
    for generation in &generations {
        let Some(collection) = collections::find(&generation.collection) else { continue };
        match generation.state.as_str() {
            "retired" if generation.is_expired => drop_generation(app, writer, &generation.index).await?,
            // Of what a leader that is gone has created and not begun to fill, nothing is known.
            "building" if generation.cursor.is_none() => alias::remove(app, writer, &generation.index).await?,
            "live" => {
                if generation.hash != Template::new(collection)?.hash && !is_due(app, collection, &generations)? {
                    let name = collection.name;
                    warn!(collection = name, "the mapping has changed: run `collections reindex --collection {name}`");
                }
                alias::point(app, writer, lease, collection, generation).await?;
            }
            _ => {}
        }
    }
    for collection in collections::ALL {
        alias::evict(app, writer, collection).await?;
        if index::guard(&writer.elastic, collection).await? {
            warn!(collection = collection.name, "the index template was another one and is put right");
        }
    }
    Ok(())
}

async fn drop_generation(app: &App, writer: &Writer, index: &str) -> anyhow::Result<()> {
    alias::remove(app, writer, index).await?;
    Ok(generations::forget(&app.db.sync, index).await?)
}

/// Builds what is missing or asked for, one after the other, and meanwhile looks after what is there, until it is cancelled.
///
/// # Errors
/// Another process has taken over.
pub async fn tend(app: &App, writer: &Writer, lease: i64, progress: &Progress) -> anyhow::Result<()> {
    let mut trouble = Trouble::new(app);
    while !trouble.rest(reconcile(app, writer, lease).await.map(|()| true)).await? {}
    // Whoever decides by the table where an alias leads has to finish before the next one reads it.
    let looked = Mutex::new(None);
    let building = async {
        let mut trouble = Trouble::new(app);
        loop {
            let built = build(app, writer, lease, progress, &looked).await;
            if let Err(error) = trouble.rest(built).await {
                break error;
            }
        }
    };
    let looking = async {
        let mut trouble = Trouble::new(app);
        loop {
            let seen = look_after(app, writer, lease, progress, &mut *looked.lock().await).await;
            if let Err(error) = trouble.rest(seen).await {
                break error;
            }
        }
    };
    tokio::select! {
        error = building => Err(error),
        error = looking => Err(error),
    }
}

/// What keeps indices from being looked after. The change stream flows on meanwhile.
struct Trouble<'a> {
    app: &'a App,
    said: String,
}

impl<'a> Trouble<'a> {
    fn new(app: &'a App) -> Self {
        Self { app, said: String::new() }
    }

    /// Rests after a step: not at all if it says that there is more, longer after a fault. Returns what it said. Only a successor
    /// ends the work.
    async fn rest(&mut self, step: anyhow::Result<bool>) -> anyhow::Result<bool> {
        let status = &self.app.watermark.status;
        match step {
            Err(fault) if fault.is::<Superseded>() => Err(fault),
            Err(fault) => {
                let problem = format!("{fault:#}");
                if problem != self.said {
                    error!(error = problem, "indices cannot be looked after; trying again");
                }
                status.update(|report| report.problem = Some(problem.clone()));
                self.said = problem;
                sleep(PAUSE).await;
                Ok(false)
            }
            Ok(has_more) => {
                if !std::mem::take(&mut self.said).is_empty() {
                    status.update(|report| report.problem = None);
                }
                if !has_more {
                    sleep(PERIOD).await;
                }
                Ok(has_more)
            }
        }
    }
}

/// Whether a server was away or busy, and the work can go on where it was.
fn is_passing(error: &anyhow::Error) -> bool {
    is_outage(error) || error.is::<sqlx::Error>() || error.is::<Behind>()
}

/// Goes back where that is asked for, removes what has expired, and makes sure that the aliases lead where they should.
async fn look_after(app: &App, writer: &Writer, lease: i64, progress: &Progress, looked: &mut Looked) -> anyhow::Result<bool> {
    let generations = generations::all(&app.db.sync).await?;
    writer.assign(&generations);
    for generation in generations.iter().filter(|one| one.state == "retired") {
        if generation.is_expired {
            drop_generation(app, writer, &generation.index).await?;
        } else if generation.wanted.as_deref() == Some("live") {
            // Whatever became of it, the alias may have moved.
            *looked = None;
            if go_live(app, writer, lease, generation).await? {
                info!(collection = generation.collection, index = generation.index, "lists go back to the index before");
            }
            return Ok(true);
        }
    }
    let live: Vec<_> = generations.iter().filter(|one| one.state == "live").collect();
    if looked.is_none_or(|at| at.elapsed() > LOOK) {
        for generation in &live {
            let Some(collection) = collections::find(&generation.collection) else { continue };
            if alias::point(app, writer, lease, collection, generation).await? {
                warn!(index = generation.index, "an alias led elsewhere and is put right");
            }
        }
        if index_rollback::look(app, writer, &generations).await? {
            *looked = None;
            return Ok(true);
        }
        *looked = Some(Instant::now());
    }
    if live.len() == collections::ALL.len() {
        progress.is_live.send_replace(true);
        progress.tell(app);
    }
    Ok(false)
}

/// Builds the next index that is missing or asked for, and says whether there was one.
async fn build(app: &App, writer: &Writer, lease: i64, progress: &Progress, looked: &Mutex<Looked>) -> anyhow::Result<bool> {
    let generations = generations::all(&app.db.sync).await?;
    for collection in collections::ALL {
        if is_due(app, collection, &generations)? && request(app, collection).await?.is_some() {
            return Ok(true);
        }
    }
    let Some(generation) = generations.iter().find(|one| one.state == "building") else { return Ok(false) };
    let collection = collections::find(&generation.collection).context("a generation of an unknown collection")?;
    let problem = match Box::pin(rebuild::run(app, writer, progress, collection, generation)).await {
        Ok(()) => {
            let mut looked = looked.lock().await;
            if go_live(app, writer, lease, generation).await? {
                info!(collection = collection.name, index = generation.index, "a new index is live");
                lift(app, writer, collection, &generation.index).await?;
                return Ok(true);
            }
            *looked = None;
            look_after(app, writer, lease, progress, &mut looked).await?;
            "it was cancelled".to_owned()
        }
        Err(error) if is_passing(&error) => return Err(error),
        Err(error) => format!("{error:#}"),
    };
    error!(collection = collection.name, index = generation.index, error = problem, "a rebuild failed");
    checkpoint::hold(&app.db.sync, lease).await?;
    alias::remove(app, writer, &generation.index).await?;
    generations::fail(&app.db.sync, &generation.index, &problem).await?;
    // What it alone refused is where lists read.
    if let Some(live) = verify::live(app, collection).await? {
        lift(app, writer, collection, &live).await?;
    }
    Ok(true)
}

/// Puts an index in the place of the live one, and says whether it is: it may have been given up meanwhile.
///
/// The alias first: whoever learns that an index is live relies on what the alias leads to. Until then both are current.
async fn go_live(app: &App, writer: &Writer, lease: i64, generation: &Generation) -> anyhow::Result<bool> {
    let collection = collections::find(&generation.collection).context("a generation of an unknown collection")?;
    failpoint::point("sync-before-promotion");
    alias::point(app, writer, lease, collection, generation).await?;
    let is_live = generations::promote(&app.db.sync, lease, generation, app.config.reindex.keep).await?;
    failpoint::point("sync-after-promotion");
    Ok(is_live)
}

/// What another index has refused is no longer counted if the one that lists read has it.
async fn lift(app: &App, writer: &Writer, collection: &'static Collection, index: &str) -> anyhow::Result<()> {
    let refused = checkpoint::buried_of(&app.db.sync, collection.name, None).await?;
    let wrong = verify::again(app, &writer.elastic, collection, index, &refused).await?;
    let taken: Vec<Uuid> = refused.into_iter().filter(|id| !wrong.contains_key(id)).collect();
    writer.revive(collection.name, &taken).await
}

/// Whether an index has to be built though nobody asks: there is none, or it has another mapping than this program and the settings
/// say so. What failed a moment ago is left alone, and so is a mapping that failed or that somebody went back from.
fn is_due(app: &App, collection: &Collection, generations: &[Generation]) -> anyhow::Result<bool> {
    let own = |state: &'static str| {
        let name = collection.name;
        generations.iter().filter(move |one| one.collection == name && one.state == state)
    };
    if own("building").next().is_some() {
        return Ok(false);
    }
    let Some(live) = own("live").next() else {
        return Ok(!own("failed").any(|one| one.age_seconds < SECOND_TRY_SECONDS));
    };
    let hash = Template::new(collection)?.hash;
    let is_tried = own("failed").chain(own("retired")).any(|one| one.hash == hash);
    Ok(app.config.reindex.auto && live.hash != hash && !is_tried)
}
