//! Facets: what else could be chosen. Both engines count what plain SQL counts.

use chrono::TimeDelta;
use collections::collections::ALL;
use collections::search::aggregate::Aggregated;
use collections::search::parse::{Rules, parse};
use collections::search::{Asked, Collection, Field, FieldKind, Reading, field};
use collections::values::personal::Disclosure;
use serde_json::{Value, json};

use super::lists::{ENGINES, Lists};
use crate::harness::app::Engine;

/// Accounts in three currencies, created around the ends of months, some without a due date, a creditor or tags, some deleted.
pub(super) const ROWS: &str = r"
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
pub(super) const PERIODS: &str =
    "select coalesce(json_agg(json_build_object('value', value, 'count', number) order by value), '[]') from ";

impl Lists {
    pub(super) async fn sql(&self, statement: &str) -> Value {
        sqlx::query_scalar(sqlx::AssertSqlSafe(statement)).fetch_one(&self.test.database.pool).await.unwrap()
    }

    pub(super) async fn ask(&self, query: &str) -> Value {
        let body = self.client.get(&format!("/accounts?limit=1&{query}")).await.expect(200);
        assert_eq!(body["unanswered"], Value::Null, "{query}: {body}");
        body
    }
}

/// Value and count of each bucket.
pub(super) fn counts(answer: &Value) -> Value {
    let buckets = answer["buckets"].as_array().unwrap_or_else(|| panic!("{answer} has buckets")).iter();
    buckets.map(|bucket| json!({ "value": bucket["value"], "count": bucket["count"] })).collect()
}

