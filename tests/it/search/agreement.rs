//! Both engines agree on what lies at the edge of values: endings, absent names, sums beyond 64 bits, the ends of the calendar.

use collections::collections;
use sqlx::AssertSqlSafe;

use super::lists::{ENGINES, Lists};

/// Customers with sums above and below 64 bits, of each two, with an ordinary one, and without accounts; payments with and without a
/// customer.
const ROWS: &str = r"
insert into customers (id, external_id, name, given_name, family_name, date_of_birth)
select ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, 'EXT-44556' || n, 'Ann ' || family, 'Ann', family, date '1990-01-01' + n::integer
from unnest(array['Abel', 'Berg', 'Cole', 'Dorn', 'Eder', 'Funk', 'Gold']) with ordinality as people(family, n);
insert into accounts (id, account_number, customer_id, currency)
select ('00000000-0000-7000-9000-' || lpad(n::text, 12, '0'))::uuid, 'N-1122' || n, ('00000000-0000-7000-8000-' || lpad(owner::text, 12, '0'))::uuid, 'EUR'
from unnest(array[1, 1, 2, 2, 3, 3, 4, 4, 5]) with ordinality as debts(owner, n);
insert into ledger_entries (id, account_id, kind, amount)
select gen_random_uuid(), ('00000000-0000-7000-9000-' || lpad(n::text, 12, '0'))::uuid, 'opening', amount
from unnest(array[
  9000000000000000000, 9000000000000000000, 9000000000000000000, 9000000000000000000,
  -9000000000000000000, -9000000000000000000, -9000000000000000000, -9000000000000000000, 500
]) with ordinality as openings(amount, n);
insert into payments (id, account_id, customer_id, amount, currency, method, status, reference)
select gen_random_uuid(), null, case when owner > 0 then ('00000000-0000-7000-8000-' || lpad(owner::text, 12, '0'))::uuid end, 100, 'EUR', 'cash', 'success', reference
from (values (0, 'R-1'), (2, 'R-2'), (1, 'R-3')) as receipts(owner, reference);
";

#[tokio::test]
async fn an_account_is_found_by_the_ending_of_its_own_number_only() {
    for engine in ENGINES {
        let lists = Lists::open_with(engine, ROWS).await;
        lists.check("/accounts?accountNumber[suffix]=1229", "accountNumber", &["N-11229"]).await;
        lists.check("/accounts?accountNumber[suffix]=n-1122-9", "accountNumber", &["N-11229"]).await;
        lists.check("/accounts?accountNumber[suffix]=5565", "accountNumber", &[]).await;
        // The search box looks at all numbers.
        lists.check("/accounts?q=5565", "accountNumber", &["N-11229"]).await;
    }
}

/// Postgres leaves out the tables that a query does not need.
#[tokio::test]
async fn joined_tables_neither_add_nor_remove_rows() {
    let lists = Lists::open_with(ENGINES[1], ROWS).await;
    lists
        .run(
            "insert into activities (id, account_id, kind, note)
            select gen_random_uuid(), id, 'note', 'called' from accounts",
        )
        .await;
    for collection in collections::ALL {
        let mut counted = Vec::new();
        for from in [collection.table.to_owned(), collection.tables()] {
            let sql = AssertSqlSafe(format!("select count(*) from {from}"));
            counted.push(sqlx::query_scalar::<_, i64>(sql).fetch_one(&lists.test.database.pool).await.unwrap());
        }
        assert!(counted[0] > 0 && counted[0] == counted[1], "{}: {counted:?}", collection.name);
    }
    let accounts = collections::find("accounts").unwrap();
    assert_eq!(accounts.tables_for("a.status = $1 and a.deleted_at is null"), "accounts a");
    assert_eq!(accounts.tables_for("c.name = $1"), "accounts a join customers c on c.id = a.customer_id");
    assert_eq!(accounts.tables_for("u.username = $1"), accounts.tables());
}

