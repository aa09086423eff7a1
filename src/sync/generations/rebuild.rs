//! Fills a new index from the rows while the pipeline writes live changes to it as well.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use futures_util::{Stream, TryStreamExt, stream};
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, sleep};
use tracing::warn;
use uuid::Uuid;

use super::alias;
use super::throttle::Throttle;
use crate::app::App;
use crate::failpoint;
use crate::search::{Collection, Template, index};
use crate::sync::integrity::{verify, wait};
use crate::sync::pipeline::progress::Progress;
use crate::sync::store::generations::{self, Generation};
use crate::sync::store::{dead_letters, ids};
use crate::sync::writer::Writer;
use crate::sync::writer::write::Written;
use crate::values::lsn::Version;

/// Delay before a new index that was too busy is asked again.
const RETRY: Duration = Duration::from_millis(200);
/// Wait of a live change beyond which a reindex slows down: what a user notices.
const SLOW_DOWN_LAG: Duration = Duration::from_millis(100);
/// Attempts to repair what differs in a new index.
const REPAIRS: usize = 3;
/// Chunks under way for each writer. Chunks are recorded in order, so with one only, every writer would wait for the slowest.
const CHUNKS_PER_WRITER: usize = 2;

/// A rebuild under way.
struct Rebuild<'a> {
    app: &'a App,
    writer: &'a Writer,
    progress: &'a Progress,
    collection: &'static Collection,
    index: &'a str,
    throttle: Throttle,
    /// Documents that a live change had written before the rebuild came to them.
    changed: Mutex<Vec<Uuid>>,
}

/// Fills the index of a generation and checks that it is complete. Resumes where an interrupted rebuild was.
///
/// Every write carries the applied LSN of the moment before its rows were read, minus one: below any later commit, so that a live
/// write wins, and above everything applied before, which the rows include.
///
/// # Errors
/// The index lacks rows or refuses documents that the live index has, takes nothing for too long, or the rebuild was cancelled.
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
    let throttle = Throttle::new(SLOW_DOWN_LAG);
    let rebuild = Rebuild { app, writer, progress, collection, index: &generation.index, throttle, changed: Mutex::default() };
    let (cursor, documents) = rebuild.prepare(generation).await?;
    rebuild.fill(cursor, documents).await?;
    rebuild.check().await?;
    Ok(index::update_settings(&writer.elastic, &generation.index, &json!({ "auto_expand_replicas": "0-1" })).await?)
}

