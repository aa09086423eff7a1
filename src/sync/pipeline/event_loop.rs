//! The running sync: reads the stream, lets batches through the gate in its order, announces them, refreshes, confirms.

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
use super::progress::{Progress, raise};
use crate::app::App;
use crate::failpoint;
use crate::sync::store::checkpoint::FLUSH;
use crate::sync::stream::ChangeStream;
use crate::sync::stream::batch::Batch;
use crate::sync::stream::decoder::Relations;
use crate::sync::writer::Target;
use crate::values::lsn::Lsn;

/// How often the stream is asked whether it is alive.
const WATCH: Duration = Duration::from_secs(3);
/// Time between refreshes when nothing waits, and under load, where each costs throughput.
const REFRESH_CALM: Duration = Duration::from_millis(50);
const REFRESH_BUSY: Duration = Duration::from_millis(500);
/// The longest: what is shown is late anyway then.
const REFRESH_LATE: Duration = Duration::from_secs(2);
/// Pause after a refresh that the index was not there for.
const REFRESH_AWAY: Duration = Duration::from_secs(1);
/// Time between two looks through the gate: each is a query, and a busy stream has news at any moment.
const GATE_PAUSE: Duration = Duration::from_millis(1);
/// A waiting list usually gets its commit within this time; then the stream is given a push.
const PATIENCE: Duration = Duration::from_millis(20);
/// Events taken at once before the other work gets its turn.
const GULP: usize = 1_000;

/// The running sync of one leader.
pub struct Pipeline<'a, S, T> {
    app: &'a App,
    stream: S,
    line: &'a SessionChannels,
    target: Arc<T>,
    progress: &'a Progress,
    relations: Relations,
    /// What has come since a batch was last sent to the gate.
    arriving: Batch,
    /// Batches pass the gate one by one, in stream order.
    at_gate: Option<BoxFuture<'static, anyhow::Result<Batch>>>,
    gate_opens: Instant,
    dispatcher: Dispatcher<T>,
    refreshing: Option<BoxFuture<'static, anyhow::Result<Refreshed>>>,
    refresh_from: Instant,
    unwritten: Lag,
    unshown: Lag,
    /// Another process waits for everything up to here.
    flush_request: Lsn,
    heard: Instant,
}

/// What a refresh was about, and whether the index was there.
struct Refreshed {
    indices: BTreeSet<String>,
    acked: Lsn,
    is_done: bool,
}

impl<'a, S: ChangeStream, T: Target> Pipeline<'a, S, T> {
    /// Starts where `progress` says, with every index in doubt that may have unrefreshed documents.
    pub fn new(
        app: &'a App,
        stream: S,
        target: Arc<T>,
        progress: &'a Progress,
        line: &'a SessionChannels,
        unrefreshed: BTreeSet<String>,
    ) -> Self {
        let confirmed = progress.standing.borrow().confirmed;
        let mut dispatcher = Dispatcher::new(Arc::clone(&target), &app.config.sync, confirmed);
        dispatcher.touched = unrefreshed;
        Self {
            app,
            stream,
            line,
            target,
            progress,
            relations: Relations::default(),
            arriving: Batch { end: confirmed, ..Batch::default() },
            at_gate: None,
            gate_opens: Instant::now(),
            dispatcher,
            refreshing: None,
            refresh_from: Instant::now(),
            unwritten: Lag::default(),
            unshown: Lag::default(),
            flush_request: Lsn::default(),
            heard: Instant::now(),
        }
    }

