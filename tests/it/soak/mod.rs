//! A long run of two servers whose Postgres, index, cache and processes fail at random under load. `bin/soak` runs it. The seed
//! repeats the faults and the work in their order; their timing is up to the machine.

mod api;
mod faults;
mod sockets;
mod stage;
mod writers;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::harness::dice::Dice;
use faults::Fault;
use stage::Stage;
use writers::Tally;

const HTTP_WRITERS: u64 = 3;
const SQL_WRITERS: u64 = 2;
/// Faults between two checks of everything.
const FAULTS_PER_CHECK: u32 = 6;

fn minutes() -> f64 {
    std::env::var("SOAK_MINUTES").map_or(2.0, |text| text.parse().expect("SOAK_MINUTES is a number"))
}

/// Starts the writers.
async fn work(stage: &Arc<Stage>, seed: u64, stop: &CancellationToken) -> Vec<tokio::task::JoinHandle<()>> {
    let password = "correct horse battery staple";
    stage.add_user("soak", password).await;
    let http = (0..HTTP_WRITERS).map(|writer| {
        let (stage, stop, dice) = (stage.clone(), stop.clone(), Dice::new(seed.wrapping_add(100 + writer)));
        tokio::spawn(async move { writers::over_http(&stage, writer, dice, &stop).await })
    });
    let sql = (0..SQL_WRITERS).map(|writer| {
        let (stage, stop, dice) = (stage.clone(), stop.clone(), Dice::new(seed.wrapping_add(200 + writer)));
        tokio::spawn(async move { writers::in_sql(&stage, dice, &stop).await })
    });
    http.chain(sql).collect()
}

/// Stops the writers, prints the totals, and fails if anything is lost or differs.
async fn conclude(stage: &Stage, seed: u64, since: Instant, stop: &CancellationToken, work: Vec<tokio::task::JoinHandle<()>>) {
    stop.cancel();
    for writer in work {
        writer.await.unwrap();
    }
    stage.check(seed).await;
    let Tally { acknowledged, checked, kills, freezes, restarts, outages, lost, differences, stale } = &stage.tally;
    let count = |number: &std::sync::atomic::AtomicU64| number.load(Ordering::Relaxed);
    println!(
        "soak seed={seed} minutes={:.1} acknowledged={} checked={} kills={} freezes={} restarts={} outages={} lost={} differences={} stale_reads={}",
        since.elapsed().as_secs_f64() / 60.0,
        count(acknowledged),
        count(checked),
        count(kills),
        count(freezes),
        count(restarts),
        count(outages),
        count(lost),
        count(differences),
        count(stale),
    );
    assert_eq!(count(lost) + count(differences) + count(stale), 0, "SOAK_SEED={seed}");
    assert!(count(acknowledged) > 0 && count(checked) > 0, "nothing was done");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "minutes long; bin/soak runs it"]
async fn nothing_is_lost_whatever_breaks() {
    let (seed, since) = (Dice::seed("SOAK_SEED"), Instant::now());
    let until = since + Duration::from_secs_f64(minutes() * 60.0);
    println!("SOAK_SEED={seed}");
    let stage = Arc::new(Stage::start(2).await);
    let stop = CancellationToken::new();
    let work = work(&stage, seed, &stop).await;
    let mut dice = Dice::new(seed);
    while Instant::now() < until {
        for _ in 0..FAULTS_PER_CHECK {
            let fault = Fault::draw(&mut dice);
            println!("{:6.1} s {fault:?}", since.elapsed().as_secs_f64());
            fault.inject(&stage, &mut dice).await;
            stage.restart().await;
            tokio::time::sleep(Duration::from_millis(500 + dice.roll(2_500))).await;
            if Instant::now() > until {
                break;
            }
        }
        stage.check(seed).await;
    }
    conclude(&stage, seed, since, &stop, work).await;
}

/// The failpoints at which a process is killed.
const KILL_POINTS: [&str; 18] = [
    "sync-received",
    "sync-before-barrier",
    "sync-after-barrier",
    "sync-before-announcement",
    "sync-before-bulk",
    "sync-after-bulk",
    "sync-before-refresh",
    "sync-after-refresh",
    "sync-before-save",
    "sync-after-save",
    "sync-before-confirm",
    "sync-before-store",
    "sync-after-store",
    "sync-in-drain",
    "sync-in-fanout",
    "sync-in-rebuild",
    "sync-before-promotion",
    "sync-after-promotion",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "minutes long; bin/soak runs it"]
async fn nothing_is_lost_wherever_a_process_is_killed() {
    let (seed, since) = (Dice::seed("SOAK_SEED"), Instant::now());
    println!("SOAK_SEED={seed}");
    let stage = Arc::new(Stage::start(1).await);
    let stop = CancellationToken::new();
    let work = work(&stage, seed, &stop).await;
    let mut dice = Dice::new(seed);
    let mut unreached = Vec::new();
    for point in KILL_POINTS {
        // New generations are rare.
        let passes = if point.contains("promotion") { 0 } else { dice.roll(3) };
        let is_reached = stage.kill_at(point, passes).await;
        println!("{:6.1} s {point}: {}", since.elapsed().as_secs_f64(), if is_reached { "killed" } else { "not reached" });
        if !is_reached {
            unreached.push(point);
        }
        stage.check(seed).await;
    }
    conclude(&stage, seed, since, &stop, work).await;
    assert_eq!(unreached, Vec::<&str>::new());
}
