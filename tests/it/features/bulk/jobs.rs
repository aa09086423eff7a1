//! Changes of more records than a client waits for: jobs, exactly once whatever is killed.

use std::time::Duration;

use collections::auth::Role;
use collections::jobs::State;
use collections::values::ids::{JobId, new};
use serde_json::{Value, json};

use super::{accounts, id, own_id, start};
use crate::harness::amount::amount;
use crate::harness::app::TestApp;
use crate::harness::client::Client;
use crate::harness::database::Database;
use crate::harness::dice::Dice;
use crate::harness::eventually::eventually;
use crate::harness::socket::Socket;
use crate::jobs::kinds::{Process, Workers, job, until};

/// Inserts accounts of one customer; their ids in order.
async fn many(database: &Database, count: i32) -> Vec<String> {
    let customer = new();
    let inserted = "with owner as (insert into customers (id, name) values ($1, 'Ann Autumn') returning id)
        insert into accounts (id, customer_id, currency)
        select ('00000000-0000-7000-8000-' || lpad(number::text, 12, '0'))::uuid, owner.id, 'EUR'
        from owner, generate_series(1, $2) as number
        returning id::text";
    let mut ids: Vec<String> = sqlx::query_scalar(inserted).bind(customer).bind(count).fetch_all(&database.pool).await.unwrap();
    ids.sort();
    ids
}

async fn run(database: &Database, sql: &str) -> u64 {
    sqlx::query(sqlx::AssertSqlSafe(sql.to_owned())).execute(&database.pool).await.unwrap().rows_affected()
}

async fn count(database: &Database, what: &str) -> i64 {
    sqlx::query_scalar(sqlx::AssertSqlSafe(format!("select count(*) from {what}"))).fetch_one(&database.pool).await.unwrap()
}

/// Sends a bulk change of accounts that becomes a job.
async fn begin(client: &Client, body: &Value) -> JobId {
    let answer = client.post("/accounts/bulk-update", body).await;
    let location = answer.header("location").to_owned();
    let begun = answer.expect(202);
    let job = begun["jobId"].as_str().unwrap();
    assert_eq!(location, format!("/api/v1/jobs/{job}"));
    job.parse().unwrap()
}

