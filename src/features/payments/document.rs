//! The searchable form of a payment, built here and nowhere else, and its form on the wire.

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::search::{Loaded, Name, Terms};
use crate::values::ids::PaymentId;
use crate::values::money;

/// A payment: what is stored in the index, and what the wire shows in another form.
#[derive(Clone, Debug)]
pub struct Payment {
    /// What the index and the wire show alike.
    pub facts: Facts,
    /// Minor units in the index, a decimal on the wire.
    pub amount: i64,
    terms: Terms,
}

/// The whole document.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    facts: &'a Facts,
    amount: i64,
    /// What searches compare; the mapping keeps it out of the stored source.
    search: &'a Terms,
}

/// A payment on the wire.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct View<'a> {
    #[serde(flatten)]
    facts: &'a Facts,
    amount: Box<RawValue>,
    status_label: &'static str,
}

/// What the index and the wire show alike.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Facts {
    /// Identifier.
    pub id: Uuid,
    /// Counts the row's versions; the ETag.
    pub version: i64,
    /// The account it pays; none while it is unallocated.
    pub account_id: Option<Uuid>,
    /// That account's number.
    pub account_number: Option<String>,
    /// Who paid.
    pub customer_id: Option<Uuid>,
    /// That customer's display name.
    pub customer_name: Option<String>,
    /// ISO 4217.
    pub currency: String,
    /// How it was paid.
    pub method: String,
    /// `pending`, `success`, `failed`, `refunded` or `reversed`.
    pub status: String,
    /// Who received it.
    pub receiver: Option<String>,
    /// What it was for.
    pub description: Option<String>,
    /// The bank's or provider's reference.
    pub reference: Option<String>,
    /// Why it failed, for programs.
    pub failure_code: Option<String>,
    /// Why it failed, for people.
    pub failure_reason: Option<String>,
    /// When the money came in.
    pub received_at: DateTime<Utc>,
    /// When the row was made.
    pub created_at: DateTime<Utc>,
    /// When the row last changed.
    pub updated_at: DateTime<Utc>,
    /// When the payment was deleted; such payments are in no list unless asked for.
    pub deleted_at: Option<DateTime<Utc>>,
}

#[derive(Deserialize)]
struct Amount {
    amount: i64,
}

impl Payment {
    /// A new payment, of which nothing is known yet.
    pub fn new(now: DateTime<Utc>) -> Self {
        let facts = Facts { id: PaymentId::new().0, status: "pending".into(), received_at: now, ..Facts::default() };
        Self { facts, amount: 0, terms: Terms::default() }
    }

    /// The payment without what a client may say of it, but for its state, its currency and when the money came.
    pub fn cleared(&self) -> Self {
        let facts = Facts {
            id: self.facts.id,
            status: self.facts.status.clone(),
            currency: self.facts.currency.clone(),
            received_at: self.facts.received_at,
            ..Facts::default()
        };
        Self { facts, amount: 0, terms: Terms::default() }
    }

    /// Reads a payment from the source that a search answered.
    ///
    /// # Errors
    /// A source that is not a payment's.
    pub fn parse(source: &RawValue) -> serde_json::Result<Self> {
        // Two passes, because flattening while reading copies every member first.
        let Amount { amount } = serde_json::from_str(source.get())?;
        Ok(Self { facts: serde_json::from_str(source.get())?, amount, terms: Terms::default() })
    }

    /// Writes the document that the index holds.
    ///
    /// # Errors
    /// None in practice: every member can be written.
    pub fn document(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(&Document { facts: &self.facts, amount: self.amount, search: &self.terms })
    }

    /// Writes the payment as the wire shows it.
    ///
    /// # Errors
    /// None in practice: every member can be written.
    pub fn view(&self) -> serde_json::Result<Box<RawValue>> {
        serde_json::value::to_raw_value(&View {
            facts: &self.facts,
            amount: money::decimal(self.amount, &self.facts.currency)?,
            status_label: status_label(&self.facts.status),
        })
    }
}

/// The words that people read in place of the status.
fn status_label(status: &str) -> &'static str {
    match status {
        "success" => "Completed",
        "failed" => "Failed",
        "refunded" => "Refunded",
        "reversed" => "Reversed",
        _ => "Pending",
    }
}

/// Builds the documents for [`crate::search::Collection::load`].
pub fn load<'a>(connection: &'a mut PgConnection, ids: &'a [Uuid]) -> BoxFuture<'a, sqlx::Result<Vec<Loaded>>> {
    Box::pin(async move {
        let payments = read(connection, ids).await?;
        payments
            .iter()
            .map(|payment| {
                let source = payment.document().map_err(|error| sqlx::Error::Encode(error.into()))?;
                Ok(Loaded { id: payment.facts.id, source })
            })
            .collect()
    })
}

/// Reads payments with what they show of their account and customer, in one statement.
pub async fn read(connection: &mut PgConnection, ids: &[Uuid]) -> sqlx::Result<Vec<Payment>> {
    let rows = sqlx::query!(
        r#"
        select
          p.id as "id!", p.version as "version!", p.account_id, p.amount as "amount!", p.currency as "currency!",
          p.method as "method!", p.status as "status!", p.receiver, p.description, p.reference, p.failure_code, p.failure_reason,
          p.received_at as "received_at!", p.created_at as "created_at!", p.updated_at as "updated_at!", p.deleted_at,
          a.account_number as "account_number?", c.id as "customer_id?", c.name as "customer_name?", c.given_name as "given_name?",
          c.family_name as "family_name?", c.company_name as "company_name?"
        from payments p
        left join accounts a on a.id = p.account_id
        left join customers c on c.id = coalesce(a.customer_id, p.customer_id)
        where p.id = any($1)
        "#,
        ids,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let mut terms = Terms::default();
            if let Some(display) = &row.customer_name {
                terms.name(Name {
                    display,
                    given: row.given_name.as_deref(),
                    family: row.family_name.as_deref(),
                    company: row.company_name.as_deref(),
                });
            }
            terms.number(row.account_number.iter().chain(&row.reference));
            terms.text(row.receiver.iter().chain(&row.description));
            Payment {
                facts: Facts {
                    id: row.id,
                    version: row.version,
                    account_id: row.account_id,
                    account_number: row.account_number,
                    customer_id: row.customer_id,
                    customer_name: row.customer_name,
                    currency: row.currency,
                    method: row.method,
                    status: row.status,
                    receiver: row.receiver,
                    description: row.description,
                    reference: row.reference,
                    failure_code: row.failure_code,
                    failure_reason: row.failure_reason,
                    received_at: row.received_at,
                    created_at: row.created_at,
                    updated_at: row.updated_at,
                    deleted_at: row.deleted_at,
                },
                amount: row.amount,
                terms,
            }
        })
        .collect())
}
