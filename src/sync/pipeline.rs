//! The running sync: reads the stream, keeps several batches under way, refreshes what they touched, confirms in order.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use futures_util::future::{BoxFuture, try_join_all};
use futures_util::stream::FuturesOrdered;
use futures_util::{FutureExt, StreamExt};
use pgwire_replication::ReplicationEvent;
use tokio::sync::watch;
use tokio::time::{Instant, interval, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::anchor::Line;
use super::apply::{Applied, apply};
use super::batch::Batch;
use super::change::Relations;
use super::gate;
use super::source::Source;
use super::write::Writer;
use crate::app::App;
use crate::position::Position;
use crate::search::{ElasticError, index};

/// How often the stream is asked whether it is alive.
const WATCH: Duration = Duration::from_secs(3);
/// Without even a heartbeat for so long the connection is taken for dead. A server that reads a huge transaction is silent too.
const SILENCE: Duration = Duration::from_secs(30);
/// Time between refreshes when everything is written, and under load, where each costs throughput.
const REFRESH_IDLE: Duration = Duration::from_millis(50);
const REFRESH_BUSY: Duration = Duration::from_millis(500);
/// A waiting list usually gets its commit within this time; then the stream is given a push.
const PATIENCE: Duration = Duration::from_millis(20);
/// Events taken at once before the other work gets its turn.
const GULP: usize = 1_000;

/// How far the pipeline is, for those who write beside it.
#[derive(Debug, Default)]
pub struct Progress {
    /// The newest end of any batch that was begun.
    pub begun: watch::Sender<Position>,
    /// Everything up to here is acknowledged by the index.
    pub applied: watch::Sender<Position>,
    /// Everything up to here can be found in the indices.
    pub searchable: watch::Sender<Position>,
    /// Whether every collection has an index that lists read; before, nothing can be found.
    pub is_live: watch::Sender<bool>,
}

/// The running sync of one leader.
pub struct Pipeline<'a> {
    app: &'a App,
    source: Source,
    line: &'a Line,
    writer: Arc<Writer>,
    progress: &'a Progress,
    relations: Relations,
    /// What has come since the last batch was taken.
    batch: Batch,
    /// Batches pass the gate one by one, in stream order.
    at_gate: Option<BoxFuture<'static, sqlx::Result<Batch>>>,
    /// Batches that are being written; they end in stream order.
    in_flight: FuturesOrdered<AbortOnDropHandle<anyhow::Result<Applied>>>,
    /// Indices that were written to and not refreshed since.
    touched: BTreeSet<String>,
    refreshing: Option<BoxFuture<'static, Result<Position, ElasticError>>>,
    refreshed: Instant,
    heard: Instant,
}

impl<'a> Pipeline<'a> {
    pub(super) fn new(app: &'a App, source: Source, writer: Arc<Writer>, progress: &'a Progress, line: &'a Line) -> Self {
        let applied = *progress.applied.borrow();
        Self {
            app,
            source,
            line,
            writer,
            progress,
            relations: Relations::default(),
            batch: Batch { end: applied, ..Batch::default() },
            at_gate: None,
            in_flight: FuturesOrdered::new(),
            touched: BTreeSet::new(),
            refreshing: None,
            refreshed: Instant::now(),
            heard: Instant::now(),
        }
    }

    /// Runs until it is told to stop.
    ///
    /// # Errors
    /// The stream broke, the database is away or another process leads now. Starting again is safe: what was not confirmed comes
    /// again, and loses against what is newer.
    pub(super) async fn run(mut self, stop: &CancellationToken) -> anyhow::Result<()> {
        let mut watch = interval(WATCH);
        let mut saved = self.line.saved.subscribe();
        let mut wanted = self.app.watermark.wanted();
        let mut push_at = None;
        loop {
            let has_room = self.batch.len() < self.app.config.sync.buffer_keys;
            let refresh_at = self.refresh_at();
            tokio::select! {
                () = stop.cancelled() => break,
                event = self.source.next(), if has_room => self.receive(event?)?,
                passed = finish(&mut self.at_gate) => self.write(passed?),
                Some(applied) = self.in_flight.next() => {
                    let applied = applied.context("a batch was not finished")??;
                    self.touched.extend(applied.touched);
                    self.progress.applied.send_replace(applied.end);
                }
                () = at(refresh_at) => self.refresh(),
                searchable = finish(&mut self.refreshing) => self.announce(searchable?),
                Ok(()) = saved.changed() => self.source.confirm(*saved.borrow_and_update()),
                _ = watch.tick() => self.listen(has_room)?,
                Ok(()) = wanted.changed() => { push_at.get_or_insert(Instant::now() + PATIENCE); }
                () = at(push_at) => {
                    push_at = None;
                    if *wanted.borrow_and_update() > self.batch.end {
                        self.line.push.notify_one();
                    }
                }
            }
            self.take_batch();
            self.tell();
        }
        self.source.stop().await;
        Ok(())
    }