impl Rebuild<'_> {
    /// Creates the index unless an earlier leader has, and adds it to the live path. Returns where to go on and the documents up to
    /// there.
    async fn prepare(&self, generation: &Generation) -> anyhow::Result<(Uuid, i64)> {
        let (pool, elastic) = (&self.app.db.sync, &self.writer.elastic);
        ensure!(!alias::is_foreign(self.app, self.writer, self.index).await?, "another database has an index of that name");
        let exists = index::exists(elastic, self.index).await?;
        ensure!(exists || generation.cursor.is_none(), "its index has gone");
        if !exists {
            index::create(elastic, self.collection, self.index, &generations::owner(pool).await?).await?;
        }
        // Batches under way may not know the new index. They have passed the barrier, so what is read from here on includes them.
        self.writer.add_index(self.collection, self.index);
        if let Some(cursor) = generation.cursor {
            return Ok((cursor, generation.documents));
        }
        generations::begin(pool, self.index, ids::count(pool, self.collection).await?).await?;
        Ok((Uuid::nil(), 0))
    }

    /// One scan feeds several writers. What they have written is recorded in the order of ids, so that one cursor says how far the
    /// rebuild is.
    async fn fill(&self, cursor: Uuid, mut documents: i64) -> anyhow::Result<()> {
        let writers = self.app.config.reindex.parallel.max(1);
        let chunks = CHUNKS_PER_WRITER * writers;
        let (free, (acknowledge, mut acknowledged)) = (Semaphore::new(writers), mpsc::channel::<Vec<Uuid>>(chunks));
        let write = async move {
            let written = self.scan(cursor).map_ok(|ids| self.write(&free, ids)).try_buffered(chunks);
            written.try_for_each(async |ids| acknowledge.send(ids).await.context("nothing records what is written")).await
        };
        // Beside the writers, which do not wait for it.
        let record = async {
            let (started, before, mut acked) = (Instant::now(), documents, Vec::new());
            while acknowledged.recv_many(&mut acked, chunks).await > 0 {
                documents += i64::try_from(acked.iter().map(Vec::len).sum::<usize>())?;
                let end = acked.drain(..).next_back().and_then(|ids| ids.last().copied()).context("an empty chunk")?;
                let rate = (documents - before) as f64 / started.elapsed().as_secs_f64().max(0.001);
                let is_building = generations::advance(&self.app.db.sync, self.index, end, documents, rate).await?;
                ensure!(is_building, "it was cancelled");
                failpoint::abort_at("sync-in-rebuild");
            }
            Ok(())
        };
        tokio::try_join!(write, record)?;
        Ok(())
    }

    /// Reads all ids above one in order, chunk by chunk. No snapshot is held meanwhile.
    fn scan(&self, after: Uuid) -> impl Stream<Item = anyhow::Result<Vec<Uuid>>> {
        stream::try_unfold(after, async |after| {
            let size = self.throttle.chunk(self.app.config.sync.reindex_batch_size());
            let rows = ids::page(&self.app.db.sync, self.collection, Some(after), None, size).await?;
            let ids: Vec<Uuid> = rows.into_iter().map(|(id, _)| id).collect();
            Ok(ids.last().copied().map(|last| (ids, last)))
        })
    }

    /// Writes a chunk once a writer is free, and returns it when the index has acknowledged all of it.
    async fn write(&self, free: &Semaphore, chunk: Vec<Uuid>) -> anyhow::Result<Vec<Uuid>> {
        let _writer = free.acquire().await?;
        self.throttle.pause(self.app, chunk.len()).await;
        let patience = self.app.config.reindex.patience;
        let (name, since) = (self.collection.name, Instant::now());
        let mut ids = chunk.clone();
        loop {
            let floor = Version::floor(self.writer.epoch, *self.progress.acked.borrow());
            let mut written: Written = self.writer.fill(name, self.index, &ids, floor).await?;
            self.changed.lock().extend(written.outdated.remove(name).unwrap_or_default());
            self.tolerate(written.quarantined.remove(name).into_iter().flatten().collect()).await?;
            ids = written.unwritten.remove(name).into_iter().flatten().collect();
            if ids.is_empty() {
                return Ok(chunk);
            }
            ensure!(since.elapsed() < patience, "the new index takes no documents");
            ensure!(generations::is_building(&self.app.db.sync, self.index).await?, "it was cancelled");
            sleep(RETRY).await;
        }
    }

    /// Fails the rebuild if the new index refuses documents that the live index has: lists would lose them.
    async fn tolerate(&self, refused: Vec<Uuid>) -> anyhow::Result<()> {
        let (app, collection) = (self.app, self.collection);
        if refused.is_empty() {
            return Ok(());
        }
        let Some(live) = generations::live(&app.db.sync, collection.name).await? else { return Ok(()) };
        let lacking = verify::documents(app, &self.writer.elastic, collection, &live, &refused).await?;
        let lost: Vec<&Uuid> = refused.iter().filter(|id| !lacking.contains_key(id)).collect();
        let Some(first) = lost.first() else { return Ok(()) };
        let reason = dead_letters::reason(&app.db.sync, collection.name, **first).await?.unwrap_or_default();
        bail!("the new index refuses {} documents that the live index has, {first} for one: {reason}", lost.len())
    }

    /// Checks that the index is complete before the swap, and repairs it if not.
    ///
    /// The index has acknowledged every row, so only what live changes wrote meanwhile is read back, and documents and rows are
    /// counted. Where the counts differ everything is compared. The first sweep after the swap compares the contents, and all of that
    /// where changes wait in the backlog.
    async fn check(&self) -> anyhow::Result<()> {
        let (app, writer, collection, index) = (self.app, self.writer, self.collection, self.index);
        if self.progress.checkpoint.borrow().backlog_since.contains_key(collection.name) {
            // Under endless changes it is never empty, and what waits there would look like damage. Both indices get it alike.
            warn!(index, "changes wait in the backlog, so the new index is compared by the sweep after the swap only");
            return Ok(());
        }
        // Live changes would wait behind a refresh that has everything to write.
        index::flush(&writer.elastic, index).await?;
        index::refresh(&writer.elastic, index).await?;
        let changed = std::mem::take(&mut *self.changed.lock());
        let mut wrong = verify::documents(app, &writer.elastic, collection, index, &changed).await?;
        if !self.has_every_row().await? {
            warn!(index, "the new index has not as many documents as there are rows; comparing all of them");
            wrong.extend(verify::versions(app, &writer.elastic, collection, index).await?.differences);
        }
        self.tolerate(verify::split_off_quarantined(app, collection, &mut wrong).await?).await?;
        for _ in 0..REPAIRS {
            if wrong.is_empty() {
                return Ok(());
            }
            warn!(index, documents = wrong.len(), "the new index differs from the rows; writing what differs again");
            wrong = verify::repair(app, writer, collection, index, &wrong).await?;
            // What was repaired has to be found too.
            index::refresh(&writer.elastic, index).await?;
        }
        ensure!(wrong.is_empty(), "the new index differs after {REPAIRS} repairs: {}", verify::summary(&wrong));
        Ok(())
    }

    /// Compares the number of documents with that of rows. Live changes move both, so it has to lie between two counts of rows.
    async fn has_every_row(&self) -> anyhow::Result<bool> {
        let (app, elastic, collection) = (self.app, &self.writer.elastic, self.collection);
        for _ in 0..2 {
            let refused = dead_letters::quarantined_of(&app.db.sync, collection.name, None).await?.len();
            let before = ids::count(&app.db.sync, collection).await?;
            let documents = i64::try_from(index::count(elastic, self.index).await?)? + i64::try_from(refused)?;
            let after = ids::count(&app.db.sync, collection).await?;
            if (before.min(after)..=before.max(after)).contains(&documents) {
                return Ok(true);
            }
            wait::until_searchable(app, collection).await?;
            index::refresh(elastic, self.index).await?;
        }
        Ok(false)
    }
}
