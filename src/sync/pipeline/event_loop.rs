//! The event loop: reads the stream, holds batches at the visibility barrier, announces them, refreshes, confirms.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, OptionFuture};
use pgwire_replication::ReplicationEvent;
use tokio::time::{Instant, interval, sleep_until};
use tokio_util::sync::CancellationToken;

use super::SessionChannels;
use super::dispatcher::Dispatcher;
use super::lag::Lag;
use super::progress::{Progress, advance};
use crate::app::App;
use crate::failpoint;
use crate::sync::store::checkpoint::FLUSH;
use crate::sync::stream::ChangeStream;
use crate::sync::stream::batch::Batch;
use crate::sync::stream::decoder::Relations;
use crate::sync::writer::Target;
use crate::values::lsn::Lsn;

/// How often the stream is checked for silence.
const SILENCE_CHECK: Duration = Duration::from_secs(3);
/// Time between refreshes when nothing waits, and under load, where each refresh costs throughput.
const REFRESH_CALM: Duration = Duration::from_millis(50);
const REFRESH_BUSY: Duration = Duration::from_millis(500);
/// Refreshes take a fifth of the time at most: writes and lists need the same processors.
const REFRESH_SHARE: u32 = 5;
/// Longest time between refreshes: under that much load changes are late anyway.
const REFRESH_LATE: Duration = Duration::from_secs(2);
/// Pause after a refresh that Elasticsearch did not answer.
const REFRESH_AWAY: Duration = Duration::from_secs(1);
/// Time between two passes of the barrier: each is a query, and a busy stream has news at any moment.
const BARRIER_PAUSE: Duration = Duration::from_millis(1);
/// Time within which the commit that a list waits for usually arrives; then a heartbeat is requested.
const HEARTBEAT_DELAY: Duration = Duration::from_millis(20);
/// Events read at once before other work gets its turn.
const EVENTS: usize = 1_000;

/// The running sync of one leader.
pub struct Pipeline<'a, S, T> {
    app: &'a App,
    stream: S,
    channels: &'a SessionChannels,
    target: Arc<T>,
    progress: &'a Progress,
    relations: Relations,
    /// Changes since the last batch went to the barrier.
    received: Batch,
    /// Batches pass the barrier one by one, in stream order.
    at_barrier: Option<BoxFuture<'static, anyhow::Result<Batch>>>,
    barrier_from: Instant,
    dispatcher: Dispatcher<T>,
    refreshing: Option<BoxFuture<'static, anyhow::Result<Refreshed>>>,
    refresh_from: Instant,
    /// How long the last refresh took.
    refresh_took: Duration,
    unacked: Lag,
    unsearchable: Lag,
    /// A request of another process waits for everything up to here.
    flush_requested: Lsn,
    last_event: Instant,
}

/// Indices that were to be refreshed, and what was acked before.
struct Refreshed {
    indices: BTreeSet<String>,
    acked: Lsn,
    /// Whether Elasticsearch answered.
    is_done: bool,
}

impl<'a, S: ChangeStream, T: Target> Pipeline<'a, S, T> {
    /// Starts at the checkpoint. Indices that the previous leader may not have refreshed are refreshed first.
    pub fn new(
        app: &'a App,
        stream: S,
        target: Arc<T>,
        progress: &'a Progress,
        channels: &'a SessionChannels,
        unrefreshed: BTreeSet<String>,
    ) -> Self {
        let confirmed = progress.checkpoint.borrow().confirmed;
        let mut dispatcher = Dispatcher::new(Arc::clone(&target), &app.config.sync, confirmed);
        dispatcher.touched = unrefreshed;
        Self {
            app,
            stream,
            channels,
            target,
            progress,
            relations: Relations::default(),
            received: Batch { analytics: app.config.search.analytics, end: confirmed, ..Batch::default() },
            at_barrier: None,
            barrier_from: Instant::now(),
            dispatcher,
            refreshing: None,
            refresh_from: Instant::now(),
            refresh_took: Duration::ZERO,
            unacked: Lag::default(),
            unsearchable: Lag::default(),
            flush_requested: Lsn::default(),
            last_event: Instant::now(),
        }
    }

