//! A payment as clients get it and as the index stores it.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use sqlx::PgConnection;
use uuid::Uuid;

use super::status::Status;
use crate::api::show_authors;
use crate::search::{Name, Terms};
use crate::values::clock::milliseconds;
use crate::values::ids::PaymentId;
use crate::values::money::{Currency, Money};

/// Money that came in or is expected to, with what it shows of its account and customer.
#[derive(Clone, Debug, Default, PartialEq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = show_authors)]
pub struct Payment {
    /// Also the id of the document.
    pub id: Uuid,
    /// Counts the changes of the row; the ETag repeats it.
    pub version: i64,
    /// None while the payment is unallocated.
    pub account_id: Option<Uuid>,
    /// The account's number.
    pub account_number: Option<String>,
    /// The account's customer, or who paid while the payment is unallocated.
    pub customer_id: Option<Uuid>,
    /// That customer's display name.
    pub customer_name: Option<String>,
    /// The account's, if there is one.
    pub currency: Currency,
    /// More than zero.
    pub amount: Money,
    /// How it was paid.
    pub method: String,
    /// Whether the money came.
    pub status: Status,
    /// The status in an older interface's words.
    pub status_label: String,
    /// Who took the money.
    pub receiver: Option<String>,
    /// Free text, such as the purpose on a bank statement.
    pub description: Option<String>,
    /// The bank's or provider's.
    pub reference: Option<String>,
    /// Why it failed, for programs.
    pub failure_code: Option<String>,
    /// Why it failed, for people.
    pub failure_reason: Option<String>,
    /// When the money came, or is expected.
    #[serde(serialize_with = "milliseconds")]
    pub received_at: DateTime<Utc>,
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
    /// How the customer is searched for.
    #[serde(skip)]
    pub(super) given_name: Option<String>,
    #[serde(skip)]
    pub(super) family_name: Option<String>,
    #[serde(skip)]
    pub(super) company_name: Option<String>,
}

impl Payment {
    pub(super) fn new(currency: Currency, now: DateTime<Utc>) -> Self {
        let amount = Money { minor: 0, currency };
        Self { id: PaymentId::new().0, currency, amount, received_at: now, ..Self::default() }
    }

    pub(super) fn search_terms(&self) -> Terms {
        let mut terms = Terms::default();
        if let Some(display) = &self.customer_name {
            terms.name(Name {
                display,
                given: self.given_name.as_deref(),
                family: self.family_name.as_deref(),
                company: self.company_name.as_deref(),
            });
        }
        terms.number(self.account_number.iter().chain(&self.reference));
        terms.text(self.receiver.iter().chain(&self.description));
        terms
    }
}

pub(super) async fn select(connection: &mut PgConnection, ids: &[Uuid]) -> sqlx::Result<Vec<Payment>> {
    let payments = sqlx::query_as!(
        Payment,
        r#"
        select
          p.id as "id!", p.version as "version!", p.account_id, a.account_number as "account_number?", c.id as "customer_id?",
          c.name as "customer_name?", p.currency as "currency!: Currency", (p.amount, p.currency) as "amount!: Money",
          p.method as "method!", p.status as "status!: Status",
          case p.status when 'success' then 'Completed' else initcap(p.status) end as "status_label!",
          p.receiver, p.description, p.reference, p.failure_code, p.failure_reason, p.received_at as "received_at!",
          p.created_at as "created_at!", p.created_by, p.updated_at as "updated_at!", p.updated_by, p.deleted_at,
          c.given_name as "given_name?", c.family_name as "family_name?", c.company_name as "company_name?"
        from payments p
        left join accounts a on a.id = p.account_id
        left join customers c on c.id = coalesce(a.customer_id, p.customer_id)
        where p.id = any($1)
        "#,
        ids,
    );
    payments.fetch_all(connection).await
}
