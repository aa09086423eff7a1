//! Sends bulk requests concurrently and knows up to which LSN all of them are acknowledged.
//!
//! What Elasticsearch does not take is sent again along with later changes. When too much waits, it goes into the backlog, so that
//! neither memory nor the log of Postgres grows while Elasticsearch is away.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use futures_util::StreamExt;
use futures_util::future::{BoxFuture, OptionFuture};
use futures_util::stream::FuturesOrdered;
use tokio::time::{Instant, sleep_until};
use tokio_util::task::AbortOnDropHandle;
use tracing::warn;

use super::linger::Linger;
use crate::config;
use crate::sync::stream::batch::Batch;
use crate::sync::writer::{BatchResult, Target};
use crate::values::lsn::Lsn;

/// Pauses between probes of Elasticsearch double from the first to the last.
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The number of a chunk's split, the chunk, and the result.
type Sent = (u64, Batch, anyhow::Result<BatchResult>);

/// The collections that a stored batch has put into the backlog, and its end.
type Stored = anyhow::Result<(BTreeSet<&'static str>, Lsn)>;

/// Batches that are visible and not acked.
pub(crate) struct Dispatcher<T> {
    target: Arc<T>,
    settings: config::Sync,
    linger: Linger,
    linger_until: Option<Instant>,
    /// What is split next.
    ready: Batch,
    /// What was split last and is not sent yet.
    chunks: VecDeque<Batch>,
    /// They end in the order of their splits.
    in_flight: FuturesOrdered<AbortOnDropHandle<Sent>>,
    storing: Option<BoxFuture<'static, Stored>>,
    probing: Option<BoxFuture<'static, bool>>,
    /// Counts splits.
    splits: u64,
    /// Documents of an earlier split are sent again with this one: until its end nothing is acked.
    blocked_until: u64,
    /// The pause before the next probe while Elasticsearch is away or busy.
    pause: Option<Duration>,
    retry_at: Option<Instant>,
    pub(crate) acked: Lsn,
    /// Live indices that were written to since their last refresh.
    pub(crate) touched: BTreeSet<String>,
    /// Collections that documents or fan-outs went into the backlog for.
    pub(crate) backlogged: BTreeSet<&'static str>,
}

impl<T: Target> Dispatcher<T> {
    pub(crate) fn new(target: Arc<T>, settings: &config::Sync, acked: Lsn) -> Self {
        Self {
            target,
            settings: settings.clone(),
            linger: Linger::new(),
            linger_until: None,
            ready: Batch { end: acked, ..Batch::default() },
            chunks: VecDeque::new(),
            in_flight: FuturesOrdered::new(),
            storing: None,
            probing: None,
            splits: 0,
            blocked_until: 0,
            pause: None,
            retry_at: None,
            acked,
            touched: BTreeSet::new(),
            backlogged: BTreeSet::new(),
        }
    }

    pub(crate) fn add(&mut self, mut batch: Batch) {
        self.linger.hold(&mut batch.keys);
        self.ready.absorb(batch);
    }

    /// Ends the linger if a request waits for an LSN that is not acked.
    pub(crate) fn flush(&mut self, wanted: Lsn) {
        if wanted > self.acked {
            self.release();
        }
    }

    fn release(&mut self) {
        self.linger_until = None;
        self.ready.absorb(Batch { keys: self.linger.release(), ..Batch::default() });
    }

    /// Whether documents wait that Elasticsearch would take.
    pub(crate) fn lingers(&self) -> bool {
        self.linger_until.is_some()
    }

    /// Counts documents that wait for Elasticsearch and are not in flight.
    pub(crate) fn waiting(&self) -> usize {
        self.ready.len() + self.chunks.iter().map(Batch::len).sum::<usize>()
    }

    /// What is acked once everything here is written.
    pub(crate) fn end(&self) -> Lsn {
        self.ready.end
    }

    /// Waits for an event; returns true if a batch was stored in the backlog, which is confirmed without a refresh. May be cancelled.
    pub(crate) async fn next(&mut self) -> anyhow::Result<bool> {
        tokio::select! {
            biased;
            Some(sent) = self.in_flight.next() => {
                let (split, chunk, result) = sent.context("a chunk was not finished")?;
                self.settle(split, chunk, result?);
                Ok(false)
            }
            Some(stored) = OptionFuture::from(self.storing.as_mut()) => {
                self.storing = None;
                let (backlogged, end) = stored?;
                self.blocked_until = 0;
                self.acked = self.acked.max(end);
                self.backlogged.extend(backlogged);
                Ok(true)
            }
            Some(answers) = OptionFuture::from(self.probing.as_mut()) => {
                self.probing = None;
                if !answers {
                    self.back_off();
                }
                Ok(false)
            }
            Some(()) = OptionFuture::from(self.retry_at.map(sleep_until)) => {
                self.retry_at = None;
                let target = Arc::clone(&self.target);
                // A real write would hang as long as its deadline, and with it everything that could be stored.
                self.probing = Some(Box::pin(async move { target.answers().await }));
                Ok(false)
            }
            Some(()) = OptionFuture::from(self.linger_until.map(sleep_until)) => {
                self.linger_until = None;
                Ok(false)
            }
            else => std::future::pending().await,
        }
    }

    /// Sends what there is room for. A single change goes at once; under load changes are collected meanwhile.
    pub(crate) fn dispatch(&mut self) {
        if self.storing.is_some() {
            return;
        }
        let must_store = self.must_store();
        if must_store && self.in_flight.is_empty() && self.chunks.is_empty() {
            self.store();
            return;
        }
        if self.retry_at.is_some() || self.probing.is_some() {
            return;
        }
        let limit = if self.pause.is_some() { 1 } else { self.settings.in_flight.max(1) };
        while self.in_flight.len() < limit {
            let Some(chunk) = self.chunks.pop_front() else {
                if must_store || !self.split() {
                    break;
                }
                continue;
            };
            let (split, target) = (self.splits, Arc::clone(&self.target));
            self.in_flight.push_back(AbortOnDropHandle::new(tokio::spawn(async move {
                let result = target.write(chunk.clone()).await;
                (split, chunk, result)
            })));
        }
    }

    fn must_store(&self) -> bool {
        let is_much = self.waiting() >= self.settings.buffer_keys;
        let is_far = self.ready.end.0.saturating_sub(self.acked.0) >= self.settings.retain_bytes;
        let is_away = self.pause.is_some();
        // Storing a part of a transaction frees no log, because Postgres keeps all of it until its end. But while Elasticsearch is away
        // it makes room for the rest.
        if self.ready.end > self.acked { is_much || (is_far && is_away) } else { is_much && is_away }
    }

    /// Splits what is ready into chunks if it is worth a request; returns whether there are any.
    fn split(&mut self) -> bool {
        // Documents of an emptied table are found in the index, which must have those of earlier batches.
        let is_full = self.ready.len() >= self.settings.batch_size && self.ready.emptied.is_empty();
        if !self.in_flight.is_empty() && !is_full {
            return false;
        }
        self.linger_until = self.linger.until();
        if !self.lingers() {
            self.release();
        }
        if self.ready.is_empty() {
            if self.in_flight.is_empty() && !self.lingers() {
                self.acked = self.acked.max(self.ready.end);
            }
            return false;
        }
        self.splits += 1;
        let mut batch = self.ready.take();
        self.linger.sent(&batch.keys);
        if self.lingers() {
            // Documents that linger have changed before its end.
            batch.end = Lsn::default();
        }
        self.chunks.extend(batch.into_chunks(self.settings.batch_size.max(1)));
        true
    }

    fn settle(&mut self, split: u64, chunk: Batch, result: BatchResult) {
        self.touched.extend(result.touched);
        self.backlogged.extend(result.backlogged);
        if result.unwritten.is_empty() {
            self.pause = None;
            if split >= self.blocked_until {
                self.acked = self.acked.max(chunk.end);
            }
            return;
        }
        self.blocked_until = self.splits + 1;
        self.ready.absorb(Batch { newest: chunk.newest, ..result.unwritten });
        for chunk in std::mem::take(&mut self.chunks) {
            self.ready.absorb(chunk);
        }
        if self.retry_at.is_none() && self.probing.is_none() {
            self.back_off();
        }
    }

    /// Pauses before the next probe, each time for longer.
    fn back_off(&mut self) {
        let pause = self.pause.map_or(SHORTEST_PAUSE, |pause| (pause * 2).min(LONGEST_PAUSE));
        self.pause = Some(pause);
        self.retry_at = Some(Instant::now() + pause);
    }

    fn store(&mut self) {
        self.release();
        self.splits += 1;
        let batch = self.ready.take();
        warn!(documents = batch.len(), "elasticsearch does not keep up; moving changed documents to the backlog");
        let (target, end) = (Arc::clone(&self.target), batch.end);
        self.storing = Some(Box::pin(async move { Ok((target.store(batch).await?, end)) }));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use clap::Parser;
    use uuid::Uuid;

    use super::*;
    use crate::sync::stream::batch::Keys;

    #[derive(Parser)]
    struct Settings {
        #[command(flatten)]
        sync: config::Sync,
    }

    /// Takes 15 ms for each bulk request.
    #[derive(Default)]
    struct Slow {
        documents: Mutex<Vec<Uuid>>,
    }

    impl Target for Slow {
        async fn wait_visible(&self, _: &[u32]) -> anyhow::Result<()> {
            Ok(())
        }

        async fn write(&self, batch: Batch) -> anyhow::Result<BatchResult> {
            tokio::time::sleep(ROUND).await;
            self.documents.lock().unwrap().extend(batch.keys.into_values().flatten());
            Ok(BatchResult::default())
        }

        async fn store(&self, _: Batch) -> anyhow::Result<BTreeSet<&'static str>> {
            Ok(BTreeSet::new())
        }

        async fn refresh(&self, _: &BTreeSet<String>) -> anyhow::Result<bool> {
            Ok(true)
        }

        async fn answers(&self) -> bool {
            true
        }
    }

    const ROUND: Duration = Duration::from_millis(15);
    /// A change waits for the bulk request before it and for its own.
    const AT_ONCE: Duration = Duration::from_millis(2 * 15 + 2);

    fn dispatcher() -> Dispatcher<Slow> {
        Dispatcher::new(Arc::default(), &Settings::parse_from(["it"]).sync, Lsn(0))
    }

    fn change(dispatcher: &mut Dispatcher<Slow>, ids: impl Iterator<Item = u64>, lsn: u64) {
        let keys = Keys::from([("payments", ids.map(|id| Uuid::from_u128(id.into())).collect())]);
        dispatcher.add(Batch { keys, newest: Lsn(lsn), end: Lsn(lsn), ..Batch::default() });
        dispatcher.dispatch();
    }

    async fn run_until(dispatcher: &mut Dispatcher<Slow>, end: Instant) {
        while let Ok(next) = tokio::time::timeout_at(end, dispatcher.next()).await {
            assert!(!next.unwrap(), "no batch goes into the backlog");
            dispatcher.dispatch();
        }
    }

    /// Changes documents in turn for 10 seconds, some at a time; returns the changes to a write and the longest wait.
    async fn play(documents: u64, at_once: u64, pause_ms: usize) -> (u64, Duration) {
        let mut dispatcher = dispatcher();
        let (mut now, mut changes, mut waiting, mut longest) = (Instant::now(), 0, VecDeque::new(), Duration::ZERO);
        for millisecond in 0..15_000 {
            if millisecond < 10_000 && millisecond % pause_ms == 0 {
                change(&mut dispatcher, (changes..changes + at_once).map(|number| number % documents), changes + at_once);
                changes += at_once;
                waiting.push_back((Lsn(changes), now));
            }
            now += Duration::from_millis(1);
            run_until(&mut dispatcher, now).await;
            while let Some((_, since)) = waiting.pop_front_if(|(lsn, _)| *lsn <= dispatcher.acked) {
                longest = longest.max(since.elapsed());
            }
        }
        assert!(waiting.is_empty(), "a change was never acked");
        (changes / dispatcher.target.documents.lock().unwrap().len() as u64, longest)
    }

    #[tokio::test(start_paused = true)]
    async fn only_rewrites_beyond_the_budget_linger() {
        let linger = Duration::from_millis(4_100);
        let table = [
            // documents, changed at once, pause in ms, changes to a write at least, longest wait
            (1, 1, 50, 1, AT_ONCE),
            (1, 1, 5, 2, AT_ONCE),
            (1, 1, 1, 10, AT_ONCE),
            (10, 1, 10, 1, AT_ONCE),
            (100, 1, 2, 1, AT_ONCE),
            (1_000, 10, 1, 20, linger),
            (1_000, 25, 1, 50, linger),
            // Each changes once: nothing to coalesce.
            (u64::MAX, 1, 1, 1, AT_ONCE),
            (u64::MAX, 25, 1, 1, AT_ONCE),
        ];
        for (documents, at_once, pause, coalesced, longest) in table {
            let (found, waited) = play(documents, at_once, pause).await;
            let what = format!("{at_once} of {documents} documents every {pause} ms");
            assert!(found >= coalesced && waited <= longest, "{what}: {found} changes to a write, and one waits {waited:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_linger_delays_neither_other_documents_nor_requests_that_wait() {
        let mut dispatcher = dispatcher();
        let begin = Instant::now();
        for round in 1..200 {
            change(&mut dispatcher, 0..1_000, round);
            run_until(&mut dispatcher, begin + Duration::from_millis(5 * round)).await;
        }
        assert!(dispatcher.lingers());
        change(&mut dispatcher, 5_000..5_001, 200);
        run_until(&mut dispatcher, Instant::now() + AT_ONCE).await;
        assert!(dispatcher.target.documents.lock().unwrap().contains(&Uuid::from_u128(5_000)));
        assert!(dispatcher.acked < Lsn(200), "documents that linger are acked");
        dispatcher.flush(Lsn(200));
        dispatcher.dispatch();
        run_until(&mut dispatcher, Instant::now() + AT_ONCE).await;
        assert_eq!(dispatcher.acked, Lsn(200));
    }
}
