//! The pipeline's own code between stand-ins for Postgres and the index, under a clock that jumps: thousands of orders of events in
//! seconds. A seed decides what is committed and when it is seen, how long every call takes and what becomes of it, when the index is
//! away and when the leader dies; the same seed plays the same play. `SIMULATION_SEED` plays one, `SIMULATION_RUNS` that many.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use clap::Parser;
use collections::app::App;
use collections::clock::Clock;
use collections::config::Config;
use collections::position::{Epoch, Position, Version};
use collections::sync::anchor::Line;
use collections::sync::batch::Batch;
use collections::sync::ends::{Applied, Stream, Target};
use collections::sync::pipeline::{Pipeline, Progress, Standing};
use pgwire_replication::{Lsn, ReplicationEvent};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::dice::Dice;

const EPOCH: Epoch = Epoch(1);
const NAME: &str = "customers";
const INDEX: &str = "the-index";
const KEYS: u64 = 12;
const COMMITS: u64 = 150;
/// Nothing that was asked of the index happens later than so long after.
const LIFE: u64 = 2_000;
const PATIENCE: Duration = Duration::from_secs(600);

/// What may be broken on purpose, to see that it shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Flaw {
    #[default]
    None,
    /// Rows are read before the commit can be seen.
    OpenGate,
    /// What was not written counts as written.
    Forgetful,
    /// What is stored is gone.
    Leaky,
    /// The index takes older versions.
    Unversioned,
}

struct Commit {
    transaction: u32,
    begin: Position,
    end: Position,
    keys: Vec<Uuid>,
    is_deletion: bool,
    is_truncation: bool,
    /// When it is streamed, and when others see it.
    at: Instant,
    seen: Instant,
}

/// A document, or what is remembered of a deleted one: which commit it shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Document {
    version: Version,
    shows: Option<usize>,
}

/// Something that the index does at a moment, whether or not anybody waits for it still.
struct Pending {
    at: Instant,
    version: Version,
    rows: Vec<(Uuid, Option<usize>)>,
}

struct World {
    dice: Dice,
    flaw: Flaw,
    began: Instant,
    commits: Vec<Commit>,
    /// When the index is away.
    outages: Vec<(Instant, Instant)>,
    pending: Vec<Pending>,
    index: BTreeMap<Uuid, Document>,
    searchable: BTreeMap<Uuid, Document>,
    spill: BTreeMap<Uuid, Version>,
    /// What the lane holds of it, with what was marked meanwhile and waits for the lane.
    held: BTreeMap<Uuid, Option<Version>>,
    saved: Standing,
    trace: Vec<String>,
    broken: Option<String>,
}

impl World {
    fn new(seed: u64, flaw: Flaw) -> Self {
        let mut dice = Dice::new(seed);
        let began = Instant::now();
        let mut commits: Vec<Commit> = Vec::new();
        let (mut at, mut end) = (began, 0x1000);
        for number in 0..COMMITS {
            let is_truncation = dice.roll(40) == 0;
            let size = if dice.roll(12) == 0 { KEYS } else { 1 + dice.roll(3) };
            let mut keys: Vec<Uuid> = (0..size).map(|_| Uuid::from_u128(1 + u128::from(dice.roll(KEYS)))).collect();
            if is_truncation {
                keys = (1..=u128::from(KEYS)).map(Uuid::from_u128).collect();
            }
            keys.sort();
            keys.dedup();
            at += Duration::from_millis(if dice.roll(3) == 0 { dice.roll(400) } else { dice.roll(5) });
            // A row stays locked until its change can be seen.
            let locked = commits.iter().filter(|one| one.keys.iter().any(|key| keys.contains(key))).map(|one| one.seen).max();
            at = at.max(locked.unwrap_or(at));
            let begin = end + 8 * dice.roll(4);
            end = begin + 8 + 8 * dice.roll(40);
            commits.push(Commit {
                transaction: u32::try_from(number).unwrap() + 700,
                begin: Position(begin),
                end: Position(end),
                keys,
                is_deletion: is_truncation || dice.roll(5) == 0,
                is_truncation,
                at,
                seen: at + Duration::from_millis(if dice.roll(4) == 0 { dice.roll(80) } else { 0 }),
            });
        }
        let outages = (0..dice.roll(4)).map(|_| {
            let from = began + Duration::from_millis(dice.roll(6_000));
            (from, from + Duration::from_millis(dice.roll(8_000)))
        });
        let outages = outages.collect();
        Self {
            dice,
            flaw,
            began,
            commits,
            outages,
            pending: Vec::new(),
            index: BTreeMap::new(),
            searchable: BTreeMap::new(),
            spill: BTreeMap::new(),
            held: BTreeMap::new(),
            saved: Standing { confirmed: Position(0x1000), searchable: Position(0x1000), ..Standing::default() },
            trace: Vec::new(),
            broken: None,
        }
    }

