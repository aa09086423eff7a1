//! The slow lane: writes what is in the backlog beside the fresh changes, in small pieces, so that none of those waits for long.

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
use crate::search::inventory::{self, Detail};
use crate::search::{Collection, index};
use crate::sync::store::backlog::{self, Fanouts};
use crate::sync::stream::batch::Keys;
use crate::sync::writer::apply::Servers;
use crate::sync::writer::write::{is_missing, is_outage};
use crate::sync::writer::{Target, Writer};
use crate::values::lsn::{Lsn, Version};

/// How soon something new in the backlog is seen.
const PERIOD: Duration = Duration::from_millis(250);
/// Children whose ids are read at once: sorting all that are left for every piece would be quadratic.
const PAGE: usize = 100_000;
/// Documents whose ids are read at once, as many as the index gives: for each page it looks at every document.
const LISTED: usize = 10_000;
/// Time between refreshes of what the lane has written.
const REFRESH: Duration = Duration::from_secs(1);
/// Pauses while the index is away double from the first to the last.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Fresh changes that have waited for so long are let by.
const YIELD_AFTER: Duration = Duration::from_millis(200);
/// Longest pause for their sake, so that the lane always gets on.
const LONGEST_YIELD: Duration = Duration::from_millis(500);

/// The slow lane of one leader.
pub struct Lane<'a> {
    app: &'a App,
    servers: &'a Servers,
    progress: &'a Progress,
    /// Where to go on among the documents that wait.
    after: Option<(String, Uuid)>,
    /// How often the last of the documents that wait was reached, and none was left out on the way.
    rounds: u64,
    has_skipped: bool,
    under_way: Option<UnderWay>,
    marks: BTreeMap<String, Mark>,
    touched: BTreeSet<String>,
    refreshed: Instant,
}

/// Fan-outs that are being worked on.
struct UnderWay {
    fanouts: Fanouts,
    edge: &'static Edge,
    /// The next children, in order.
    children: VecDeque<Uuid>,
    /// Whether there are no others.
    is_last: bool,
}

/// A moment: what went into the backlog before it are changes up to the position, and maybe more.
#[derive(Clone, Copy)]
struct Mark {
    applied: Lsn,
    at: DateTime<Utc>,
    rounds: u64,
}

/// What a step came to.
enum Step {
    /// There is more.
    Done,
    /// There is nothing to do.
    Idle,
    /// The index is away or busy.
    Away,
}

impl<'a> Lane<'a> {
    /// Makes the lane; [`Lane::run`] works on it.
    #[must_use]
    pub fn new(app: &'a App, servers: &'a Servers, progress: &'a Progress) -> Self {
        Self {
            app,
            servers,
            progress,
            after: None,
            rounds: 0,
            has_skipped: false,
            under_way: None,
            marks: BTreeMap::new(),
            // Of what the leader before has written last, nobody knows whether it was refreshed.
            touched: servers.writer.shown(),
            refreshed: Instant::now(),
        }
    }

