//! The notifier is killed: each user is told once all the same.

use std::process::Stdio;
use std::time::Duration;

use collections::auth::Role;
use collections::worker;
use serde_json::json;
use tokio::process::{Child, Command};

use super::{account_of, list, person, tell};
use crate::harness::amount::amount;
use crate::harness::app::TestApp;
use crate::harness::database::Database;
use crate::harness::dice::Dice;
use crate::jobs::kinds::open;

/// Names the database to the process of a notifier.
const DATABASE: &str = "IT_NOTIFIER_DATABASE";

/// A worker without a feed, in a process of its own.
fn start(database: &Database, failpoints: &str) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "notifications::kills::a_notifier_process_tells_until_it_is_killed", "--nocapture"])
        .env(DATABASE, &database.url)
        .env("FAILPOINTS", failpoints)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    command.spawn().unwrap()
}

/// What [`start`] runs; does nothing in a run of the suite.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_notifier_process_tells_until_it_is_killed() {
    let Ok(url) = std::env::var(DATABASE) else { return };
    let _scenario = fail::FailScenario::setup();
    Box::pin(worker::run(open(&url))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn each_payment_is_told_of_once_however_often_the_notifier_is_killed() {
    let kills = amount("NOTIFIER_KILLS").unwrap_or(12);
    let test = TestApp::start_api(&[]).await;
    let (manager, agent) = (person(&test, Role::Manager).await, person(&test, Role::Agent).await);
    let account = account_of(&manager.client, &agent.id).await;
    let mut dice = Dice::new(Dice::seed("NOTIFIER_SEED"));
    let pay = json!({ "amount": 1, "method": "cash", "status": "success" });
    let mut payments = 0;
    for kill in 0..kills {
        // Every third is killed at any time.
        let mut process = start(&test.database, ["notifier-written=return", "notifier-committed=return", ""][kill % 3]);
        for _ in 0..5 {
            manager.client.post(&format!("/accounts/{account}/payments"), &pay).await.expect(201);
            payments += 1;
            tokio::time::sleep(Duration::from_millis(dice.roll(120))).await;
        }
        process.kill().await.unwrap();
    }
    tell(&test).await;
    let told = list(&agent).await;
    let mut subjects: Vec<String> =
        told.iter().filter(|one| one["kind"] == "payment.received").map(|one| one["subject"].to_string()).collect();
    subjects.sort();
    subjects.dedup();
    assert_eq!((subjects.len(), told.len()), (payments, payments + 1), "each once, and the assignment");
}
