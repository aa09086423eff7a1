//! Sends bulk requests concurrently and knows up to which LSN all of them are acknowledged.
//!
//! What the index does not take comes back and is collected with what has changed since. When too much waits, it is stored in the
//! backlog, so that neither memory nor the server's log grows for as long as the index is away.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use futures_util::StreamExt;
use futures_util::future::{BoxFuture, OptionFuture};
use futures_util::stream::FuturesOrdered;
use tokio::time::{Instant, sleep_until};
use tokio_util::task::AbortOnDropHandle;
use tracing::{info, warn};

use super::linger::Linger;
use crate::config;
use crate::sync::stream::batch::Batch;
use crate::sync::writer::{Applied, Target};
use crate::values::lsn::Lsn;

/// Pauses between checks whether the index is back double from the first to the last.
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The number of a chunk's split, the chunk, and what became of it.
type Sent = (u64, Batch, anyhow::Result<Applied>);

/// The collections that a stored batch left a backlog for, and the batch's end.
type Stored = anyhow::Result<(BTreeSet<&'static str>, Lsn)>;

/// What is visible and not in the index yet.
pub(crate) struct Dispatcher<T> {
    target: Arc<T>,
    settings: config::Sync,
    linger: Linger,
    linger_until: Option<Instant>,
    /// What will be split next.
    ready: Batch,
    /// What was split last and is not sent yet.
    chunks: VecDeque<Batch>,
    /// Chunks that are being written; they end in the order of their splits.
    in_flight: FuturesOrdered<AbortOnDropHandle<Sent>>,
    storing: Option<BoxFuture<'static, Stored>>,
    probing: Option<BoxFuture<'static, bool>>,
    /// Counts splits.
    splits: u64,
    /// Something of an earlier split came back and is part of this one: until its end nothing is acknowledged.
    blocked_until: u64,
    /// While the index is away or busy, the pause before the next attempt.
    pause: Option<Duration>,
    retry_at: Option<Instant>,
    /// Everything up to here is acknowledged by the index or stored in the backlog.
    pub(crate) acked: Lsn,
    /// Indices that were written to and not refreshed since.
    pub(crate) touched: BTreeSet<String>,
    /// Collections that have a backlog by what has ended.
    pub(crate) owed: BTreeSet<&'static str>,
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
            owed: BTreeSet::new(),
        }
    }

    /// Adds what is visible.
    pub(crate) fn add(&mut self, mut batch: Batch) {
        self.linger.hold(&mut batch.keys);
        self.ready.absorb(batch);
    }

    /// Lets go of what lingers if a reader waits for an LSN that is not acknowledged.
    pub(crate) fn flush(&mut self, wanted: Lsn) {
        if wanted > self.acked {
            self.release();
        }
    }

    fn release(&mut self) {
        self.linger_until = None;
        self.ready.absorb(Batch { keys: self.linger.release(), ..Batch::default() });
    }

    /// Whether documents wait that could be written.
    pub(crate) fn lingers(&self) -> bool {
        self.linger_until.is_some()
    }

    /// Keys that wait for the index and are not being written.
    pub(crate) fn waiting(&self) -> usize {
        self.ready.len() + self.chunks.iter().map(Batch::len).sum::<usize>()
    }

    /// What will be acknowledged once everything here is written.
    pub(crate) fn end(&self) -> Lsn {
        self.ready.end
    }

    /// Waits until something has ended, and says whether what is acknowledged now may be confirmed at once: it is in the backlog,
    /// where no refresh has to show it. May be cancelled.
    pub(crate) async fn next(&mut self) -> anyhow::Result<bool> {
        tokio::select! {
            biased;
            Some(sent) = self.in_flight.next() => {
                let (split, chunk, applied) = sent.context("a chunk was not finished")?;
                self.settle(split, chunk, applied?);
                Ok(false)
            }
            Some(stored) = OptionFuture::from(self.storing.as_mut()) => {
                self.storing = None;
                let (owed, end) = stored?;
                self.blocked_until = 0;
                self.acked = self.acked.max(end);
                self.owed.extend(owed);
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
                // A hanging index would keep a real write for as long as its deadline, and with it everything that could be stored.
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

    /// Sends what there is room for. A single change goes at once; under load what comes meanwhile is collected.
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
                let applied = target.write(chunk.clone()).await;
                (split, chunk, applied)
            })));
        }
    }

    fn must_store(&self) -> bool {
        let is_much = self.waiting() >= self.settings.buffer_keys;
        let is_far = self.ready.end.0.saturating_sub(self.acked.0) >= self.settings.retain_bytes;
        let is_away = self.pause.is_some();
        // Storing a part of a transaction lets the server forget nothing, as it keeps all of it until its end. But while the index
        // is away it makes room for the rest.
        if self.ready.end > self.acked { is_much || (is_far && is_away) } else { is_much && is_away }
    }

    /// Splits what is ready, if it is worth a request, and says whether there is anything to send.
    fn split(&mut self) -> bool {
        // Documents of an emptied table are found in the index, where those of earlier batches must have arrived.
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
            // Some of what changed before its end is not part of it.
            batch.end = Lsn::default();
        }
        self.chunks.extend(batch.cut(self.settings.batch_size.max(1)));
        true
    }

    fn settle(&mut self, split: u64, chunk: Batch, applied: Applied) {
        self.touched.extend(applied.touched);
        self.owed.extend(applied.owed);
        if applied.unwritten.is_empty() {
            if self.pause.take().is_some() {
                info!("the index takes documents again");
            }
            if split >= self.blocked_until {
                self.acked = self.acked.max(chunk.end);
            }
            return;
        }
        self.blocked_until = self.splits + 1;
        self.ready.absorb(Batch { newest: chunk.newest, ..applied.unwritten });
        for chunk in std::mem::take(&mut self.chunks) {
            self.ready.absorb(chunk);
        }
        if self.retry_at.is_none() && self.probing.is_none() {
            self.back_off();
        }
    }

    /// Leaves the index alone for a while, each time for longer.
    fn back_off(&mut self) {
        let pause = self.pause.map_or(SHORTEST_PAUSE, |pause| (pause * 2).min(LONGEST_PAUSE));
        self.pause = Some(pause);
        self.retry_at = Some(Instant::now() + pause);
    }

    fn store(&mut self) {
        self.release();
        self.splits += 1;
        let batch = self.ready.take();
        warn!(documents = batch.len(), "the index does not keep up; what waits is stored until it does");
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

    /// An index that takes 15 ms for each request.
    #[derive(Default)]
    struct Slow {
        documents: Mutex<Vec<Uuid>>,
    }

    impl Target for Slow {
        async fn gate(&self, _: &[u32]) -> anyhow::Result<()> {
            Ok(())
        }

        async fn write(&self, batch: Batch) -> anyhow::Result<Applied> {
            tokio::time::sleep(ROUND).await;
            self.documents.lock().unwrap().extend(batch.keys.into_values().flatten());
            Ok(Applied::default())
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
    /// A change waits for the request before it and for its own.
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
            assert!(!next.unwrap(), "nothing is stored");
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
        assert!(waiting.is_empty(), "a change is never written");
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
    async fn what_lingers_delays_no_other_document_and_no_reader() {
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
        assert!(dispatcher.acked < Lsn(200), "what lingers counts as written");
        dispatcher.flush(Lsn(200));
        dispatcher.dispatch();
        run_until(&mut dispatcher, Instant::now() + AT_ONCE).await;
        assert_eq!(dispatcher.acked, Lsn(200));
    }
}
