//! The figures of the panels, and of the addresses beside them, are what plain SQL says, over sixty days and three currencies.

use std::collections::{BTreeMap, BTreeSet};

use collections::app::App;
use collections::kibana::{self, Panel, SavedObject};
use collections::values::ids;
use reqwest::Method;
use serde_json::Value;
use sqlx::{AssertSqlSafe, PgPool};

use crate::harness::eventually::eventually;
use crate::harness::synced::Synced;

/// Clocks in this zone were put back within the sixty days before late November.
pub(super) const SETTINGS: [&str; 4] = ["--analytics", "on", "--default-time-zone", "Europe/Berlin"];

/// Sixty accounts whose balances changed on many of the last seventy days, and a first snapshot before them.
pub(super) const SEEDED: &str = "
    insert into customers (id, name) values ('00000000-0000-0000-0000-000000000001', 'Maria Muster');
    insert into accounts (id, customer_id, currency, portfolio, due_date, created_at)
    select
      gen_random_uuid(), '00000000-0000-0000-0000-000000000001', (array['EUR', 'USD', 'JPY'])[1 + n % 3],
      (array['North', 'South', null])[1 + n % 4], (now() at time zone 'UTC')::date - 150 + 5 * n, now() - interval '90 days'
    from generate_series(1, 60) as n;
    insert into ledger_entries (id, account_id, kind, amount, created_at)
    select gen_random_uuid(), id, 'opening', 1000 + 37 * number, now() - make_interval(days => 20 + number::integer, hours => number::integer)
    from (select id, row_number() over (order by due_date) as number from accounts) as numbered;
    insert into ledger_entries (id, account_id, kind, amount, created_at)
    select gen_random_uuid(), id, 'payment', case when number % 3 = 0 then -balance else -100 end,
      now() - make_interval(days => (number % 19)::integer, hours => 3)
    from (select id, balance, row_number() over (order by due_date) as number from accounts) as numbered
    where number % 4 > 0;
    insert into payments (id, account_id, amount, currency, method, status, received_at)
    select gen_random_uuid(), id, 500 + 11 * number, currency, 'cash', (array['success', 'failed'])[1 + (number % 5 = 0)::integer],
      now() - make_interval(days => (number % 25)::integer)
    from (select id, currency, row_number() over (order by due_date) as number from accounts) as numbered;
    update accounts set last_contact_at = now() - make_interval(days => number::integer)
    from (select id as one, row_number() over (order by due_date) as number from accounts) as numbered where id = one and number % 2 = 0;
    update accounts set deleted_at = now() where id = (select id from accounts order by due_date desc limit 1);
    insert into snapshot_days (day, ended_at, is_from_ledger)
    select day, (day + 1)::timestamp at time zone 'Europe/Berlin', false
    from (select (now() at time zone 'Europe/Berlin')::date - 61 as day) as first;
";

/// The accounts that were owed at the end of each day, from the ledger alone.
pub(super) const OWED: &str = "
    with days as (
      select day::date, (day::date + 1)::timestamp at time zone 'Europe/Berlin' as ended_at
      from generate_series((now() at time zone 'Europe/Berlin')::date - 61, (now() at time zone 'Europe/Berlin')::date - 1, '1 day') as day
    ),
    owed as (
      select day, a.id, a.currency, a.portfolio, sum(l.amount) as balance,
        case
          when day - a.due_date > 120 then '120+' when day - a.due_date > 90 then '91-120' when day - a.due_date > 60 then '61-90'
          when day - a.due_date > 30 then '31-60' when day - a.due_date > 0 then '1-30' else 'current'
        end as bucket
      from days
      cross join accounts a
      join ledger_entries l on l.account_id = a.id and l.created_at < ended_at
      where a.status = 'open' and a.created_at < ended_at and (a.deleted_at is null or a.deleted_at >= ended_at)
      and day > (now() at time zone 'Europe/Berlin')::date - 61
      group by day, a.id
      having sum(l.amount) > 0
    ),
    moved as (
      select coalesce(after.day, before.day + 1) as day, coalesce(after.currency, before.currency) as currency,
        coalesce(before.bucket, 'none') as bucket_before, coalesce(after.bucket, 'none') as bucket_after,
        coalesce(before.balance, 0) as balance_before, coalesce(after.balance, 0) as balance_after
      from owed before
      full join owed after on after.id = before.id and after.day = before.day + 1
      where coalesce(after.day, before.day + 1) < (now() at time zone 'Europe/Berlin')::date
    ),
    named as (
      select *, power(10, case currency when 'JPY' then 0 else 2 end) as unit,
        case
          when bucket_before = 'none' then 'new'
          when bucket_before <> 'current' and bucket_after in ('none', 'current') then 'cured'
          when bucket_after = 'none' then 'better'
          when array_position(names, bucket_after) > array_position(names, bucket_before) then 'worse'
          when array_position(names, bucket_after) < array_position(names, bucket_before) then 'better'
          else 'same'
        end as movement
      from moved, (select array['current', '1-30', '31-60', '61-90', '91-120', '120+'] as names) as buckets
    )
