//! A change is heard once and in order, from wherever it comes, and as its reader may see it.

use collections::auth::Role;
use collections::jobs::{self, Terms};
use collections::notifications::{self, TellOverdue};
use collections::worker;
use serde_json::json;

use crate::harness::app::{TestApp, redis_url};
use crate::harness::eventually::eventually;
use crate::harness::socket::{Socket, about};

#[tokio::test]
async fn changes_are_heard_once_and_in_order_from_wherever_they_come() {
    let test = TestApp::start().await;
    let token = test.token(Role::Agent).await;
    let agent = test.anonymous().with_token(&token);
    let mut socket = Socket::of(&test, &token).await;
    assert_eq!(socket.subscribe(&["customers"]).await["type"], "subscribed");

    let created = agent.post("/customers", &json!({ "name": "Ada Lovelace" })).await.expect(201);
    let id = created["id"].as_str().unwrap().to_owned();
    let event = socket.event().await;
    assert_eq!(about(&event), ("customer.created".into(), id.clone()));
    assert_eq!(event["data"], agent.get(&format!("/customers/{id}")).await.expect(200), "as its own address shows it");

    sqlx::query("update customers set name = 'Grace Hopper'").execute(&test.database.pool).await.unwrap();
    let event = socket.event().await;
    assert_eq!((about(&event), &event["data"]["name"]), (("customer.updated".into(), id.clone()), &json!("Grace Hopper")));

    let manager = test.client(Role::Manager).await;
    manager.delete(&format!("/customers/{id}")).await.expect(204);
    let event = socket.event().await;
    assert_eq!((about(&event), &event["data"]), (("customer.deleted".into(), id.clone()), &json!({ "id": id })));
    manager.post(&format!("/customers/{id}/restore"), &json!({})).await.expect(200);
    assert_eq!(about(&socket.event().await), ("customer.updated".into(), id.clone()));
    sqlx::query("delete from customers").execute(&test.database.pool).await.unwrap();
    assert_eq!(about(&socket.event().await), ("customer.deleted".into(), id));
    socket.expect_silence().await;
}

#[tokio::test]
async fn a_client_hears_of_its_topics_and_no_others() {
    let test = TestApp::start().await;
    let token = test.token(Role::Agent).await;
    let agent = test.anonymous().with_token(&token);
    let new = json!({ "customer": { "name": "Ann" }, "amountDue": 100, "currency": "EUR" });
    let [one, other] = [agent.post("/accounts", &new).await.expect(201), agent.post("/accounts", &new).await.expect(201)];
    let mut silent = Socket::of(&test, &token).await;
    let mut socket = Socket::of(&test, &token).await;
    let topic = format!("account:{}", one["id"].as_str().unwrap());
    socket.subscribe(&[&topic]).await;
    test.settle().await;
    let pay = async |account: &serde_json::Value, status: &str| {
        let payment = json!({ "amount": 10, "method": "cash", "status": status });
        agent.post(&format!("/accounts/{}/payments", account["id"].as_str().unwrap()), &payment).await.expect(201)
    };
    pay(&other, "success").await;
    let payment = pay(&one, "pending").await;
    let id = payment["id"].as_str().unwrap().to_owned();
    assert_eq!(about(&socket.event().await), ("payment.created".into(), id.clone()));
    agent.patch(&format!("/payments/{id}"), &json!({ "status": "success" })).await.expect(200);
    let mut heard = Vec::new();
    while heard.len() < 3 {
        heard.push(about(&socket.event().await).0);
    }
    heard.sort();
    assert_eq!(heard, ["account.updated", "payment.received", "payment.updated"]);
    agent.patch(&format!("/payments/{id}"), &json!({ "description": "rate 1" })).await.expect(200);
    assert_eq!(about(&socket.event().await), ("payment.updated".into(), id), "the money comes once");
    socket.say(&json!({ "type": "unsubscribe", "topics": [topic] })).await;
    assert_eq!(socket.hear().await["topics"].as_array().unwrap().len(), 1);
    pay(&one, "success").await;
    socket.expect_silence().await;
    silent.expect_silence().await;
}