    fn receive(&mut self, first: ReplicationEvent) -> anyhow::Result<()> {
        self.heard = Instant::now();
        self.collect(first)?;
        for _ in 0..GULP {
            let Some(event) = self.source.next().now_or_never() else { break };
            self.collect(event?)?;
        }
        Ok(())
    }

    fn collect(&mut self, event: ReplicationEvent) -> anyhow::Result<()> {
        match event {
            ReplicationEvent::Begin { final_lsn, xid, .. } => self.batch.begin(xid, Position(final_lsn.as_u64())),
            ReplicationEvent::Commit { end_lsn, .. } => self.batch.commit(Position(end_lsn.as_u64())),
            ReplicationEvent::XLogData { data, .. } => {
                if let Some(change) = self.relations.read(&data)? {
                    self.batch.mark(&self.relations, &change);
                }
            }
            ReplicationEvent::KeepAlive { .. } | ReplicationEvent::Message { .. } => {}
            ReplicationEvent::StoppedAt { .. } => bail!("the change stream has stopped"),
        }
        Ok(())
    }

    /// Takes a batch as soon as nothing is under way, so that a single change does not wait; otherwise when it is worth a request.
    fn take_batch(&mut self) {
        let settings = &self.app.config.sync;
        if self.at_gate.is_some() {
            return;
        }
        // Documents of an emptied table are found in the index, where those of earlier batches must have arrived.
        let is_large = self.batch.len() >= settings.batch_size && self.batch.emptied.is_empty();
        if self.batch.is_empty() {
            if self.in_flight.is_empty() && self.batch.end > *self.progress.applied.borrow() {
                self.batch.transactions.clear();
                self.progress.applied.send_replace(self.batch.end);
            }
        } else if self.in_flight.is_empty() || (is_large && self.in_flight.len() < settings.in_flight) {
            let batch = self.batch.take();
            let pool = self.app.db.sync.clone();
            self.progress.begun.send_replace(batch.end);
            self.at_gate = Some(Box::pin(async move {
                gate::pass(&pool, &batch.transactions).await?;
                Ok(batch)
            }));
        }
    }

    fn write(&mut self, batch: Batch) {
        let writer = Arc::clone(&self.writer);
        self.in_flight.push_back(AbortOnDropHandle::new(tokio::spawn(async move { apply(&writer, batch).await })));
    }

    fn is_idle(&self) -> bool {
        self.at_gate.is_none() && self.in_flight.is_empty() && self.batch.is_empty()
    }

    fn refresh_at(&self) -> Option<Instant> {
        let is_due = self.refreshing.is_none() && *self.progress.applied.borrow() > *self.progress.searchable.borrow();
        let pause = match (self.is_idle(), self.touched.is_empty()) {
            // Nothing of it is searched.
            (true, true) => Duration::ZERO,
            (true, false) => REFRESH_IDLE,
            (false, _) => REFRESH_BUSY,
        };
        is_due.then(|| self.refreshed + pause)
    }

    fn refresh(&mut self) {
        let (writer, applied) = (Arc::clone(&self.writer), *self.progress.applied.borrow());
        let touched = std::mem::take(&mut self.touched);
        if !touched.is_empty() {
            self.refreshed = Instant::now();
        }
        self.refreshing = Some(Box::pin(async move {
            let refreshes = touched.iter().map(|index| async {
                match index::refresh(&writer.elastic, index).await {
                    // A generation that was replaced meanwhile.
                    Err(error) if error.is_missing() => Ok(()),
                    refreshed => refreshed,
                }
            });
            try_join_all(refreshes).await?;
            Ok(applied)
        }));
    }

    /// Everything up to here is acknowledged and can be found. The slot hears of it once it is saved.
    fn announce(&self, searchable: Position) {
        self.progress.searchable.send_replace(searchable);
        if *self.progress.is_live.borrow() {
            self.app.watermark.advance(searchable);
        }
    }

    fn listen(&mut self, is_listening: bool) -> anyhow::Result<()> {
        if !is_listening {
            self.heard = Instant::now();
        } else if self.heard.elapsed() > SILENCE {
            bail!("the change stream is silent; connecting anew");
        }
        Ok(())
    }

    fn tell(&self) {
        let is_behind = *self.progress.applied.borrow() > *self.progress.searchable.borrow() || !self.is_idle();
        self.app.watermark.status.update(|report| {
            report.received = self.batch.end;
            report.applied = *self.progress.searchable.borrow();
            report.waiting = self.batch.len();
            report.behind_since = is_behind.then(|| report.behind_since.unwrap_or_else(Instant::now));
        });
    }
}

/// Waits for what is under way, if anything is, and empties its place.
async fn finish<T>(place: &mut Option<BoxFuture<'static, T>>) -> T {
    let Some(future) = place else { return std::future::pending().await };
    let value = future.await;
    *place = None;
    value
}

/// Waits for a moment, if there is one.
async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
