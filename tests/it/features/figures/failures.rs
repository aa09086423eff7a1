//! Failures.

use serde_json::json;

use super::{Question, ZONES, fill, floats, select};
use crate::harness::dice::Dice;
use crate::harness::engines::Engines;

#[tokio::test]
async fn failures_are_counted_by_code_method_and_hour_of_the_zone() {
    let mut dice = Dice::new(Dice::seed("FIGURES_SEED"));
    let engines = Engines::start(async |database| fill(database, &mut dice).await).await;
    let clients = engines.clients().await;
    for zone in ZONES {
        for (from, to) in [("2026-10-24", "2026-10-26"), ("2026-03-28", "2026-03-30"), ("2026-01-01", "2026-01-02")] {
            let question = Question { zone, interval: "day", from: Some(from), to: Some(to), currency: "EUR" };
            for (currency, of_currency) in [("", "true"), ("&currency=EUR", "currency = 'EUR'")] {
                let failed = format!(
                    "from payments where deleted_at is null and status = 'failed' and {of_currency} and {}",
                    question.period()
                );
                let groups = |name: &str, column: &str, order: &str| {
                    format!(
                        "(select coalesce(json_agg(json_build_object('{name}', value, 'count', n, 'percentage', round(100.0 * n / everything, 1)) order by {order}), '[]')
                        from (select {column} as value, count(*) as n, sum(count(*)) over () as everything {failed} group by 1) as groups)"
                    )
                };
                let expected = select(
                    engines.database(),
                    &format!(
                        "select json_build_object('failedTransactions', (select count(*) {failed}), 'byCode', {}, 'byMethod', {}, 'byHour',
                          (select json_agg(json_build_object('hour', hour, 'count', (select count(*) {failed} and extract(hour from received_at at time zone '{zone}') = hour)) order by hour)
                          from generate_series(0, 23) as hour))",
                        groups("failureCode", "failure_code", "value is null, n desc, value"),
                        groups("method", "method", "n desc, value"),
                    ),
                )
                .await;
                for client in &clients {
                    let answer =
                        client.get(&format!("/payments/failures?tz={zone}&from={from}&to={to}{currency}")).await.expect(200);
                    for (member, expected) in expected.as_object().unwrap() {
                        assert_eq!(
                            floats(&answer[member]),
                            floats(expected),
                            "{member} in {zone} from {} of {currency}",
                            answer["engine"]
                        );
                    }
                    assert_eq!(answer["otherCodes"], json!(0));
                }
            }
        }
    }
}