    fn note(&mut self, what: String) {
        self.trace.push(format!("{:>6} {what}", self.began.elapsed().as_millis()));
    }

    fn expect(&mut self, is_so: bool, what: impl FnOnce() -> String) {
        if !is_so && self.broken.is_none() {
            let what = what();
            self.note(what.clone());
            self.broken = Some(what);
        }
    }

    fn is_away(&self) -> bool {
        let now = Instant::now();
        self.outages.iter().any(|(from, to)| *from <= now && now < *to)
    }

    /// The commit whose row anybody reads now; none if there never was one.
    fn read(&self, key: Uuid) -> Option<usize> {
        let now = Instant::now();
        self.commits.iter().rposition(|commit| commit.seen <= now && commit.keys.contains(&key))
    }

    /// Lets the index do what it was asked to do until now.
    fn proceed(&mut self) {
        let now = Instant::now();
        let (mut due, later): (Vec<_>, Vec<_>) = std::mem::take(&mut self.pending).into_iter().partition(|one| one.at <= now);
        self.pending = later;
        due.sort_by_key(|one| one.at);
        for Pending { version, rows, .. } in due {
            for (key, shows) in rows {
                let is_newer = self.index.get(&key).is_none_or(|held| held.version < version);
                if is_newer || self.flaw == Flaw::Unversioned {
                    self.index.insert(key, Document { version, shows });
                }
            }
        }
    }

    /// Puts what a batch has marked into the backlog.
    fn keep(&mut self, batch: &Batch) {
        let version = Version::new(EPOCH, batch.newest);
        let mut keys: Vec<Uuid> = batch.keys.get(NAME).into_iter().flatten().copied().collect();
        if batch.emptied.contains(NAME) {
            keys = (1..=u128::from(KEYS)).map(Uuid::from_u128).collect();
        }
        keys.sort();
        self.note(format!("store {:?}", shorts(&keys)));
        if self.flaw != Flaw::Leaky {
            for key in keys {
                self.mark(key, version);
            }
        }
    }

    fn mark(&mut self, key: Uuid, version: Version) {
        match self.held.get_mut(&key) {
            Some(waiting) => *waiting = Some(version),
            None => drop(self.spill.entry(key).or_insert(version)),
        }
    }

    /// Lets everything that is written be found, unless the index is away.
    fn show(&mut self) -> bool {
        if self.is_away() {
            return false;
        }
        self.proceed();
        self.searchable = self.index.clone();
        true
    }

    /// What every commit before a position comes to, by the given documents.
    fn missing(&self, documents: &BTreeMap<Uuid, Document>, upto: impl Fn(Position) -> bool) -> Option<String> {
        for (number, commit) in self.commits.iter().enumerate().filter(|(_, commit)| upto(commit.end)) {
            for key in &commit.keys {
                let shows = documents.get(key).and_then(|document| document.shows);
                if shows.is_none_or(|shown| shown < number) {
                    return Some(format!("{key} shows {shows:?} and not commit {number}, which ends at {}", commit.end));
                }
            }
        }
        None
    }

    /// Everything up to the position can be found, but for what is owed.
    fn check_searchable(&mut self, standing: &Standing) {
        let missing = self.missing(&self.searchable, |end| standing.includes(NAME, end));
        self.expect(missing.is_none(), || format!("not searchable at {}: {}", standing.searchable, missing.unwrap_or_default()));
    }

