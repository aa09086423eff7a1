//! What users are told.

use collections::auth::Role;
use collections::jobs::{self, Terms};
use collections::notifications::{RemoveOldNotifications, TellOverdue};
use collections::values::ids::UserId;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection};

use super::{Person, account_of, kinds, list, person, tell};
use crate::harness::app::TestApp;
use crate::harness::eventually::eventually;

async fn run(test: &TestApp, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&test.database.pool).await.unwrap();
}

#[tokio::test]
async fn each_user_is_told_of_what_others_have_done_and_only_of_that() {
    let test = TestApp::start_api(&[]).await;
    let (manager, agent, other) =
        (person(&test, Role::Manager).await, person(&test, Role::Agent).await, person(&test, Role::Agent).await);
    let account = account_of(&manager.client, &agent.id).await;
    let pay = json!({ "amount": 30, "method": "cash" });
    let payment = manager.client.post(&format!("/accounts/{account}/payments"), &pay).await.expect(201);
    tell(&test).await;
    assert_eq!(kinds(&list(&agent).await), ["account.assigned"], "money that is pending has not come");
    let payment = format!("/payments/{}", payment["id"].as_str().unwrap());
    manager.client.patch(&payment, &json!({ "status": "success" })).await.expect(200);
    tell(&test).await;
    let told = list(&agent).await;
    assert_eq!(kinds(&told), ["payment.received", "account.assigned"]);
    assert_eq!((&told[0]["amount"], &told[0]["currency"], &told[0]["count"]), (&json!(30.0), &json!("EUR"), &json!(1)));
    assert_eq!(told[0]["link"], format!("/api/v1{payment}"));
    assert!(told[0]["text"].as_str().unwrap().contains("Jane Smith"), "{}", told[0]);
    assert!(list(&manager).await.is_empty(), "what one does oneself is no news");
    assert!(list(&other).await.is_empty());

    // What has no assignee is for managers, and so are new customers and locked users, though they are unlocked at once.
    agent.client.post("/payments", &json!({ "amount": 5, "method": "cash", "status": "success" })).await.expect(201);
    agent.client.post("/customers", &json!({ "name": "Ann Miller" })).await.expect(201);
    let of_agent = format!("where id = '{}'", agent.id.as_str().unwrap());
    run(
        &test,
        &format!(
            "begin;
            update users set locked_until = now() + interval '1 hour' {of_agent};
            update users set name = 'Jane Miller' {of_agent};
            update users set locked_until = null {of_agent};
            commit"
        ),
    )
    .await;
    tell(&test).await;
    assert_eq!(kinds(&list(&manager).await), ["user.locked", "customer.created", "payment.received"]);
    assert_eq!(list(&agent).await.len(), 2);
    // Told again of nothing.
    run(&test, "update notifier set done = '0'").await;
    tell(&test).await;
    assert_eq!((list(&agent).await.len(), list(&manager).await.len(), list(&other).await.len()), (2, 3, 0));
}

#[tokio::test]
async fn what_one_transaction_or_job_has_done_is_one_notification() {
    let test = TestApp::start_api(&[]).await;
    let (manager, agent) = (person(&test, Role::Manager).await, person(&test, Role::Agent).await);
    let account = account_of(&manager.client, &agent.id).await;
    tell(&test).await;
    // In psql.
    run(
        &test,
        &format!(
            "begin;
            insert into payments (id, account_id, amount, currency, method, status)
            select gen_random_uuid(), '{account}', 100, 'EUR', 'cash', 'success' from generate_series(1, 3000);
            commit"
        ),
    )
    .await;
    tell(&test).await;
    let job = enqueue(&test, &agent).await;
    // A job's own changes; its id is that of the request.
    run(
        &test,
        &format!(
            "begin; set local collections.request = '{job}';
            insert into customers (id, name) select gen_random_uuid(), 'C' from generate_series(1, 10);
            commit;
            update jobs set state = 'partial', finished_at = now() where id = '{job}'"
        ),
    )
    .await;
    tell(&test).await;
    let told = list(&agent).await;
    assert_eq!(kinds(&told), ["job.ended", "payment.received", "account.assigned"]);
    assert_eq!(told[1]["text"], "3000 payments came, 3000.00 EUR in all");
    assert_eq!((&told[0]["state"], &told[0]["subject"]), (&json!("partial"), &json!(job)));
    assert!(list(&manager).await.is_empty());
}

/// A job of a user that no worker takes: its id.
async fn enqueue(test: &TestApp, by: &Person) -> String {
    let mut connection = test.database.pool.acquire().await.unwrap();
    let mut transaction = connection.begin().await.unwrap();
    let by = UserId(by.id.as_str().unwrap().parse().unwrap());
    let job = jobs::enqueue(&mut transaction, &TellOverdue {}, Terms::default().by(by)).await.unwrap();
    transaction.commit().await.unwrap();
    job.id().to_string()
}