async fn ended(test: &TestApp, id: JobId) -> Value {
    eventually("the job has ended", async || job(&test.database, id).await.status.is_finished()).await;
    test.admin().await.get(&format!("/jobs/{id}")).await.expect(200)
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_a_hundred_records_or_a_client_that_does_not_wait_make_a_job() {
    let test = start().await;
    let (manager, agent) = (test.client(Role::Manager).await, test.agent().await);
    let ids = many(&test.database, 1_203).await;
    let assignee = own_id(&agent).await;
    let assign = json!({ "ids": ids[..101], "set": { "assigneeId": assignee, "custom": { "n": 1 } } });
    let first = begin(&manager, &assign).await;
    let one = json!({ "ids": ids[..1], "set": { "status": "paused" } });
    let one = manager.with("prefer", "respond-async").post("/accounts/bulk-update", &one).await;
    assert_eq!((one.status, one.header("preference-applied")), (202, "respond-async"));
    let keyed = manager.with("idempotency-key", "once").with("prefer", "return=minimal, respond-async");
    let filter = json!({ "filter": {}, "expected": 1_203, "set": { "portfolio": "north" } });
    let all = keyed.post("/accounts/bulk-update", &filter).await;
    let again = keyed.post("/accounts/bulk-update", &filter).await;
    assert_eq!((all.status, again.status, all.header("location")), (202, 202, again.header("location")));
    assert_eq!(count(&test.database, "jobs").await, 3);
    let waiting = manager.get(&format!("/jobs/{first}")).await.expect(200);
    assert_eq!(
        (&waiting["status"], &waiting["total"], &waiting["kind"]),
        (&json!("queued"), &json!(101), &json!("change_accounts"))
    );

    let _workers = Workers::start(&test.database);
    let done = until(&test.database, first, State::Succeeded).await;
    assert_eq!((done.total, done.succeeded, done.failed), (Some(101), 101, 0));
    let filtered: JobId = all.header("location").rsplit('/').next().unwrap().parse().unwrap();
    until(&test.database, filtered, State::Succeeded).await;
    let of_job = format!("accounts where assignee_id = '{assignee}' and custom::text = '{{\"n\":1}}'");
    assert_eq!(count(&test.database, &of_job).await, 101);
    assert_eq!(count(&test.database, "accounts where portfolio = 'north'").await, 1_203);
    let logged = format!("audit_log where request = 'job-{first}' and actor = '{}'", own_id(&manager).await);
    assert_eq!(count(&test.database, &logged).await, 101);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_bad_record_is_named_and_a_retry_after_mending_changes_it() {
    let test = start().await;
    let manager = test.client(Role::Manager).await;
    let records: usize = std::env::var("BULK_RECORDS").map_or(2_000, |count| count.parse().unwrap());
    let ids = many(&test.database, i32::try_from(records).unwrap()).await;
    let all = records - 1;
    let (absent, ghost) = (|n: usize| format!("00000000-0000-7000-9000-{n:012}"), new());
    run(&test.database, &format!("update accounts set account_number = 'TAKEN' where id = '{}'", ids[all])).await;
    // Of every 133: a deleted one, one that is not there, an unknown user, a number that is taken, a version to come.
    let items: Vec<Value> = (0..all)
        .map(|at| match at % 133 {
            1 => json!({ "id": absent(at), "creditor": "ACME" }),
            2 => json!({ "id": ids[at], "assigneeId": ghost }),
            3 if at == 3 => json!({ "id": ids[at], "accountNumber": "TAKEN" }),
            4 => json!({ "id": ids[at], "version": 99, "creditor": "ACME" }),
            _ => json!({ "id": ids[at], "creditor": "ACME" }),
        })
        .collect();
    let deleted: Vec<&String> = ids.iter().skip(5).step_by(133).collect();
    let deleting = "update accounts set deleted_at = now() where id::text = any($1)";
    sqlx::query(deleting).bind(&deleted).execute(&test.database.pool).await.unwrap();
    let id = begin(&manager, &json!({ "items": items })).await;
    let _workers = Workers::start(&test.database);
    let partial = ended(&test, id).await;
    let of = |rest: usize| (0..all).filter(|at| at % 133 == rest).count();
    let bad = [1, 2, 4, 5].map(of).iter().sum::<usize>() + 1;
    assert_eq!((&partial["status"], &partial["total"]), (&json!("partial"), &json!(all)), "{partial}");
    let listed = manager.get(&format!("/jobs/{id}/items?limit=1000")).await.expect(200);
    let mut codes = std::collections::BTreeMap::new();
    for item in listed["data"].as_array().unwrap() {
        *codes.entry(item["code"].as_str().unwrap().to_owned()).or_insert(0) += 1;
    }
    let failed = usize::try_from(partial["failed"].as_i64().unwrap()).unwrap();
    assert_eq!(failed, listed["data"].as_array().unwrap().len());
    assert_eq!(failed, bad, "{codes:?}");
    assert_eq!(codes.keys().map(String::as_str).collect::<Vec<_>>(), ["duplicate", "invalid", "not_found", "stale"]);
    let changed = i64::try_from(all - failed).unwrap();
    assert_eq!(partial["succeeded"], changed);
    assert_eq!(count(&test.database, "accounts where creditor = 'ACME'").await, changed);

    run(&test.database, "update accounts set deleted_at = null where deleted_at is not null").await;
    run(&test.database, "update accounts set account_number = 'FREE' where account_number = 'TAKEN'").await;
    run(
        &test.database,
        &format!("insert into users (id, username, role, password_hash) values ('{ghost}', 'ghost', 'agent', 'x')"),
    )
    .await;
    let insert = format!(
        "insert into accounts (id, customer_id, currency)
        select item::uuid, (select id from customers limit 1), 'EUR' from job_items where job_id = '{id}' and item like '%-9000-%'"
    );
    assert!(run(&test.database, &insert).await > 10);
    run(&test.database, "alter table accounts disable trigger user").await;
    run(&test.database, &format!("update accounts set version = 99 where id::text in (select item from job_items where job_id = '{id}' and code = 'stale')")).await;
    run(&test.database, "alter table accounts enable trigger user").await;
    manager.post(&format!("/jobs/{id}/retry"), &json!({})).await.expect(200);
    let done = until(&test.database, id, State::Succeeded).await;
    assert_eq!((done.total, done.succeeded, done.failed), (i64::try_from(all).ok(), i64::try_from(all).unwrap(), 0));
    assert_eq!(count(&test.database, &format!("accounts where assignee_id = '{ghost}'")).await, i64::try_from(of(2)).unwrap());
    assert_eq!(count(&test.database, "accounts where account_number = 'TAKEN' and creditor is null").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_sees_how_a_bulk_change_progresses_and_ends() {
    let test = TestApp::start().await;
    let token = test.token(Role::Manager).await;
    let manager = test.anonymous().with_token(&token);
    let mut ids = many(&test.database, 1_499).await;
    ids.push(new().to_string());
    let mut socket = Socket::of(&test, &token).await;
    let id = begin(&manager, &json!({ "ids": ids, "set": { "creditor": "ACME" } })).await;
    let _workers = Workers::start(&test.database);
    let mut processed = 0;
    loop {
        let event = socket.event().await;
        let data = &event["data"];
        assert_eq!((&event["event"], &data["jobId"]), (&json!("job.progress"), &json!(id)));
        assert!(data["processed"].as_i64().unwrap() >= processed, "{event}");
        processed = data["processed"].as_i64().unwrap();
        if data["status"] == "partial" {
            break assert_eq!((&data["total"], &data["succeeded"], &data["failed"]), (&json!(1_500), &json!(1_499), &json!(1)));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_does_no_more_than_its_user_may_when_it_runs() {
    let test = start().await;
    let (admin, manager) = (test.admin().await, test.client(Role::Manager).await);
    let ids = many(&test.database, 150).await;
    let body = json!({ "ids": ids, "set": { "status": "written_off" } });
    let (demoted, disabled) = (own_id(&manager).await, test.client(Role::Manager).await);
    let first = begin(&manager, &body).await;
    let second = begin(&disabled, &body).await;
    // An agent may change accounts, and does not write them off.
    admin.patch(&format!("/users/{demoted}"), &json!({ "role": "agent" })).await.expect(200);
    admin.post(&format!("/users/{}/disable", own_id(&disabled).await), &json!({})).await;
    let users = "update users set disabled_at = now() where id = $1::uuid and disabled_at is null";
    let owner = job(&test.database, second).await.created_by.unwrap();
    sqlx::query(users).bind(owner).execute(&test.database.pool).await.unwrap();
    let _workers = Workers::start(&test.database);
    let refused = until(&test.database, first, State::Failed).await;
    assert_eq!((refused.failed, refused.error.as_deref()), (150, Some("every item failed")));
    let ended = until(&test.database, second, State::Failed).await;
    assert_eq!((ended.processed, ended.error.as_deref()), (0, Some("this needs the permission edit")));
    assert_eq!(count(&test.database, "accounts where status <> 'open'").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_bulk_changes_of_the_same_versions_one_wins_each_record() {
    let test = start().await;
    let manager = test.client(Role::Manager).await;
    let ids = many(&test.database, 1_200).await;
    let items = |creditor: &str, ids: &mut dyn Iterator<Item = &String>| {
        let items: Vec<Value> = ids.map(|id| json!({ "id": id, "version": 1, "creditor": creditor })).collect();
        json!({ "items": items })
    };
    let one = begin(&manager, &items("ONE", &mut ids.iter())).await;
    let other = begin(&manager, &items("OTHER", &mut ids.iter().rev())).await;
    // Without a version, the later change wins.
    let third = begin(&manager, &json!({ "filter": {}, "expected": 1_200, "set": { "product": "loan" } })).await;
    let _workers = [Workers::start(&test.database), Workers::start(&test.database)];
    let (one, other) = (ended(&test, one).await, ended(&test, other).await);
    assert_eq!(until(&test.database, third, State::Succeeded).await.succeeded, 1_200);
    let sum = |name: &str| one[name].as_i64().unwrap() + other[name].as_i64().unwrap();
    // Where the third came first, both have lost.
    let won = count(&test.database, "accounts where creditor is not null").await;
    assert_eq!((sum("succeeded"), sum("failed")), (won, 2_400 - won), "{one} {other}");
    assert_eq!(count(&test.database, "job_items where code <> 'stale'").await, 0);
    assert_eq!(count(&test.database, "accounts where product = 'loan'").await, 1_200);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_record_is_changed_once_whenever_a_worker_is_killed() {
    let kills = amount("JOBS_KILLS").unwrap_or(20);
    let test = start().await;
    let manager = test.client(Role::Manager).await;
    many(&test.database, 6_000).await;
    let seed = Dice::seed("JOBS_SEED");
    let mut dice = Dice::new(seed);
    let mut jobs = Vec::new();
    let mut process = Process::start(&test.database);
    for kill in 0..kills {
        let is_over = match jobs.last() {
            Some(last) => job(&test.database, *last).await.status.is_finished(),
            None => true,
        };
        if is_over {
            let body = json!({ "filter": {}, "expected": 6_000, "set": { "portfolio": format!("batch {kill}") } });
            jobs.push(begin(&manager, &body).await);
        }
        let last = *jobs.last().unwrap();
        eventually("a worker works", async || job(&test.database, last).await.status != State::Queued).await;
        // A job fails once every attempt was killed, and on a busy machine no attempt may finish a chunk before the kill.
        if kill % 4 == 3 {
            let before = job(&test.database, last).await.processed;
            eventually("a chunk is done", async || {
                let now = job(&test.database, last).await;
                now.processed > before || now.status.is_finished()
            })
            .await;
        }
        tokio::time::sleep(Duration::from_millis(dice.roll(400))).await;
        let killed = std::mem::replace(&mut process, Process::start(&test.database));
        killed.kill().await;
    }
    for id in &jobs {
        let done = until(&test.database, *id, State::Succeeded).await;
        assert_eq!((done.total, done.succeeded, done.failed), (Some(6_000), 6_000, 0), "JOBS_SEED={seed}");
        let logged = format!("audit_log where request = 'job-{id}'");
        assert_eq!(count(&test.database, &logged).await, 6_000, "JOBS_SEED={seed}: each is changed once");
    }
    let expected = i64::try_from(jobs.len()).unwrap() + 1;
    assert_eq!(count(&test.database, &format!("accounts where version <> {expected}")).await, 0, "JOBS_SEED={seed}");
    process.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bulk_change_is_paused_resumed_and_cancelled_between_chunks() {
    let test = start().await;
    let manager = test.client(Role::Manager).await;
    many(&test.database, 3_000).await;
    let body = |creditor: &str| json!({ "filter": {}, "expected": 3_000, "set": { "creditor": creditor } });
    let (paused, cancelled) = (begin(&manager, &body("ONE")).await, begin(&manager, &body("OTHER")).await);
    for (id, command) in [(paused, "pause"), (cancelled, "cancel")] {
        manager.post(&format!("/jobs/{id}/{command}"), &json!({})).await.expect(200);
    }
    let _workers = Workers::start(&test.database);
    assert_eq!(job(&test.database, paused).await.processed, 0);
    manager.post(&format!("/jobs/{paused}/resume"), &json!({})).await.expect(200);
    until(&test.database, paused, State::Succeeded).await;
    assert_eq!(count(&test.database, "accounts where creditor = 'ONE'").await, 3_000);
    assert_eq!(count(&test.database, "accounts where creditor = 'OTHER'").await, 0);
    let small = accounts(&manager, 1).await;
    let answer = manager.post("/accounts/bulk-update", &json!({ "ids": small, "set": { "creditor": "SMALL" } })).await;
    assert_eq!(id(&answer.expect(200)["results"][0]), small[0]);
}