/// Parts of what a record is known by, as they may be typed.
fn parts(whole: &str) -> impl Iterator<Item = &str> {
    let lengths = (2..=whole.len()).filter(|length| *length <= 6 || *length == whole.len());
    lengths.flat_map(move |length| (0..=whole.len() - length).map(move |start| &whole[start..start + length]))
}

#[tokio::test]
async fn records_are_found_by_the_same_parts_of_numbers_and_addresses() {
    let contacts = "
        update customers set tax_id = '777-88-901' where family_name = 'Abel';
        update payments set account_id = '00000000-0000-7000-9000-000000000003', reference = 'BANK-778812' where reference = 'R-2';
        insert into contact_points (id, customer_id, kind, value, normalized, is_primary)
        select gen_random_uuid(), '00000000-0000-7000-8000-000000000001', kind, value, value, true
        from (values ('phone', '+14155552671'), ('email', 'j_doe9.qux@zz-mail.test')) as points(kind, value);";
    let servers = [
        Lists::open_with(ENGINES[0], &format!("{ROWS}; {contacts}")).await,
        Lists::open_with(ENGINES[1], &format!("{ROWS}; {contacts}")).await,
    ];
    let mut found = 0;
    for whole in ["EXT-445561", "777-88-901", "N-11221", "BANK-778812", "14155552671", "j_doe9.qux@zz-mail.test"] {
        for part in parts(whole) {
            for (list, name) in [("customers", "externalId"), ("accounts", "accountNumber"), ("payments", "reference")] {
                let typed: String = form_urlencoded::byte_serialize(part.as_bytes()).collect();
                let path = format!("/{list}?q={typed}&sort={name}");
                let [elastic, postgres] = [servers[0].values(&path, name).await, servers[1].values(&path, name).await];
                assert_eq!(postgres, elastic, "{path}");
                found += elastic.len();
            }
        }
    }
    assert!(found > 200, "{found}");
}

#[tokio::test]
async fn the_parts_of_an_address_are_parts_of_one_address() {
    let long = "abcdefghijklmnopqrstuvwxyz";
    let contacts = format!(
        "insert into contact_points (id, customer_id, kind, value, normalized, is_primary)
        select gen_random_uuid(), ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, 'email', value, value, place = 0
        from (values (1, 0, 'ann.abel@home.test'), (1, 1, 'boss@work.test'), (2, 0, 'ann@work.test'), (2, 1, 'berg@home.test'),
          (3, 0, '{long}@home.test'), (3, 1, 'c@{long}.test')) as points(n, place, value);
        insert into customers (id, external_id, name)
        select ('00000000-0000-7000-a000-' || lpad(n::text, 12, '0'))::uuid, 'MANY-' || n, 'Many' from generate_series(1, 200) as n;
        insert into contact_points (id, customer_id, kind, value, normalized, is_primary)
        select gen_random_uuid(), id, 'email', address, address, true
        from (select id, '{long}' || external_id || '@many.test' as address from customers where name = 'Many') as many;"
    );
    let searches = [
        ("ann@work", &["EXT-445562"][..]),
        ("work@ann", &["EXT-445562"]),
        ("ann@home.te", &["EXT-445561"]),
        ("an@ann", &["EXT-445561", "EXT-445562"]),
        ("ann@ann", &["EXT-445561", "EXT-445562"]),
        ("boss@work", &["EXT-445561"]),
        (&*format!("{long}@home"), &["EXT-445563"]),
        (&*format!("c@{long}"), &["EXT-445563"]),
        // None has both in one address, so that some of the words are enough.
        ("boss@home", &["EXT-445561", "EXT-445562", "EXT-445563"]),
    ];
    for engine in ENGINES {
        let lists = Lists::open_with(engine, &format!("{ROWS}; {contacts}")).await;
        for (typed, expected) in searches {
            lists.check(&format!("/customers?q={typed}&sort=externalId"), "externalId", expected).await;
        }
        // More words begin with it than a query takes.
        let page = lists.values(&format!("/customers?q={}@many&limit=100", &long[..20]), "externalId").await;
        assert_eq!(page.len(), 100, "{engine:?}");
    }
}