";

/// Groups and figures of a panel, by its groups.
type Rows = BTreeMap<String, Vec<f64>>;

/// Reads the rows of a table that a panel shows.
fn rows(panel: &Panel, answer: &Value) -> Rows {
    let mut rows = Rows::new();
    let (groups, metrics): (Vec<_>, Vec<_>) = panel.aggregations.iter().partition(|one| !one.is_metric());
    let mut open = vec![(answer["aggregations"].clone(), answer["hits"]["total"]["value"].clone(), Vec::<String>::new())];
    while let Some((node, count, keys)) = open.pop() {
        if let Some(group) = groups.get(keys.len()) {
            for bucket in node[&group.id]["buckets"].as_array().unwrap() {
                let key = bucket["key_as_string"].as_str().or(bucket["key"].as_str()).unwrap();
                let key = if group.kind == "date_histogram" { &key[..10] } else { key };
                open.push((bucket.clone(), bucket["doc_count"].clone(), [keys.clone(), vec![key.to_owned()]].concat()));
            }
        } else if count != 0 {
            let figure = |one: &&collections::kibana::panel::Aggregation| match one.kind.as_str() {
                "count" => count.as_f64().unwrap(),
                _ => node[&one.id]["value"].as_f64().unwrap(),
            };
            rows.insert(keys.join(" "), metrics.iter().map(figure).collect());
        }
    }
    rows
}

/// What SQL says: a text of the groups, and an array of the figures.
async fn expected(test: &Synced, sql: &str) -> Rows {
    let found: Vec<(String, Vec<f64>)> = sqlx::query_as(AssertSqlSafe(sql.to_owned())).fetch_all(&test.pool).await.unwrap();
    found.into_iter().collect()
}

