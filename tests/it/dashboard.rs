//! Figures that are no feature's own: dashboards, customers, and what users do.

use chrono::TimeDelta;
use collections::auth::Role;
use collections::jobs::schedule::tick;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use crate::harness::database::Database;
use crate::harness::engines::{Engines, seed};
use crate::harness::eventually::eventually;

async fn select(database: &Database, sql: &str) -> Value {
    sqlx::query_scalar::<_, Value>(AssertSqlSafe(sql)).fetch_one(&database.pool).await.unwrap()
}

/// The same with every number as a float: SQL writes others decimals.
fn floats(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(list) => list.iter().map(floats).collect(),
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), floats(value))).collect(),
        other => other.clone(),
    }
}

#[tokio::test]
async fn dashboards_show_what_plain_sql_counts_from_both_engines() {
    let engines = Engines::start(async |database| seed(database, "60").await).await;
    let database = engines.database();
    let scale = "case currency when 'JPY' then 1 else 100 end::numeric";
    let ageing = select(
        database,
        &format!(
            "select json_agg(json_build_object('currency', currency, 'accounts', accounts, 'balance', balance) order by currency)
            from (select currency, count(*) as accounts, sum(balance) / max({scale}) as balance from accounts
              where deleted_at is null and status = 'open' group by currency) as sums"
        ),
    )
    .await;
    let overdue = select(
        database,
        "select to_json(count(*)) from accounts
        where deleted_at is null and status = 'open' and balance > 0 and due_date < (now() at time zone 'UTC')::date",
    )
    .await;
    let agents = select(
        database,
        "select coalesce(json_object_agg(assignee_id, n), '{}') from (select assignee_id, count(*) as n from accounts
          where deleted_at is null and status = 'open' and assignee_id is not null group by assignee_id) as counts",
    )
    .await;
    for client in engines.clients().await {
        let dashboard = client.get("/dashboard").await.expect(200);
        let found: Vec<Value> = dashboard["accounts"]["ageing"].as_array().unwrap().clone();
        let sums: Vec<Value> = found
            .iter()
            .map(|one| json!({ "currency": one["currency"], "accounts": one["accounts"], "balance": one["balance"] }))
            .collect();
        assert_eq!(floats(&json!(sums)), floats(&ageing));
        let late = found.iter().flat_map(|one| one["buckets"].as_array().unwrap().iter().skip(1));
        let late: u64 = late.map(|bucket| bucket["accounts"].as_u64().unwrap()).sum();
        assert_eq!(json!(late), overdue);
        assert_eq!(dashboard["payments"]["totalRevenue"], client.get("/payments/stats").await.expect(200)["totalRevenue"]);
        for (id, accounts) in agents.as_object().unwrap() {
            let shown = dashboard["agents"].as_array().unwrap().iter().find(|agent| agent["id"] == json!(id)).unwrap();
            assert_eq!(&shown["openAccounts"], accounts);
        }
        assert!(dashboard["jobs"].is_array() && dashboard["imports"].is_array());
        assert_eq!(dashboard["sync"]["reasons"].as_array().map(Vec::len), Some(0), "{}", dashboard["sync"]);
    }
}

#[tokio::test]
async fn customers_are_counted_by_status_kind_and_day() {
    let engines = Engines::start(async |database| seed(database, "60").await).await;
    let expected = select(
        engines.database(),
        "select json_build_object(
          'total', (select count(*) from customers where deleted_at is null),
          'byStatus', (select json_agg(json_build_object('status', status, 'count', n) order by n desc, status)
            from (select status, count(*) as n from customers where deleted_at is null group by status) as counts),
          'byKind', (select json_agg(json_build_object('kind', kind, 'count', n) order by n desc, kind)
            from (select kind, count(*) as n from customers where deleted_at is null group by kind) as counts),
          'newCustomers', (select count(*) from customers where deleted_at is null
            and created_at >= timestamp '2025-11-01' at time zone 'Europe/Berlin' and created_at < timestamp '2026-02-01' at time zone 'Europe/Berlin'))",
    )
    .await;
    for client in engines.clients().await {
        for address in ["/analytics/customers", "/customers/statistics"] {
            let path = format!("{address}?interval=month&from=2025-11-01&to=2026-01-31&tz=Europe/Berlin");
            let answer = client.get(&path).await.expect(200);
            for (member, expected) in expected.as_object().unwrap() {
                assert_eq!(&answer[member], expected, "{member} from {}", answer["engine"]);
            }
            let timeline = answer["timeline"].as_array().unwrap();
            let days: Vec<&str> = timeline.iter().map(|point| point["date"].as_str().unwrap()).collect();
            assert_eq!(days, ["2025-11-01", "2025-12-01", "2026-01-01"]);
            assert_eq!(json!(timeline.iter().map(|point| point["count"].as_u64().unwrap()).sum::<u64>()), answer["newCustomers"]);
        }
        assert_eq!(client.get("/analytics/customers?currency=EUR").await.code(), "bad_parameter");
    }
}

#[tokio::test]
async fn supervisors_see_what_users_have_called_and_searched() {
    let test = crate::harness::app::TestApp::start_api(&[]).await;
    let (agent, manager) = (test.agent().await, test.client(Role::Manager).await);
    let id = agent.get("/auth/profile").await.expect(200)["id"].clone();
    for _ in 0..3 {
        agent.get("/customers?q=ann").await.expect(200);
    }
    agent.get("/analytics/usage").await.expect(403);
    test.app.usage.flush().await;
    agent.get("/search?q=ann").await.expect(200);
    test.app.usage.flush().await;
    let usage = manager.get("/analytics/usage").await.expect(200);
    let of_agent = usage["users"].as_array().unwrap().iter().find(|user| user["id"] == id).unwrap();
    assert_eq!((&of_agent["calls"], &of_agent["searches"], &of_agent["imports"]), (&json!(6), &json!(4), &json!(0)));
    // Only managers see the team.
    let dashboard = agent.get("/dashboard").await.expect(200);
    assert!(dashboard.get("agents").is_none() && dashboard.get("sync").is_none() && dashboard.get("payments").is_some());
    assert!(manager.get("/dashboard").await.expect(200).get("agents").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_users_have_done_is_kept_for_400_days() {
    let test = crate::harness::app::TestApp::start_api(&[]).await;
    let agent = test.agent().await;
    let id = agent.get("/auth/profile").await.expect(200)["id"].as_str().unwrap().to_owned();
    test.app.usage.flush().await;
    // More than one transaction removes.
    sqlx::query(
        "insert into user_days (user_id, day, calls, searches)
        select cast($1 as uuid), $2::date - days, 1, 0 from generate_series(1, 6000) days",
    )
    .bind(&id)
    .bind(test.clock.today())
    .execute(&test.database.pool)
    .await
    .unwrap();
    let schedules = collections::worker::schedules(&test.app).unwrap();
    tick(&test.app, &schedules).await.unwrap();
    test.clock.advance(TimeDelta::days(1));
    tick(&test.app, &schedules).await.unwrap();
    let worker = tokio::spawn(collections::jobs::run(test.app.clone(), collections::worker::kinds(), Vec::new()));
    let days = async || select(&test.database, &format!("select to_json(count(*)) from user_days where user_id = '{id}'")).await;
    let succeeded = "select to_json(count(*)) from jobs where kind = 'remove_old_usage' and state = 'succeeded'";
    eventually("the job has ended", async || select(&test.database, succeeded).await == 1).await;
    assert_eq!(days().await, 400, "the days from yesterday to 400 days ago");
    test.app.stop.cancel();
    worker.await.unwrap().unwrap();
}
