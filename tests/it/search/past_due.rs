//! What is past due is computed by the day: the same on both engines, in filters, orders and answers, in the caller's zone.

use chrono::{NaiveDate, TimeDelta, Utc};
use collections::auth::Role;
use collections::values::zone::Zone;
use serde_json::{Value, json};

use super::lists::{ENGINES, Lists};
use crate::harness::app::TestApp;

/// Debts by days past due: without a due date, paused, and settled by a payment among them.
const ROWS: &str = r"
insert into customers (id, name) values ('00000000-0000-7000-8000-000000000001', 'Ada Lovelace');
insert into accounts (id, account_number, customer_id, currency, due_date, status)
select ('00000000-0000-7000-9000-' || lpad(n::text, 12, '0'))::uuid, 'A' || n, '00000000-0000-7000-8000-000000000001', 'EUR',
  (now() at time zone 'utc')::date - days, status
from (values (1, 0, 'open'), (2, 1, 'open'), (3, 30, 'open'), (4, 31, 'open'), (5, 120, 'open'), (6, 121, 'open'), (7, null, 'open'),
  (8, 50, 'paused'), (9, 40, 'open')) as debts(n, days, status);
insert into ledger_entries (id, account_id, kind, amount)
select gen_random_uuid(), id, 'opening', 1000 from accounts where account_number <> 'A9';
";

const ALL: &[&str] = &["A1", "A2", "A3", "A4", "A5", "A6", "A7", "A8", "A9"];
const CURRENT: &[&str] = &["A1", "A7", "A8", "A9"];

#[tokio::test]
async fn what_is_past_due_is_filtered_alike_on_both_engines() {
    for engine in ENGINES {
        let lists = Lists::open_with(engine, ROWS).await;
        let conditions: &[(&str, &[&str])] = &[
            ("isOverdue=true", &["A2", "A3", "A4", "A5", "A6"]),
            ("overdue=true", &["A2", "A3", "A4", "A5", "A6"]),
            ("isOverdue=false", CURRENT),
            ("isOverdue[ne]=true", CURRENT),
            ("isOverdue=true,false", ALL),
            ("daysPastDue=30", &["A3"]),
            ("daysPastDue=0", CURRENT),
            ("daysPastDue[ne]=0", &["A2", "A3", "A4", "A5", "A6"]),
            ("daysPastDue[in]=1,121", &["A2", "A6"]),
            ("daysPastDue[gte]=31", &["A4", "A5", "A6"]),
            ("daysPastDue[gt]=31", &["A5", "A6"]),
            ("daysPastDue[lte]=1", &["A1", "A2", "A7", "A8", "A9"]),
            ("daysPastDue[lt]=1", CURRENT),
            ("daysPastDue[between]=30,120", &["A3", "A4", "A5"]),
            ("daysPastDue[between]=120,30", &[]),
            ("daysPastDue[gt]=-1", ALL),
            ("daysPastDue[lte]=-1", &[]),
            ("daysPastDue=-5", &[]),
            ("daysPastDue[gte]=9223372036854775807", &[]),
            ("daysPastDue[lte]=9223372036854775807", ALL),
            ("daysPastDue[exists]=true", ALL),
            ("daysPastDue[exists]=false", &[]),
            ("agingBucket=current", CURRENT),
            ("agingBucket=1-30", &["A2", "A3"]),
            ("agingBucket=91-120,120%2B", &["A5", "A6"]),
            ("agingBucket=120+", &["A6"]),
            ("agingBucket[nin]=current,1-30", &["A4", "A5", "A6"]),
        ];
        for (condition, expected) in conditions {
            lists.check(&format!("/accounts?{condition}&sort=accountNumber"), "accountNumber", expected).await;
        }
        for wrong in ["isOverdue=perhaps", "daysPastDue=many", "daysPastDue[gte]=1,2", "agingBucket=90-120", "isOverdue[gt]=true"]
        {
            lists.client.get(&format!("/accounts?{wrong}")).await.expect(400);
        }
        lists.client.get("/customers?isOverdue=true").await.expect(400);
    }
}

