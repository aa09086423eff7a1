//! Facets and aggregations: both engines say what plain SQL says.

use serde_json::{Value, json};

use super::lists::{ENGINES, Lists};
use crate::harness::app::Engine;

/// Accounts in three currencies, created around the ends of months, some without a due date, a creditor or tags, some deleted.
const ROWS: &str = r"
insert into customers (id, external_id, name)
select ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, 'X-' || n, 'Ann Person' || n from generate_series(1, 20) as n;
insert into accounts (id, account_number, customer_id, currency, due_date, status, creditor, tags, created_at, deleted_at)
select ('00000000-0000-7000-9000-' || lpad(n::text, 12, '0'))::uuid, 'N-' || lpad(n::text, 4, '0'),
  ('00000000-0000-7000-8000-' || lpad((1 + n % 20)::text, 12, '0'))::uuid,
  (array['EUR', 'USD', 'JPY'])[1 + n % 3],
  case when n % 5 > 0 then date '2025-11-25' + (n * 3) end,
  (array['open', 'open', 'open', 'paused', 'settled', 'closed'])[1 + n % 6],
  case when n % 4 > 0 then 'Bank ' || n % 7 end,
  case n % 4 when 0 then '{}' when 1 then array['vip'] when 2 then array['vip', 'north'] else array['south'] end,
  timestamptz '2026-01-31T22:30:00Z' + (n % 11) * interval '30 minutes' + (n % 14) * interval '28 days',
  case when n % 17 = 0 then timestamptz '2026-05-01T00:00:00Z' end
from generate_series(1, 240) as n;
insert into ledger_entries (id, account_id, kind, amount)
select gen_random_uuid(), ('00000000-0000-7000-9000-' || lpad(n::text, 12, '0'))::uuid, 'opening', (n * 7919) % 100003 - 20000
from generate_series(1, 240) as n where (n * 7919) % 100003 <> 20000;
";

/// Buckets as the answer has them, from a query of `value` and `number`, the most frequent first.
const BUCKETS: &str = r#"select coalesce(json_agg(json_build_object('value', value, 'count', number) order by number desc, value collate "C"), '[]') from "#;
const PERIODS: &str = "select coalesce(json_agg(json_build_object('value', value, 'count', number) order by value), '[]') from ";

impl Lists {
    async fn sql(&self, statement: &str) -> Value {
        sqlx::query_scalar(sqlx::AssertSqlSafe(statement)).fetch_one(&self.test.database.pool).await.unwrap()
    }

    async fn ask(&self, query: &str) -> Value {
        let body = self.client.get(&format!("/accounts?limit=1&{query}")).await.expect(200);
        assert_eq!(body["unanswered"], Value::Null, "{query}: {body}");
        body
    }
}

/// Value and count of each bucket.
fn counts(answer: &Value) -> Value {
    let buckets = answer["buckets"].as_array().unwrap_or_else(|| panic!("{answer} has buckets")).iter();
    buckets.map(|bucket| json!({ "value": bucket["value"], "count": bucket["count"] })).collect()
}

