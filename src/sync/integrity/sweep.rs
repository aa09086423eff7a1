//! The rolling comparison: goes through every collection again and again, and has what differs written anew.
//!
//! It looks at the live generation. One that is being built is compared before it goes live, and one that is kept to go back to
//! is written to like the live one.

use std::collections::HashMap;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;
use tracing::{error, info, warn};
use uuid::Uuid;

use super::compare::{self, Depth, Sight};
use super::verify::{self, Differences};
use super::{repair, wait};
use crate::app::App;
use crate::collections;
use crate::search::Collection;
use crate::sync::store::checkpoint::{self, Superseded};
use crate::sync::store::sweep_runs::{self, Cycle, END};
use crate::sync::writer::Writer;
use crate::sync::writer::write::is_missing;

/// How soon it is looked again whether a cycle is due, a repair has arrived or the sync has caught up.
const IDLE: Duration = Duration::from_secs(1);
/// Nothing is compared while changes wait longer than this: most differences would be changes in flight.
const SWEEP_LAG: Duration = Duration::from_secs(1);
/// Documents of a range that the log names.
const NAMED: usize = 20;
/// Wait after a fault.
const PAUSE: Duration = Duration::from_secs(5);

/// Compares and repairs, within the limits of the settings, until it is cancelled.
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
        let patience = SWEEP_LAG;
        loop {
            if self.app.watermark.status.report().lag() > patience {
                sleep(IDLE).await;
                continue;
            }
            let mut checked = 0;
            for collection in collections::ALL {
                match self.step(collection).await {
                    Ok(count) => checked += count,
                    Err(fault) if fault.is::<Superseded>() => return Err(fault),
                    Err(fault) => {
                        warn!(collection = collection.name, error = %format!("{fault:#}"), "comparing with the index waits");
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
        let Some(index) = verify::live(&self.app, collection).await? else { return Ok(0) };
        if sweep_runs::is_due(&self.app.db.sync, collection.name, &index, self.app.config.sync.sweep_period).await? {
            self.begin(collection, &index).await?;
        }
        let Some(cycle) = sweep_runs::running(&self.app.db.sync, collection.name).await? else { return Ok(0) };
        if !cycle.marked.is_empty() {
            return self.look_again(collection, &cycle).await;
        }
        if cycle.cursor == Some(END) {
            sweep_runs::finish(&self.app.db.sync, self.lease, &cycle).await?;
            return Ok(0);
        }
        match self.compare(collection, &cycle).await {
            Err(fault) if is_missing(&fault) => {
                self.writer.lose(&index).await?;
                Ok(0)
            }
            compared => compared,
        }
    }

    /// Begins a cycle, with another try for what the index has refused.
    async fn begin(&self, collection: &'static Collection, index: &str) -> anyhow::Result<()> {
        let refused = checkpoint::buried_of(&self.app.db.sync, collection.name, None).await?;
        let mut transaction = self.app.db.sync.begin().await?;
        sweep_runs::begin(&mut *transaction, self.lease, collection.name, index).await?;
        repair::mark(&mut transaction, self.writer.epoch, collection, &refused).await?;
        Ok(transaction.commit().await?)
    }

    /// Compares the next range. What differs is marked in the transaction that moves the cursor, so that a leader that dies here
    /// neither forgets anything nor counts it twice.
    async fn compare(&self, collection: &'static Collection, cycle: &Cycle) -> anyhow::Result<usize> {
        let (app, elastic) = (&self.app, &self.writer.elastic);
        let depth = Depth::Contents;
        let range = compare::range(app, elastic, collection, &cycle.index, cycle.cursor, None, depth).await?;
        let mut found = self.differences(collection, &cycle.index, range.different).await?;
        // The cycle began with another try for these.
        verify::leave_out_refused(app, collection, &mut found).await?;
        if !found.is_empty() {
            let first: Vec<_> = found.iter().take(NAMED).collect();
            warn!(
                collection = collection.name,
                count = found.len(),
                ?first,
                "documents differ from their rows; writing them again"
            );
        }
        let removed = repair::discard(elastic, &cycle.index, &range.strays).await?;
        if removed > 0 {
            warn!(collection = collection.name, count = removed, "documents that somebody else wrote are removed");
        }
        let ids: Vec<Uuid> = found.into_keys().collect();
        let mut transaction = app.db.sync.begin().await?;
        repair::mark(&mut transaction, self.writer.epoch, collection, &ids).await?;
        let to = range.end.unwrap_or(END);
        sweep_runs::advance(&mut *transaction, self.lease, cycle, to, range.ids, &ids, removed).await?;
        transaction.commit().await?;
        Ok(range.ids)
    }

    /// Says what differs of what seemed to. What was written meanwhile was only behind.
    async fn differences(
        &self,
        collection: &'static Collection,
        index: &str,
        sights: HashMap<Uuid, Sight>,
    ) -> anyhow::Result<Differences> {
        if sights.is_empty() {
            return Ok(Differences::new());
        }
        wait::in_time(&self.app, collection).await?;
        let (found, _) = verify::look_again(&self.app, &self.writer.elastic, collection, index, sights).await?;
        Ok(found)
    }

    /// Looks at what was marked, once it has been written.
    async fn look_again(&self, collection: &'static Collection, cycle: &Cycle) -> anyhow::Result<usize> {
        if repair::waiting(&self.app.db.sync, collection, &cycle.marked).await? > 0 {
            return Ok(0);
        }
        let epoch = self.writer.epoch;
        let mended = repair::look(&self.app, &self.writer.elastic, epoch, collection, &cycle.index, &cycle.marked).await?;
        for (id, difference) in mended.left.iter().take(NAMED) {
            if mended.beyond.contains(id) {
                let advice = repair::advice(collection);
                error!(collection = collection.name, %id, ?difference, "a document cannot be repaired: {advice}");
            } else {
                error!(collection = collection.name, %id, ?difference, "a document differs although it was written again");
            }
        }
        info!(collection = collection.name, repaired = mended.repaired, "documents that differed are as they should be");
        sweep_runs::settle(&self.app.db.sync, self.lease, cycle, mended.repaired).await?;
        Ok(cycle.marked.len())
    }
}
