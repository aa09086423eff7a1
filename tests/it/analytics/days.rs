//! Snapshots on bad days: missed, made twice, made during a rebuild, of days with 23 and 25 hours, of customers who were erased.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use collections::collections::find;
use collections::features::analytics::TakeSnapshots;
use collections::jobs::{self, Terms};
use collections::sync::generations::reconcile;
use uuid::Uuid;

use super::panels::{SEEDED, SETTINGS, take_snapshots};
use crate::harness::app::TestApp;
use crate::harness::synced::Synced;
use crate::sync::documents::people;

/// Lets the last snapshot be that of the day so many days ago.
fn last_was(days: i64) -> String {
    format!(
        "delete from account_snapshots; delete from snapshot_days;
        insert into snapshot_days (day, ended_at, is_from_ledger)
        select day, (day + 1)::timestamp at time zone 'Europe/Berlin', false
        from (select (now() at time zone 'Europe/Berlin')::date - {days} as day) as last"
    )
}

/// Accounts whose balances in snapshots are not those that the ledger tells.
const WRONG: &str = "
    select count(*) from account_snapshots s join snapshot_days d on d.day = s.day
    where s.balance <> (select sum(amount) from ledger_entries where account_id = s.account_id and created_at < d.ended_at)";

/// Days whose movements do not begin where those of the day before have ended.
const BROKEN: &str = "
    select count(*) from (
      select day + 1 as day, currency, portfolio, bucket_after as bucket, sum(accounts) as accounts, sum(balance_after) as balance
      from snapshot_transitions where bucket_after <> 'none' group by day, currency, portfolio, bucket_after
      except all
      select day, currency, portfolio, bucket_before, sum(accounts), sum(balance_before)
      from snapshot_transitions where bucket_before <> 'none' group by day, currency, portfolio, bucket_before
    ) as ended
    where day <= (select max(day) from snapshot_days)";

#[tokio::test]
async fn three_missed_days_are_made_from_the_ledger() {
    let test = Synced::started_with(&SETTINGS).await;
    test.sql(SEEDED).await;
    test.sql(&last_was(5)).await;
    take_snapshots(&test.app, &test.pool).await;
    let days: Vec<(i32, bool)> =
        sqlx::query_as("select (now() at time zone 'Europe/Berlin')::date - day, is_from_ledger from snapshot_days order by day")
            .fetch_all(&test.pool)
            .await
            .unwrap();
    // That of yesterday counts as missed too, an hour after midnight.
    assert_eq!(days[..4], [(5, false), (4, true), (3, true), (2, true)]);
    assert_eq!((days.len(), days[4].0), (5, 1));
    assert!(test.scalar::<i64>("select count(*) from account_snapshots").await > 100);
    assert_eq!(test.scalar::<i64>(WRONG).await, 0);
    assert_eq!(test.scalar::<i64>(BROKEN).await, 0);
    test.settle().await;
    test.expect_equal().await;
}

#[tokio::test]
async fn two_jobs_at_once_make_each_day_once() {
    let test = Synced::with(&SETTINGS).await;
    test.sql(SEEDED).await;
    test.sql(&last_was(9)).await;
    for _ in 0..2 {
        let mut connection = test.app.db.jobs.acquire().await.unwrap();
        jobs::enqueue(&mut connection, &TakeSnapshots::default(), Terms::default()).await.unwrap();
    }
    let workers = [(); 2].map(|()| tokio::spawn(jobs::run(test.app.clone(), collections::worker::kinds(), Vec::new())));
    test.wait_for("select not exists (select from jobs where state in ('queued', 'running'))").await;
    workers.iter().for_each(|worker| worker.abort());
    assert_eq!(test.scalar::<i64>("select count(*) from jobs where state <> 'succeeded'").await, 0);
    assert_eq!(test.scalar::<i64>("select count(*) from snapshot_days").await, 9);
    assert_eq!((test.scalar::<i64>(WRONG).await, test.scalar::<i64>(BROKEN).await), (0, 0));
    // Again, when all is done.
    let sums = "select sum(accounts)::bigint from snapshot_transitions";
    let before: i64 = test.scalar(sums).await;
    take_snapshots(&test.app, &test.pool).await;
    assert_eq!(test.scalar::<i64>(sums).await, before);
}

#[tokio::test]
async fn days_that_are_made_during_a_rebuild_are_in_the_new_index() {
    let test = Synced::started_with(&SETTINGS).await;
    test.sql(SEEDED).await;
    let before = test.index("analytics-snapshots").await;
    let building = reconcile::request(&test.app, find("analytics-snapshots").unwrap()).await.unwrap();
    take_snapshots(&test.app, &test.pool).await;
    assert!(building.is_some());
    test.expect_replaced("analytics-snapshots", &before).await;
    test.settle().await;
    test.expect_equal().await;
    let alias = format!("{}-analytics-snapshots", test.name);
    test.raw(reqwest::Method::POST, &format!("{alias}/_refresh"), None).await;
    let count = test.raw(reqwest::Method::GET, &format!("{alias}/_count"), None).await["count"].as_i64().unwrap();
    assert_eq!(count, test.scalar::<i64>("select count(*) from snapshot_transitions").await);
    assert!(count > 60);
}

