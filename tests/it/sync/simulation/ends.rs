//! Stand-ins for what the pipeline has around it, which take their time and fail as the dice say.

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

use super::world::{Commit, EPOCH, Flaw, INDEX, KEYS, LIFE, NAME, Pending, World, shorts};

#[derive(Clone)]
pub(super) struct Stage(pub(super) Arc<Mutex<World>>);

impl Stage {
    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }

    async fn dawdle(&self, longest: u64) {
        let pause = self.world().dice.roll(longest);
        sleep(Duration::from_millis(pause)).await;
    }

    /// Reads rows and has the index write them with a version a while later. Says whether that could be asked at all.
    async fn ask(&self, keys: &[Uuid], version: Version) -> bool {
        self.dawdle(20).await;
        let mut world = self.world();
        if world.is_away() {
            return false;
        }
        let rows = keys.iter().map(|key| (*key, world.read(*key))).collect();
        let delay = if world.dice.roll(10) == 0 { world.dice.roll(LIFE) } else { world.dice.roll(20) };
        world.pending.push(Pending { at: Instant::now() + Duration::from_millis(delay), version, rows });
        true
    }
}

/// A stream that begins after a position.
pub(super) struct Wire {
    pub(super) stage: Stage,
    pub(super) next: usize,
    /// Events of the next commit that were sent.
    pub(super) sent: usize,
    pub(super) is_described: bool,
    pub(super) breaks: Option<Instant>,
}

impl Wire {
    fn event(&mut self) -> Option<Result<ReplicationEvent, Instant>> {
        let (stage, number) = (self.stage.clone(), self.next);
        let world = stage.world();
        let commit = world.commits.get(number)?;
        if Instant::now() < commit.at {
            return Some(Err(commit.at));
        }
        let lsn = |position: Lsn| pgwire_replication::Lsn::from_u64(position.0);
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

impl ChangeStream for Wire {
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

    fn confirm(&self, position: Lsn) {
        let mut world = self.stage.world();
        world.note(format!("confirm {position}"));
        world.check_confirmed(position);
    }

    async fn stop(self) {}
}

impl Target for Stage {
    async fn wait_visible(&self, transactions: &[u32]) -> anyhow::Result<()> {
        loop {
            self.dawdle(5).await;
            let world = self.world();
            let hidden = |commit: &Commit| transactions.contains(&commit.transaction) && commit.seen > Instant::now();
            if world.flaw == Flaw::OpenGate || !world.commits.iter().any(hidden) {
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
        let is_asked = self.ask(&keys, version).await;
        // The answer comes when all is written, or it is lost.
        let done = self.world().pending.iter().map(|one| one.at).max();
        let is_lost = self.world().dice.roll(12) == 0;
        if is_lost {
            self.dawdle(LIFE).await;
        } else if let Some(done) = done.filter(|_| is_asked) {
            sleep_until(done).await;
        }
        let mut world = self.world();
        world.proceed();
        if (is_lost || !is_asked) && world.flaw != Flaw::Forgetful {
            world.note(format!("not written: {:?}", shorts(&keys)));
            applied.unwritten.keys.insert(NAME, keys.into_iter().collect());
        } else if !is_lost && is_asked && world.dice.roll(6) == 0 {
            // Some of it was refused for want of room.
            let some = keys.into_iter().step_by(2).collect();
            applied.unwritten.keys.insert(NAME, some);
        }
        Ok(applied)
    }

    async fn store(&self, batch: Batch) -> anyhow::Result<BTreeSet<&'static str>> {
        self.dawdle(30).await;
        self.world().keep(&batch);
        self.dawdle(10).await;
        Ok(BTreeSet::from([NAME]))
    }

    async fn refresh(&self, _: &BTreeSet<String>) -> anyhow::Result<bool> {
        self.dawdle(10).await;
        let is_done = self.world().show();
        self.dawdle(5).await;
        Ok(is_done)
    }

    async fn answers(&self) -> bool {
        self.dawdle(10).await;
        !self.world().is_away()
    }
}

/// Remembers the position after a while, as a statement takes it.
pub(super) async fn leader_session(stage: &Stage, progress: &Progress, line: &SessionChannels) {
    let mut checkpoint = progress.checkpoint.subscribe();
    while checkpoint.changed().await.is_ok() {
        let checkpoint = checkpoint.borrow_and_update().clone();
        stage.world().check_searchable(&checkpoint);
        stage.dawdle(20).await;
        stage.world().saved = checkpoint.clone();
        stage.dawdle(20).await;
        line.saved.send_replace(checkpoint.confirmed);
    }
}

/// Waits now and then for what was committed last, and looks whether it is there.
pub(super) async fn reader(stage: &Stage, app: &App) {
    loop {
        stage.dawdle(2_000).await;
        let now = Instant::now();
        let Some(end) = stage.world().commits.iter().rev().find(|commit| commit.at <= now).map(|commit| commit.end) else {
            continue;
        };
        stage.world().note(format!("a reader waits for {end}"));
        if app.watermark.reached(NAME, end, Duration::from_secs(5)).await {
            let mut world = stage.world();
            let missing = world.missing(&world.searchable, |one| one <= end);
            world.expect(missing.is_none(), || format!("{end} was promised to a list: {}", missing.unwrap_or_default()));
        }
    }
}

/// Drains the backlog.
pub(super) async fn backlog_worker(stage: &Stage, progress: &Progress) {
    loop {
        stage.dawdle(300).await;
        let version = Version::new(EPOCH, *progress.visible.borrow());
        let debts = progress.backlog_marks.borrow().clone();
        if stage.world().spill.is_empty() {
            if stage.refresh(&BTreeSet::new()).await.unwrap() && *progress.backlog_marks.borrow() == debts {
                progress.clear_backlog(NAME);
            }
            continue;
        }
        let taken = Taken::take(stage, version);
        if stage.ask(&taken.keys, version).await {
            let done = stage.world().pending.iter().map(|one| one.at).max().unwrap();
            sleep_until(done).await;
            stage.world().proceed();
            taken.commit();
        }
    }
}

/// The backlog that the worker has taken; it stays stored until all of it is written.
pub(super) struct Taken<'a> {
    stage: &'a Stage,
    keys: Vec<Uuid>,
}

impl<'a> Taken<'a> {
    fn take(stage: &'a Stage, version: Version) -> Self {
        let mut world = stage.world();
        let due = world.spill.iter().filter(|(_, marked)| **marked <= version);
        let keys: Vec<Uuid> = due.map(|(key, _)| *key).take(5).collect();
        world.held = keys.iter().map(|key| (*key, None)).collect();
        Self { stage, keys }
    }

    fn commit(self) {
        let mut world = self.stage.world();
        for (key, waiting) in std::mem::take(&mut world.held) {
            world.spill.remove(&key);
            waiting.map(|version| world.spill.insert(key, version));
        }
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.stage.world().held.clear();
    }
}