#[tokio::test]
async fn a_payment_without_a_customer_has_no_name() {
    for engine in ENGINES {
        let lists = Lists::open_with(engine, ROWS).await;
        lists.check("/payments?customerName[exists]=false", "reference", &["R-1"]).await;
        lists.check("/payments?customerName[exists]=true&sort=customerName", "reference", &["R-3", "R-2"]).await;
        lists.check("/payments?sort=customerName", "reference", &["R-3", "R-2", "R-1"]).await;
        lists.check("/payments?sort=-customerName", "reference", &["R-2", "R-3", "R-1"]).await;
        for sort in ["customerName", "-customerName"] {
            lists.check_walk(&format!("/payments?sort={sort}")).await;
        }
    }
}

#[tokio::test]
async fn a_cursor_walks_past_sums_beyond_64_bits() {
    for engine in ENGINES {
        let lists = Lists::open_with(engine, ROWS).await;
        let families = ["Cole", "Dorn", "Eder", "Abel", "Berg", "Funk", "Gold"];
        lists.check("/customers?sort=balance", "familyName", &families).await;
        let families = ["Abel", "Berg", "Eder", "Cole", "Dorn", "Funk", "Gold"];
        lists.check("/customers?sort=-balance", "familyName", &families).await;
        for sort in ["balance", "-balance"] {
            lists.check_walk(&format!("/customers?sort={sort}")).await;
        }
    }
}

#[tokio::test]
async fn a_word_longer_than_names_is_found_as_a_whole_only() {
    let word = "llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogogoch";
    let rows = format!("insert into customers (id, external_id, name) values (gen_random_uuid(), 'EXT-1', 'Ann {word}')");
    for engine in ENGINES {
        let lists = Lists::open_with(engine, &rows).await;
        for (typed, expected) in [(word, &["EXT-1"][..]), (&word[..40], &["EXT-1"]), (&word[..41], &[]), (&word[1..], &[])] {
            lists.check(&format!("/customers?q={typed}"), "externalId", expected).await;
        }
        lists.check(&format!("/customers?q=ann+{word}"), "externalId", &["EXT-1"]).await;
    }
}

#[tokio::test]
async fn days_outside_the_calendar_are_refused() {
    for engine in ENGINES {
        let lists = Lists::open_with(engine, ROWS).await;
        for query in [
            "/customers?dateOfBirth[lt]=-262143-01-01",
            "/customers?dateOfBirth[between]=0000-12-31,2000-01-01",
            "/customers?dateOfBirth=10000-01-01",
            "/customers?createdAt[gte]=now-9999999d",
            "/customers?to=%2B12345-01-01",
            "/accounts?dueDate[gte]=now-9999999d",
            "/accounts?dueDate[gte]=now%2B95005456d&tz=%2B14:00",
            "/payments?from=today-3000y",
        ] {
            let body = lists.client.get(query).await.expect(400);
            assert!(body["detail"].as_str().unwrap().contains("0001-01-01 to 9999-12-31"), "{query}: {body}");
        }
        for zone in ["%2B23:59", "%2B14:15", "-12:15", "%2B01:01"] {
            let body = lists.client.get(&format!("/accounts?dueDate=today&tz={zone}")).await.expect(400);
            assert!(body["detail"].as_str().unwrap().contains("-12:00 to +14:00"), "{zone}: {body}");
        }
        for query in [
            "dateOfBirth[gte]=0001-01-01&dateOfBirth[lte]=9999-12-31",
            "from=0001-01-01&to=9999-12-31",
            "from=0001-01-01&to=9999-12-31&tz=%2B14:00",
            "from=0001-01-01&to=9999-12-31&tz=-12:00",
            "createdAt[gt]=0001-01-01T00:00:00Z&createdAt[lt]=9999-12-31T23:59:59.999Z",
        ] {
            assert_eq!(lists.values(&format!("/customers?{query}"), "id").await.len(), 7, "{query} from {engine:?}");
        }
    }
}