/// Payments of 1.00 in the last second before and the first of each midnight of a day, and what is owed at the ends of four days.
async fn check_midnights(first: &str, now: &str, midnights: [&str; 2], owed: [i64; 4]) {
    let test = TestApp::start_api(&SETTINGS).await;
    let now: DateTime<Utc> = now.parse().unwrap();
    test.clock.advance(now - test.clock.now());
    let entries: String = midnights
        .iter()
        .flat_map(|midnight| [format!("'{midnight}'::timestamptz - interval '1 second'"), format!("'{midnight}'::timestamptz")])
        .map(|at| format!(", (gen_random_uuid(), '{}', 'payment', -100, {at})", Uuid::from_u128(0x11)))
        .collect();
    let sql = format!(
        "insert into customers (id, name) values ('{customer}', 'Maria Muster');
        insert into accounts (id, customer_id, currency, due_date, created_at)
          values ('{account}', '{customer}', 'EUR', '2025-01-31', '2025-01-01');
        insert into ledger_entries (id, account_id, kind, amount, created_at)
          values (gen_random_uuid(), '{account}', 'opening', 1000, '2025-01-01'){entries};
        insert into snapshot_days (day, ended_at, is_from_ledger) values (date '{first}' - 1, date '{first}', false)",
        customer = Uuid::from_u128(1),
        account = Uuid::from_u128(0x11),
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&test.database.pool).await.unwrap();
    take_snapshots(&test.app, &test.database.pool).await;
    let shown: Vec<(NaiveDate, i64)> =
        sqlx::query_as("select day, balance from account_snapshots order by day").fetch_all(&test.database.pool).await.unwrap();
    let first: NaiveDate = first.parse().unwrap();
    let expected: Vec<_> = (0..).zip(owed).map(|(day, owed)| (first + TimeDelta::days(day), owed)).collect();
    assert_eq!(shown, expected);
}

#[tokio::test]
async fn days_end_at_midnight_where_clocks_are_changed() {
    // In Berlin 30 March 2025 has 23 hours, and 26 October 25.
    let spring = ["2025-03-29T23:00:00Z", "2025-03-30T22:00:00Z"];
    check_midnights("2025-03-28", "2025-04-01T12:00:00Z", spring, [1_000, 900, 700, 600]).await;
    let autumn = ["2025-10-25T22:00:00Z", "2025-10-26T23:00:00Z"];
    check_midnights("2025-10-24", "2025-10-28T12:00:00Z", autumn, [1_000, 900, 700, 600]).await;
}

#[tokio::test]
async fn an_erased_customer_leaves_figures_and_no_person() {
    let test = Synced::started_with(&SETTINGS).await;
    people(&test).await;
    test.sql(
        "insert into ledger_entries (id, account_id, kind, amount, created_at)
          select gen_random_uuid(), id, 'opening', 12990, now() - interval '9 days' from accounts;
        update accounts set created_at = now() - interval '9 days';
        update customers set date_of_birth = '1984-05-06';
        insert into addresses (id, customer_id, line1, city, region, country)
          select gen_random_uuid(), id, 'Hauptstr. 1', 'Bonn', 'NRW', 'DE' from customers",
    )
    .await;
    test.sql(&last_was(3)).await;
    take_snapshots(&test.app, &test.pool).await;
    test.settle().await;
    let sums = "select array_agg(balance_after order by day, id)::text from snapshot_transitions";
    let (before, key): (String, _) = (test.scalar(sums).await, test.document("analytics-customers", Uuid::from_u128(1)).await);
    assert_eq!(key["region"], "NRW");
    test.sql(
        "update customers set name = 'erased', given_name = null, family_name = null, date_of_birth = null, tax_id = null,
          external_id = null, status = 'inactive', deleted_at = now();
        delete from contact_points;
        delete from addresses",
    )
    .await;
    test.settle().await;
    let customer = test.document("analytics-customers", Uuid::from_u128(1)).await;
    assert_eq!((&customer["ageBand"], &customer["region"], &customer["country"]), (&().into(), &().into(), &().into()));
    assert_eq!((&customer["hasPhone"], &customer["hasEmail"]), (&false.into(), &false.into()));
    assert!(customer["deletedAt"].is_string(), "panels leave it out");
    assert_eq!(customer["customerKey"], key["customerKey"]);
    assert_eq!(test.scalar::<String>(sums).await, before, "what was owed on days that are over");
    test.expect_equal().await;
}