#[track_caller]
fn expect_same(what: &str, shown: &Rows, expected: &Rows) {
    assert!(!expected.is_empty(), "{what} shows nothing");
    assert_eq!(shown.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{what}");
    for (key, figures) in expected {
        for (one, other) in shown[key].iter().zip(figures) {
            assert!((one - other).abs() < 0.005, "{what}, {key}: {:?} and not {figures:?}", shown[key]);
        }
        assert_eq!(shown[key].len(), figures.len(), "{what}, {key}");
    }
}

/// Makes the snapshots of all days that are over.
pub(super) async fn take_snapshots(app: &App, pool: &PgPool) {
    let schedules = collections::worker::schedules(app).unwrap();
    let schedule = schedules.iter().find(|schedule| schedule.name == "take_snapshots").unwrap();
    schedule.enqueue(&mut app.db.jobs.acquire().await.unwrap()).await.unwrap();
    let working = tokio::spawn(collections::jobs::run(app.clone(), collections::worker::kinds(), Vec::new()));
    eventually("the snapshots are made", async || {
        let open = "select count(*) from jobs where kind = 'take_snapshots' and state <> 'succeeded'";
        sqlx::query_scalar::<_, i64>(open).fetch_one(pool).await.unwrap() == 0
    })
    .await;
    working.abort();
}

fn pack() -> Vec<SavedObject> {
    kibana::files().unwrap().into_iter().flat_map(|file| file.objects).collect()
}

/// The panels of dashboards that show figures.
fn shown_by(titles: &[&str]) -> BTreeSet<String> {
    let objects = pack();
    let dashboards = objects.iter().filter(|object| titles.contains(&object.title()));
    let panels = dashboards.flat_map(|dashboard| &dashboard.references).map(|reference| reference.id.clone());
    panels.filter(|id| !id.ends_with("-about")).collect()
}

/// A panel, and what Elasticsearch answers to what Kibana asks for it.
async fn asked(test: &Synced, id: &str) -> (Panel, Value) {
    let objects = pack();
    let object = objects.iter().find(|object| object.id == format!("collections-{id}")).unwrap();
    let panel = Panel::read(object, &objects).unwrap().unwrap();
    let index = test.index(panel.collection).await;
    let answer = test.raw(Method::POST, &format!("{index}/_search"), Some(panel.search("UTC", ("now-90d/d", "now")))).await;
    (panel, answer)
}

async fn shown(test: &Synced, id: &str) -> Rows {
    let (panel, answer) = asked(test, id).await;
    rows(&panel, &answer)
}

#[tokio::test]
async fn panels_show_what_sql_says() {
    let test = Synced::started_with(&SETTINGS).await;
    test.sql(SEEDED).await;
    take_snapshots(&test.app, &test.pool).await;
    test.settle().await;
    // That of yesterday counts as missed too, an hour after midnight.
    let missed =
        "select count(*) from snapshot_days where is_from_ledger and day < (now() at time zone 'Europe/Berlin')::date - 1";
    assert_eq!(test.scalar::<i64>(missed).await, 59);
    let figures = "round((sum(balance) / power(10, case currency when 'JPY' then 0 else 2 end))::numeric, 2)::float8";
    let owed = "select *, case when portfolio is null then '__missing__' else portfolio end as named from accounts
        where status = 'open' and deleted_at is null";
    let age = "case
        when due_date >= today then 'now' when due_date >= today - 30 then '30' when due_date >= today - 60 then '60'
        when due_date >= today - 90 then '90' when due_date >= today - 120 then '120' else 'older' end";
    let today = "(select (now() at time zone 'UTC')::date as today) as now";
    let checks = [
        ("today-owed", format!("select currency, array[count(*), {figures}]::float8[] from ({owed}) as owed group by currency")),
        (
            "today-portfolios",
            format!("select named || ' ' || currency, array[count(*), {figures}]::float8[] from ({owed}) as owed group by named, currency"),
        ),
        (
            "today-collected",
            "select (received_at at time zone 'UTC')::date || ' ' || currency,
              array[sum(amount) / power(10, case currency when 'JPY' then 0 else 2 end)]::float8[]
            from payments where status = 'success' and deleted_at is null group by (received_at at time zone 'UTC')::date, currency".into(),
        ),
        (
            "roll-balance",
            format!("{OWED} select day || ' ' || bucket_after || ' ' || currency, array[sum(balance_after / unit)]::float8[]
                from named where bucket_after <> 'none' group by day, bucket_after, currency"),
        ),
        (
            "roll-movements",
            format!("{OWED} select day || ' ' || movement, array[count(*)]::float8[]
                from named where movement not in ('new', 'same') group by day, movement"),
        ),
        (
            "roll-transitions",
            format!("{OWED} select currency || ' ' || bucket_before || ' ' || bucket_after,
                array[count(*), sum(balance_before / unit), sum(balance_after / unit)]::float8[]
                from named group by currency, bucket_before, bucket_after"),
        ),
        (
            "roll-rates",
            format!("{OWED} select currency || ' ' || bucket_before || ' ' || movement,
                array[count(*), sum(balance_before / unit)]::float8[]
                from named where bucket_before <> 'none' group by currency, bucket_before, movement"),
        ),
    ];
    let mut compared: BTreeSet<String> = ["collections-today-ageing", "collections-search-no-contact"].map(str::to_owned).into();
    for (panel, sql) in checks {
        expect_same(panel, &shown(&test, panel).await, &expected(&test, &sql).await);
        compared.insert(format!("collections-{panel}"));
    }
    assert_eq!(compared, shown_by(&["Collections today", "Ageing and roll rates"]), "every panel of both is compared");
    // The ranges of ages have names of their own.
    let sql = format!(
        "select currency || ' ' || {age}, array[count(*), {figures}]::float8[] from ({owed} and balance > 0) as owed, {today}
        group by currency, {age}"
    );
    let (shown, expected) = (shown(&test, "today-ageing").await, expected(&test, &sql).await);
    let mut figures: [Vec<Vec<i64>>; 2] = [&shown, &expected]
        .map(|rows| rows.values().map(|row| row.iter().map(|figure| (figure * 100.0).round() as i64).collect()).collect());
    figures.iter_mut().for_each(|rows| rows.sort());
    assert_eq!(figures[0], figures[1]);
    // The saved search counts accounts.
    let silent: i64 = test
        .scalar(
            "select count(*) from accounts where status = 'open' and balance > 0 and deleted_at is null
            and coalesce(last_contact_at < now() - interval '30 days', true)",
        )
        .await;
    let answer = asked(&test, "search-no-contact").await.1;
    assert_eq!(answer["hits"]["total"]["value"], silent);
    assert!(silent > 10 && silent < test.scalar::<i64>("select count(*) from accounts where balance > 0").await - 5);
    test.expect_equal().await;
}

#[tokio::test]
async fn a_day_is_kept_once_and_nothing_is_made_up_before_the_first() {
    let test = Synced::started_with(&SETTINGS).await;
    test.sql(SEEDED).await;
    test.sql("delete from snapshot_days").await;
    take_snapshots(&test.app, &test.pool).await;
    assert_eq!(test.scalar::<i64>("select count(*) from snapshot_days").await, 1, "of yesterday");
    let first: i64 =
        test.scalar("select count(*) from snapshot_transitions where bucket_before is null and movement is null").await;
    let all: i64 = test.scalar("select count(*) from snapshot_transitions").await;
    assert!(all > 0 && first == all, "what was before the first day is not known");
    // Portfolios that are renamed are called as they were on days that are over.
    test.sql("update accounts set portfolio = 'Renamed'").await;
    take_snapshots(&test.app, &test.pool).await;
    assert_eq!(test.scalar::<i64>("select count(*) from snapshot_transitions").await, all);
    assert_eq!(test.scalar::<i64>("select count(*) from snapshot_transitions where portfolio = 'Renamed'").await, 0);
    // A balance that changed since midnight is not that of yesterday.
    let yesterday: bool = test
        .scalar(
            "select bool_and(s.balance = (select sum(amount) from ledger_entries l where l.account_id = s.account_id and l.created_at < d.ended_at))
            from account_snapshots s join snapshot_days d on d.day = s.day",
        )
        .await;
    assert!(yesterday);
    test.settle().await;
    test.expect_equal().await;
}

#[tokio::test]
async fn a_sample_tells_what_the_process_did() {
    let test = Synced::started_with(&SETTINGS).await;
    let counted = collections::metrics::Totals { lists: 7, fallbacks: 2, requests: 10, seconds: 0.25 };
    collections::health::samples::sample(&test.app, ids::new(), counted).await.unwrap();
    test.settle().await;
    let id = test.scalar("select id from operation_samples").await;
    let sample = test.document("analytics-operations", id).await;
    assert_eq!((&sample["lists"], &sample["fallbacks"], &sample["requests"]), (&7.into(), &2.into(), &10.into()));
    assert_eq!(sample["requestMs"], 25);
    assert_eq!(sample["role"], "leading");
    test.expect_equal().await;
}