    /// Runs until it is told to stop.
    ///
    /// # Errors
    /// The stream broke, the database is away or another process leads now. Starting again is safe: what was not confirmed comes
    /// again, and loses against what is newer.
    pub async fn run(mut self, stop: &CancellationToken) -> anyhow::Result<()> {
        let mut watch = interval(WATCH);
        let mut saved = self.line.saved.subscribe();
        let mut standing = self.progress.standing.subscribe();
        let mut wanted = self.app.watermark.wanted();
        let mut push_at = None;
        loop {
            let has_room = self.arriving.len() + self.dispatcher.waiting() < self.app.config.sync.buffer_keys;
            let gate_at = self.gate_at();
            let refresh_at = self.refresh_at();
            // What has ended goes before what begins, so that nothing waits for want of luck.
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                is_stored = self.dispatcher.next() => self.settle(is_stored?),
                Some(passed) = OptionFuture::from(self.at_gate.as_mut()) => self.pass(passed?),
                Some(refreshed) = OptionFuture::from(self.refreshing.as_mut()) => self.refreshed(refreshed?),
                Ok(()) = standing.changed() => self.progress.tell(self.app),
                Ok(()) = saved.changed() => {
                    failpoint::point("sync-before-confirm");
                    self.stream.confirm(*saved.borrow_and_update());
                }
                Ok(()) = wanted.changed() => { push_at.get_or_insert(Instant::now() + PATIENCE); }
                Some(()) = OptionFuture::from(push_at.map(sleep_until)) => {
                    push_at = None;
                    if *wanted.borrow_and_update() > self.arriving.end {
                        self.line.push.notify_one();
                    }
                }
                Some(()) = OptionFuture::from(gate_at.map(sleep_until)) => self.approach(),
                Some(()) = OptionFuture::from(refresh_at.map(sleep_until)) => self.refresh(),
                event = self.stream.next(), if has_room => self.receive(event?)?,
                _ = watch.tick() => self.listen(has_room)?,
            }
            self.dispatcher.flush(self.flush_request.max(*wanted.borrow()));
            self.dispatcher.dispatch();
            self.progress.applied.send_if_modified(|applied| raise(applied, self.dispatcher.acked));
            self.report();
        }
        self.stream.stop().await;
        Ok(())
    }

    fn receive(&mut self, first: ReplicationEvent) -> anyhow::Result<()> {
        self.heard = Instant::now();
        self.collect(first)?;
        for _ in 0..GULP {
            let Some(event) = self.stream.next().now_or_never() else { break };
            self.collect(event?)?;
        }
        failpoint::point("sync-received");
        Ok(())
    }

    fn collect(&mut self, event: ReplicationEvent) -> anyhow::Result<()> {
        match event {
            ReplicationEvent::Begin { final_lsn, xid, .. } => self.arriving.begin(xid, Lsn(final_lsn.as_u64())),
            ReplicationEvent::Commit { end_lsn, .. } => self.arriving.commit(Lsn(end_lsn.as_u64())),
            ReplicationEvent::XLogData { data, .. } => {
                if let Some(change) = self.relations.read(&data)? {
                    self.arriving.mark(&self.relations, &change);
                }
            }
            ReplicationEvent::Message { content, .. } if *content == *FLUSH.as_bytes() => {
                self.flush_request = self.arriving.newest
            }
            ReplicationEvent::KeepAlive { .. } | ReplicationEvent::Message { .. } => {}
            ReplicationEvent::StoppedAt { .. } => bail!("the change stream has stopped"),
        }
        Ok(())
    }

    fn gate_at(&self) -> Option<Instant> {
        let has_news = !self.arriving.is_empty() || self.arriving.end > self.dispatcher.end();
        (has_news && self.at_gate.is_none()).then_some(self.gate_opens)
    }

    fn approach(&mut self) {
        let batch = self.arriving.take();
        let target = Arc::clone(&self.target);
        self.gate_opens = Instant::now() + GATE_PAUSE;
        self.at_gate = Some(Box::pin(async move {
            failpoint::point("sync-before-gate");
            target.gate(&batch.transactions).await?;
            failpoint::point("sync-after-gate");
            Ok(batch)
        }));
    }

    /// From here on whoever reads sees these changes, so they can be announced and written.
    fn pass(&mut self, mut batch: Batch) {
        self.at_gate = None;
        batch.transactions.clear();
        self.progress.passed.send_if_modified(|passed| raise(passed, batch.newest));
        failpoint::point("sync-before-announcement");
        self.app.feed.announce(&std::mem::take(&mut batch.announcements), batch.end);
        self.dispatcher.add(batch);
    }

    fn settle(&mut self, is_stored: bool) {
        let owed = std::mem::take(&mut self.dispatcher.owed);
        if owed.is_empty() && !is_stored {
            return;
        }
        // Whatever was settled before is not in doubt.
        let since = Lsn(self.progress.applied.borrow().0 + 1);
        for collection in owed {
            self.progress.owe(collection, since);
        }
        self.progress.standing.send_if_modified(|standing| raise(&mut standing.confirmed, self.dispatcher.acked));
    }

    /// Nothing waits behind what is being written.
    fn is_calm(&self) -> bool {
        self.at_gate.is_none() && self.arriving.is_empty() && self.dispatcher.waiting() == 0
    }

    fn has_more_to_show(&self) -> bool {
        let searchable = self.progress.standing.borrow().searchable;
        !self.dispatcher.touched.is_empty() || self.dispatcher.acked > searchable
    }

    fn refresh_at(&self) -> Option<Instant> {
        let is_due = self.refreshing.is_none() && self.has_more_to_show();
        let pause = match (self.is_calm(), self.dispatcher.touched.is_empty()) {
            // Nothing of it is searched.
            (true, true) => Duration::ZERO,
            (true, false) => REFRESH_CALM,
            // The later what is written, the less a refresh at once is worth.
            (false, _) => (self.unwritten.wait() / 2).clamp(REFRESH_BUSY, REFRESH_LATE),
        };
        is_due.then(|| self.refresh_from + pause)
    }

    fn refresh(&mut self) {
        let (target, acked) = (Arc::clone(&self.target), self.dispatcher.acked);
        let indices = std::mem::take(&mut self.dispatcher.touched);
        if !indices.is_empty() {
            self.refresh_from = Instant::now();
        }
        self.refreshing = Some(Box::pin(async move {
            failpoint::point("sync-before-refresh");
            let is_done = target.refresh(&indices).await?;
            failpoint::point("sync-after-refresh");
            Ok(Refreshed { indices, acked, is_done })
        }));
    }

    /// The slot hears of what is confirmed once it is saved.
    fn refreshed(&mut self, refreshed: Refreshed) {
        self.refreshing = None;
        if !refreshed.is_done {
            self.dispatcher.touched.extend(refreshed.indices);
            self.refresh_from = Instant::now() + REFRESH_AWAY;
            return;
        }
        self.progress.standing.send_if_modified(|standing| {
            raise(&mut standing.confirmed, refreshed.acked) | raise(&mut standing.searchable, refreshed.acked)
        });
    }

    fn listen(&mut self, is_listening: bool) -> anyhow::Result<()> {
        if !is_listening {
            self.heard = Instant::now();
        } else if self.heard.elapsed() > self.app.config.sync.silence {
            bail!("the change stream is silent; connecting anew");
        }
        Ok(())
    }

    fn report(&mut self) {
        let received = self.arriving.end.max(self.arriving.newest);
        // What lingers is late on purpose.
        let is_late = !self.dispatcher.lingers();
        self.unwritten.note(received, if is_late { self.dispatcher.acked } else { received });
        self.unshown.note(received, if is_late { self.progress.standing.borrow().searchable } else { received });
        self.app.watermark.status.update(|report| {
            report.unwritten_since = self.unwritten.since();
            report.behind_since = self.unshown.since();
        });
    }
}
