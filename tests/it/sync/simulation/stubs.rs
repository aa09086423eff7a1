//! Stubs of the change stream, the index, the leader session, the backlog worker and a reader: slow, and failing as the seed decides.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use collections::app::App;
use collections::sync::pipeline::SessionChannels;
use collections::sync::pipeline::progress::Progress;
use collections::sync::stream::ChangeStream;
use collections::sync::stream::batch::Batch;
use collections::sync::writer::{BatchResult, Target};
use collections::values::lsn::{Lsn, Version};
use pgwire_replication::ReplicationEvent;
use tokio::time::{Instant, sleep, sleep_until};
use uuid::Uuid;

use super::world::{Commit, EPOCH, INDEX, KEYS, Mutant, NAME, Pending, REQUEST_LIFE, World, shorts};

#[derive(Clone)]
pub(super) struct Simulation(pub(super) Arc<Mutex<World>>);

impl Simulation {
    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }

    async fn pause(&self, longest: u64) {
        let pause = self.world().dice.roll(longest);
        sleep(Duration::from_millis(pause)).await;
    }

    /// Reads rows and sends them to the index, which writes them later. Returns false if the index is away.
    async fn send(&self, keys: &[Uuid], version: Version) -> bool {
        self.pause(20).await;
        let mut world = self.world();
        if world.is_away() {
            return false;
        }
        let rows = keys.iter().map(|key| (*key, world.read(*key))).collect();
        let delay = if world.dice.roll(10) == 0 { world.dice.roll(REQUEST_LIFE) } else { world.dice.roll(20) };
        world.pending.push(Pending { at: Instant::now() + Duration::from_millis(delay), version, rows });
        true
    }
}

/// A change stream.
pub(super) struct Stream {
    pub(super) simulation: Simulation,
    /// Number of the next commit.
    pub(super) next: usize,
    /// Events of that commit that were sent.
    pub(super) sent: usize,
    pub(super) is_described: bool,
    pub(super) breaks: Option<Instant>,
}

impl Stream {
    fn event(&mut self) -> Option<Result<ReplicationEvent, Instant>> {
        let (simulation, number) = (self.simulation.clone(), self.next);
        let world = simulation.world();
        let commit = world.commits.get(number)?;
        if Instant::now() < commit.at {
            return Some(Err(commit.at));
        }
        let lsn = |lsn: Lsn| pgwire_replication::Lsn::from_u64(lsn.0);
        let data = |data: Vec<u8>| ReplicationEvent::XLogData {
            wal_start: pgwire_replication::Lsn::from_u64(0),
            wal_end: pgwire_replication::Lsn::from_u64(0),
            server_time_micros: 0,
            data: data.into(),
        };
        let sent = self.sent;
        self.sent += 1;
        let event = match sent {
            0 => ReplicationEvent::Begin { final_lsn: lsn(commit.begin), xid: commit.transaction, commit_time_micros: 0 },
            1 if !self.is_described => {
                self.is_described = true;
                self.sent -= 1;
                data([b"R\0\0\0\x01public\0".as_slice(), NAME.as_bytes(), b"\0i\0\x01\x01id\0", &[0; 8]].concat())
            }
            1 if commit.is_truncation => {
                self.sent = commit.keys.len() + 1;
                data(b"T\0\0\0\x01\0\0\0\0\x01".to_vec())
            }
            sent => match commit.keys.get(sent - 1) {
                Some(key) => {
                    let kind: &[u8] = if commit.is_deletion { b"D\0\0\0\x01K" } else { b"I\0\0\0\x01N" };
                    data([kind, b"\0\x01t\0\0\0\x24", key.to_string().as_bytes()].concat())
                }
                None => {
                    (self.sent, self.next) = (0, number + 1);
                    ReplicationEvent::Commit { lsn: lsn(commit.begin), end_lsn: lsn(commit.end), commit_time_micros: 0 }
                }
            },
        };
        Some(Ok(event))
    }
}

impl ChangeStream for Stream {
    async fn next(&mut self) -> anyhow::Result<ReplicationEvent> {
        anyhow::ensure!(self.breaks.is_none_or(|at| Instant::now() < at), "the stream broke");
        let soon = Instant::now() + Duration::from_secs(1);
        match self.event() {
            Some(Ok(event)) => return Ok(event),
            Some(Err(at)) => sleep_until(at.min(soon)).await,
            None => sleep_until(soon).await,
        }
        Ok(ReplicationEvent::KeepAlive {
            wal_end: pgwire_replication::Lsn::from_u64(0),
            reply_requested: false,
            server_time_micros: 0,
        })
    }

    fn confirm(&self, lsn: Lsn) {
        let mut world = self.simulation.world();
        world.note(format!("confirm {lsn}"));
        world.check_confirmed(lsn);
    }

    async fn stop(self) {}
}

impl Target for Simulation {
    async fn wait_visible(&self, transactions: &[u32]) -> anyhow::Result<()> {
        loop {
            self.pause(5).await;
            let world = self.world();
            let hidden = |commit: &Commit| transactions.contains(&commit.transaction) && commit.visible_at > Instant::now();
            if world.mutant == Mutant::OpenBarrier || !world.commits.iter().any(hidden) {
                return Ok(());
            }
        }
    }