#[tokio::test]
async fn money_without_an_account_is_reported_when_it_comes() {
    let test = TestApp::start().await;
    let token = test.token(Role::Agent).await;
    let agent = test.anonymous().with_token(&token);
    let mut socket = Socket::of(&test, &token).await;
    socket.subscribe(&["payments"]).await;
    let new = json!({ "amount": 10, "currency": "EUR", "method": "cash", "status": "pending" });
    let payment = agent.post("/payments", &new).await.expect(201)["id"].as_str().unwrap().to_owned();
    assert_eq!(about(&socket.event().await), ("payment.created".into(), payment.clone()));
    for (change, events) in [
        (json!({ "status": "success" }), &["payment.updated", "payment.received"][..]),
        (json!({ "description": "rate 1" }), &["payment.updated"][..]),
    ] {
        agent.patch(&format!("/payments/{payment}"), &change).await.expect(200);
        for event in events {
            assert_eq!(about(&socket.event().await), ((*event).into(), payment.clone()));
        }
    }
    // Other changes of the payment follow before anyone can have read the first.
    let new = json!({ "amount": 20, "currency": "EUR", "method": "cash", "status": "pending" });
    let payment = agent.post("/payments", &new).await.expect(201)["id"].as_str().unwrap().to_owned();
    assert_eq!(about(&socket.event().await), ("payment.created".into(), payment.clone()));
    let mut transaction = test.database.pool.begin().await.unwrap();
    for change in ["status = 'success'", "description = 'rate 2'", "reference = 'R-2'"] {
        let update = sqlx::AssertSqlSafe(format!("update payments set {change} where id = '{payment}'"));
        sqlx::query(update).execute(&mut *transaction).await.unwrap();
    }
    transaction.commit().await.unwrap();
    for event in ["payment.updated", "payment.received"] {
        assert_eq!(about(&socket.event().await), (event.into(), payment.clone()));
    }
    socket.expect_silence().await;
}

#[tokio::test]
async fn an_overdue_debt_is_reported_to_its_assignee_once() {
    let test = TestApp::start().await;
    let (manager, token) = (test.client(Role::Manager).await, test.token(Role::Agent).await);
    let (mut assignee, mut other) = (Socket::of(&test, &token).await, Socket::of(&test, &test.token(Role::Agent).await).await);
    let me = test.anonymous().with_token(&token).get("/auth/profile").await.expect(200)["id"].clone();
    let new = json!({ "customer": { "name": "Ann" }, "amountDue": 100, "currency": "EUR", "assigneeId": me });
    let account = manager.post("/accounts", &new).await.expect(201)["id"].clone();
    sqlx::query("update accounts set due_date = (now() at time zone 'UTC')::date - 1")
        .execute(&test.database.pool)
        .await
        .unwrap();
    let worker = tokio::spawn(jobs::run(test.app.clone(), worker::kinds(), Vec::new()));
    for _ in 0..2 {
        let mut transaction = test.database.pool.begin().await.unwrap();
        jobs::enqueue(&mut transaction, &TellOverdue {}, Terms::default()).await.unwrap();
        transaction.commit().await.unwrap();
    }
    let due = (test.clock.today() - chrono::TimeDelta::days(1)).to_string();
    assert_eq!(assignee.event().await["event"], "notification.created");
    let event = assignee.event().await;
    let data = json!({ "accountId": account, "amount": 100.0, "currency": "EUR", "dueDate": due });
    assert_eq!((&event["event"], &event["data"]), (&json!("payment.overdue"), &data));
    assignee.expect_silence().await;
    other.expect_silence().await;
    test.app.stop.cancel();
    worker.await.unwrap().unwrap();
}

