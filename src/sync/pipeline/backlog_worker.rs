//! The backlog worker: writes what is in the backlog beside fresh changes, in small requests, so that none of those waits for long.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgTransaction;
use tokio::time::{Instant, sleep};
use tracing::{info, warn};
use uuid::Uuid;

use super::progress::Progress;
use crate::app::App;
use crate::collections::{self, Edge};
use crate::failpoint;
use crate::freshness::status::Concern;
use crate::search::inventory::{self, Detail};
use crate::search::{Collection, index};
use crate::sync::store::backlog::{self, Fanouts};
use crate::sync::stream::batch::Keys;
use crate::sync::writer::apply::IndexTarget;
use crate::sync::writer::write::{is_missing, is_outage};
use crate::sync::writer::{Target, Writer};
use crate::values::lsn::{Lsn, Version};

/// How often an empty backlog is read.
const PERIOD: Duration = Duration::from_millis(250);
/// Ids of children that are read at once: to sort all that are left for every request would be quadratic.
const CHILDREN: usize = 100_000;
/// Ids of documents that are read at once, as many as Elasticsearch returns: each page scans every document.
const PAGE: usize = 10_000;
const REFRESH: Duration = Duration::from_secs(1);
/// Pauses while Elasticsearch is away double from the first to the last.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// The worker yields to fresh changes that wait longer than this.
const YIELD_AFTER: Duration = Duration::from_millis(200);
/// Longest pause for their sake, so that the worker always makes progress.
const LONGEST_YIELD: Duration = Duration::from_millis(500);

/// The backlog worker of one leader.
pub struct BacklogWorker<'a> {
    app: &'a App,
    target: &'a IndexTarget,
    progress: &'a Progress,
    /// The last document of the backlog that was claimed in this round.
    after: Option<(String, Uuid)>,
    /// Rounds through all documents of the backlog in which none was skipped.
    rounds: u64,
    has_skipped: bool,
    running: Option<RunningFanouts>,
    marks: BTreeMap<String, Mark>,
    touched: BTreeSet<String>,
    refreshed: Instant,
}

struct RunningFanouts {
    fanouts: Fanouts,
    edge: &'static Edge,
    /// The next children, in order.
    children: VecDeque<Uuid>,
    is_last_page: bool,
}

/// A moment in the life of a collection's backlog: what was in it then has no changes after `acked`.
#[derive(Clone, Copy, Debug)]
struct Mark {
    acked: Lsn,
    at: DateTime<Utc>,
    rounds: u64,
}

enum Step {
    /// There may be more.
    Done,
    Idle,
    /// Elasticsearch is away or busy.
    Away,
}

impl<'a> BacklogWorker<'a> {
    #[must_use]
    pub fn new(app: &'a App, target: &'a IndexTarget, progress: &'a Progress) -> Self {
        Self {
            app,
            target,
            progress,
            after: None,
            rounds: 0,
            has_skipped: false,
            running: None,
            marks: BTreeMap::new(),
            // The previous leader may not have refreshed its last writes.
            touched: target.writer.live_indices(),
            refreshed: Instant::now(),
        }
    }

