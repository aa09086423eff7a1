//! The figures of the addresses are what plain SQL says, as JSON and as CSV.

use collections::auth::Role;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use super::panels::{OWED, SEEDED, SETTINGS, take_snapshots};
use crate::harness::app::TestApp;

/// The rows that SQL says, as JSON.
async fn expected(test: &TestApp, sql: &str) -> Value {
    let sql = format!("select coalesce(json_agg(row), '[]') from ({sql}) as row");
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&test.database.pool).await.unwrap()
}

/// Numbers with as many decimals as both sides are exact to.
fn rounded(rows: &Value) -> Value {
    match rows {
        Value::Array(rows) => rows.iter().map(rounded).collect(),
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), rounded(value))).collect(),
        Value::Number(number) => json!((number.as_f64().unwrap() * 1e6).round() / 1e6),
        other => other.clone(),
    }
}

#[tokio::test]
async fn addresses_answer_what_sql_says() {
    let test = TestApp::start_api(&SETTINGS).await;
    sqlx::raw_sql(SEEDED).execute(&test.database.pool).await.unwrap();
    take_snapshots(&test.app, &test.database.pool).await;
    let viewer = test.client(Role::Viewer).await;
    let unit = "power(10, case currency when 'JPY' then 0 else 2 end)";
    let names = "array['current', '1-30', '31-60', '61-90', '91-120', '120+']";
    let ageing = format!(
        "select currency, bucket, count(*) as accounts, sum(balance) / {unit} as balance
        from (
          select currency, balance, case
            when today - due_date > 120 then '120+' when today - due_date > 90 then '91-120' when today - due_date > 60 then '61-90'
            when today - due_date > 30 then '31-60' when today - due_date > 0 then '1-30' else 'current' end as bucket
          from accounts, (select (now() at time zone 'Europe/Berlin')::date as today) as now
          where status = 'open' and balance > 0 and deleted_at is null
        ) as owed
        group by currency, bucket order by currency, array_position({names}, bucket)"
    );
    let rates = format!(
        "{OWED} select currency, bucket_before as bucket, count(*) as accounts, sum(balance_before) / {unit} as balance,
          coalesce(sum(balance_before) filter (where movement = 'worse'), 0) / sum(balance_before) as \"rollRate\",
          count(*) filter (where movement = 'cured')::float8 / count(*) as \"cureRate\"
        from named where bucket_before <> 'none'
        group by currency, bucket_before order by currency, array_position({names}, bucket_before)"
    );
    let collected = format!(
        "select (received_at at time zone 'Europe/Berlin')::date as day, currency, count(*) as payments, sum(amount) / {unit} as amount
        from payments where status = 'success' group by 1, currency order by 1, currency"
    );
    for (path, sql) in [("ageing", ageing), ("roll-rates?from=now-90d", rates), ("collections?from=now-90d", collected)] {
        let shown = viewer.get(&format!("/analytics/{path}")).await.expect(200);
        let expected = expected(&test, &sql).await;
        assert!(expected.as_array().is_some_and(|rows| rows.len() > 3), "{path} shows too little");
        assert_eq!(rounded(&shown["data"]), rounded(&expected), "{path}");
        // The same as text, with a heading.
        let (name, rest) = path.split_once('?').map_or((path, String::new()), |(name, rest)| (name, format!("?{rest}")));
        let answer = viewer.get(&format!("/analytics/{name}.csv{rest}")).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, "text/csv; charset=utf-8"));
        let text = answer.text.clone();
        let rows = expected.as_array().unwrap();
        assert_eq!(text.split("\r\n").filter(|line| !line.is_empty()).count(), rows.len() + 1, "{text}");
        let first: Vec<&str> = text.lines().nth(1).unwrap().split(',').collect();
        let heading: Vec<&str> = text.lines().next().unwrap().split(',').collect();
        for (name, shown) in heading.into_iter().zip(first) {
            let expected = &rows[0][name];
            match expected.as_f64() {
                Some(number) => {
                    assert!((shown.parse::<f64>().unwrap() - number).abs() < 1e-6, "{name} is {shown} and not {number}")
                }
                None => assert_eq!(shown, expected.as_str().unwrap()),
            }
        }
    }
}

#[tokio::test]
async fn a_period_that_is_none_is_refused() {
    let test = TestApp::start_api(&[]).await;
    let viewer = test.client(Role::Viewer).await;
    for period in ["from=2026-02-01&to=2026-01-01", "from=yesterday-ish", "from=2020-01-01&to=2026-01-01"] {
        assert_eq!(
            viewer.get(&format!("/analytics/collections?{period}")).await.expect(400)["code"],
            "bad_parameter",
            "{period}"
        );
    }
    assert_eq!(viewer.get("/analytics/roll-rates").await.expect(200), json!({ "data": [] }));
    assert_eq!(viewer.get("/analytics/ageing").await.expect(200), json!({ "data": [] }));
}