#[tokio::test]
async fn personal_data_is_masked_for_those_who_may_not_see_it() {
    let test = TestApp::start().await;
    let (agent, viewer) = (test.token(Role::Agent).await, test.token(Role::Viewer).await);
    let mut sockets = [Socket::of(&test, &agent).await, Socket::of(&test, &viewer).await];
    for socket in &mut sockets {
        socket.subscribe(&["customers"]).await;
    }
    let new = json!({ "givenName": "Ada", "familyName": "Lovelace", "phone": "+1 415 555 2671" });
    let created = test.anonymous().with_token(&agent).post("/customers", &new).await.expect(201);
    let path = format!("/customers/{}", created["id"].as_str().unwrap());
    let [full, masked] = &mut sockets;
    let (full, masked) = (full.event().await, masked.event().await);
    assert_eq!(full["id"], masked["id"]);
    assert_eq!(full["data"]["name"], "Ada Lovelace");
    assert_eq!(masked["data"]["name"], "A••• L•••");
    assert_eq!(masked["data"], test.anonymous().with_token(&viewer).get(&path).await.expect(200));
}

#[tokio::test]
async fn log_ins_locks_and_figures_are_told_to_those_who_may_know() {
    let test = TestApp::start_with(&["--login-max-failures", "3"]).await;
    let token = test.token(Role::Manager).await;
    test.user("jane", Role::Agent).await;
    test.settle().await;
    let mut socket = Socket::of(&test, &token).await;
    socket.subscribe(&["users", "stats"]).await;
    let jane = test.sign_in("jane").await;
    let event = socket.event().await;
    assert_eq!(event["event"], "user.activity");
    assert_eq!((&event["data"]["username"], &event["data"]["action"]), (&json!("jane"), &json!("login")));
    let new = json!({ "customer": { "name": "Ann" }, "amountDue": 100, "currency": "USD" });
    let account = jane.post("/accounts", &new).await.expect(201);
    for _ in 0..5 {
        let payment = json!({ "amount": 10, "method": "cash", "status": "success", "currency": "USD" });
        let payments = format!("/accounts/{}/payments?allowDuplicate=true", account["id"].as_str().unwrap());
        jane.post(&payments, &payment).await.expect(201);
    }
    let mut told = 0;
    loop {
        let event = socket.event().await;
        assert_eq!((event["event"].as_str(), event.get("id")), (Some("stats.updated"), None));
        told += 1;
        if event["data"]["totalRevenue"] == json!(50.0) {
            break assert_eq!(event["data"]["totalTransactionsToday"], 5);
        }
    }
    assert!(told <= 5, "{told}");
    jane.post("/auth/logout", &json!({})).await.expect(204);
    assert_eq!(socket.event().await["data"]["action"], "logout");
    for _ in 0..3 {
        test.anonymous().post("/auth/login", &json!({ "username": "jane", "password": "wrong" })).await;
    }
    let locked = socket.event().await;
    assert_eq!((&locked["event"], &locked["data"]["username"]), (&json!("user.locked"), &json!("jane")));
    sqlx::query("update users set name = 'Jane Miller' where username = 'jane'").execute(&test.database.pool).await.unwrap();
    socket.expect_silence().await;
}

#[tokio::test]
async fn a_lock_is_reported_once_whatever_follows_it() {
    let test = TestApp::start().await;
    let token = test.token(Role::Manager).await;
    test.user("jane", Role::Agent).await;
    test.settle().await;
    let mut socket = Socket::of(&test, &token).await;
    socket.subscribe(&["users"]).await;
    let lock = "update users set locked_until = '2100-01-01' where username = 'jane'";
    let rename = "update users set name = 'Jane Miller' || version where username = 'jane'";
    let unlock = "update users set locked_until = null where username = 'jane'";
    for (changes, until) in
        [(&[lock, rename, unlock][..], json!(null)), (&[rename, lock, rename], json!("2100-01-01T00:00:00.000Z"))]
    {
        let mut transaction = test.database.pool.begin().await.unwrap();
        for change in changes {
            sqlx::query(*change).execute(&mut *transaction).await.unwrap();
        }
        transaction.commit().await.unwrap();
        let event = socket.event().await;
        assert_eq!((&event["event"], &event["data"]["lockedUntil"]), (&json!("user.locked"), &until), "{changes:?}");
        assert_eq!(event["data"]["username"], "jane");
    }
    for change in [rename, unlock] {
        sqlx::query(change).execute(&test.database.pool).await.unwrap();
    }
    socket.expect_silence().await;
}