    /// Works until it is cancelled. The next leader repeats the step that was under way.
    pub async fn run(mut self) -> anyhow::Result<()> {
        let mut pause = SHORTEST_PAUSE;
        loop {
            let drained = self.drain().await?;
            let fanned_out = self.fan_out().await?;
            match (drained, fanned_out) {
                (Step::Away, _) | (_, Step::Away) => {
                    sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                (Step::Idle, Step::Idle) => {
                    self.clear_written().await?;
                    sleep(PERIOD).await;
                }
                _ => {
                    pause = SHORTEST_PAUSE;
                    if self.refreshed.elapsed() > REFRESH {
                        self.clear_written().await?;
                    }
                    self.yield_to_changes().await;
                }
            }
        }
    }

    /// The version of rows that are read now: they include every visible commit.
    fn version(&self) -> Version {
        Version::new(self.target.writer.epoch, *self.progress.visible.borrow())
    }

    /// Writes the next documents. They leave the backlog once the index has taken all of them.
    async fn drain(&mut self) -> anyhow::Result<Step> {
        let writer = &self.target.writer;
        let version = self.version();
        let mut transaction = writer.pool.begin().await?;
        let claimed = backlog::claim(&mut transaction, self.after.take(), version, self.app.config.sync.batch_size).await?;
        self.has_skipped |= claimed.has_skipped;
        if claimed.last.is_none() {
            self.rounds += u64::from(!self.has_skipped);
            self.has_skipped = false;
            return Ok(Step::Idle);
        }
        let mut keys = Keys::new();
        for (name, id) in claimed.keys {
            if let Some(collection) = collections::find(&name) {
                keys.entry(collection.name).or_default().insert(id);
            }
        }
        if !keys.is_empty() {
            let written = writer.write(&keys, version).await?;
            self.touched.extend(written.indices);
            if !written.unwritten.is_empty() {
                return Ok(Step::Away);
            }
        }
        for collection in claimed.emptied.iter().filter_map(|name| collections::find(name)) {
            match enqueue_all(writer, &mut transaction, collection, version).await {
                Err(error) if is_outage(&error) => {
                    let problem = format!("cannot list the {} of a truncated table: {error:#}", collection.name);
                    if self.app.watermark.status.report_problem(Concern::Scans, problem.clone()) {
                        warn!(problem, "elasticsearch does not list documents; trying again");
                    }
                    return Ok(Step::Away);
                }
                enqueued => enqueued?,
            }
            self.app.watermark.status.solve(Concern::Scans);
        }
        failpoint::abort_at("sync-in-drain");
        transaction.commit().await?;
        // The documents of a truncated collection may lie behind the last one claimed, and belong to this round.
        self.after = claimed.emptied.into_iter().min().map(|name| (name, Uuid::nil())).or(claimed.last);
        Ok(Step::Done)
    }

    /// Writes the next children of the oldest fan-outs.
    async fn fan_out(&mut self) -> anyhow::Result<Step> {
        let pool = &self.target.writer.pool;
        let Some(mut work) = self.next_fanouts().await? else { return Ok(Step::Idle) };
        let size = self.app.config.sync.backlog_batch_size().min(work.children.len());
        let ids: Vec<Uuid> = work.children.iter().take(size).copied().collect();
        if let Some(last) = ids.last() {
            let keys = Keys::from([(work.edge.collection.name, ids.iter().copied().collect())]);
            let written = self.target.writer.write(&keys, self.version()).await?;
            self.touched.extend(written.indices);
            if !written.unwritten.is_empty() {
                return Ok(Step::Away);
            }
            work.fanouts.advance(pool, *last).await?;
            failpoint::abort_at("sync-in-fanout");
            work.children.drain(..size);
        }
        if !work.children.is_empty() {
            self.running = Some(work);
        } else if work.is_last_page {
            work.fanouts.finish(pool).await?;
            info!(edge = work.edge.name(), "fan-out finished");
        }
        Ok(Step::Done)
    }

    async fn next_fanouts(&mut self) -> anyhow::Result<Option<RunningFanouts>> {
        if self.running.is_some() {
            return Ok(self.running.take());
        }
        let pool = &self.target.writer.pool;
        let Some(fanouts) = backlog::claim_fanouts(pool, self.version()).await? else { return Ok(None) };
        let Some((edge, sql)) = Edge::find(&fanouts.edge).and_then(|edge| Some((edge, edge.children?))) else {
            warn!(edge = fanouts.edge, "dropping a fan-out over an edge that no longer exists");
            fanouts.finish(pool).await?;
            return Ok(None);
        };
        let children: VecDeque<Uuid> = fanouts.children(pool, sql, CHILDREN).await?.into();
        let is_last_page = children.len() < CHILDREN;
        Ok(Some(RunningFanouts { fanouts, edge, children, is_last_page }))
    }

    /// Re-enables read-your-writes once the backlog seen at the last mark is written. Under endless renames a backlog is never
    /// empty.
    async fn clear_written(&mut self) -> anyhow::Result<()> {
        let backlogged: BTreeSet<String> = self.progress.checkpoint.borrow().backlog_since.keys().cloned().collect();
        if backlogged.is_empty() && self.touched.is_empty() {
            return Ok(());
        }
        let acked = *self.progress.acked.borrow();
        let backlog_marks = self.progress.backlog_marks.borrow().clone();
        let pool = &self.target.writer.pool;
        let pending = backlog::pending(pool).await?;
        // What has left the backlog is searchable after a refresh from here on.
        if !self.target.refresh(&self.touched).await? {
            return Ok(());
        }
        self.touched.clear();
        self.refreshed = Instant::now();
        for pending in pending.into_iter().filter(|one| backlogged.contains(&one.collection)) {
            let name = pending.collection.as_str();
            if pending.is_empty() && self.progress.backlog_marks.borrow().get(name) == backlog_marks.get(name) {
                info!(collection = name, "backlog is written");
                self.progress.clear_backlog(name);
                self.marks.remove(name);
                continue;
            }
            if let Some(mark) = self.marks.get(name) {
                // The round at that moment may have passed a document by.
                let has_documents = pending.has_documents && self.rounds < mark.rounds + 2;
                if has_documents || pending.oldest_fanout.is_some_and(|since| since <= mark.at) {
                    continue;
                }
                self.progress.raise_backlog_since(name, Lsn(mark.acked.0 + 1));
                self.marks.remove(name);
            }
            // No round claims what an earlier leader has stored at an LSN that this one has yet to reach. The version of now: what this
            // leader has stored since the refresh began must not count, or a busy backlog would never get a mark.
            if !pending.has_documents || !backlog::has_newer(pool, name, self.version()).await? {
                self.marks.insert(name.to_owned(), Mark { acked, at: pending.at, rounds: self.rounds });
            }
        }
        Ok(())
    }

    async fn yield_to_changes(&self) {
        let lag = self.app.watermark.status.report().lag();
        if lag > YIELD_AFTER {
            sleep((lag - YIELD_AFTER).min(LONGEST_YIELD)).await;
        }
    }
}

/// Enqueues every document of a collection that any of its indices holds.
async fn enqueue_all(
    writer: &Writer,
    transaction: &mut PgTransaction<'_>,
    collection: &'static Collection,
    version: Version,
) -> anyhow::Result<()> {
    for index in writer.indices(collection.name) {
        match enqueue_all_of(writer, transaction, collection, &index, version).await {
            Err(error) if is_missing(&error) => writer.forget_index(&index).await?,
            enqueued => enqueued?,
        }
    }
    Ok(())
}

async fn enqueue_all_of(
    writer: &Writer,
    transaction: &mut PgTransaction<'_>,
    collection: &'static Collection,
    index: &str,
    version: Version,
) -> anyhow::Result<()> {
    // The scan sees only what is searchable.
    index::refresh(&writer.elastic, index).await?;
    let mut after = None;
    loop {
        let page = inventory::page(&writer.elastic, index, after, None, PAGE, Detail::Ids).await?;
        let keys = Keys::from([(collection.name, page.entries.into_iter().map(|entry| entry.id).collect())]);
        backlog::enqueue_within(transaction, &keys, version).await?;
        if page.end.is_none() {
            return Ok(());
        }
        after = page.end;
    }
}
