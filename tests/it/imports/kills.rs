//! Workers are killed while they import: each row is imported once, and none is left out.

use std::time::Duration;

use collections::imports::Target;
use collections::imports::run::Task;
use collections::imports::store::State;
use collections::jobs;

use super::harness::{Importer, counts, start, wish};
use crate::harness::amount::amount;
use crate::harness::dice::Dice;
use crate::harness::eventually::eventually;
use crate::jobs::kinds::{Process, job, until};

/// About what is imported between two kills, so that most of them hit an import under way.
const ROWS_PER_KILL: u64 = 600;

#[tokio::test(flavor = "multi_thread")]
async fn every_row_is_imported_once_however_often_its_worker_is_killed() {
    let kills = amount("IMPORT_KILLS").unwrap_or(25);
    let total = kills * ROWS_PER_KILL;
    let importer = Importer::open().await;
    let seed = Dice::seed("IMPORTS_SEED");
    let mut dice = Dice::new(seed);
    let rows: String = (0..total).map(|at| format!("{at},Ann {at},+1 415 555 {:04},A-{at},{at}\n", at % 10_000)).collect();
    let file = format!("id,name,phone,account,balance\n{rows}");
    let import = importer.store(wish(Target::Customers), file).await.unwrap();
    let id = start(&importer.app, import.id, Task::Commit).await.unwrap();
    let mut interrupted = 0;
    for kill in 0..kills {
        let before = job(&importer.database, id).await;
        let process = Process::start(&importer.database);
        tokio::time::sleep(Duration::from_millis(400 + dice.roll(1_000))).await;
        // A job whose worker dies again and again without progress is given up, and on a busy machine a start may take as long.
        if kill % 2 == 1 {
            eventually("the import goes on", async || {
                let now = job(&importer.database, id).await;
                now.processed > before.processed || now.status.is_finished()
            })
            .await;
        }
        process.kill().await;
        interrupted += usize::from(!job(&importer.database, id).await.status.is_finished());
    }
    let _last = Process::start(&importer.database);
    let ended = until(&importer.database, id, jobs::State::Succeeded).await;
    let all = i64::try_from(total).unwrap();
    assert_eq!((ended.total, ended.processed, ended.failed), (Some(all), all, 0), "seed {seed}");
    let import = importer.find(import.id).await;
    assert_eq!((import.state, *import.committed), (State::Committed, counts(total, 0, 0, 0)), "seed {seed}");
    for table in ["customers", "contact_points", "accounts"] {
        assert_eq!(importer.count(table).await, all, "{table}, seed {seed}");
    }
    assert_eq!(importer.count("ledger_entries").await, all - 1, "one owes nothing; seed {seed}");
    println!("{kills} kills, {interrupted} of them while {total} rows were imported: each is there once, seed {seed}");
    assert!(interrupted > 2, "the kills hit an import under way: {interrupted}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_import_keeps_what_is_done_and_goes_on_when_it_is_committed_again() {
    let importer = Importer::open().await;
    let rows: String = (0..3_000).map(|at| format!("{at},Ann {at}\n")).collect();
    let import = importer.store(wish(Target::Customers), format!("id,name\n{rows}")).await.unwrap();
    let id = start(&importer.app, import.id, Task::Commit).await.unwrap();
    let process = Process::start(&importer.database);
    eventually("rows are imported", async || job(&importer.database, id).await.processed > 0).await;
    let mut transaction = importer.app.db.server.begin().await.unwrap();
    jobs::store::command(&mut transaction, id, jobs::store::Command::Cancel).await.ok();
    transaction.commit().await.unwrap();
    eventually("the job ends", async || job(&importer.database, id).await.status.is_finished()).await;
    process.kill().await;
    let half = importer.find(import.id).await;
    assert_eq!(i64::try_from(half.committed.created).unwrap(), importer.count("customers").await);
    if half.state == State::Cancelled {
        importer.work(import.id, Task::Commit).await;
    }
    let done = importer.find(import.id).await;
    assert_eq!((done.state, *done.committed), (State::Committed, counts(3_000, 0, 0, 0)));
    assert_eq!(importer.count("customers").await, 3_000);
}
