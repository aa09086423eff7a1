//! The order of locks: whatever is done at once, no transactions wait for each other in a circle.

use collections::auth::Role;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::app::TestApp;
use crate::harness::client::{Answer, Client};
use crate::harness::cluster::Cluster;
use crate::harness::database::Database;
use crate::harness::dice::Dice;
use crate::harness::eventually::eventually;

const WORKERS: u64 = 12;
const STEPS: usize = 120;

/// The addresses of a few records that everyone works on.
struct Records {
    customers: Vec<String>,
    accounts: Vec<String>,
    payments: Vec<String>,
}

impl Records {
    async fn create(client: &Client) -> Self {
        let id = |answer: Answer| answer.expect(201)["id"].as_str().unwrap().to_owned();
        let mut records = Self { customers: Vec::new(), accounts: Vec::new(), payments: Vec::new() };
        for n in 0..3 {
            let customer = id(client.post("/customers", &json!({ "name": format!("Customer {n}") })).await);
            for _ in 0..2 {
                records.accounts.push(id(client.post("/accounts", &json!({ "customerId": customer, "amountDue": 500 })).await));
            }
            records.customers.push(customer);
        }
        for _ in 0..6 {
            records.payments.push(id(client.post("/payments", &json!({ "amount": 1, "method": "cash" })).await));
        }
        records
    }

    /// Does one thing of those that lock several rows.
    async fn step(&self, client: &Client, dice: &mut Dice) -> Answer {
        let mut pick = |ids: &[String]| ids[usize::try_from(dice.roll(ids.len() as u64)).unwrap()].clone();
        let (customer, account, payment) = (pick(&self.customers), pick(&self.accounts), pick(&self.payments));
        let (other_customer, other_account, other_payment) = (pick(&self.customers), pick(&self.accounts), pick(&self.payments));
        let nothing = Value::Null;
        match dice.roll(14) {
            0..=1 => client.delete(&format!("/customers/{customer}?force=true")).await,
            2..=4 => client.post(&format!("/customers/{customer}/restore"), &nothing).await,
            5 => client.delete(&format!("/accounts/{account}")).await,
            6 => client.post(&format!("/accounts/{account}/restore"), &nothing).await,
            7..=8 => client.patch(&format!("/accounts/{account}"), &json!({ "customerId": customer })).await,
            9 => client.patch(&format!("/payments/{payment}"), &json!({ "accountId": account })).await,
            12 => {
                let items = [(&account, &customer), (&other_account, &other_customer)];
                let items = items.map(|(account, customer)| json!({ "id": account, "customerId": customer }));
                client.post("/accounts/bulk-update", &json!({ "items": items })).await
            }
            13 => {
                let items = [(&payment, &account), (&other_payment, &other_account)];
                let items = items.map(|(payment, account)| json!({ "id": payment, "accountId": account }));
                client.patch("/payments/batch", &json!({ "items": items })).await
            }
            10 => {
                client
                    .post(
                        &format!("/accounts/{account}/payments"),
                        &json!({ "amount": 1, "method": "cash", "status": "success" }),
                    )
                    .await
            }
            _ => client.patch(&format!("/customers/{customer}"), &json!({ "name": format!("Name {}", dice.roll(1_000)) })).await,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_mix_of_writes_ends_in_a_deadlock() {
    // So that Postgres looks for a circle long before a wait is given up.
    let cluster = Cluster::start_with("deadlock_timeout = 10ms").await;
    let test = TestApp::start_api_on(Database::create_on(cluster.url()).await).await;
    let manager = test.client(Role::Manager).await;
    let records = Records::create(&manager).await;
    let seed = Dice::seed("LOCKS_SEED");
    let work = (0..WORKERS).map(async |worker| {
        let mut dice = Dice::new(seed.wrapping_add(worker));
        let mut done = 0;
        for _ in 0..STEPS {
            let answer = records.step(&manager, &mut dice).await;
            // On a busy machine a wait may be given up.
            let is_expected = [200, 201, 204, 404, 409, 422].contains(&answer.status) || answer.code() == "contended";
            assert!(is_expected, "LOCKS_SEED={seed}: {} {}", answer.status, answer.body);
            done += usize::from(answer.status < 300);
        }
        done
    });
    let done: usize = join_all(work).await.into_iter().sum();
    assert!(done > STEPS, "most of the work is refused");
    let log = cluster.log();
    let circles: Vec<&str> = log.lines().filter(|line| line.contains("deadlock detected")).collect();
    assert_eq!(circles, [""; 0], "LOCKS_SEED={seed}: {log}");
    // Sessions tell what they have counted once they are idle.
    let counted = "select xact_commit, deadlocks from pg_stat_database where datname = current_database()";
    eventually("the statistics are complete", async || {
        let (commits, deadlocks): (i64, i64) = sqlx::query_as(counted).fetch_one(&test.database.pool).await.unwrap();
        assert_eq!(deadlocks, 0, "LOCKS_SEED={seed}");
        commits > i64::try_from(done).unwrap()
    })
    .await;
}
