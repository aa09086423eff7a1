//! Fills a new index from the rows while the live path writes to it as well.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::json;
use tokio::time::{Instant, sleep};
use tracing::warn;
use uuid::Uuid;

use super::alias;
use super::throttle::Brake;
use crate::app::App;
use crate::failpoint;
use crate::search::{Collection, Template, index};
use crate::sync::integrity::compare::{self, Depth, Sight};
use crate::sync::integrity::verify::{self, Difference};
use crate::sync::pipeline::progress::Progress;
use crate::sync::store::dead_letters;
use crate::sync::store::generations::{self, Generation};
use crate::sync::store::ranges::{self, Range};
use crate::sync::writer::Writer;
use crate::sync::writer::write::Written;
use crate::values::lsn::Version;

/// Before an index that was too busy is asked again.
const REST: Duration = Duration::from_millis(200);
/// Wait of a live change beyond which a reindex slows down: what a user notices.
const SLOW_DOWN_LAG: Duration = Duration::from_millis(100);
/// Times that what differs in a new index is written again.
const REPAIRS: usize = 3;

/// A rebuild on its way.
struct Rebuild<'a> {
    app: &'a App,
    writer: &'a Writer,
    progress: &'a Progress,
    collection: &'static Collection,
    index: &'a str,
    brake: Brake,
    began: Instant,
    /// Documents written since then.
    written: AtomicUsize,
}

/// Fills the index and checks that nothing is missing. Goes on where each range stands if it was interrupted before.
///
/// Every write carries the floor of the moment before its rows were read: below any later commit, so a live write wins, and above
/// whatever was applied before, which the rows include.
///
/// # Errors
/// The index's or the database's, or the index does not hold what it should, or the rebuild was cancelled.
pub async fn run(
    app: &App,
    writer: &Writer,
    progress: &Progress,
    collection: &'static Collection,
    generation: &Generation,
) -> anyhow::Result<()> {
    ensure!(generation.wanted.is_none(), "it was cancelled");
    ensure!(
        generation.hash == Template::new(collection)?.hash,
        "it was asked for with the mapping of another version of this program; ask again when all servers are of one version"
    );
    let (index, brake) = (generation.index.as_str(), Brake::new(SLOW_DOWN_LAG));
    let rebuild =
        Rebuild { app, writer, progress, collection, index, brake, began: Instant::now(), written: AtomicUsize::new(0) };
    rebuild.prepare().await?;
    let ranges = ranges::plan(app, collection, index).await?;
    rebuild.fill(&ranges).await?;
    rebuild.check().await?;
    Ok(index::tune(&writer.elastic, index, &json!({ "auto_expand_replicas": "0-1" })).await?)
}

