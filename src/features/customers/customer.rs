//! A customer as clients get it and as the index stores it.

use chrono::{DateTime, NaiveDate, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use crate::api::{FieldValue, show_authors};
use crate::search::{Name, Terms};
use crate::values::clock::milliseconds;
use crate::values::ids::CustomerId;
use crate::values::json::Object;
use crate::values::money::{Currency, Money};
use crate::words;

words! {
    /// What a customer is by law.
    pub enum Kind, KINDS { Person = "person", Company = "company", }
    aliases {}
}

words! {
    /// What a customer is to the business.
    pub enum Status, STATUSES {
        Active = "active",
        Inactive = "inactive",
        Deceased = "deceased",
        Insolvent = "insolvent",
        Blocked = "blocked",
    }
    aliases { "bankrupt" => "insolvent", "closed" => "inactive" }
}

/// A person or company that owes, with everything that belongs to it and a summary of its accounts.
#[derive(Clone, Debug, Default, PartialEq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = show_authors)]
pub struct Customer {
    /// Also the id of the document.
    pub id: Uuid,
    /// Counts the changes of the row; the ETag repeats it.
    pub version: i64,
    /// The creditor's name for this customer.
    pub external_id: Option<String>,
    /// What the customer is by law.
    pub kind: Kind,
    /// Display name.
    pub name: String,
    /// First names of a person.
    pub given_name: Option<String>,
    /// Surname of a person; it comes first in the order of names.
    pub family_name: Option<String>,
    /// Registered name.
    pub company_name: Option<String>,
    /// Birthday of a person.
    pub date_of_birth: Option<NaiveDate>,
    /// Number at the tax office, as typed.
    pub tax_id: Option<String>,
    /// Language tag (BCP 47).
    pub language: Option<String>,
    /// Time zone (IANA).
    pub time_zone: Option<String>,
    /// What the customer is to the business.
    pub status: Status,
    /// Free words to filter by.
    pub tags: Vec<String>,
    /// Free JSON of clients.
    #[schemars(with = "Object")]
    pub metadata: Json<Object>,
    /// Free JSON of the deployment.
    #[schemars(with = "Object")]
    pub custom: Json<Object>,
    /// The primary phone number, as typed.
    pub phone: Option<String>,
    /// The primary e-mail address, as typed.
    pub email: Option<String>,
    /// Primaries first.
    #[schemars(with = "Vec<ContactPoint>")]
    pub contact_points: Json<Vec<ContactPoint>>,
    /// The primary first.
    #[schemars(with = "Vec<Address>")]
    pub addresses: Json<Vec<Address>>,
    /// Accounts that are not deleted.
    pub account_count: i64,
    /// Those of them that are open.
    pub open_account_count: i64,
    /// The currency of all accounts, if they share one.
    pub currency: Option<Currency>,
    /// The sum of the accounts' balances, if they share a currency.
    pub balance: Option<Money>,
    /// Per currency: never summed across currencies.
    #[schemars(with = "Vec<Balance>")]
    pub balances: Json<Vec<Balance>>,
    /// Oldest due date among open accounts.
    pub oldest_due_date: Option<NaiveDate>,
    /// The latest of its accounts' last payments.
    #[serde(serialize_with = "milliseconds")]
    pub last_payment_at: Option<DateTime<Utc>>,
    /// When the row was inserted.
    #[serde(serialize_with = "milliseconds")]
    pub created_at: DateTime<Utc>,
    /// The user who inserted it; none if an operator did.
    pub created_by: Option<Uuid>,
    /// When the row last changed.
    #[serde(serialize_with = "milliseconds")]
    pub updated_at: DateTime<Utc>,
    /// The user who last changed it through the API.
    pub updated_by: Option<Uuid>,
    /// When it was deleted; lists leave deleted records out unless they are asked for.
    #[serde(serialize_with = "milliseconds")]
    pub deleted_at: Option<DateTime<Utc>>,
}

/// A phone number or e-mail address.
#[derive(Clone, Debug, Default, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContactPoint {
    /// Stays while the entry changes.
    pub id: Uuid,
    /// `phone` or `email`.
    pub kind: String,
    /// As typed.
    pub value: String,
    /// E.164, or the address in lower case.
    pub normalized: String,
    /// `home`, `work`, …
    pub label: Option<String>,
    /// Whether it is the one to use.
    pub is_primary: bool,
    /// `unverified`, `valid`, `wrong` or `blocked`.
    pub state: String,
}

/// A postal address.
#[derive(Clone, Debug, Default, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Address {
    /// Stays while the entry changes.
    pub id: Uuid,
    /// `home`, `work`, …
    pub label: Option<String>,
    /// Street and number.
    pub line1: String,
    /// Building, flat.
    pub line2: Option<String>,
    /// City or suburb.
    pub city: Option<String>,
    /// State or province.
    pub region: Option<String>,
    /// Postal code, as typed.
    pub postal_code: Option<String>,
    /// Country (ISO 3166-1 alpha-2).
    pub country: Option<String>,
    /// Whether it is the one to use.
    pub is_primary: bool,
}

