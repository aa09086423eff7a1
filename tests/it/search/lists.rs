//! Lists, filters and searches: the same questions to both engines get the same answers.

use collections::auth::Role;
use collections::collections::ALL;
use collections::search::bulk::{self, Bulk, Outcome};
use collections::search::index::{self, Alias};
use collections::values::lsn::Version;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::app::{Engine, TestApp, elasticsearch_url};
use crate::harness::client::Client;
use crate::harness::proxy::{Mode, Proxy};

pub(super) const ENGINES: [Engine; 2] = [Engine::Elasticsearch, Engine::Postgres];

/// A few people with accounts and payments; the last digits of ids are their numbers.
pub(super) const ROWS: &str = r#"
insert into customers (id, external_id, name, given_name, family_name, company_name, kind, status, date_of_birth, tags, created_at)
select ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, 'X-' || n, name, given, family, company,
  case when company is null then 'person' else 'company' end, status, born, tags, '2026-01-01T10:00:00Z'::timestamptz + n * interval '1 day'
from (values
  (1, 'Jürgen Müller', 'Jürgen', 'Müller', null, 'active', date '1980-05-01', array['vip','north']),
  (2, 'Anna Mueller', 'Anna', 'Mueller', null, 'active', null, '{}'::text[]),
  (3, 'John O''Brien', 'John', 'O''Brien', null, 'inactive', '1990-01-01', array['north']),
  (4, 'Johanna Smith', 'Johanna', 'Smith', null, 'active', null, '{}'),
  (5, 'Smith John', 'Smith', 'John', null, 'active', null, '{}'),
  (6, 'John Smith', 'John', 'Smith', null, 'active', null, '{}'),
  (7, 'Acme Widgets GmbH', null, null, 'Acme Widgets GmbH', 'active', null, '{}'),
  (8, 'Pieter van den Berg', 'Pieter', 'van den Berg', null, 'deceased', null, '{}'),
  (9, 'Michaela Neumann', 'Michaela', 'Neumann', null, 'active', null, '{}')
) as people(n, name, given, family, company, status, born, tags);
update customers set deleted_at = now() where external_id = 'X-4';
insert into contact_points (id, customer_id, kind, value, normalized, is_primary)
select gen_random_uuid(), ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, kind, value, value, true
from (values (1, 'phone', '+14155552671'), (1, 'email', 'j.mueller@example.com'), (3, 'phone', '+33628123456'),
  (6, 'email', 'john.smith@acme.test')) as points(n, kind, value);
insert into addresses (id, customer_id, line1, city, postal_code, country)
values (gen_random_uuid(), '00000000-0000-7000-8000-000000000009', '8 Stanley Street', 'Winston Hills', '4223', 'AU');
insert into accounts (id, account_number, customer_id, currency, due_date, status, creditor, tags, created_at)
select ('00000000-0000-7000-9000-' || lpad(n::text, 12, '0'))::uuid, number, ('00000000-0000-7000-8000-' || lpad(owner::text, 12, '0'))::uuid,
  currency, due, status, creditor, tags, '2026-02-01T00:00:00.5Z'::timestamptz + n * interval '1 hour'
from (values
  (1, 'AC-0017', 1, 'EUR', date '2026-03-01', 'open', 'Bank', array['a']),
  (2, 'AC-0018', 1, 'EUR', null, 'open', null, '{}'::text[]),
  (3, 'ZZ-9917', 3, 'JPY', '2026-01-15', 'paused', 'Bank', '{}'),
  (4, 'AC-0020', 6, 'USD', '2999-01-01', 'open', 'Shop', array['a','b'])
) as debts(n, number, owner, currency, due, status, creditor, tags);
insert into ledger_entries (id, account_id, kind, amount)
select gen_random_uuid(), ('00000000-0000-7000-9000-' || lpad(n::text, 12, '0'))::uuid, 'opening', amount
from (values (1, 12345), (2, 500), (3, 700), (4, 99900)) as openings(n, amount);
insert into payments (id, account_id, customer_id, amount, currency, method, status, receiver, description, reference, received_at)
select ('00000000-0000-7000-a000-' || lpad(n::text, 12, '0'))::uuid,
  case when account is not null then ('00000000-0000-7000-9000-' || lpad(account::text, 12, '0'))::uuid end, null, amount, 'EUR', method, status,
  receiver, description, reference, '2026-03-01T12:00:00Z'::timestamptz + n * interval '1 day'
