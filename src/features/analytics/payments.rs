//! Payments for analysts.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Facts, STATE, UNLISTED, load};
use crate::search::FieldKind::{Currency as Code, Flag, Id, Integer, Moment, Money as Amount, Text};
use crate::search::{Collection, Field};
use crate::values::clock::milliseconds;
use crate::values::money::{Currency, Money};

/// Payments without persons.
pub static COLLECTION: Collection = Collection {
    name: "analytics-payments",
    template: include_str!("../../../index-templates/analytics-payments.json"),
    fields: FIELDS,
    table: "payments p",
    joins: &[STATE],
    id: "p.id",
    load: load::<Payment>,
    ..UNLISTED
};

static FIELDS: &[Field] = &[
    Field::new("id", Id, "p.id"),
    Field::new("version", Integer, "p.version"),
    Field::new("accountKey", Text, "pseudonym(s.key, p.account_id)"),
    Field::new("isAllocated", Flag, "p.account_id is not null"),
    Field::new("currency", Code, "p.currency"),
    Field::new("amount", Amount, "p.amount"),
    Field::new("amountMinor", Integer, "p.amount"),
    Field::new("method", Text, "p.method"),
    Field::new("status", Text, "p.status"),
    Field::new("failureCode", Text, "p.failure_code"),
    Field::new("receivedAt", Moment, "p.received_at"),
    Field::new("createdAt", Moment, "p.created_at"),
    Field::new("deletedAt", Moment, "p.deleted_at"),
];

/// A payment, without who paid it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Payment {
    /// Also the id of the document.
    pub id: Uuid,
    /// Counts the changes of the row.
    pub version: i64,
    /// The pseudonym of the account that it pays; none of an unallocated receipt.
    pub account_key: Option<String>,
    /// Whether it pays an account.
    pub is_allocated: bool,
    /// Currency of the amount.
    pub currency: Currency,
    /// What was paid, in major units of the currency.
    pub amount: Money,
    /// The same in minor units, which sums add up without rounding.
    pub amount_minor: i64,
    /// How it was paid: `bank_transfer`, `cash`, …
    pub method: String,
    /// `pending`, `success`, `failed`, `refunded` or `reversed`.
    pub status: String,
    /// Why it failed, as the provider codes it.
    pub failure_code: Option<String>,
    /// When the money came in.
    #[serde(serialize_with = "milliseconds")]
    pub received_at: DateTime<Utc>,
    /// When the row was inserted.
    #[serde(serialize_with = "milliseconds")]
    pub created_at: DateTime<Utc>,
    /// When it was deleted; panels leave deleted rows out.
    #[serde(serialize_with = "milliseconds")]
    pub deleted_at: Option<DateTime<Utc>>,
}

impl Facts for Payment {
    fn id(&self) -> Uuid {
        self.id
    }

    async fn select(connection: &mut PgConnection, ids: &[Uuid]) -> sqlx::Result<Vec<Self>> {
        let payments = sqlx::query_as!(
            Self,
            r#"
            select
              p.id as "id!", p.version as "version!", pseudonym(s.key, p.account_id) as account_key,
              p.account_id is not null as "is_allocated!", p.currency as "currency!: Currency",
              (p.amount, p.currency) as "amount!: Money", p.amount as "amount_minor!", p.method as "method!", p.status as "status!",
              p.failure_code, p.received_at as "received_at!", p.created_at as "created_at!", p.deleted_at
            from payments p
            cross join analytics_state s
            where p.id = any($1)
            "#,
            ids,
        );
        payments.fetch_all(connection).await
    }
}
