//! The generated people, as the judgements need them.

use std::collections::HashSet;

use collections::values::text;
use sqlx::{AssertSqlSafe, FromRow};
use uuid::Uuid;

use crate::harness::database::Database;
use crate::harness::engines;

/// Customers of `collections seed`; those of seed 1 have been used since the first report.
const CUSTOMERS: &str = "1200";

/// People of one name, with what tells them apart.
const NAMESAKES: &str = r"
insert into customers (id, external_id, name, given_name, family_name)
select ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, 'NS-' || n, 'John Smith', 'John', 'Smith'
from generate_series(1, 500) as n;
insert into contact_points (id, customer_id, kind, value, normalized, is_primary)
select gen_random_uuid(), ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, 'phone', '+1415555' || 4000 + n, '+1415555' || 4000 + n, true
from generate_series(1, 500) as n;
insert into addresses (id, customer_id, line1, city, country)
select gen_random_uuid(), ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, n || ' Elm Street', 'Springfield', 'US'
from generate_series(1, 500) as n;
";

/// A customer.
#[derive(FromRow)]
pub(super) struct Person {
    pub(super) id: Uuid,
    pub(super) name: String,
    /// Empty of a company, as is `family`.
    pub(super) given: String,
    pub(super) family: String,
    pub(super) region: String,
    /// In the international form.
    pub(super) phones: Vec<String>,
    pub(super) emails: Vec<String>,
    pub(super) street: String,
    pub(super) city: String,
    #[sqlx(skip)]
    pub(super) words: Vec<String>,
}

#[derive(FromRow)]
pub(super) struct Account {
    pub(super) id: Uuid,
    pub(super) customer_id: Uuid,
    pub(super) number: String,
    /// Minor units.
    pub(super) balance: i64,
    pub(super) currency: String,
}

#[derive(FromRow)]
pub(super) struct Payment {
    pub(super) id: Uuid,
    pub(super) reference: String,
}

pub(super) struct World {
    pub(super) people: Vec<Person>,
    pub(super) accounts: Vec<Account>,
    pub(super) payments: Vec<Payment>,
}

/// Inserts the people.
pub(super) async fn fill(database: &Database) {
    engines::seed(database, CUSTOMERS).await;
    sqlx::raw_sql(NAMESAKES).execute(&database.pool).await.unwrap();
}

impl World {
    pub(super) async fn read(database: &Database) -> Self {
        let people = r"
            select c.id, c.name, coalesce(given_name, '') as given, coalesce(family_name, '') as family, coalesce(country, '') as region,
              array(select normalized from contact_points where customer_id = c.id and kind = 'phone' order by normalized) as phones,
              array(select normalized from contact_points where customer_id = c.id and kind = 'email' order by normalized) as emails,
              coalesce(line1, '') as street, coalesce(city, '') as city
            from customers c
            left join addresses on customer_id = c.id
            order by c.id";
        let mut people: Vec<Person> = all(database, people).await;
        for person in &mut people {
            person.words = text::words(&text::fold(&person.name)).map(str::to_owned).collect();
        }
        let accounts = "select id, customer_id, account_number as number, balance, currency from accounts order by id";
        let payments = "select id, reference from payments where reference is not null order by id";
        Self { people, accounts: all(database, accounts).await, payments: all(database, payments).await }
    }

    /// The people for whom something holds.
    pub(super) fn who(&self, holds: impl Fn(&Person) -> bool) -> HashSet<Uuid> {
        self.people.iter().filter(|person| holds(person)).map(|person| person.id).collect()
    }

    /// The people of the same name, in whatever order and spelling.
    pub(super) fn namesakes(&self, name: &str) -> HashSet<Uuid> {
        let mut wanted: Vec<String> = text::words(&text::fold(name)).map(str::to_owned).collect();
        wanted.sort();
        self.who(|person| {
            let mut words = person.words.clone();
            words.sort();
            words == wanted
        })
    }
}

async fn all<T>(database: &Database, sql: &'static str) -> Vec<T>
where
    T: for<'r> FromRow<'r, sqlx::postgres::PgRow> + Send + Unpin,
{
    sqlx::query_as(AssertSqlSafe(sql)).fetch_all(&database.pool).await.unwrap()
}

impl Person {
    pub(super) fn is_company(&self) -> bool {
        self.family.is_empty()
    }

    /// Whether all of the name is in Latin letters.
    pub(super) fn is_latin(&self) -> bool {
        self.words.iter().all(|word| word.is_ascii())
    }
}
