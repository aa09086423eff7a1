//! Customers for analysts.

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Facts, STATE, UNLISTED, load};
use crate::search::FieldKind::{Currency as Code, Day, Flag, Id, Integer, Moment, Money as Amount, Text};
use crate::search::{Collection, Field};
use crate::values::clock::milliseconds;
use crate::values::money::{Currency, Money};

/// Customers without persons. Their version counts the changes of what is shown here, so that a rename writes nothing.
pub static COLLECTION: Collection = Collection {
    name: "analytics-customers",
    template: include_str!("../../../index-templates/analytics-customers.json"),
    fields: FIELDS,
    table: "customers c",
    joins: &[STATE],
    id: "c.id",
    version: "summary_changes",
    load: load::<Customer>,
    ..UNLISTED
};

static FIELDS: &[Field] = &[
    Field::new("id", Id, "c.id"),
    Field::new("version", Integer, "c.summary_changes"),
    Field::new("customerKey", Text, "pseudonym(s.key, c.id)"),
    Field::new("kind", Text, "c.kind"),
    Field::new("status", Text, "c.status"),
    Field::new("language", Text, "c.language"),
    Field::new("ageBand", Text, "c.date_of_birth"),
    Field::new("country", Text, "addresses.country"),
    Field::new("region", Text, "addresses.region"),
    Field::new("hasPhone", Flag, "contact_points.kind"),
    Field::new("hasEmail", Flag, "contact_points.kind"),
    Field::new("accountCount", Integer, "accounts"),
    Field::new("openAccountCount", Integer, "accounts.status"),
    Field::new("currency", Code, "accounts.currency"),
    Field::new("balance", Amount, "accounts.balance"),
    Field::new("balanceMinor", Integer, "accounts.balance"),
    Field::new("oldestDueDate", Day, "accounts.due_date"),
    Field::new("createdAt", Moment, "c.created_at"),
    Field::new("deletedAt", Moment, "c.deleted_at"),
];

/// A customer, without who it is.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Customer {
    /// Also the id of the document.
    pub id: Uuid,
    /// Counts the changes of what is shown here of the row.
    pub version: i64,
    /// The customer's pseudonym, by which accounts refer to it.
    pub customer_key: String,
    /// `person` or `company`.
    pub kind: String,
    /// `active`, `inactive`, `deceased`, `insolvent` or `blocked`.
    pub status: String,
    /// Language (BCP 47).
    pub language: Option<String>,
    /// The decade of birth. A band of ages would be wrong a day later.
    pub age_band: Option<String>,
    /// Country of the primary address (ISO 3166-1 alpha-2).
    pub country: Option<String>,
    /// State or province of the primary address.
    pub region: Option<String>,
    /// Whether a phone number is known.
    pub has_phone: bool,
    /// Whether an e-mail address is known.
    pub has_email: bool,
    /// Accounts that are not deleted.
    pub account_count: i64,
    /// Those of them that are open.
    pub open_account_count: i64,
    /// The currency of all accounts, if they share one.
    pub currency: Option<Currency>,
    /// The sum of the accounts' balances in major units, if they share a currency.
    pub balance: Option<Money>,
    /// The same in minor units.
    pub balance_minor: Option<i64>,
    /// Oldest due date among open accounts.
    pub oldest_due_date: Option<NaiveDate>,
    /// When the row was inserted.
    #[serde(serialize_with = "milliseconds")]
    pub created_at: DateTime<Utc>,
    /// When it was deleted; panels leave deleted rows out.
    #[serde(serialize_with = "milliseconds")]
    pub deleted_at: Option<DateTime<Utc>>,
}

impl Facts for Customer {
    fn id(&self) -> Uuid {
        self.id
    }

    async fn select(connection: &mut PgConnection, ids: &[Uuid]) -> sqlx::Result<Vec<Self>> {
        // A sum beyond 64 bits stops next to the greatest number, as in the record.
        let customers = sqlx::query_as!(
            Self,
            r#"
            select
              c.id as "id!", c.summary_changes::bigint as "version!", pseudonym(s.key, c.id) as "customer_key!", c.kind as "kind!",
              c.status as "status!", c.language, extract(decade from c.date_of_birth) || '0s' as age_band, d.country, d.region,
              exists (select from contact_points where customer_id = c.id and kind = 'phone') as "has_phone!",
              exists (select from contact_points where customer_id = c.id and kind = 'email') as "has_email!",
              owed.accounts as "account_count!", owed.open as "open_account_count!", owed.currency as "currency: Currency",
              case when owed.balance is not null then (owed.balance, owed.currency) end as "balance: Money",
              owed.balance as balance_minor, owed.oldest_due_date, c.created_at as "created_at!", c.deleted_at
            from customers c
            cross join analytics_state s
            left join lateral (
              select country, region from addresses where customer_id = c.id order by is_primary desc, id limit 1
            ) as d on true
            cross join lateral (
              select
                count(*) as accounts,
                count(*) filter (where status = 'open') as open,
                case when count(distinct currency) = 1 then min(currency) end as currency,
                case when count(distinct currency) = 1
                  then least(greatest(sum(balance), -9223372036854775807), 9223372036854775806)::bigint end as balance,
                min(due_date) filter (where status = 'open') as oldest_due_date
              from accounts
              where customer_id = c.id
              and deleted_at is null
            ) as owed
            where c.id = any($1)
            "#,
            ids,
        );
        customers.fetch_all(connection).await
    }
}
