//! Aggregations: both engines add up what plain SQL adds up.

use serde_json::{Value, json};

use super::facets::{PERIODS, ROWS, counts, selected};
use super::lists::{ENGINES, Lists};

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
async fn ranges_are_of_one_currency() {
    for engine in ENGINES {
        let lists = Lists::open_with(engine, ROWS).await;
        let counted = async |condition: &str| {
            lists.sql(&format!("select to_json(count(*)) from accounts where deleted_at is null and {condition}")).await
        };
        let facet = "balance(-50,0,100.25)";
        let body = lists.ask(&format!("facets={facet}&balance[gte]=0&balance[lt]=100.25&currency=USD&status=open")).await;
        let facet = &body["facets"][facet];
        let within = "currency = 'USD' and status = 'open' and balance";
        let expected = json!([
            { "value": "..-50", "count": counted(&format!("{within} < -5000")).await },
            { "value": "-50..0", "count": counted(&format!("{within} >= -5000 and balance < 0")).await },
            { "value": "0..100.25", "count": counted(&format!("{within} >= 0 and balance < 10025")).await },
            { "value": "100.25..", "count": counted(&format!("{within} >= 10025")).await },
        ]);
        assert_eq!((counts(facet), &facet["currency"]), (expected, &json!("USD")), "{engine:?}");
        assert_eq!(selected(facet), ["0..100.25"]);
        assert_eq!(body["total"], facet["buckets"][2]["count"]);

        // Without a currency, bounds are amounts of the default one.
        let body = lists.ask("aggs=range(balance,100,balance)").await;
        let answer = &body["aggregations"]["range(balance,100,balance)"];
        let expected =
            [counted("currency = 'USD' and balance < 10000").await, counted("currency = 'USD' and balance >= 10000").await];
        assert_eq!((&answer["buckets"][0]["count"], &answer["buckets"][1]["count"]), (&expected[0], &expected[1]), "{engine:?}");
        assert_eq!(answer["buckets"][1]["stats"][0]["currency"], "USD");
    }
}

#[tokio::test]
async fn sums_are_by_currency_and_exact() {
    for engine in ENGINES {
        let lists = Lists::open_with(engine, ROWS).await;
        let stats = |condition: &str| {
            format!(
                "select json_agg(json_build_object('currency', currency, 'count', n, 'sum', s / scale, 'min', a / scale, 'max', z / scale,
                  'avg', round(s / n::numeric) / scale) order by currency)
                from (select currency, count(*) as n, sum(balance) as s, min(balance) as a, max(balance) as z,
                  case currency when 'JPY' then 1::numeric else 100 end as scale
                  from accounts where deleted_at is null and {condition} group by currency) as sums"
            )
        };
        for (query, condition) in
            [("", "true"), ("status=open&", "status = 'open'"), ("status=open&facets=status&", "status = 'open'")]
        {
            let body = lists.ask(&format!("{query}aggs=stats(balance)")).await;
            let expected = lists.sql(&stats(condition)).await;
            assert_eq!(floats(&body["aggregations"]["stats(balance)"]["stats"]), floats(&expected), "{query} from {engine:?}");
        }
        let body = lists.ask("aggs=terms(status,balance)&status=paused").await;
        let terms = &body["aggregations"]["terms(status,balance)"];
        let expected = lists.sql(&stats("status = 'paused'")).await;
        assert_eq!(floats(&terms["buckets"][0]["stats"]), floats(&expected), "{engine:?}");
        assert_eq!(terms["buckets"].as_array().unwrap().len(), 1);
        // As the text has it: all decimals of the currency.
        let text = lists.client.get("/accounts?accountNumber=N-0001&aggs=stats(balance)").await.text;
        assert!(
            text.contains(r#""stats":[{"currency":"USD","count":1,"sum":-120.81,"min":-120.81,"max":-120.81,"avg":-120.81}]"#),
            "{text}"
        );
        // Nothing matches.
        let body = lists.ask("aggs=stats(balance),cardinality(customerId),histogram(dueDate,month)&accountNumber=none").await;
        let nothing = json!({
            "stats(balance)": { "stats": [] },
            "cardinality(customerId)": { "value": 0, "relation": "eq" },
            "histogram(dueDate,month)": { "buckets": [], "otherCount": 0, "errorBound": 0 },
        });
        assert_eq!(body["aggregations"], nothing, "{engine:?}");

        let body = lists.client.get("/customers?aggs=stats(accountCount),stats(balance)").await.expect(200);
        let expected = json!({ "count": 20, "sum": 226, "min": 10, "max": 12, "avg": 11.3 });
        let counted = lists.sql("select to_json(count(*)) from accounts where deleted_at is null").await;
        assert_eq!(counted, expected["sum"]);
        assert_eq!(body["aggregations"]["stats(accountCount)"]["stats"]["sum"], expected["sum"], "{body}");
        assert_eq!(body["aggregations"]["stats(accountCount)"]["stats"]["avg"], expected["avg"], "{body}");
        // Customers who owe in several currencies have no balance.
        let expected = lists
            .sql(
                "select coalesce(json_agg(currency order by currency), '[]') from (select min(currency) as currency from accounts
            where deleted_at is null group by customer_id having count(distinct currency) = 1) as single",
            )
            .await;
        let currencies: Value = body["aggregations"]["stats(balance)"]["stats"]
            .as_array()
            .unwrap()
            .iter()
            .map(|sums| sums["currency"].clone())
            .collect();
        assert_eq!(currencies, expected, "{body}");
    }
}

