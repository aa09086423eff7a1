//! The way out of the pipeline: hands what is ready to the index in pieces, several at once, and knows up to where all has arrived.
//!
//! What the index does not take comes back and is collected with what has come since. When too much waits, it is stored in the
//! backlog, so that neither memory nor the server's log grows for as long as the index is away.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesOrdered;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use tracing::{info, warn};

use super::debounce::HotKeys;
use super::event_loop::{at, finish};
use crate::config;
use crate::sync::stream::batch::{Batch, Keys};
use crate::sync::writer::{Applied, Target};
use crate::values::lsn::Lsn;

/// Pauses between looks whether the index is back double from the first to the last.
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The number of a piece's cut, the piece, and what became of it.
type Ended = (u64, Batch, anyhow::Result<Applied>);

/// What is owed by storing a batch, and the batch's end.
type Stored = anyhow::Result<(BTreeSet<&'static str>, Lsn)>;

/// What has passed the gate and is not in the index yet.
pub(crate) struct Outlet<T> {
    target: Arc<T>,
    settings: config::Sync,
    /// What has changed again too soon.
    hot: HotKeys,
    /// What was let go of that and is not written yet: the number of the cut that it is part of, and the position that all of it
    /// comes after.
    released: VecDeque<(u64, Lsn)>,
    /// What will be cut next.
    ready: Batch,
    /// What was cut last and is not sent yet.
    pieces: VecDeque<Batch>,
    /// Pieces that are being written, by the number of the cut they are of; they end in that order.
    in_flight: FuturesOrdered<AbortOnDropHandle<Ended>>,
    storing: Option<BoxFuture<'static, Stored>>,
    asking: Option<BoxFuture<'static, bool>>,
    /// Counts cuts.
    cut: u64,
    /// Something of an earlier cut came back and is part of this one: until its end nothing settles.
    held_until: u64,
    /// While the index is away or busy, the pause before the next attempt.
    pause: Option<Duration>,
    retry_at: Option<Instant>,
    /// Everything up to here is acknowledged by the index or stored in the backlog, but for hot keys.
    pub(crate) settled: Lsn,
    /// Indices that were written to and not refreshed since.
    pub(crate) touched: BTreeSet<String>,
    /// Collections that are owed something by what has ended.
    pub(crate) owed: BTreeSet<&'static str>,
}

impl<T: Target> Outlet<T> {
    pub(crate) fn new(target: Arc<T>, settings: &config::Sync, settled: Lsn) -> Self {
        Self {
            target,
            settings: settings.clone(),
            hot: HotKeys::new(settings),
            released: VecDeque::new(),
            ready: Batch { end: settled, ..Batch::default() },
            pieces: VecDeque::new(),
            in_flight: FuturesOrdered::new(),
            storing: None,
            asking: None,
            cut: 0,
            held_until: 0,
            pause: None,
            retry_at: None,
            settled,
            touched: BTreeSet::new(),
            owed: BTreeSet::new(),
        }
    }

    /// Adds what has passed the gate.
    pub(crate) fn add(&mut self, mut batch: Batch) {
        // What waits for more than a request is collected anyway.
        if self.ready.len() < self.settings.batch_size {
            self.hot.hold(&mut batch.keys, self.ready.end);
        }
        self.ready.absorb(batch);
        if self.hot.floor().is_some_and(|since| self.ready.end.0 - since.0 >= self.settings.hot_bytes) {
            self.release(HotKeys::release_all);
        }
    }

    /// Lets go of hot keys that have changed before a position, because somebody waits for it.
    pub(crate) fn want(&mut self, position: Lsn) {
        if self.hot.floor().is_some_and(|since| since < position) {
            self.release(HotKeys::release_all);
        }
    }

    fn release(&mut self, some: impl Fn(&mut HotKeys) -> Keys) {
        let Some(since) = self.hot.floor() else { return };
        let keys = some(&mut self.hot);
        self.ready.absorb(Batch { keys, ..Batch::default() });
        let next = self.cut + 1;
        if self.released.back().is_none_or(|(of, _)| *of < next) {
            self.released.push_back((next, since));
        }
    }

    /// Forgets what was released once the cuts up to this one are written or stored.
    fn written(&mut self, cut: u64) {
        while self.released.front().is_some_and(|(of, _)| *of <= cut) {
            self.released.pop_front();
        }
    }

    /// Everything up to here is acknowledged by the index or stored in the backlog, but for hot keys that rest.
    pub(crate) fn arrived(&self) -> Lsn {
        self.released.iter().map(|(_, since)| *since).fold(self.settled, Lsn::min)
    }

    /// Everything up to here is acknowledged by the index or stored in the backlog.
    pub(crate) fn certain(&self) -> Lsn {
        self.hot.floor().into_iter().fold(self.arrived(), Lsn::min)
    }

    /// Keys that wait and are not being written.
    pub(crate) fn waiting(&self) -> usize {
        self.ready.len() + self.pieces.iter().map(Batch::len).sum::<usize>()
    }

    /// Where the index will be once everything here is written.
    pub(crate) fn end(&self) -> Lsn {
        self.ready.end
    }

    /// Waits until something has ended, and says whether what is settled now may be confirmed at once: it is in the backlog, where
    /// no refresh has to show it. May be cancelled.
    pub(crate) async fn next(&mut self) -> anyhow::Result<bool> {
        tokio::select! {
            biased;
            Some(ended) = self.in_flight.next() => {
                let (cut, piece, applied) = ended.context("a piece was not finished")?;
                self.ended(cut, piece, applied?);
                Ok(false)
            }
            stored = finish(&mut self.storing) => {
                let (owed, end) = stored?;
                self.held_until = 0;
                self.settled = self.settled.max(end);
                self.written(self.cut);
                self.owed.extend(owed);
                Ok(true)
            }
            () = at(self.hot.due()) => {
                self.release(HotKeys::release);
                Ok(false)
            }
            answers = finish(&mut self.asking) => {
                if !answers {
                    self.wait();
                }
                Ok(false)
            }
            () = at(self.retry_at) => {
                self.retry_at = None;
                let target = Arc::clone(&self.target);
                // A hanging index would keep a real write for as long as its deadline, and with it everything that could be stored.
                self.asking = Some(Box::pin(async move { target.answers().await }));
                Ok(false)
            }
        }
    }

    /// Sends what there is room for. A single change goes at once; under load what comes meanwhile is collected.
    pub(crate) fn dispatch(&mut self) {
        if self.storing.is_some() {
            return;
        }
        let must_store = self.must_store();
        if must_store && self.in_flight.is_empty() && self.pieces.is_empty() {
            self.store();
            return;
        }
        if self.retry_at.is_some() || self.asking.is_some() {
            return;
        }
        let limit = if self.pause.is_some() { 1 } else { self.settings.in_flight.max(1) };
        while self.in_flight.len() < limit {
            let Some(piece) = self.pieces.pop_front() else {
                if must_store || !self.cut() {
                    break;
                }
                continue;
            };
            let (cut, target) = (self.cut, Arc::clone(&self.target));
            self.in_flight.push_back(AbortOnDropHandle::new(tokio::spawn(async move {
                let applied = target.write(piece.clone()).await;
                (cut, piece, applied)
            })));
        }
    }

    fn must_store(&self) -> bool {
        let is_much = self.waiting() >= self.settings.buffer_keys;
        let certain = self.certain();
        let is_far = self.ready.end.0.saturating_sub(certain.0) >= self.settings.retain_bytes;
        let is_away = self.pause.is_some();
        // Storing a part of a transaction lets the server forget nothing, as it keeps all of it until its end. But while the index
        // is away it makes room for the rest.
        if self.ready.end > certain { is_much || (is_far && is_away) } else { is_much && is_away }
    }

    /// Cuts what is ready, if it is worth a request, and says whether there is anything to send.
    fn cut(&mut self) -> bool {
        if self.ready.is_empty() {
            if self.in_flight.is_empty() {
                self.settled = self.settled.max(self.ready.end);
            }
            return false;
        }
        // Documents of an emptied table are found in the index, where those of earlier batches must have arrived.
        let is_large = self.ready.len() >= self.settings.batch_size && self.ready.emptied.is_empty();
        if !self.in_flight.is_empty() && !is_large {
            return false;
        }
        self.cut += 1;
        self.pieces.extend(self.ready.take().cut(self.settings.batch_size.max(1)));
        true
    }

    fn ended(&mut self, cut: u64, piece: Batch, applied: Applied) {
        self.touched.extend(applied.touched);
        self.owed.extend(applied.owed);
        if applied.unwritten.is_empty() {
            if self.pause.take().is_some() {
                info!("the index takes documents again");
            }
            if cut >= self.held_until {
                self.settled = self.settled.max(piece.end);
                if piece.is_last() {
                    self.written(cut);
                }
            }
            return;
        }
        self.held_until = self.cut + 1;
        self.ready.absorb(Batch { newest: piece.newest, ..applied.unwritten });
        for piece in std::mem::take(&mut self.pieces) {
            self.ready.absorb(piece);
        }
        if self.retry_at.is_none() && self.asking.is_none() {
            self.wait();
        }
    }

    /// Leaves the index alone for a while, each time for longer.
    fn wait(&mut self) {
        let pause = self.pause.map_or(SHORTEST_PAUSE, |pause| (pause * 2).min(LONGEST_PAUSE));
        self.pause = Some(pause);
        self.retry_at = Some(Instant::now() + pause);
    }

    fn store(&mut self) {
        self.release(HotKeys::release_all);
        self.cut += 1;
        let batch = self.ready.take();
        warn!(documents = batch.len(), "the index does not keep up; what waits is stored until it does");
        let (target, end) = (Arc::clone(&self.target), batch.end);
        self.storing = Some(Box::pin(async move { Ok((target.store(batch).await?, end)) }));
    }
}