    async fn write(&self, mut batch: Batch) -> anyhow::Result<BatchResult> {
        let version = Version::new(EPOCH, batch.newest);
        let mut keys: Vec<Uuid> = batch.keys.remove(NAME).into_iter().flatten().collect();
        keys.sort();
        let mut applied = BatchResult::default();
        {
            let mut world = self.world();
            world.note(format!("write {:?} at {}, emptied {}", shorts(&keys), batch.newest, batch.emptied.len()));
            if batch.emptied.contains(NAME) {
                for key in 1..=u128::from(KEYS) {
                    world.mark(Uuid::from_u128(key), version);
                }
                applied.backlogged.insert(NAME);
            }
        }
        applied.touched.insert(INDEX.to_owned());
        let is_sent = self.send(&keys, version).await;
        // The response arrives when everything is written, or is lost.
        let done = self.world().pending.iter().map(|one| one.at).max();
        let is_lost = self.world().dice.roll(12) == 0;
        if is_lost {
            self.pause(REQUEST_LIFE).await;
        } else if let Some(done) = done.filter(|_| is_sent) {
            sleep_until(done).await;
        }
        let mut world = self.world();
        world.deliver_due();
        if (is_lost || !is_sent) && world.mutant != Mutant::DropsUnwritten {
            world.note(format!("not written: {:?}", shorts(&keys)));
            applied.unwritten.keys.insert(NAME, keys.into_iter().collect());
        } else if !is_lost && is_sent && world.dice.roll(6) == 0 {
            // The index was too busy for some of it.
            let some = keys.into_iter().step_by(2).collect();
            applied.unwritten.keys.insert(NAME, some);
        }
        Ok(applied)
    }

    async fn store(&self, batch: Batch) -> anyhow::Result<BTreeSet<&'static str>> {
        self.pause(30).await;
        self.world().store(&batch);
        self.pause(10).await;
        Ok(BTreeSet::from([NAME]))
    }

    async fn refresh(&self, _: &BTreeSet<String>) -> anyhow::Result<bool> {
        self.pause(10).await;
        let is_done = self.world().refresh();
        self.pause(5).await;
        Ok(is_done)
    }

    async fn answers(&self) -> bool {
        self.pause(10).await;
        !self.world().is_away()
    }
}

/// Saves checkpoints, slowly.
pub(super) async fn leader_session(simulation: &Simulation, progress: &Progress, session: &SessionChannels) {
    let mut checkpoint = progress.checkpoint.subscribe();
    while checkpoint.changed().await.is_ok() {
        let checkpoint = checkpoint.borrow_and_update().clone();
        simulation.world().check_searchable(&checkpoint);
        simulation.pause(20).await;
        simulation.world().saved = checkpoint.clone();
        simulation.pause(20).await;
        session.saved.send_replace(checkpoint.confirmed);
    }
}

/// Waits now and then for the last commit, and checks that it can be found.
pub(super) async fn reader(simulation: &Simulation, app: &App) {
    loop {
        simulation.pause(2_000).await;
        let now = Instant::now();
        let Some(end) = simulation.world().commits.iter().rev().find(|commit| commit.at <= now).map(|commit| commit.end) else {
            continue;
        };
        simulation.world().note(format!("a reader waits for {end}"));
        if app.watermark.reached(NAME, end, Duration::from_secs(5)).await {
            let mut world = simulation.world();
            let missing = world.missing(&world.searchable, |one| one <= end);
            world.check(missing.is_none(), || format!("a reader waited for {end}: {}", missing.unwrap_or_default()));
        }
    }
}

/// Drains the backlog.
pub(super) async fn backlog_worker(simulation: &Simulation, progress: &Progress) {
    loop {
        simulation.pause(300).await;
        let version = Version::new(EPOCH, *progress.visible.borrow());
        let marks = progress.backlog_marks.borrow().clone();
        if simulation.world().backlog.is_empty() {
            if simulation.refresh(&BTreeSet::new()).await.unwrap() && *progress.backlog_marks.borrow() == marks {
                progress.clear_backlog(NAME);
            }
            continue;
        }
        let claim = Claim::new(simulation, version);
        if simulation.send(&claim.keys, version).await {
            let done = simulation.world().pending.iter().map(|one| one.at).max().unwrap();
            sleep_until(done).await;
            simulation.world().deliver_due();
            claim.commit();
        }
    }
}

/// Backlog that the worker has claimed; it stays stored until it is written.
pub(super) struct Claim<'a> {
    simulation: &'a Simulation,
    keys: Vec<Uuid>,
}

impl<'a> Claim<'a> {
    fn new(simulation: &'a Simulation, version: Version) -> Self {
        let mut world = simulation.world();
        let due = world.backlog.iter().filter(|(_, marked)| **marked <= version);
        let keys: Vec<Uuid> = due.map(|(key, _)| *key).take(5).collect();
        world.claimed = keys.iter().map(|key| (*key, None)).collect();
        Self { simulation, keys }
    }

    fn commit(self) {
        let mut world = self.simulation.world();
        for (key, waiting) in std::mem::take(&mut world.claimed) {
            world.backlog.remove(&key);
            waiting.map(|version| world.backlog.insert(key, version));
        }
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.simulation.world().claimed.clear();
    }
}
