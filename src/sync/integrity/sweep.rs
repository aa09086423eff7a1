//! The anti-entropy sweep: compares every collection with its live index, again and again, and repairs what differs.
//!
//! The first run over an index begins when it goes live, and is the check of contents of its rebuild. A rollback target is not
//! compared: it gets the same writes as the live index.

use std::collections::{BTreeMap, HashMap};
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;
use tracing::{error, info, warn};
use uuid::Uuid;

use super::compare::{self, Depth, Observation};
use super::verify::{self, Differences};
use super::{repair, wait};
use crate::app::App;
use crate::collections;
use crate::search::Collection;
use crate::sync::store::checkpoint::Superseded;
use crate::sync::store::dead_letters;
use crate::sync::store::generations;
use crate::sync::store::sweep_runs::{self, END, Run};
use crate::sync::writer::Writer;
use crate::sync::writer::write::is_missing;

/// How often it is checked whether a run is due, a repair is written or the sync has caught up.
const IDLE: Duration = Duration::from_secs(1);
/// Nothing is compared while changes wait longer than this: most differences would be changes in flight.
const SWEEP_LAG: Duration = Duration::from_secs(1);
/// Documents of a range that the log names.
const NAMED: usize = 20;
/// Pause after a fault.
const PAUSE: Duration = Duration::from_secs(5);

/// Compares and repairs within the limits of the settings until it is cancelled.
///
/// # Errors
/// Another process leads.
pub async fn run(app: &App, writer: &Arc<Writer>, lease: i64) -> anyhow::Result<()> {
    if app.config.sync.sweep_rate == 0 {
        return pending().await;
    }
    // A task of its own: comparing takes the processor for milliseconds, in which the stream should not wait.
    let (app, writer) = (app.clone(), Arc::clone(writer));
    AbortOnDropHandle::new(tokio::spawn(async move { Sweep { app, writer, lease }.run().await })).await?
}

struct Sweep {
    app: App,
    writer: Arc<Writer>,
    lease: i64,
}

impl Sweep {
    async fn run(self) -> anyhow::Result<()> {
        let settings = &self.app.config.sync;
        let mut reported = BTreeMap::new();
        loop {
            if self.app.watermark.status.report().lag() > SWEEP_LAG {
                sleep(IDLE).await;
                continue;
            }
            let mut checked = 0;
            for collection in collections::indexed(self.app.config.search.analytics) {
                match self.step(collection).await {
                    Ok(count) => {
                        checked += count;
                        reported.remove(collection.name);
                    }
                    Err(fault) if fault.is::<Superseded>() => return Err(fault),
                    Err(fault) => {
                        let problem = format!("{fault:#}");
                        if reported.insert(collection.name, problem.clone()).as_ref() != Some(&problem) {
                            warn!(collection = collection.name, error = problem, "cannot sweep; trying again");
                        }
                        sleep(PAUSE).await;
                    }
                }
            }
            let pace = Duration::from_secs(checked as u64) / settings.sweep_rate;
            sleep(if checked == 0 { IDLE } else { pace }).await;
        }
    }

    /// Does what is next for a collection and returns how many documents it compared.
    async fn step(&self, collection: &'static Collection) -> anyhow::Result<usize> {
        let pool = &self.app.db.sync;
        let Some(index) = generations::live(pool, collection.name).await? else { return Ok(0) };
        if sweep_runs::is_due(pool, collection.name, &index, self.app.config.sync.sweep_period).await? {
            self.begin(collection, &index).await?;
        }
        let Some(run) = sweep_runs::current(pool, collection.name).await? else { return Ok(0) };
        if !run.enqueued.is_empty() {
            return self.check_repairs(collection, &run).await;
        }
        if run.cursor == Some(END) {
            sweep_runs::finish(pool, self.lease, &run).await?;
            return Ok(0);
        }
        match self.compare(collection, &run).await {
            Err(fault) if is_missing(&fault) => {
                self.writer.forget_index(&index).await?;
                Ok(0)
            }
            compared => compared,
        }
    }

    /// Begins a run, with another try for quarantined documents.
    async fn begin(&self, collection: &'static Collection, index: &str) -> anyhow::Result<()> {
        let quarantined = dead_letters::quarantined_of(&self.app.db.sync, collection.name, None).await?;
        let mut transaction = self.app.db.sync.begin().await?;
        sweep_runs::begin(&mut *transaction, self.lease, collection.name, index).await?;
        repair::enqueue(&mut transaction, self.writer.epoch, collection, &quarantined).await?;
        Ok(transaction.commit().await?)
    }

    /// Compares the next range. The transaction that moves the cursor enqueues what differs, so that a leader that dies here neither
    /// forgets anything nor counts it twice.
    async fn compare(&self, collection: &'static Collection, run: &Run) -> anyhow::Result<usize> {
        let (app, elastic) = (&self.app, &self.writer.elastic);
        let range = compare::observe_range(app, elastic, collection, &run.index, run.cursor, None, Depth::Contents).await?;
        let mut found = self.differences(collection, &run.index, range.different).await?;
        // The run began with another try for these.
        verify::split_off_quarantined(app, collection, &mut found).await?;
        if !found.is_empty() {
            let first: Vec<_> = found.iter().take(NAMED).collect();
            warn!(
                collection = collection.name,
                count = found.len(),
                ?first,
                "documents differ from their rows; writing them again"
            );
        }
        let removed = repair::remove_strays(elastic, &run.index, &range.strays).await?;
        if removed > 0 {
            warn!(collection = collection.name, count = removed, "removed documents that another program wrote");
        }
        let ids: Vec<Uuid> = found.into_keys().collect();
        let mut transaction = app.db.sync.begin().await?;
        repair::enqueue(&mut transaction, self.writer.epoch, collection, &ids).await?;
        // Removed strays hide others.
        let again = (range.is_cut && removed > 0).then(|| run.cursor.unwrap_or(Uuid::nil()));
        let to = again.or(range.end).unwrap_or(END);
        sweep_runs::advance(&mut *transaction, self.lease, run, to, range.ids, &ids, removed).await?;
        transaction.commit().await?;
        Ok(range.ids)
    }

    /// Rechecks what seemed different: what was written meanwhile was only late.
    async fn differences(
        &self,
        collection: &'static Collection,
        index: &str,
        observations: HashMap<Uuid, Observation>,
    ) -> anyhow::Result<Differences> {
        if observations.is_empty() {
            return Ok(Differences::new());
        }
        wait::until_caught_up(&self.app, collection).await?;
        let (found, _) = verify::recheck(&self.app, &self.writer.elastic, collection, index, observations).await?;
        Ok(found)
    }

    /// Compares what was enqueued once it has been written.
    async fn check_repairs(&self, collection: &'static Collection, run: &Run) -> anyhow::Result<usize> {
        if repair::pending(&self.app.db.sync, collection, &run.enqueued).await? > 0 {
            return Ok(0);
        }
        let epoch = self.writer.epoch;
        let result = repair::check(&self.app, &self.writer.elastic, epoch, collection, &run.index, &run.enqueued).await?;
        for (id, difference) in result.left.iter().take(NAMED) {
            if result.beyond.contains(id) {
                let advice = repair::advice(collection, *difference);
                error!(collection = collection.name, %id, ?difference, "cannot repair a document: {advice}");
            } else {
                error!(collection = collection.name, %id, ?difference, "a document differs although it was written again");
            }
        }
        info!(collection = collection.name, repaired = result.repaired, "repaired documents that differed");
        sweep_runs::record_repairs(&self.app.db.sync, self.lease, run, result.repaired).await?;
        Ok(run.enqueued.len())
    }
}