    /// Runs until `stop`.
    ///
    /// # Errors
    /// The stream broke, the database is away or another process leads now. It is safe to start again: unconfirmed changes come
    /// again, and lose against newer documents.
    pub async fn run(mut self, stop: &CancellationToken) -> anyhow::Result<()> {
        let mut silence_check = interval(SILENCE_CHECK);
        let mut saved = self.channels.saved.subscribe();
        let mut checkpoint = self.progress.checkpoint.subscribe();
        let mut wanted = self.app.watermark.wanted();
        let mut heartbeat_at = None;
        loop {
            let has_room = self.received.len() + self.dispatcher.waiting() < self.app.config.sync.buffer_keys;
            let barrier_at = self.barrier_at();
            let refresh_at = self.refresh_at();
            // What ends goes before what begins, so that nothing starves.
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                is_stored = self.dispatcher.next() => self.acknowledged(is_stored?),
                Some(visible) = OptionFuture::from(self.at_barrier.as_mut()) => self.visible(visible?),
                Some(refreshed) = OptionFuture::from(self.refreshing.as_mut()) => self.refreshed(refreshed?),
                Ok(()) = checkpoint.changed() => self.progress.publish(self.app),
                Ok(()) = saved.changed() => {
                    failpoint::abort_at("sync-before-confirm");
                    self.stream.confirm(*saved.borrow_and_update());
                }
                Ok(()) = wanted.changed() => { heartbeat_at.get_or_insert(Instant::now() + HEARTBEAT_DELAY); }
                Some(()) = OptionFuture::from(heartbeat_at.map(sleep_until)) => {
                    heartbeat_at = None;
                    if *wanted.borrow_and_update() > self.received.end {
                        self.channels.heartbeat_now.notify_one();
                    }
                }
                Some(()) = OptionFuture::from(barrier_at.map(sleep_until)) => self.enter_barrier(),
                Some(()) = OptionFuture::from(refresh_at.map(sleep_until)) => self.refresh(),
                event = self.stream.next(), if has_room => self.receive(event?)?,
                _ = silence_check.tick() => self.check_silence(has_room)?,
            }
            self.dispatcher.flush(self.flush_requested.max(*wanted.borrow()));
            self.dispatcher.dispatch();
            self.progress.acked.send_if_modified(|acked| advance(acked, self.dispatcher.acked));
            self.report();
        }
        self.stream.stop().await;
        Ok(())
    }

    fn receive(&mut self, first: ReplicationEvent) -> anyhow::Result<()> {
        self.last_event = Instant::now();
        self.collect(first)?;
        for _ in 0..EVENTS {
            let Some(event) = self.stream.next().now_or_never() else { break };
            self.collect(event?)?;
        }
        failpoint::abort_at("sync-received");
        Ok(())
    }

    fn collect(&mut self, event: ReplicationEvent) -> anyhow::Result<()> {
        match event {
            ReplicationEvent::Begin { final_lsn, xid, .. } => self.received.begin(xid, Lsn(final_lsn.as_u64())),
            ReplicationEvent::Commit { end_lsn, .. } => self.received.commit(Lsn(end_lsn.as_u64())),
            ReplicationEvent::XLogData { data, .. } => {
                if let Some(change) = self.relations.read(&data)? {
                    self.received.mark(&self.relations, &change);
                }
            }
            ReplicationEvent::Message { content, .. } if *content == *FLUSH.as_bytes() => {
                self.flush_requested = self.received.newest
            }
            ReplicationEvent::KeepAlive { .. } | ReplicationEvent::Message { .. } => {}
            ReplicationEvent::StoppedAt { .. } => bail!("the change stream has stopped"),
        }
        Ok(())
    }

    fn barrier_at(&self) -> Option<Instant> {
        let has_news = !self.received.is_empty() || self.received.end > self.dispatcher.end();
        (has_news && self.at_barrier.is_none()).then_some(self.barrier_from)
    }

    fn enter_barrier(&mut self) {
        let batch = self.received.take();
        let target = Arc::clone(&self.target);
        self.barrier_from = Instant::now() + BARRIER_PAUSE;
        self.at_barrier = Some(Box::pin(async move {
            failpoint::abort_at("sync-before-barrier");
            target.wait_visible(&batch.transactions).await?;
            failpoint::abort_at("sync-after-barrier");
            Ok(batch)
        }));
    }

    /// Announces and dispatches a batch: every read from now on includes its changes.
    fn visible(&mut self, mut batch: Batch) {
        self.at_barrier = None;
        batch.transactions.clear();
        self.progress.visible.send_if_modified(|visible| advance(visible, batch.newest));
        failpoint::abort_at("sync-before-announcement");
        self.app.feed.announce(&std::mem::take(&mut batch.announcements), batch.end);
        self.dispatcher.add(batch);
    }

    fn acknowledged(&mut self, is_stored: bool) {
        let backlogged = std::mem::take(&mut self.dispatcher.backlogged);
        if backlogged.is_empty() && !is_stored {
            return;
        }
        // Everything acked before is in the index.
        let since = Lsn(self.progress.acked.borrow().0 + 1);
        for collection in backlogged {
            self.progress.mark_backlogged(collection, since);
        }
        self.progress.checkpoint.send_if_modified(|checkpoint| advance(&mut checkpoint.confirmed, self.dispatcher.acked));
    }

    /// Whether nothing waits behind what is being written.
    fn is_calm(&self) -> bool {
        self.at_barrier.is_none() && self.received.is_empty() && self.dispatcher.waiting() == 0
    }

    fn refresh_at(&self) -> Option<Instant> {
        let touched = &self.dispatcher.touched;
        let has_news = !touched.is_empty() || self.dispatcher.acked > self.progress.checkpoint.borrow().searchable;
        let pause = match (self.is_calm(), touched.is_empty()) {
            // There is no index to refresh.
            (true, true) => Duration::ZERO,
            (true, false) => (self.refresh_took * REFRESH_SHARE).clamp(REFRESH_CALM, REFRESH_BUSY),
            // The later changes are, the less a refresh at once is worth.
            (false, _) => (self.unacked.wait() / 2).clamp(REFRESH_BUSY, REFRESH_LATE),
        };
        (has_news && self.refreshing.is_none()).then(|| self.refresh_from + pause)
    }

    fn refresh(&mut self) {
        let (target, acked) = (Arc::clone(&self.target), self.dispatcher.acked);
        let indices = std::mem::take(&mut self.dispatcher.touched);
        if !indices.is_empty() {
            self.refresh_from = Instant::now();
        }
        self.refreshing = Some(Box::pin(async move {
            failpoint::abort_at("sync-before-refresh");
            let is_done = target.refresh(&indices).await?;
            failpoint::abort_at("sync-after-refresh");
            Ok(Refreshed { indices, acked, is_done })
        }));
    }

    /// Moves the checkpoint; the slot moves once it is saved.
    fn refreshed(&mut self, refreshed: Refreshed) {
        self.refreshing = None;
        if !refreshed.is_done {
            self.dispatcher.touched.extend(refreshed.indices);
            self.refresh_from = Instant::now() + REFRESH_AWAY;
            return;
        }
        if !refreshed.indices.is_empty() {
            self.refresh_took = self.refresh_from.elapsed();
        }
        self.progress.checkpoint.send_if_modified(|checkpoint| {
            advance(&mut checkpoint.confirmed, refreshed.acked) | advance(&mut checkpoint.searchable, refreshed.acked)
        });
    }

    fn check_silence(&mut self, is_reading: bool) -> anyhow::Result<()> {
        if !is_reading {
            self.last_event = Instant::now();
        } else if self.last_event.elapsed() > self.app.config.sync.silence {
            bail!("the change stream is silent; reconnecting");
        }
        Ok(())
    }

    fn report(&mut self) {
        let received = self.received.end.max(self.received.newest);
        // What lingers is late on purpose and does not count.
        let [acked, searchable] = if self.dispatcher.lingers() {
            [received; 2]
        } else {
            [self.dispatcher.acked, self.progress.checkpoint.borrow().searchable]
        };
        self.unacked.record(received, acked);
        self.unsearchable.record(received, searchable);
        self.app.watermark.status.update(|report| {
            report.unwritten_since = self.unacked.since();
            report.behind_since = self.unsearchable.since();
        });
    }
}