/// What is owed in one currency; in SQL an array of minor units and currency.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(from = "(i64, Currency)")]
pub struct Balance {
    /// Currency (ISO 4217).
    pub currency: Currency,
    /// The sum of the balances of its accounts.
    pub amount: Money,
}

impl FieldValue for Json<Vec<ContactPoint>> {}
impl FieldValue for Json<Vec<Address>> {}
impl FieldValue for Json<Vec<Balance>> {}

impl From<(i64, Currency)> for Balance {
    fn from((minor, currency): (i64, Currency)) -> Self {
        Self { currency, amount: Money { minor, currency } }
    }
}

impl Customer {
    pub(super) fn new() -> Self {
        Self { id: CustomerId::new().0, ..Self::default() }
    }

    pub(super) fn search_terms(&self) -> Terms {
        let mut terms = Terms::default();
        terms.name(Name {
            display: &self.name,
            given: self.given_name.as_deref(),
            family: self.family_name.as_deref(),
            company: self.company_name.as_deref(),
        });
        for point in self.contact_points.iter() {
            terms.contact(&point.kind, &point.normalized);
        }
        for address in self.addresses.iter() {
            let parts = [Some(&address.line1), address.line2.as_ref(), address.city.as_ref(), address.region.as_ref()];
            terms.address(parts.into_iter().chain([address.postal_code.as_ref()]).flatten());
        }
        terms.number(self.external_id.iter().chain(&self.tax_id));
        terms
    }
}

pub(super) async fn select(connection: &mut PgConnection, ids: &[Uuid]) -> sqlx::Result<Vec<Customer>> {
    // Arrays fill the structs in the order of their fields; they cost Postgres half as much as objects. The primary phone and
    // e-mail are taken from the contact points below. A sum beyond 64 bits stops next to the greatest number, which stands for a
    // missing one in the order of the index.
    let customers = sqlx::query_as!(
        Customer,
        r#"
        select
          c.id as "id!", c.version as "version!", c.external_id, c.kind as "kind!: Kind", c.name as "name!", c.given_name,
          c.family_name, c.company_name, c.date_of_birth, c.tax_id, c.language, c.time_zone, c.status as "status!: Status",
          c.tags as "tags!", c.metadata as "metadata!: Json<Object>", c.custom as "custom!: Json<Object>",
          null::text as phone, null::text as email,
          (
            select coalesce(json_agg(
              json_build_array(p.id, p.kind, p.value, p.normalized, p.label, p.is_primary, p.state)
              order by p.is_primary desc, p.id), '[]')
            from contact_points p
            where p.customer_id = c.id
          ) as "contact_points!: Json<Vec<ContactPoint>>",
          (
            select coalesce(json_agg(
              json_build_array(d.id, d.label, d.line1, d.line2, d.city, d.region, d.postal_code, d.country, d.is_primary)
              order by d.is_primary desc, d.id), '[]')
            from addresses d
            where d.customer_id = c.id
          ) as "addresses!: Json<Vec<Address>>",
          owed.accounts as "account_count!", owed.open as "open_account_count!", owed.currency as "currency: Currency",
          case when owed.balance is not null then (owed.balance, owed.currency) end as "balance: Money",
          owed.balances as "balances!: Json<Vec<Balance>>", owed.oldest_due_date, owed.last_payment_at,
          c.created_at as "created_at!", c.created_by, c.updated_at as "updated_at!", c.updated_by, c.deleted_at
        from customers c
        cross join lateral (
          select
            coalesce(sum(accounts), 0)::bigint as accounts,
            coalesce(sum(open), 0)::bigint as open,
            case when count(*) = 1 then min(currency) end as currency,
            case when count(*) = 1 then min(balance) end as balance,
            coalesce(json_agg(json_build_array(balance, currency) order by currency), '[]') as balances,
            min(oldest_due_date) as oldest_due_date,
            max(last_payment_at) as last_payment_at
          from (
            select
              currency,
              least(greatest(sum(balance), -9223372036854775807), 9223372036854775806)::bigint as balance,
              count(*) as accounts,
              count(*) filter (where status = 'open') as open,
              min(due_date) filter (where status = 'open') as oldest_due_date,
              max(last_payment_at) as last_payment_at
            from accounts
            where customer_id = c.id
            and deleted_at is null
            group by currency
          ) as by_currency
        ) as owed
        where c.id = any($1)
        "#,
        ids,
    );
    let mut customers = customers.fetch_all(connection).await?;
    for customer in &mut customers {
        let primary = |kind| customer.contact_points.iter().find(|point| point.kind == kind).map(|point| point.value.clone());
        (customer.phone, customer.email) = (primary("phone"), primary("email"));
    }
    Ok(customers)
}