#[tokio::test]
async fn an_overdue_debt_is_told_once_for_each_due_date() {
    let test = TestApp::start_api(&[]).await;
    let (manager, agent) = (person(&test, Role::Manager).await, person(&test, Role::Agent).await);
    let account = account_of(&manager.client, &agent.id).await;
    let unassigned = json!({ "customer": { "name": "Bob" }, "amountDue": 5, "currency": "USD" });
    let unassigned = manager.client.post("/accounts", &unassigned).await.expect(201)["id"].clone();
    run(&test, "update accounts set due_date = (now() at time zone 'UTC')::date - 1").await;
    tell(&test).await;
    let worker = tokio::spawn(jobs::run(test.app.clone(), collections::worker::kinds(), Vec::new()));
    let tell_overdue = async || {
        let job = enqueue(&test, &agent).await;
        eventually("the job has ended", async || {
            manager.client.get(&format!("/jobs/{job}")).await.expect(200)["status"] == "succeeded"
        })
        .await;
    };
    let overdue = async |person: &Person| {
        let told = list(person).await;
        told.into_iter().filter(|one| one["kind"] == "payment.overdue").map(|one| one["subject"].clone()).collect::<Vec<_>>()
    };
    for _ in 0..2 {
        tell_overdue().await;
        assert_eq!((overdue(&agent).await, overdue(&manager).await), (vec![json!(account)], vec![unassigned.clone()]));
    }
    run(&test, &format!("update accounts set due_date = due_date - 1 where id = '{account}'")).await;
    tell_overdue().await;
    assert_eq!(overdue(&agent).await.len(), 2);
    // What is long overdue, paid or closed is no news.
    run(&test, "update accounts set due_date = due_date - 30").await;
    tell_overdue().await;
    assert_eq!((overdue(&agent).await.len(), overdue(&manager).await.len()), (2, 1));

    run(&test, "update notifications set created_at = now() - interval '91 days' where kind = 'payment.overdue'").await;
    let mut connection = test.database.pool.acquire().await.unwrap();
    let mut transaction = connection.begin().await.unwrap();
    jobs::enqueue(&mut transaction, &RemoveOldNotifications {}, Terms::default()).await.unwrap();
    transaction.commit().await.unwrap();
    eventually("old ones are removed", async || overdue(&agent).await.is_empty()).await;
    assert!(!list(&agent).await.is_empty(), "newer ones stay");
    test.app.stop.cancel();
    worker.await.unwrap().unwrap();
}

#[tokio::test]
async fn accounts_whose_assignee_cannot_read_are_for_managers() {
    let test = TestApp::start_api(&[]).await;
    let (manager, agent) = (person(&test, Role::Manager).await, person(&test, Role::Agent).await);
    let (gone, blind) = (person(&test, Role::Agent).await, person(&test, Role::Viewer).await);
    let mut accounts = Vec::new();
    for assignee in [&gone.id, &blind.id, &agent.id] {
        accounts.push(account_of(&manager.client, assignee).await);
    }
    tell(&test).await;
    run(&test, &format!("update users set disabled_at = now() where id = '{}'", gone.id.as_str().unwrap())).await;
    run(&test, "delete from permissions where role = 'viewer' and permission = 'read'").await;
    run(&test, "update accounts set due_date = (now() at time zone 'UTC')::date - 1").await;
    for account in &accounts {
        let sql = format!(
            "insert into payments (id, account_id, amount, currency, method, status)
            values (gen_random_uuid(), '{account}', 100, 'EUR', 'cash', 'success')"
        );
        run(&test, &sql).await;
    }
    tell(&test).await;
    let worker = tokio::spawn(jobs::run(test.app.clone(), collections::worker::kinds(), Vec::new()));
    let job = enqueue(&test, &agent).await;
    eventually("the job has ended", async || {
        manager.client.get(&format!("/jobs/{job}")).await.expect(200)["status"] == "succeeded"
    })
    .await;
    let told = list(&manager).await;
    assert_eq!(kinds(&told), ["payment.overdue", "payment.overdue", "payment.received", "payment.received"]);
    let mut overdue = [&told[0]["subject"], &told[1]["subject"]].map(|subject| subject.as_str().unwrap());
    overdue.sort_unstable();
    accounts[..2].sort_unstable();
    assert_eq!(overdue, accounts[..2]);
    let told = list(&agent).await;
    let told: Vec<&str> = kinds(&told).into_iter().filter(|kind| kind.starts_with("payment.")).collect();
    assert_eq!(told, ["payment.overdue", "payment.received"]);
    let others: i64 =
        sqlx::query_scalar("select count(*) from notifications where user_id::text = any($1) and kind like 'payment.%'")
            .bind([&gone, &blind].map(|person| person.id.as_str().unwrap().to_owned()))
            .fetch_one(&test.database.pool)
            .await
            .unwrap();
    assert_eq!(others, 0);
    test.app.stop.cancel();
    worker.await.unwrap().unwrap();
}

#[tokio::test]
async fn overdue_debts_without_anyone_to_tell_end_no_job_before_those_behind_them() {
    let test = TestApp::start_api(&[]).await;
    let (manager, agent) = (person(&test, Role::Manager).await, person(&test, Role::Agent).await);
    let account = account_of(&manager.client, &agent.id).await;
    // Balances that no ledger entry has made.
    run(&test, "alter table accounts disable trigger user").await;
    run(
        &test,
        "insert into accounts (id, customer_id, currency, balance)
        select ('00000000-0000-7000-8000-' || lpad(number::text, 12, '0'))::uuid, c.id, 'EUR', 100
        from (select id from customers limit 1) c, generate_series(1, 500) as number",
    )
    .await;
    run(&test, "alter table accounts enable trigger user").await;
    run(&test, "update accounts set due_date = (now() at time zone 'UTC')::date - 1").await;
    run(&test, "update users set disabled_at = now() where role in ('manager', 'admin')").await;
    let worker = tokio::spawn(jobs::run(test.app.clone(), collections::worker::kinds(), Vec::new()));
    enqueue(&test, &agent).await;
    eventually("the agent is told", async || {
        list(&agent).await.iter().any(|one| one["kind"] == "payment.overdue" && one["subject"] == json!(account))
    })
    .await;
    test.app.stop.cancel();
    worker.await.unwrap().unwrap();
}
