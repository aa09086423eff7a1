//! The pipeline's own code between stubs of Postgres and the index, under a simulated clock: thousands of schedules in seconds.
//! A seed decides what is committed and when it becomes visible, the duration and result of every call, when the index is away and
//! when the leader dies. `SIMULATION_SEED` repeats one seed, `SIMULATION_RUNS` is the number of seeds.

mod stubs;
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

use stubs::{Simulation, Stream, backlog_worker, leader_session, reader};
use world::{INDEX, Mutant, NAME, World};

const PATIENCE: Duration = Duration::from_secs(600);

#[derive(Parser)]
struct Settings {
    #[command(flatten)]
    config: Config,
}

/// Runs one leader after another until everything can be found.
async fn run(simulation: Simulation) {
    let settings = ["it", "--sync-batch-size", "5", "--sync-buffer-keys", "20", "--sync-retain-bytes", "900"];
    let app = App::open(Settings::parse_from(settings).config, Clock::default()).unwrap();
    while !simulation.world().is_over() && simulation.world().failure.is_none() {
        let (saved, life, breaks) = {
            let mut world = simulation.world();
            let saved = world.saved.clone();
            world.note(format!("a leader begins at {}", saved.confirmed));
            let is_busy = world.began.elapsed() < Duration::from_secs(20);
            let life = if is_busy { world.dice.roll(8_000) } else { 600_000 };
            let breaks = (is_busy && world.dice.roll(3) == 0).then(|| world.dice.roll(5_000));
            (saved, life, breaks.map(|after| Instant::now() + Duration::from_millis(after)))
        };
        let next = simulation.world().commits.iter().position(|one| one.end > saved.confirmed).unwrap_or(usize::MAX);
        let progress = Progress::new(saved);
        progress.live.send_replace([(NAME.to_owned(), INDEX.into())].into());
        let session = SessionChannels::default();
        let stream = Stream { simulation: simulation.clone(), next, sent: 0, is_described: false, breaks };
        let pipeline =
            Pipeline::new(&app, stream, Arc::new(simulation.clone()), &progress, &session, BTreeSet::from([INDEX.to_owned()]));
        let stop = CancellationToken::new();
        let over = async {
            while !simulation.world().is_over() && simulation.world().failure.is_none() {
                sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::select! {
            biased;
            () = over => {}
            () = sleep(Duration::from_millis(life)) => simulation.world().note("the leader dies".into()),
            ended = pipeline.run(&stop) => simulation.world().note(format!("the leader fails: {}", ended.unwrap_err())),
            () = leader_session(&simulation, &progress, &session) => {}
            () = backlog_worker(&simulation, &progress) => {}
            () = reader(&simulation, &app) => {}
        }
    }
    let mut world = simulation.world();
    world.deliver_due();
    let missing = world.missing(&world.index, |_| true);
    world.check(missing.is_none(), || format!("at the end {}", missing.unwrap_or_default()));
}

/// Runs a seed; returns its trace and the first failure.
fn simulate(seed: u64, mutant: Mutant) -> (Vec<String>, Option<String>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let simulation = Simulation(Arc::new(Mutex::new(World::new(seed, mutant))));
        let is_over = tokio::time::timeout(PATIENCE, run(simulation.clone())).await.is_ok();
        let mut world = simulation.world();
        let saved = world.saved.clone();
        world.check(is_over, || format!("it does not end: {saved:?}"));
        (std::mem::take(&mut world.trace), world.failure.take())
    })
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

#[test]
fn no_schedule_loses_a_change() {
    let seeds = match number("SIMULATION_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SIMULATION_RUNS").unwrap_or(200),
    };
    for seed in seeds {
        let (trace, broken) = simulate(seed, Mutant::None);
        assert_eq!(broken, None, "SIMULATION_SEED={seed}\n{}", trace.join("\n"));
    }
}

#[test]
fn a_seed_gives_the_same_run_every_time() {
    for seed in 0..20 {
        let (first, second) = (simulate(seed, Mutant::None).0, simulate(seed, Mutant::None).0);
        assert!(first.len() > 30, "hardly anything happened: {first:?}");
        assert_eq!(first, second);
    }
}

#[test]
fn every_mutant_is_detected() {
    for mutant in [Mutant::OpenBarrier, Mutant::DropsUnwritten, Mutant::LosesBacklog, Mutant::Unversioned] {
        assert!((0..300).any(|seed| simulate(seed, mutant).1.is_some()), "{mutant:?} is not detected");
    }
}