from (values
  (1, 1, 1000, 'cash', 'success', 'Front desk', 'First instalment', 'BANK-778812'),
  (2, 1, 2000, 'credit_card', 'failed', 'Web shop', null, null),
  (3, null, 3000, 'cash', 'pending', 'Front desk', 'Unknown sender', 'R 55')
) as receipts(n, account, amount, method, status, receiver, description, reference);
"#;

pub(super) struct Lists {
    pub(super) test: TestApp,
    pub(super) client: Client,
    engine: Engine,
}

impl Lists {
    pub(super) async fn open(engine: Engine) -> Self {
        Self::open_with(engine, ROWS).await
    }

    /// Starts with the rows of a script.
    pub(super) async fn open_with(engine: Engine, rows: &str) -> Self {
        let test = TestApp::start_on(engine).await;
        sqlx::raw_sql(sqlx::AssertSqlSafe(rows)).execute(&test.database.pool).await.unwrap();
        let client = test.admin().await;
        let lists = Self { test, client, engine };
        lists.index().await;
        lists
    }

    /// Waits for the sync, or builds the indices if there is none.
    async fn index(&self) {
        let Some(elastic) = self.test.app.search.elastic() else { return };
        for collection in ALL {
            if index::inspect(elastic, collection).await.unwrap() != Alias::Missing {
                return self.test.settle().await;
            }
            let name = crate::search::index::create(elastic, collection, self.test.clock.now()).await.unwrap();
            let mut connection = self.test.database.pool.acquire().await.unwrap();
            let select = format!("select id from {}", collection.name);
            let ids: Vec<Uuid> = sqlx::query_scalar(sqlx::AssertSqlSafe(select)).fetch_all(&mut *connection).await.unwrap();
            let mut writes = Bulk::default();
            for document in (collection.load)(&mut connection, &ids).await.unwrap() {
                writes.index(&name, document.id, Version(1), &document.source);
            }
            let outcomes = bulk::send(elastic, writes).await.unwrap();
            assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Written), "{outcomes:?}");
            index::refresh(elastic, &name).await.unwrap();
            index::swap(elastic, collection, &name).await.unwrap();
        }
    }

    pub(super) async fn client_of(&self, role: Role) -> Client {
        self.test.client(role).await
    }

    /// Runs a statement as the owner of the schema.
    pub(super) async fn run(&self, sql: &'static str) {
        sqlx::raw_sql(sql).execute(&self.test.database.pool).await.unwrap();
    }

    /// Asks for a list and returns the values of one member, in order.
    pub(super) async fn values(&self, path: &str, member: &str) -> Vec<Value> {
        let body = self.client.get(path).await.expect(200);
        let expected = if self.engine == Engine::Postgres { "postgres" } else { "elasticsearch" };
        assert_eq!(body["engine"], expected, "{path}");
        body["data"].as_array().unwrap().iter().map(|item| item[member].clone()).collect()
    }

    pub(super) async fn check(&self, path: &str, member: &str, expected: &[&str]) {
        assert_eq!(self.values(path, member).await, expected, "{path} from {:?}", self.engine);
    }

    /// Walks a list by its cursors, record by record, and checks that it is the whole list.
    pub(super) async fn check_walk(&self, list: &str) {
        let whole = self.values(&format!("{list}&limit=100"), "id").await;
        let (mut walked, mut path) = (Vec::new(), format!("{list}&limit=1"));
        for _ in 0..=whole.len() {
            let body = self.client.get(&path).await.expect(200);
            walked.extend(body["data"].as_array().unwrap().iter().map(|item| item["id"].clone()));
            let Some(cursor) = body["nextCursor"].as_str() else { break };
            path = format!("{list}&limit=1&cursor={cursor}");
        }
        assert_eq!(walked, whole, "{list} from {:?}", self.engine);
    }
}

