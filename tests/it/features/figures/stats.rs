//! Statistics.

use serde_json::{Value, json};

use super::{Question, ZONES, fill, floats, select};
use crate::harness::client::Client;
use crate::harness::database::Database;
use crate::harness::dice::Dice;
use crate::harness::engines::Engines;

/// Minor units of a major one.
const SCALE: &str = "case currency when 'JPY' then 1 else 100 end";

/// What plain SQL says of the question.
async fn expected(database: &Database, question: &Question) -> Value {
    let Question { zone, interval, currency, .. } = question;
    let (period, tomorrow) = (question.period(), question.days_from_today(1));
    let since = |days| format!("received_at >= {} and received_at < {tomorrow}", question.days_from_today(days));
    let (today, week) = (since(0), since(-6));
    let has_period = question.from.is_some() || question.to.is_some();
    let revenue_of = if has_period { period.as_str() } else { "true" };
    let sum = |of: &str| format!("(coalesce(sum(amount) filter (where status = 'success' and {of}), 0) / max({SCALE})::numeric)");
    let count = |of: &str| format!("count(*) filter (where {of})");
    let outcome = |status: &str| count(&format!("{period} and status = '{status}'"));
    let summary = |from: &str| {
        format!(
            "select currency, json_build_object('currency', currency, 'totalTransactionsToday', {}, 'totalTransactionsWeek', {},
              'totalRevenue', {}, 'revenueToday', {}, 'revenueWeek', {}, 'failedTransactions', {failed},
              'successRate', coalesce(round(100.0 * {succeeded} / nullif({succeeded} + {failed}, 0), 1), 0)) as summary
            from {from} group by currency having {} > 0",
            count(&today),
            count(&week),
            sum(revenue_of),
            sum(&today),
            sum(&week),
            count(&format!("({today} or {week} or {period} or {revenue_of})")),
            failed = outcome("failed"),
            succeeded = outcome("success"),
        )
    };
    let existing = "payments where deleted_at is null";
    let own = format!("(select * from {existing} and currency = '{currency}') as own");
    let methods =
        format!("select method, count(*) as n, sum(count(*)) over () as everything from {own} where {period} group by method");
    let chart = format!(
        "select date, coalesce(sum(amount) filter (where status = 'success' and {period}), 0) / max(case '{currency}' when 'JPY' then 1 else 100 end)::numeric as amount
        from generate_series(date_trunc('{interval}', {} at time zone '{zone}'), ({} - interval '1 millisecond') at time zone '{zone}', interval '1 {interval}') as date
        left join {own} on date_trunc('{interval}', received_at at time zone '{zone}') = date group by date",
        question.begin(if *interval == "day" { 6 } else { 11 }),
        question.end(),
    );
    let sql = format!(
        "select json_build_object(
          'own', (select summary from ({}) as one),
          'byCurrency', (select coalesce(json_agg(summary order by currency), '[]') from ({}) as each),
          'methodDistribution', (select coalesce(json_agg(json_build_object('method', method, 'count', n, 'percentage', round(100.0 * n / everything, 1)) order by n desc, method), '[]') from ({methods}) as methods),
          'revenueChart', (select json_agg(json_build_object('date', to_char(date, 'YYYY-MM-DD'), 'amount', amount) order by date) from ({chart}) as chart))",
        summary(&own),
        summary(&format!("(select * from {existing}) as existing")),
    );
    select(database, &sql).await
}

/// Asks both engines and SQL, again if the day has changed meanwhile.
async fn check(database: &Database, clients: &[Client; 2], question: &Question) {
    loop {
        let before = expected(database, question).await;
        let [found, without] = [&clients[0], &clients[1]].map(|client| {
            let path = format!("/payments/stats?{}", question.query());
            async move { client.get(&path).await.expect(200) }
        });
        let answers = [found.await, without.await];
        if before != expected(database, question).await {
            continue;
        }
        for (answer, engine) in answers.iter().zip(["elasticsearch", "postgres"]) {
            assert_eq!(answer["engine"], engine, "{}", question.query());
            for member in ["byCurrency", "methodDistribution", "revenueChart"] {
                let (found, expected) = (floats(&answer[member]), floats(&before[member]));
                assert_eq!(found, expected, "{member} of {} from {engine}", question.query());
            }
            if let Some(own) = before["own"].as_object() {
                for (member, expected) in own {
                    assert_eq!(floats(&answer[member]), floats(expected), "{member} of {} from {engine}", question.query());
                }
            }
        }
        return;
    }
}

#[tokio::test]
async fn statistics_are_what_plain_sql_counts_in_every_zone_and_currency() {
    let mut dice = Dice::new(Dice::seed("FIGURES_SEED"));
    let engines = Engines::start(async |database| fill(database, &mut dice).await).await;
    let clients = engines.clients().await;
    for zone in ZONES {
        for (interval, from, to) in [
            ("day", None, None),
            ("week", None, None),
            ("month", None, None),
            // Clocks change.
            ("day", Some("2026-10-24"), Some("2026-10-27")),
            ("day", Some("2026-03-28"), Some("2026-03-30")),
            ("week", Some("2026-03-11"), Some("2026-04-02")),
            ("month", Some("2026-02-15"), Some("2026-10-25")),
            ("day", None, Some("2026-10-25")),
        ] {
            for currency in ["USD", "EUR", "JPY"] {
                check(engines.database(), &clients, &Question { zone, interval, from, to, currency }).await;
            }
        }
    }
    // Nothing is of this currency.
    check(engines.database(), &clients, &Question { zone: "UTC", interval: "day", from: None, to: None, currency: "KWD" }).await;
}

#[tokio::test]
async fn a_currency_without_payments_has_zeros_and_amounts_have_their_decimals() {
    let engines = Engines::start(async |database| {
        sqlx::raw_sql("insert into payments (id, amount, currency, method, status) values (gen_random_uuid(), 1234, 'KWD', 'cash', 'success')")
            .execute(&database.pool)
            .await
            .unwrap();
    })
    .await;
    for client in engines.clients().await {
        let answer = client.get("/payments/stats").await;
        assert!(
            answer.text.contains(r#""currency":"USD","totalTransactionsToday":0,"totalTransactionsWeek":0,"totalRevenue":0.00"#),
            "{}",
            answer.text
        );
        assert!(answer.text.contains(r#""totalRevenue":1.234,"#), "{}", answer.text);
        let body = answer.expect(200);
        assert_eq!((&body["successRate"], &body["methodDistribution"]), (&json!(0.0), &json!([])));
        assert_eq!(body["revenueChart"].as_array().unwrap().len(), 7);
        let of_currency = client.get("/payments/stats?currency=kwd").await.expect(200);
        assert_eq!((&of_currency["successRate"], &of_currency["revenueToday"]), (&json!(100.0), &json!(1.234)));
    }
}