#[tokio::test]
async fn periods_begin_where_the_callers_days_do() {
    for engine in ENGINES {
        let lists = Lists::open_with(engine, ROWS).await;
        for (zone, hours) in [("Z", 0), ("%2B14:00", 14), ("-12:00", -12)] {
            for interval in ["day", "week", "month", "quarter", "year"] {
                let body = lists
                    .ask(&format!("aggs=histogram(createdAt,{interval}),histogram(dueDate,{interval},balance)&tz={zone}"))
                    .await;
                let local = format!("created_at at time zone 'UTC' + interval '{hours} hours'");
                for (member, value, more) in [("createdAt", local.as_str(), ""), ("dueDate", "due_date::timestamp", ",balance")] {
                    let answer = &body["aggregations"][format!("histogram({member},{interval}{more})")];
                    let expected = lists
                        .sql(&format!(
                        "{PERIODS} (select to_char(date_trunc('{interval}', {value}), 'YYYY-MM-DD') as value, count(*) as number
                        from accounts where deleted_at is null and {value} is not null group by 1) as buckets"
                    ))
                        .await;
                    assert_eq!(counts(answer), expected, "{member} by {interval} in {zone} from {engine:?}");
                    assert_eq!(answer["otherCount"], 0);
                }
            }
        }
        // With its changes of clocks.
        let body = lists.ask("aggs=histogram(createdAt,day)&tz=America/New_York").await;
        let expected = lists
            .sql(&format!(
                "{PERIODS} (select ((created_at at time zone 'America/New_York')::date)::text as value, count(*) as number
                from accounts where deleted_at is null group by 1) as buckets"
            ))
            .await;
        assert_eq!(counts(&body["aggregations"]["histogram(createdAt,day)"]), expected, "{engine:?}");

        let body = lists.ask("aggs=histogram(dueDate,month,balance),stats(balance)&dueDate[exists]=true").await;
        let of = |currency: &str, sums: &Value| {
            let sums = sums.as_array().unwrap().iter().find(|sums| sums["currency"] == currency);
            sums.map_or(0.0, |sums| sums["sum"].as_f64().unwrap())
        };
        for currency in ["EUR", "JPY", "USD"] {
            let buckets = body["aggregations"]["histogram(dueDate,month,balance)"]["buckets"].as_array().unwrap().iter();
            let sum: f64 = buckets.map(|bucket| of(currency, &bucket["stats"])).sum();
            assert!(
                (sum - of(currency, &body["aggregations"]["stats(balance)"]["stats"])).abs() < 0.001,
                "{currency} from {engine:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_histogram_of_centuries_is_cut_and_says_so() {
    let rows = "insert into customers (id, external_id, name, date_of_birth)
        select gen_random_uuid(), 'X-' || n, 'Ann ' || n, date '0001-01-01' + n * 3000 from generate_series(0, 449) as n";
    for engine in ENGINES {
        let lists = Lists::open_with(engine, rows).await;
        let body = lists.client.get("/customers?aggs=histogram(dateOfBirth,day),cardinality(externalId)").await.expect(200);
        let days = &body["aggregations"]["histogram(dateOfBirth,day)"];
        assert_eq!((days["buckets"].as_array().unwrap().len(), &days["otherCount"]), (400, &json!(50)), "{engine:?}");
        assert_eq!((&days["buckets"][0]["value"], &days["buckets"][399]["value"]), (&json!("0001-01-01"), &json!("3278-04-11")));
        assert_eq!(body["aggregations"]["cardinality(externalId)"], json!({ "value": 450, "relation": "eq" }), "{engine:?}");
    }
}