    /// Works until it is cancelled. What was under way then is done again by the next leader.
    ///
    /// # Errors
    /// The database's.
    pub async fn run(mut self) -> anyhow::Result<()> {
        let mut pause = SHORTEST_PAUSE;
        loop {
            let drained = self.drain().await?;
            let spread = self.spread().await?;
            match (drained, spread) {
                (Step::Away, _) | (_, Step::Away) => {
                    sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                (Step::Idle, Step::Idle) => {
                    self.forgive().await?;
                    sleep(PERIOD).await;
                }
                _ => {
                    pause = SHORTEST_PAUSE;
                    if self.refreshed.elapsed() > REFRESH {
                        self.forgive().await?;
                    }
                    self.give_way().await;
                }
            }
        }
    }

    /// Whatever is read now includes every commit up to this version.
    fn version(&self) -> Version {
        Version::new(self.servers.writer.epoch, *self.progress.passed.borrow())
    }

    /// Writes the next documents that wait. They are gone from the backlog only once the index has taken all of them.
    async fn drain(&mut self) -> anyhow::Result<Step> {
        let writer = &self.servers.writer;
        let version = self.version();
        let mut transaction = writer.pool.begin().await?;
        let taken = backlog::take(&mut transaction, self.after.take(), version, self.app.config.sync.batch_size).await?;
        self.has_skipped |= taken.has_skipped;
        if taken.last.is_none() {
            self.rounds += u64::from(!self.has_skipped);
            self.has_skipped = false;
            return Ok(Step::Idle);
        }
        let mut keys = Keys::new();
        for (name, id) in taken.keys {
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
        for collection in taken.emptied.iter().filter_map(|name| collections::find(name)) {
            match mark_every(writer, &mut transaction, collection, version).await {
                Err(error) if is_outage(&error) => return Ok(Step::Away),
                marked => marked?,
            }
        }
        failpoint::point("sync-in-drain");
        transaction.commit().await?;
        self.after = taken.last;
        Ok(Step::Done)
    }

    /// Goes on with the oldest fan-outs.
    async fn spread(&mut self) -> anyhow::Result<Step> {
        let pool = &self.servers.writer.pool;
        let Some(mut work) = self.next_fanouts().await? else { return Ok(Step::Idle) };
        let size = self.app.config.sync.backlog_batch_size().min(PAGE).min(work.children.len());
        let ids: Vec<Uuid> = work.children.iter().take(size).copied().collect();
        if let Some(last) = ids.last() {
            let keys = Keys::from([(work.edge.collection.name, ids.iter().copied().collect())]);
            let written = self.servers.writer.write(&keys, self.version()).await?;
            self.touched.extend(written.indices);
            if !written.unwritten.is_empty() {
                return Ok(Step::Away);
            }
            work.fanouts.advance(pool, *last).await?;
            failpoint::point("sync-in-fanout");
            work.children.drain(..size);
        }
        if !work.children.is_empty() {
            self.under_way = Some(work);
        } else if work.is_last {
            work.fanouts.finish(pool).await?;
            info!(edge = work.edge.name(), "a fan-out has ended");
        }
        Ok(Step::Done)
    }

    async fn next_fanouts(&mut self) -> anyhow::Result<Option<UnderWay>> {
        if self.under_way.is_some() {
            return Ok(self.under_way.take());
        }
        let pool = &self.servers.writer.pool;
        let Some(fanouts) = backlog::fanouts(pool, self.version()).await? else { return Ok(None) };
        let Some((edge, sql)) = Edge::find(&fanouts.edge).and_then(|edge| Some((edge, edge.children?))) else {
            warn!(edge = fanouts.edge, "nothing follows this any more");
            fanouts.finish(pool).await?;
            return Ok(None);
        };
        let children: VecDeque<Uuid> = fanouts.children(pool, sql, PAGE).await?.into();
        let is_last = children.len() < PAGE;
        Ok(Some(UnderWay { fanouts, edge, children, is_last }))
    }

    /// Lets lists rely again on what the lane has written. Under renames that never end something always waits, so what waited at
    /// some moment is followed until it is gone.
    async fn forgive(&mut self) -> anyhow::Result<()> {
        let owed: BTreeSet<String> = self.progress.standing.borrow().owed.keys().cloned().collect();
        if owed.is_empty() && self.touched.is_empty() {
            return Ok(());
        }
        let (applied, version) = (*self.progress.applied.borrow(), self.version());
        let debts = self.progress.debts.borrow().clone();
        let waiting = backlog::waiting(&self.servers.writer.pool).await?;
        // What is in the backlog no more can be found after a refresh from here on.
        if !self.refresh().await? {
            return Ok(());
        }
        for waiting in waiting.into_iter().filter(|one| owed.contains(&one.collection)) {
            let name = waiting.collection.as_str();
            if waiting.is_nothing() && self.progress.debts.borrow().get(name) == debts.get(name) {
                info!(collection = name, "the backlog is written");
                self.progress.forgive(name);
                self.marks.remove(name);
                continue;
            }
            if let Some(mark) = self.marks.get(name) {
                // The round at that moment may have been past the document.
                let is_spilled = waiting.is_spilled && self.rounds < mark.rounds + 2;
                if is_spilled || waiting.fanout.is_some_and(|since| since <= mark.at) {
                    continue;
                }
                self.progress.owe_less(name, Lsn(mark.applied.0 + 1));
                self.marks.remove(name);
            }
            // Every round leaves out what an earlier leader has stored and this one has not come to again.
            if !waiting.is_spilled || !backlog::is_ahead(&self.servers.writer.pool, name, version).await? {
                self.marks.insert(name.to_owned(), Mark { applied, at: waiting.at, rounds: self.rounds });
            }
        }
        Ok(())
    }

    async fn refresh(&mut self) -> anyhow::Result<bool> {
        let is_done = self.servers.refresh(&self.touched).await?;
        if is_done {
            self.touched.clear();
            self.refreshed = Instant::now();
        }
        Ok(is_done)
    }

    async fn give_way(&self) {
        let lag = self.app.watermark.status.report().lag();
        if lag > YIELD_AFTER {
            sleep((lag - YIELD_AFTER).min(LONGEST_YIELD)).await;
        }
    }
}

/// Puts every document of a collection into the backlog that any of its indices holds.
async fn mark_every(
    writer: &Writer,
    transaction: &mut PgTransaction<'_>,
    collection: &'static Collection,
    version: Version,
) -> anyhow::Result<()> {
    for index in writer.indices(collection.name) {
        match mark_held(writer, transaction, collection, &index, version).await {
            Err(error) if is_missing(&error) => writer.lose(&index).await?,
            marked => marked?,
        }
    }
    Ok(())
}

/// The same of one index.
async fn mark_held(
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
        let page = inventory::page(&writer.elastic, index, after, None, LISTED, Detail::Ids).await?;
        let keys = Keys::from([(collection.name, page.entries.into_iter().map(|entry| entry.id).collect())]);
        backlog::mark_within(transaction, &keys, version).await?;
        if page.end.is_none() {
            return Ok(());
        }
        after = page.end;
    }
}