#[tokio::test]
async fn the_progress_of_a_job_is_told_to_its_owner() {
    let test = TestApp::start().await;
    let (owner, other) = (test.token(Role::Agent).await, test.token(Role::Agent).await);
    let (mut socket, mut stranger) = (Socket::of(&test, &owner).await, Socket::of(&test, &other).await);
    let user = test.anonymous().with_token(&owner).get("/auth/profile").await.expect(200)["id"].as_str().unwrap().to_owned();
    let job = collections::values::ids::new();
    let run = async |sql: String| sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&test.database.pool).await.unwrap();
    run(format!(
        "insert into jobs (id, kind, lane, arguments, total, created_by, due) values ('{job}', 'x', 'none', '{{}}', 10, '{user}', 'infinity')"
    ))
    .await;
    let event = socket.event().await;
    assert_eq!((&event["event"], &event["data"]["jobId"]), (&json!("job.progress"), &json!(job)));
    run("update jobs set succeeded = 4, failed = 1, state = 'running'".into()).await;
    let event = socket.event().await;
    assert_eq!((&event["data"]["processed"], &event["data"]["status"]), (&json!(5), &json!("running")));
    run("update jobs set due = 'infinity', lease = 7".into()).await;
    socket.expect_silence().await;
    assert_eq!(stranger.subscribe(&[&format!("job:{job}")]).await["code"], "not_found");
    stranger.expect_silence().await;
}

#[tokio::test]
async fn metrics_are_told_to_admins() {
    let test = TestApp::start().await;
    let mut socket = Socket::of(&test, &test.token(Role::Admin).await).await;
    socket.subscribe(&["metrics"]).await;
    let event = socket.event().await;
    assert_eq!(event["event"], "metrics");
    assert!(event["data"]["http"]["requests"].is_u64(), "{event}");
}

#[tokio::test]
async fn changes_are_heard_on_other_servers() {
    let Some(redis) = redis_url() else { return };
    let test = TestApp::start_with(&["--redis-url", &redis]).await;
    let other = test.beside(&["--redis-url", &redis, "--index-prefix", &test.database.name]).await;
    let token = test.token(Role::Agent).await;
    let mut sockets = [Socket::of(&test, &token).await, Socket::at(other.address, &token).await];
    for socket in &mut sockets {
        socket.subscribe(&["customers"]).await;
    }
    let agent = test.anonymous().with_token(&token);
    // The other server may begin to follow only now, and then tells its clients to load everything.
    let first = agent.post("/customers", &json!({ "name": "Ada" })).await.expect(201);
    let [here, there] = &mut sockets;
    assert_eq!(about(&here.event().await).1, first["id"].as_str().unwrap());
    let event = there.event().await;
    assert!(event["event"] == "reset" || event["data"]["id"] == first["id"], "{event}");
    for number in 0..20 {
        agent.post("/customers", &json!({ "name": format!("Grace {number}") })).await.expect(201);
    }
    for _ in 0..20 {
        assert_eq!(here.event().await, there.event().await, "the same, with the same id");
    }
    other.stop.cancel();
}

#[tokio::test]
async fn a_notification_is_heard_by_its_user_alone() {
    let test = TestApp::start().await;
    let (manager, agent) = (test.token(Role::Manager).await, test.token(Role::Agent).await);
    let mut mine = Socket::of(&test, &agent).await;
    let mut other = Socket::of(&test, &manager).await;
    let by = test.anonymous().with_token(&manager);
    let me = test.anonymous().with_token(&agent).get("/auth/profile").await.expect(200)["id"].clone();
    let new = json!({ "customer": { "name": "Ann" }, "amountDue": 100, "currency": "EUR" });
    let account = by.post("/accounts", &new).await.expect(201)["id"].as_str().unwrap().to_owned();
    by.patch(&format!("/accounts/{account}"), &json!({ "assigneeId": me })).await.expect(200);
    eventually("the notifier has told of everything", async || !notifications::catch_up(&test.app).await.unwrap()).await;
    let event = mine.event().await;
    assert_eq!(event["event"], "notification.created", "{event}");
    assert_eq!(event["data"]["subject"], json!(account));
    other.expect_silence().await;
}