impl Rebuild<'_> {
    /// Creates the index unless an earlier leader has, and lets the live path write to it.
    async fn prepare(&self) -> anyhow::Result<()> {
        let pool = &self.app.db.sync;
        ensure!(!alias::is_foreign(self.app, self.writer, self.index).await?, "another database has an index of that name");
        if !index::exists(&self.writer.elastic, self.index).await? {
            ranges::clear(pool, self.index).await?;
            index::create(&self.writer.elastic, self.collection, self.index, &generations::owner(pool).await?).await?;
        }
        self.writer.add(self.collection, self.index);
        // Batches that are under way may not know of the new index. They have passed the gate, so what is read from here on
        // includes them.
        Ok(())
    }

    /// Fills several ranges at a time.
    async fn fill(&self, ranges: &[Range]) -> anyhow::Result<()> {
        let parallel = self.app.config.reindex.parallel.max(1);
        let filled: Vec<_> = ranges.iter().map(|range| self.fill_range(range.clone())).collect();
        stream::iter(filled).buffer_unordered(parallel).try_collect().await
    }

    async fn fill_range(&self, mut range: Range) -> anyhow::Result<()> {
        loop {
            let chunk = self.brake.chunk(self.app.config.sync.reindex_batch_size());
            let rows = ranges::scan(&self.app.db.sync, self.collection, range.cursor.or(range.low), range.high, chunk).await?;
            let ids: Vec<Uuid> = rows.into_iter().map(|(id, _)| id).collect();
            let Some(last) = ids.last() else { return Ok(()) };
            self.write(&ids).await?;
            let written = self.written.fetch_add(ids.len(), Ordering::Relaxed) + ids.len();
            let rate = written as f64 / self.began.elapsed().as_secs_f64().max(0.001);
            let pool = &self.app.db.sync;
            if !ranges::advance(pool, self.index, &range, *last, ids.len(), rate).await? {
                range = ranges::again(pool, self.index, range.number).await?.context("it was cancelled")?;
                continue;
            }
            range.cursor = Some(*last);
            failpoint::point("sync-in-rebuild");
            if ids.len() < chunk {
                return Ok(());
            }
            self.brake.hold(self.app).await;
        }
    }

    async fn write(&self, ids: &[Uuid]) -> anyhow::Result<()> {
        let patience = self.app.config.reindex.patience;
        let (name, since) = (self.collection.name, Instant::now());
        let mut ids = ids.to_vec();
        loop {
            let floor = Version::floor(self.writer.epoch, *self.progress.applied.borrow());
            let Written { mut unwritten, mut refused, .. } = self.writer.fill(name, self.index, &ids, floor).await?;
            if let Some(refused) = refused.remove(name) {
                self.bear(&refused.into_iter().collect::<Vec<_>>()).await?;
            }
            ids = unwritten.remove(name).into_iter().flatten().collect();
            if ids.is_empty() {
                return Ok(());
            }
            ensure!(since.elapsed() < patience, "the new index takes no documents");
            ensure!(generations::is_wanted(&self.app.db.sync, self.index).await?, "it was cancelled");
            sleep(REST).await;
        }
    }

    /// Bears that the new index refuses documents, unless the one that lists read has them: they would be lost to lists.
    async fn bear(&self, refused: &[Uuid]) -> anyhow::Result<()> {
        let (app, collection) = (self.app, self.collection);
        let Some(live) = verify::live(app, collection).await? else { return Ok(()) };
        let lacking = verify::again(app, &self.writer.elastic, collection, &live, refused).await?;
        let lost: Vec<&Uuid> = refused.iter().filter(|id| !lacking.contains_key(id)).collect();
        let Some(first) = lost.first() else { return Ok(()) };
        let reason = dead_letters::reason(&app.db.sync, collection.name, **first).await?.unwrap_or_default();
        bail!("the new index refuses {} documents that the one that lists read has, {first} for one: {reason}", lost.len())
    }

    /// Makes sure that every row has its document, which shows its version, and that there is no other. What differs is written
    /// again, a few times at most. What each document says was acknowledged when it was written, and the sweep reads it back later.
    async fn check(&self) -> anyhow::Result<()> {
        let (app, writer, collection, index) = (self.app, self.writer, self.collection, self.index);
        // Not by a refresh, which live changes would wait behind.
        index::flush(&writer.elastic, index).await?;
        index::refresh(&writer.elastic, index).await?;
        let ranges = ranges::all(&app.db.sync, index).await?;
        let parallel = app.config.reindex.parallel.max(1);
        let compared: Vec<_> = ranges.iter().map(|range| self.compare(range)).collect();
        let moving = stream::iter(compared).buffer_unordered(parallel).try_concat().await?;
        let mut wrong = verify::settle(app, &writer.elastic, collection, index, moving).await?.differences;
        let refused = verify::leave_out_refused(app, collection, &mut wrong).await?;
        self.bear(&refused).await?;
        if wrong.is_empty() {
            return Ok(());
        }
        for _ in 0..REPAIRS {
            warn!(index, documents = wrong.len(), "the new index differs from the rows; writing what differs again");
            wrong = verify::repair(app, writer, collection, index, &wrong).await?;
            if wrong.is_empty() {
                // What was repaired has to be found too.
                return Ok(index::refresh(&writer.elastic, index).await?);
            }
        }
        let count = |kind| wrong.values().filter(|difference| **difference == kind).count();
        let [missing, stale, ghosts] = [Difference::Missing, Difference::Stale, Difference::Ghost].map(count);
        bail!(
            "of the new index {missing} documents are missing, {stale} are wrong and {ghosts} have no row, after {REPAIRS} repairs"
        )
    }

    /// Returns what seems to differ in a range.
    async fn compare(&self, range: &Range) -> anyhow::Result<HashMap<Uuid, Sight>> {
        let mut different = HashMap::new();
        let mut after = range.low;
        loop {
            let elastic = &self.writer.elastic;
            let page = compare::range(self.app, elastic, self.collection, self.index, after, range.high, Depth::Members).await?;
            different.extend(page.different);
            if page.end.is_none() {
                return Ok(different);
            }
            after = page.end;
            self.brake.hold(self.app).await;
        }
    }
}