    /// Everything up to the position is in the index or in the backlog.
    fn check_confirmed(&mut self, position: Position) {
        self.proceed();
        let kept: BTreeMap<_, _> = self
            .index
            .iter()
            .map(|(key, document)| (*key, *document))
            .chain(self.spill.keys().map(|key| (*key, Document { version: Version(0), shows: Some(usize::MAX) })))
            .collect();
        let missing = self.missing(&kept, |end| end <= position);
        self.expect(missing.is_none(), || format!("confirmed {position}: {}", missing.unwrap_or_default()));
        let saved = self.saved.confirmed;
        self.expect(position <= saved, || format!("confirmed {position} before it was saved: {saved}"));
    }

    fn is_over(&self) -> bool {
        let end = self.commits.last().unwrap().end;
        self.saved.searchable >= end && self.saved.owed.is_empty() && self.pending.is_empty()
    }
}

#[derive(Clone)]
struct Stage(Arc<Mutex<World>>);

impl Stage {
    fn world(&self) -> MutexGuard<'_, World> {
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
struct Wire {
    stage: Stage,
    next: usize,
    /// Events of the next commit that were sent.
    sent: usize,
    is_described: bool,
    breaks: Option<Instant>,
}

impl Wire {
    fn event(&mut self) -> Option<Result<ReplicationEvent, Instant>> {
        let (stage, number) = (self.stage.clone(), self.next);
        let world = stage.world();
        let commit = world.commits.get(number)?;
        if Instant::now() < commit.at {
            return Some(Err(commit.at));
        }
        let lsn = |position: Position| Lsn::from_u64(position.0);
        let data = |data: Vec<u8>| ReplicationEvent::XLogData {
            wal_start: Lsn::from_u64(0),
            wal_end: Lsn::from_u64(0),
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

impl Stream for Wire {
    async fn next(&mut self) -> anyhow::Result<ReplicationEvent> {
        anyhow::ensure!(self.breaks.is_none_or(|at| Instant::now() < at), "the stream broke");
        let soon = Instant::now() + Duration::from_secs(1);
        match self.event() {
            Some(Ok(event)) => return Ok(event),
            Some(Err(at)) => sleep_until(at.min(soon)).await,
            None => sleep_until(soon).await,
        }
        Ok(ReplicationEvent::KeepAlive { wal_end: Lsn::from_u64(0), reply_requested: false, server_time_micros: 0 })
    }

    fn confirm(&self, position: Position) {
        let mut world = self.stage.world();
        world.note(format!("confirm {position}"));
        world.check_confirmed(position);
    }

    async fn stop(self) {}
}

impl Target for Stage {
    async fn gate(&self, transactions: &[u32]) -> anyhow::Result<()> {
        loop {
            self.dawdle(5).await;
            let world = self.world();
            let hidden = |commit: &Commit| transactions.contains(&commit.transaction) && commit.seen > Instant::now();
            if world.flaw == Flaw::OpenGate || !world.commits.iter().any(hidden) {
                return Ok(());
            }
        }
    }

    async fn write(&self, mut batch: Batch) -> anyhow::Result<Applied> {
        let version = Version::new(EPOCH, batch.newest);
        let mut keys: Vec<Uuid> = batch.keys.remove(NAME).into_iter().flatten().collect();
        keys.sort();
        let mut applied = Applied::default();
        {
            let mut world = self.world();
            world.note(format!("write {:?} at {}, emptied {}", shorts(&keys), batch.newest, batch.emptied.len()));
            if batch.emptied.contains(NAME) {
                for key in 1..=u128::from(KEYS) {
                    world.mark(Uuid::from_u128(key), version);
                }
                applied.owed.insert(NAME);
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

fn shorts(keys: &[Uuid]) -> Vec<u128> {
    keys.iter().map(Uuid::as_u128).collect()
}

/// Remembers the position after a while, as a statement takes it.
async fn anchor(stage: &Stage, progress: &Progress, line: &Line) {
    let mut standing = progress.standing.subscribe();
    while standing.changed().await.is_ok() {
        let standing = standing.borrow_and_update().clone();
        stage.world().check_searchable(&standing);
        stage.dawdle(20).await;
        stage.world().saved = standing.clone();
        stage.dawdle(20).await;
        line.saved.send_replace(standing.confirmed);
    }
}

/// Drains the backlog.
async fn lane(stage: &Stage, progress: &Progress) {
    loop {
        stage.dawdle(300).await;
        let version = Version::new(EPOCH, *progress.passed.borrow());
        let debts = progress.debts.borrow().clone();
        if stage.world().spill.is_empty() {
            if stage.refresh(&BTreeSet::new()).await.unwrap() && *progress.debts.borrow() == debts {
                progress.forgive(NAME);
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

/// What the lane holds of the backlog, which is as it was unless all of it is done.
struct Taken<'a> {
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

#[derive(Parser)]
struct Settings {
    #[command(flatten)]
    config: Config,
}

/// Plays until everything can be found, through as many leaders as it takes.
async fn play(stage: Stage) {
    let settings =
        ["it", "--sync-batch-size", "5", "--sync-buffer-keys", "20", "--sync-in-flight", "3", "--sync-retain-bytes", "900"];
    let app = App::open(Settings::parse_from(settings).config, Clock::default()).unwrap();
    while !stage.world().is_over() && stage.world().broken.is_none() {
        let (saved, life, breaks) = {
            let mut world = stage.world();
            let saved = world.saved.clone();
            world.note(format!("a leader begins at {}", saved.confirmed));
            let is_busy = world.began.elapsed() < Duration::from_secs(20);
            let life = if is_busy { world.dice.roll(8_000) } else { 600_000 };
            let breaks = (is_busy && world.dice.roll(3) == 0).then(|| world.dice.roll(5_000));
            (saved, life, breaks.map(|after| Instant::now() + Duration::from_millis(after)))
        };
        let next = stage.world().commits.iter().position(|one| one.end > saved.confirmed).unwrap_or(usize::MAX);
        let progress = Progress::new(saved);
        let line = Line::default();
        let wire = Wire { stage: stage.clone(), next, sent: 0, is_described: false, breaks };
        let pipeline = Pipeline::new(&app, wire, Arc::new(stage.clone()), &progress, &line, BTreeSet::from([INDEX.to_owned()]));
        let stop = CancellationToken::new();
        let over = async {
            while !stage.world().is_over() && stage.world().broken.is_none() {
                sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::select! {
            biased;
            () = over => {}
            () = sleep(Duration::from_millis(life)) => stage.world().note("the leader dies".into()),
            ended = pipeline.run(&stop) => stage.world().note(format!("the leader stumbles: {}", ended.unwrap_err())),
            () = anchor(&stage, &progress, &line) => {}
            () = lane(&stage, &progress) => {}
        }
    }
    let mut world = stage.world();
    world.proceed();
    let missing = world.missing(&world.index, |_| true);
    world.expect(missing.is_none(), || format!("in the end {}", missing.unwrap_or_default()));
}

/// Plays a seed; returns what happened and what was wrong.
fn simulate(seed: u64, flaw: Flaw) -> (Vec<String>, Option<String>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let stage = Stage(Arc::new(Mutex::new(World::new(seed, flaw))));
        let is_over = tokio::time::timeout(PATIENCE, play(stage.clone())).await.is_ok();
        let mut world = stage.world();
        let saved = world.saved.clone();
        world.expect(is_over, || format!("it never comes to an end: {saved:?}"));
        (std::mem::take(&mut world.trace), world.broken.take())
    })
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

#[test]
fn nothing_is_lost_in_any_order_of_events() {
    let seeds = match number("SIMULATION_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SIMULATION_RUNS").unwrap_or(200),
    };
    for seed in seeds {
        let (trace, broken) = simulate(seed, Flaw::None);
        assert_eq!(broken, None, "SIMULATION_SEED={seed}\n{}", trace.join("\n"));
    }
}

#[test]
fn a_seed_plays_the_same_play() {
    for seed in 0..20 {
        let (first, second) = (simulate(seed, Flaw::None).0, simulate(seed, Flaw::None).0);
        assert!(first.len() > 30, "hardly anything happened: {first:?}");
        assert_eq!(first, second);
    }
}

#[test]
fn whatever_is_broken_on_purpose_shows() {
    for flaw in [Flaw::OpenGate, Flaw::Forgetful, Flaw::Leaky, Flaw::Unversioned] {
        assert!((0..300).any(|seed| simulate(seed, flaw).1.is_some()), "{flaw:?} does no harm");
    }
}