#[tokio::test]
async fn filters_mean_the_same_on_both_engines() {
    for engine in ENGINES {
        let lists = Lists::open(engine).await;
        let accounts: &[(&str, &[&str])] = &[
            ("", &["AC-0020", "ZZ-9917", "AC-0018", "AC-0017"]),
            ("sort=accountNumber", &["AC-0017", "AC-0018", "AC-0020", "ZZ-9917"]),
            ("status=OPEN&sort=accountNumber", &["AC-0017", "AC-0018", "AC-0020"]),
            ("status=open,paused&sort=-accountNumber", &["ZZ-9917", "AC-0020", "AC-0018", "AC-0017"]),
            ("status[ne]=open", &["ZZ-9917"]),
            ("status[nin]=open,closed", &["ZZ-9917"]),
            ("creditor=Bank&sort=accountNumber", &["AC-0017", "ZZ-9917"]),
            ("creditor[ne]=Bank&sort=accountNumber", &["AC-0018", "AC-0020"]),
            ("creditor[exists]=false", &["AC-0018"]),
            ("creditor[exists]=true&sort=accountNumber", &["AC-0017", "AC-0020", "ZZ-9917"]),
            ("currency=eur&balance[gte]=5.01", &["AC-0017"]),
            ("currency=EUR&balance[lte]=5.00", &["AC-0018"]),
            ("currency=JPY&balance=700", &["ZZ-9917"]),
            ("balance[between]=5,123.45&sort=balance", &["AC-0018", "ZZ-9917", "AC-0017"]),
            ("balance[gt]=123.45", &["AC-0020"]),
            ("dueDate[lt]=2026-03-01", &["ZZ-9917"]),
            ("dueDate[lte]=2026-03-01&sort=dueDate", &["ZZ-9917", "AC-0017"]),
            ("dueDate[exists]=false", &["AC-0018"]),
            ("sort=dueDate", &["ZZ-9917", "AC-0017", "AC-0020", "AC-0018"]),
            ("sort=-dueDate", &["AC-0020", "AC-0017", "ZZ-9917", "AC-0018"]),
            ("overdue=true", &["AC-0017"]),
            ("overdue=false&sort=accountNumber", &["AC-0018", "AC-0020", "ZZ-9917"]),
            ("tags=a&sort=accountNumber", &["AC-0017", "AC-0020"]),
            ("tags=b,zz", &["AC-0020"]),
            ("tags[exists]=false&sort=accountNumber", &["AC-0018", "ZZ-9917"]),
            ("accountNumber=AC-0017", &["AC-0017"]),
            ("accountNumber[prefix]=AC-001&sort=accountNumber", &["AC-0017", "AC-0018"]),
            ("accountNumber[suffix]=9917", &["ZZ-9917"]),
            ("customerId=00000000-0000-7000-8000-000000000003", &["ZZ-9917"]),
            ("customerName[prefix]=mül&sort=accountNumber", &["AC-0017", "AC-0018"]),
            ("createdAt[gte]=2026-02-01T03:00:00.500Z&sort=createdAt", &["ZZ-9917", "AC-0020"]),
            ("createdAt[gt]=2026-02-01T03:00:00.500Z", &["AC-0020"]),
            ("from=2026-02-01&to=2026-02-01&limit=1", &["AC-0020"]),
            ("to=2026-01-31", &[]),
            ("from=2026-02-02", &[]),
            ("startDate=2026-02-01&endDate=2026-02-01&tz=-12:00", &[]),
            ("sortBy=balance&sortOrder=desc&limit=2", &["AC-0020", "AC-0017"]),
            ("sort=-status,balance", &["ZZ-9917", "AC-0018", "AC-0017", "AC-0020"]),
            ("createdAt[gt]=now-1d", &[]),
        ];
        for (query, expected) in accounts {
            lists.check(&format!("/accounts?{query}"), "accountNumber", expected).await;
        }
        let customers: &[(&str, &[&str])] = &[
            ("sort=name&limit=3", &["X-7", "X-5", "X-2"]),
            ("sort=-balance&limit=3&currency[exists]=true", &["X-6", "X-1", "X-3"]),
            ("balance[gte]=900&currency=USD", &["X-6"]),
            ("accountCount=2", &["X-1"]),
            ("oldestDueDate[exists]=true&sort=oldestDueDate", &["X-1", "X-6"]),
            ("kind=company", &["X-7"]),
            ("dateOfBirth[lt]=1985-01-01", &["X-1"]),
            ("tags=north&sort=externalId", &["X-1", "X-3"]),
            ("includeDeleted=true&status=active&sort=-externalId&limit=4", &["X-9", "X-7", "X-6", "X-5"]),
            ("includeDeleted=true&deletedAt[exists]=true", &["X-4"]),
        ];
        for (query, expected) in customers {
            lists.check(&format!("/customers?{query}"), "externalId", expected).await;
        }
        lists.check("/payments?status=completed", "reference", &["BANK-778812"]).await;
        lists.check("/payments?method=cash&sort=amount&amount[gt]=10", "receiver", &["Front desk"]).await;
        lists
            .check(
                "/accounts/00000000-0000-7000-9000-000000000001/payments?sort=-receivedAt",
                "receiver",
                &["Web shop", "Front desk"],
            )
            .await;
    }
}