fn selected(answer: &Value) -> Vec<&str> {
    let buckets = answer["buckets"].as_array().unwrap().iter();
    buckets.filter(|bucket| bucket["selected"] == true).map(|bucket| bucket["value"].as_str().unwrap()).collect()
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
async fn a_facet_ignores_the_conditions_on_its_own_field_and_no_others() {
    for engine in ENGINES {
        let lists = Lists::open_with(engine, ROWS).await;
        let (live, open) = ("from accounts where deleted_at is null", "status in ('open', 'paused')");
        let (euro, vip) = ("currency = 'EUR'", "tags && array['vip']");
        let tags = "from (select unnest(tags) as tag, * from accounts where deleted_at is null) as tagged where true";
        let cases = [
            ("facets=status", "status", format!("select status as value, count(*) as number {live} group by 1")),
            (
                "facets=status&status=open,paused&currency=EUR&tags=vip",
                "status",
                format!("select status as value, count(*) as number {live} and {euro} and {vip} group by 1"),
            ),
            (
                "facets=status,currency,tags&status=open,paused&currency=EUR&tags=vip",
                "currency",
                format!("select currency as value, count(*) as number {live} and {open} and {vip} group by 1"),
            ),
            (
                "facets=currency,tags&status=open,paused&currency=EUR&tags=vip",
                "tags",
                format!("select tag as value, count(*) as number {tags} and {open} and {euro} group by 1"),
            ),
            (
                "facets=creditor&facetSize=50&creditor[ne]=Bank+1&currency=EUR",
                "creditor",
                format!("select creditor as value, count(*) as number {live} and {euro} and creditor is not null group by 1"),
            ),
            (
                "facets=status&includeDeleted=true",
                "status",
                "select status as value, count(*) as number from accounts group by 1".into(),
            ),
            (
                "facets=status&q=person3&status=open",
                "status",
                format!(
                    "select status as value, count(*) as number {live} and customer_id = '00000000-0000-7000-8000-000000000003' group by 1"
                ),
            ),
        ];
        for (query, name, expected) in cases {
            let body = lists.ask(query).await;
            let expected = lists.sql(&format!("{BUCKETS} ({expected}) as buckets")).await;
            assert_eq!(counts(&body["facets"][name]), expected, "{query} from {engine:?}");
            assert_eq!((&body["facets"][name]["otherCount"], &body["facets"][name]["errorBound"]), (&json!(0), &json!(0)));
        }
        // The list itself meets all of them.
        let filters = "status=open,paused&currency=EUR&tags=vip";
        let (plain, with) =
            (lists.ask(filters).await, lists.ask(&format!("{filters}&facets=status,currency,tags&aggs=terms(status)")).await);
        for member in ["total", "totalRelation", "data", "totalPages"] {
            assert_eq!(plain[member], with[member], "{member} from {engine:?}");
        }
        let expected = lists.sql(&format!("{BUCKETS} (select status as value, count(*) as number {live} and {open} and {euro} and {vip} group by 1) as buckets")).await;
        assert_eq!(counts(&with["aggregations"]["terms(status)"]), expected);
        assert_eq!((plain.get("facets"), plain.get("aggregations")), (None, None));
        assert_eq!(selected(&with["facets"]["tags"]), ["vip"]);
        // A cursor goes on with and without them.
        let cursor = with["nextCursor"].as_str().unwrap();
        for facets in ["", "&facets=tags"] {
            let next = lists.ask(&format!("{filters}{facets}&cursor={cursor}")).await;
            assert_eq!((next["data"].as_array().unwrap().len(), next.get("facets").is_some()), (1, !facets.is_empty()));
        }
    }
}

#[tokio::test]
async fn values_beyond_the_size_are_counted_and_chosen_ones_shown() {
    for engine in ENGINES {
        let lists = Lists::open_with(engine, ROWS).await;
        let body = lists.ask("facets=creditor&facetSize=2&creditor=Bank+6,Nobank&count=none").await;
        let facet = &body["facets"]["creditor"];
        let all = "select creditor as value, count(*) as number from accounts where deleted_at is null and creditor is not null group by 1";
        let most = format!(r#"select * from ({all} order by 2 desc, creditor collate "C" limit 2) as most"#);
        let expected = lists
            .sql(&format!("{BUCKETS} ({most} union ({all} having creditor = 'Bank 6') union all select 'Nobank', 0) as buckets"))
            .await;
        assert_eq!(counts(facet), expected, "{engine:?}");
        let everything = lists.sql(&format!("select to_json(sum(number)) from ({all}) as buckets")).await.as_f64().unwrap();
        let shown: f64 = expected.as_array().unwrap().iter().map(|bucket| bucket["count"].as_f64().unwrap()).sum();
        assert_eq!(facet["otherCount"].as_f64().unwrap(), everything - shown);
        let mut chosen = selected(facet);
        chosen.sort_unstable();
        assert_eq!(chosen, ["Bank 6", "Nobank"]);
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

#[tokio::test]
async fn what_is_no_facet_is_refused_with_what_is() {
    let lists = Lists::open_with(Engine::Postgres, "").await;
    for (query, code, named) in [
        ("facets=statsu", "unknown_field", "the nearest is status"),
        ("facets=customerName", "unknown_field", "status"),
        ("facets=balance", "bad_value", "balance(1,2)"),
        ("facets=status(1,2)", "unknown_field", "dueDate"),
        ("facets=balance(2,1)", "bad_value", "rise"),
        ("facets=balance(1,x)", "bad_value", "decimal"),
        ("facets=dueDate(tomorrow)", "bad_value", "now-30d"),
        ("facets=balance(1", "bad_value", "parentheses"),
        ("facets=balance(1))", "bad_value", "parentheses"),
        ("facets=balance((1))", "bad_value", "parentheses"),
        ("facetSize=0", "bad_value", "from 1 to 100"),
        ("facetSize=101", "bad_value", "from 1 to 100"),
        ("aggs=sum(balance)", "unknown_aggregation", "stats"),
        ("aggs=stats(status)", "unknown_field", "balance"),
        ("aggs=stats", "bad_value", "stats(field)"),
        ("aggs=stats()", "unknown_field", "balance"),
        ("aggs=terms(status,tags)", "unknown_field", "balance"),
        ("aggs=histogram(dueDate,hour)", "bad_value", "quarter"),
        ("aggs=histogram(status,month)", "unknown_field", "dueDate"),
        ("aggs=histogram(dueDate)", "bad_value", "histogram(field,interval)"),
        ("aggs=cardinality(balance)", "unknown_field", "customerId"),
    ] {
        let body = lists.client.get(&format!("/accounts?{query}")).await.expect(400);
        assert_eq!(body["errors"][0]["code"], code, "{query}: {body}");
        assert!(body["detail"].as_str().unwrap().contains(named), "{query}: {}", body["detail"]);
    }
    let facets: Vec<String> = (1..=11).map(|bound| format!("balance({bound})")).collect();
    let body = lists.client.get(&format!("/accounts?facets={}", facets.join(","))).await.expect(400);
    assert_eq!(body["errors"][0]["code"], "too_many");
    let bounds: Vec<String> = (1..=21).map(|bound| bound.to_string()).collect();
    let body = lists.client.get(&format!("/accounts?facets=balance({})", bounds.join(","))).await.expect(400);
    assert_eq!(body["errors"][0]["code"], "too_many");
    lists.client.get(&format!("/accounts?facets={}", facets[..10].join(","))).await.expect(200);
}
