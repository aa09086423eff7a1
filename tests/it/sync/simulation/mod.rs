//! The pipeline's own code between stand-ins for Postgres and the index, under a clock that jumps: thousands of orders of events in
//! seconds. A seed decides what is committed and when it is seen, how long every call takes and what becomes of it, when the index is
//! away and when the leader dies; the same seed plays the same play. `SIMULATION_SEED` plays one, `SIMULATION_RUNS` that many.

mod ends;
mod world;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clap::Parser;
use collections::app::App;
use collections::config::Config;
use collections::sync::pipeline::SessionChannels;
use collections::sync::pipeline::event_loop::Pipeline;
use collections::sync::pipeline::progress::Progress;
use collections::values::clock::Clock;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use ends::{Stage, Wire, backlog_worker, leader_session, reader};
use world::{Flaw, INDEX, NAME, World};

const PATIENCE: Duration = Duration::from_secs(600);

#[derive(Parser)]
struct Settings {
    #[command(flatten)]
    config: Config,
}

/// Plays until everything can be found, through as many leaders as it takes.
async fn play(stage: Stage) {
    let settings = ["it", "--sync-batch-size", "5", "--sync-buffer-keys", "20", "--sync-retain-bytes", "900"];
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
        progress.live.send_replace([(NAME.to_owned(), INDEX.into())].into());
        let line = SessionChannels::default();
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
            () = leader_session(&stage, &progress, &line) => {}
            () = backlog_worker(&stage, &progress) => {}
            () = reader(&stage, &app) => {}
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