#[tokio::test]
async fn what_is_past_due_orders_a_list_and_its_cursors() {
    for engine in ENGINES {
        let lists = Lists::open_with(engine, ROWS).await;
        let orders: &[(&str, &[&str])] = &[
            ("sort=-daysPastDue,accountNumber", &["A6", "A5", "A4", "A3", "A2", "A1", "A7", "A8", "A9"]),
            ("sort=daysPastDue,-accountNumber", &["A9", "A8", "A7", "A1", "A2", "A3", "A4", "A5", "A6"]),
            ("sort=-agingBucket,-accountNumber", &["A6", "A5", "A4", "A3", "A2", "A9", "A8", "A7", "A1"]),
            ("sort=agingBucket,accountNumber", &["A1", "A7", "A8", "A9", "A2", "A3", "A4", "A5", "A6"]),
            ("sort=-isOverdue,accountNumber", &["A2", "A3", "A4", "A5", "A6", "A1", "A7", "A8", "A9"]),
            ("sort=-daysPastDue&isOverdue=true&includeDeleted=true", &["A6", "A5", "A4", "A3", "A2"]),
            ("q=lovelace&sort=-daysPastDue&daysPastDue[gt]=30", &["A6", "A5", "A4"]),
        ];
        for (order, expected) in orders {
            lists.check(&format!("/accounts?{order}"), "accountNumber", expected).await;
            lists.check_walk(&format!("/accounts?{order}")).await;
        }
        lists.check_walk("/accounts?sort=-daysPastDue&includeDeleted=true").await;
        let refused = lists.client.get("/accounts?sort=-daysPastDue,agingBucket").await;
        assert_eq!(refused.expect(400)["errors"][0]["code"], "contradiction");
    }
}

fn day(zone: &str) -> NaiveDate {
    zone.parse::<Zone>().unwrap().day_of(Utc::now())
}

#[tokio::test]
async fn today_is_that_of_the_callers_zone_in_filters_and_answers() {
    // It is always a later day in the east.
    let (west, east) = ("-12:00", "Pacific/Kiritimati");
    let rows = format!("{ROWS} update accounts set due_date = '{}' where account_number = 'A1'", day(west));
    for engine in ENGINES {
        let lists = Lists::open_with(engine, &rows).await;
        lists.check(&format!("/accounts?accountNumber=A1&isOverdue=true&tz={west}"), "accountNumber", &[]).await;
        for zone in [east, "+14:00", "%2B14:00", "14:00"] {
            lists.check(&format!("/accounts?accountNumber=A1&isOverdue=true&tz={zone}"), "accountNumber", &["A1"]).await;
        }
        let days = (day(east) - day(west)).num_days();
        let shown = async |query: &str| {
            let body = lists.client.get(&format!("/accounts{query}")).await.expect(200);
            let record = if body["data"].is_array() { body["data"][0].clone() } else { body };
            json!([record["isOverdue"], record["daysPastDue"], record["agingBucket"]])
        };
        let id = "00000000-0000-7000-9000-000000000001";
        for path in [format!("?accountNumber=A1&tz={east}"), format!("/{id}?tz={east}")] {
            assert_eq!(shown(&path).await, json!([true, days, "1-30"]), "{path}");
        }
        for path in [format!("?accountNumber=A1&tz={west}"), format!("/{id}?tz={west}")] {
            assert_eq!(shown(&path).await, json!([false, 0, "current"]), "{path}");
        }
        let answer = lists.client.get(&format!("/accounts/{id}?tz=Mars")).await;
        assert_eq!((answer.status, answer.code()), (400, "bad_parameter"));
    }
}

#[tokio::test]
async fn the_settings_name_the_zone_and_the_buckets() {
    let test = TestApp::start_api(&["--default-time-zone", "Pacific/Kiritimati", "--aging-days", "7"]).await;
    let client = test.client(Role::Manager).await;
    let due = day("Pacific/Kiritimati") - TimeDelta::days(8);
    let body = json!({ "customer": { "name": "Ada" }, "balance": "1.00", "dueDate": due, "accountNumber": "Z-1" });
    let created = client.post("/accounts", &body).await.expect(201);
    assert_eq!((&created["daysPastDue"], &created["agingBucket"]), (&json!(8), &json!("7+")), "{created}");
    let found = client.get("/accounts?agingBucket=7%2B&daysPastDue=8").await.expect(200);
    assert_eq!(found["total"], 1);
    let error = client.get("/accounts?agingBucket=120%2B").await.expect(400);
    assert!(error["detail"].as_str().unwrap().contains("current, 1-7, 7+"), "{error}");
    // A record is accepted as it was read in another zone.
    let path = format!("/accounts/{}?tz=-12:00", created["id"].as_str().unwrap());
    let read = client.get(&path).await.expect(200);
    assert_eq!(read["daysPastDue"], Value::from((day("-12:00") - due).num_days()));
    assert_eq!(client.put(&path, &read).await.expect(200), read);
    assert_eq!(client.patch(&path, &json!({ "daysPastDue": 999 })).await.expect(422)["errors"][0]["pointer"], "/daysPastDue");
}