pub(super) fn selected(answer: &Value) -> Vec<&str> {
    let buckets = answer["buckets"].as_array().unwrap().iter();
    buckets.filter(|bucket| bucket["selected"] == true).map(|bucket| bucket["value"].as_str().unwrap()).collect()
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
async fn what_is_no_facet_is_refused_with_what_is() {
    let lists = Lists::open_with(Engine::Postgres, "").await;
    for (query, code, named) in [
        ("facets=statsu", "unknown_facet", "did you mean status"),
        ("facets=customerName", "unknown_facet", "status"),
        ("facets=balance", "bad_value", "balance(1,2)"),
        ("facets=status(1,2)", "unknown_facet", "dueDate"),
        ("facets=balance(2,1)", "bad_value", "rise"),
        ("facets=balance(1,x)", "bad_value", "decimal"),
        ("facets=dueDate(tomorrow)", "bad_value", "now-30d"),
        ("facets=balance(1", "bad_value", "parentheses"),
        ("facets=balance(1))", "bad_value", "parentheses"),
        ("facets=balance((1))", "bad_value", "parentheses"),
        ("facetSize=0", "bad_value", "from 1 to 100"),
        ("facetSize=101", "bad_value", "from 1 to 100"),
        ("aggs=sum(balance)", "unknown_aggregation", "stats"),
        ("aggs=stats(status)", "unknown_facet", "balance"),
        ("aggs=stats", "bad_value", "stats(field)"),
        ("aggs=stats()", "unknown_facet", "balance"),
        ("aggs=terms(status,tags)", "unknown_facet", "balance"),
        ("aggs=histogram(dueDate,hour)", "bad_value", "quarter"),
        ("aggs=histogram(status,month)", "unknown_facet", "dueDate"),
        ("aggs=histogram(dueDate)", "bad_value", "histogram(field,interval)"),
        ("aggs=cardinality(balance)", "unknown_facet", "customerId"),
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

#[tokio::test]
async fn ageing_buckets_count_the_days_of_the_callers_zone() {
    for engine in ENGINES {
        let lists = Lists::open_with(engine, ROWS).await;
        // At any time, two of these have different days.
        for (zone, hours) in [("Z", 0), ("%2B14:00", 14), ("-12:00", -12)] {
            let today = (lists.test.clock.now() + TimeDelta::hours(hours)).date_naive();
            let body = lists
                .ask(&format!("facets=agingBucket,isOverdue,currency&agingBucket=1-30,120%2B&currency=EUR,USD&aggs=terms(agingBucket,balance)&tz={zone}"))
                .await;
            let days =
                format!("case when status = 'open' and balance > 0 then greatest(date '{today}' - due_date, 0) else 0 end");
            let bucket = format!(
                "case when coalesce({days}, 0) = 0 then 'current' when {days} <= 30 then '1-30' when {days} <= 60 then '31-60'
                when {days} <= 90 then '61-90' when {days} <= 120 then '91-120' else '120+' end"
            );
            let counted = async |condition: &str| {
                lists.sql(&format!("select to_json(count(*)) from accounts where deleted_at is null and {condition}")).await
            };
            let facet = &body["facets"]["agingBucket"];
            for (number, name) in ["current", "1-30", "31-60", "61-90", "91-120", "120+"].into_iter().enumerate() {
                let expected = counted(&format!("currency in ('EUR', 'USD') and {bucket} = '{name}'")).await;
                assert_eq!(
                    (&facet["buckets"][number]["value"], &facet["buckets"][number]["count"]),
                    (&json!(name), &expected),
                    "{zone} from {engine:?}: {facet}"
                );
            }
            assert_eq!(selected(facet), ["1-30", "120+"]);
            let chosen = format!("{bucket} in ('1-30', '120+')");
            assert_eq!(body["facets"]["isOverdue"]["buckets"][0]["count"], body["total"], "{body}");
            assert_eq!(body["total"], counted(&format!("currency in ('EUR', 'USD') and {chosen}")).await);
            let buckets = body["facets"]["currency"]["buckets"].as_array().unwrap();
            let yen = buckets.iter().find(|bucket| bucket["value"] == "JPY").map_or(json!(0), |bucket| bucket["count"].clone());
            assert_eq!(yen, counted(&format!("currency = 'JPY' and {chosen}")).await, "{body}");
            // Of the list, only what was chosen.
            let late = &body["aggregations"]["terms(agingBucket,balance)"]["buckets"];
            assert_eq!(
                (&late[1]["count"], &late[2]["count"], &late[2]["stats"]),
                (&facet["buckets"][1]["count"], &json!(0), &json!([]))
            );
        }
    }
}

#[tokio::test]
async fn a_body_asks_in_the_same_words() {
    for engine in ENGINES {
        let lists = Lists::open_with(engine, ROWS).await;
        let asked = json!({
            "filter": { "and": [{ "or": [{ "field": "status", "value": "open" }, { "field": "status", "value": "paused" }] }, { "field": "currency", "value": "EUR" }] },
            "facets": ["status", "balance(0,100)"],
            "facetSize": 3,
            "aggregations": { "owed": "stats(balance)", "byMonth": "histogram(dueDate,month,balance)" },
            "limit": 1,
        });
        let body = lists.client.post("/accounts/search", &asked).await.expect(200);
        let address = "status=open,paused&currency=EUR&facets=status,balance(0,100)&facetSize=3&aggs=stats(balance),histogram(dueDate,month,balance)";
        let same = lists.ask(address).await;
        assert_eq!(body["facets"], same["facets"], "{engine:?}");
        assert_eq!(body["aggregations"]["owed"], same["aggregations"]["stats(balance)"]);
        assert_eq!(body["aggregations"]["byMonth"], same["aggregations"]["histogram(dueDate,month,balance)"]);
        assert_eq!(selected(&body["facets"]["status"]), ["open", "paused"]);
        for (wrong, pointer) in [
            (json!({ "facets": "" , "aggregations": { "a/b": "stat(balance)" } }), "/aggregations/a~1b"),
            (json!({ "aggregations": ["stats(balance)"] }), "/aggregations"),
            (json!({ "facets": [1] }), "/facets"),
            (json!({ "facetSize": "3" }), "/facetSize"),
        ] {
            let body = lists.client.post("/accounts/search", &wrong).await.expect(400);
            assert_eq!(body["errors"][0]["pointer"], pointer, "{body}");
        }
    }
}

#[tokio::test]
async fn a_facet_that_takes_too_long_is_left_out_by_name() {
    let lists = Lists::open_with(Engine::Postgres, ROWS).await;
    let accounts = ALL.iter().find(|collection| collection.name == "accounts").unwrap();
    let slow = Field::new("status", FieldKind::Text, "(select a.status from pg_sleep(length(a.status) * 0.01))");
    let fields: &'static [Field] = vec![*field(accounts.fields, "currency"), *field(accounts.fields, "createdAt"), slow].leak();
    let collection: &'static Collection = Box::leak(Box::new(Collection { fields, past_due: None, ..**accounts }));
    let aging = "30".parse().unwrap();
    let rules = Rules {
        disclosure: Disclosure::Full,
        refuse_large_pages: true,
        region: "US",
        currency: "USD".parse().unwrap(),
        zone: "UTC".parse().unwrap(),
        aging: &aging,
        page_default: 10,
        page_limit: 10,
        total_limit: 10,
        now: lists.test.clock.now(),
    };
    let parameters = [("facets", "currency,status,createdAt(2026-01-01)"), ("aggs", "cardinality(status)")];
    let parameters = parameters.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let query = parse(collection, parameters, &rules).unwrap().query;
    let asked = Asked { caller: None, reading: Reading::Live { scored_by: None }, now: lists.test.app.clock.now() };
    let answer = lists.test.app.search.answer(collection, &query, asked, async { None }).await.unwrap();
    assert_eq!(answer.hits.documents.len(), 10);
    let shown = json!(Aggregated { aggregates: &query.aggregates, counted: &answer.hits.counted });
    assert_eq!(shown["facets"]["currency"]["buckets"].as_array().unwrap().len(), 3, "{shown}");
    assert_eq!((&shown["facets"]["status"], &shown["aggregations"]), (&Value::Null, &json!({ "cardinality(status)": null })));
    assert_eq!(shown["unanswered"], json!(["status", "createdAt(2026-01-01)", "cardinality(status)"]));
}