#[tokio::test]
async fn a_search_finds_people_and_numbers_on_both_engines() {
    for engine in ENGINES {
        let lists = Lists::open(engine).await;
        let first: &[(&str, &str)] = &[
            ("John Smith", "X-5"),
            ("smith john", "X-5"),
            ("muller", "X-1"),
            ("MÜLLER jürgen", "X-1"),
            ("Mueller Anna", "X-2"),
            ("obrien", "X-3"),
            ("o'br", "X-3"),
            ("O’Brien", "X-3"),
            ("vandenberg", "X-8"),
            ("van den berg", "X-8"),
            ("acme", "X-7"),
            ("Michaela Neuman", "X-9"),
            ("Michaela Neumonn", "X-9"),
            ("Nichaela Neumann", "X-9"),
            ("Micheala Neumann", "X-9"),
            ("2671", "X-1"),
            ("(415) 555-2671", "X-1"),
            ("+1 415 555 2671", "X-1"),
            ("06 28 12 34 56", "X-3"),
            ("j.mueller@example.com", "X-1"),
            ("J.Mueller@", "X-1"),
            ("X-3", "X-3"),
            ("neumann winston hills", "X-9"),
            ("4223", "X-9"),
            ("00000000-0000-7000-8000-000000000007", "X-7"),
        ];
        for (typed, expected) in first {
            let path = format!("/customers?q={}", typed.replace('+', "%2B").replace(' ', "+"));
            let found = lists.values(&path, "externalId").await;
            assert_eq!(found.first(), Some(&json!(expected)), "{typed} from {engine:?}: {found:?}");
        }
        // Every word has to match; what is deleted is not found.
        lists.check("/customers?q=john+smith&sort=externalId", "externalId", &["X-5", "X-6"]).await;
        lists.check("/customers?q=john&sort=externalId", "externalId", &["X-3", "X-5", "X-6"]).await;
        lists.check("/customers?q=zzzzqqqq", "externalId", &[]).await;

        lists.check("/accounts?q=0017", "accountNumber", &["AC-0017"]).await;
        lists.check("/accounts?q=ac0018", "accountNumber", &["AC-0018"]).await;
        lists.check("/accounts?q=ac-00&sort=accountNumber", "accountNumber", &["AC-0017", "AC-0018", "AC-0020"]).await;
        lists.check("/accounts?q=brien", "accountNumber", &["ZZ-9917"]).await;
        lists.check("/accounts?q=2671&sort=accountNumber&status=open", "accountNumber", &["AC-0017", "AC-0018"]).await;
        lists.check("/payments?q=778812", "reference", &["BANK-778812"]).await;
        lists.check("/payments?search=front+desk&sort=amount", "reference", &["BANK-778812", "R 55"]).await;
        lists.check("/payments?q=instalment", "reference", &["BANK-778812"]).await;
        lists.check("/payments?q=jürgen&sort=amount", "receiver", &["Front desk", "Web shop"]).await;
    }
}

#[tokio::test]
async fn a_cursor_walks_every_list_once() {
    for engine in ENGINES {
        let lists = Lists::open(engine).await;
        for sort in [
            "sort=dueDate",
            "sort=-dueDate",
            "sort=creditor,-balance",
            "sort=-creditor",
            "sort=-createdAt",
            "q=ac&sort=score",
            "q=john+miller",
        ] {
            lists.check_walk(&format!("/accounts?{sort}")).await;
        }
    }
}

#[tokio::test]
async fn what_is_not_known_is_refused_by_name() {
    let lists = Lists::open(Engine::Postgres).await;
    for (query, named) in [
        ("colour=red", "dueDate"),
        ("status=lost", "written_off"),
        ("status[gt]=open", "nin"),
        ("status[eq=open", "fields"),
        ("balance[gte]=ten", "decimal"),
        ("balance[gte]=1.001&currency=EUR", "decimals"),
        ("currency=EURO", "three letters"),
        ("dueDate=tomorrow", "now-30d"),
        ("customerId=7", "UUID"),
        ("accountNumber[suffix]=17", "four"),
        ("sort=tags", "dueDate"),
        ("sortOrder=up", "desc"),
        ("overdue=perhaps", "true or false"),
        ("page=0", "from 1"),
        ("limit=0", "1000"),
        ("limit=1001", "1000"),
        ("limit=abc", "1000"),
        ("view=still", "frozen"),
        ("view=frozen", "Elasticsearch"),
        ("page=1001", "cursor"),
        ("page=2&cursor=abc", "page cannot"),
        ("count=all", "exact"),
        ("tz=Mars", "offset"),
        ("syncToken=x", "X-Sync-Token"),
        ("cursor=abc", "nextCursor"),
    ] {
        let body = lists.client.get(&format!("/accounts?{query}")).await.expect(400);
        assert!(body["detail"].as_str().unwrap().contains(named), "{query}: {}", body["detail"]);
    }
    // The older address cuts a page down instead.
    let body = lists.client.get("/api/accounts?limit=500").await.expect(200);
    assert_eq!(body["limit"], 100);
}

#[tokio::test]
async fn a_page_says_how_much_there_is_and_where_it_goes_on() {
    for engine in ENGINES {
        let lists = Lists::open(engine).await;
        let answer = lists.client.get("/accounts?limit=3&sort=accountNumber&syncToken=0%2F8").await;
        assert_eq!(answer.headers["x-total-count"], "4");
        let link = answer.headers["link"].to_str().unwrap();
        assert!(link.contains("&syncToken=0%2F8&cursor=") && link.ends_with("rel=\"next\""), "{link}");
        let body = answer.expect(200);
        assert_eq!(
            json!([body["total"], body["totalRelation"], body["page"], body["limit"], body["totalPages"]]),
            json!([4, "eq", 1, 3, 2])
        );
        let last = lists.client.get("/accounts?limit=2&page=2&sort=accountNumber").await.expect(200);
        assert_eq!((last["data"].as_array().unwrap().len(), &last["nextCursor"]), (2, &Value::Null));
        let uncounted = lists.client.get("/accounts?count=none").await.expect(200);
        assert_eq!((&uncounted["total"], &uncounted["totalPages"]), (&Value::Null, &Value::Null));

        // A cursor belongs to its list.
        let cursor = body["nextCursor"].as_str().unwrap();
        lists.client.get(&format!("/accounts?sort=-accountNumber&cursor={cursor}")).await.expect(400);
        lists.client.get(&format!("/customers?sort=accountNumber&cursor={cursor}")).await.expect(400);
        let next = lists.client.get(&format!("/accounts?sort=accountNumber&limit=1&cursor={cursor}")).await.expect(200);
        assert_eq!(next["data"][0]["accountNumber"], "ZZ-9917");
    }
}

#[tokio::test]
async fn lists_go_on_while_elasticsearch_refuses_or_hangs() {
    let (proxy, url) = Proxy::before(&elasticsearch_url()).await;
    let more = ["--elasticsearch-url", &url, "--search-timeout", "300ms"];
    let test = TestApp::start_with(&more).await;
    let client = test.admin().await;
    let created = client.post("/customers", &json!({ "name": "Ada Lovelace" })).await;
    let token = created.header("x-sync-token").to_owned();
    created.expect(201);
    let seen = client.with("x-sync-token", &token);
    let body = seen.get("/customers?q=lovelace").await.expect(200);
    assert_eq!((&body["engine"], &body["total"]), (&json!("elasticsearch"), &json!(1)), "{body}");

    for mode in [Mode::Refuse, Mode::Hang] {
        proxy.set(mode);
        for _ in 0..20 {
            let body = client.get("/customers?q=lovelace").await.expect(200);
            assert_eq!(
                (&body["engine"], &body["degraded"], &body["total"]),
                (&json!("postgres"), &json!(true), &json!(1)),
                "{body}"
            );
        }
        proxy.set(Mode::Pass);
        let mut engine = Value::Null;
        for _ in 0..100 {
            engine = client.get("/customers?q=lovelace").await.expect(200)["engine"].clone();
            if engine == "elasticsearch" {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        assert_eq!(engine, "elasticsearch", "the probe closes the breaker");
    }
}

#[tokio::test]
async fn a_list_without_an_index_is_answered_by_postgres_and_never_empty() {
    let test = TestApp::start().await;
    let client = test.admin().await;
    client.post("/customers", &json!({ "name": "Ada Lovelace" })).await.expect(201);
    test.settle().await;
    crate::harness::app::remove_indices(&test.database.name);
    let body = client.get("/customers").await.expect(200);
    assert_eq!((&body["engine"], &body["degraded"], &body["total"]), (&json!("postgres"), &json!(true), &json!(1)));
}
