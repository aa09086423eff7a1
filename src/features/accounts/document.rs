//! The searchable form of an account, built here and nowhere else, and its form on the wire.

use chrono::{DateTime, NaiveDate, Utc};
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use crate::error::Object;
use crate::search::{Loaded, Name, Terms};
use crate::values::ids::AccountId;
use crate::values::money;

/// An account: what is stored in the index, and what the wire shows in another form.
#[derive(Clone, Debug)]
pub struct Account {
    /// What the index and the wire show alike.
    pub facts: Facts,
    /// Amounts; minor units in the index, decimals on the wire.
    pub amounts: Amounts,
    terms: Terms,
}

/// The whole document.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    facts: &'a Facts,
    #[serde(flatten)]
    amounts: &'a Amounts,
    /// What searches compare; the mapping keeps it out of the stored source.
    search: &'a Terms,
}

/// An account on the wire. What depends on today is computed here and stored nowhere.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct View<'a> {
    #[serde(flatten)]
    facts: &'a Facts,
    balance: Box<RawValue>,
    original_amount: Box<RawValue>,
    is_overdue: bool,
    days_past_due: i64,
    aging_bucket: &'static str,
}

/// What the index and the wire show alike.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Facts {
    /// Identifier.
    pub id: Uuid,
    /// Counts the row's versions; the ETag.
    pub version: i64,
    /// The number that people quote.
    pub account_number: String,
    /// Who owes.
    pub customer_id: Uuid,
    /// The customer's display name.
    pub customer_name: String,
    /// The creditor's name for the customer.
    pub customer_external_id: Option<String>,
    /// ISO 4217.
    pub currency: String,
    /// When it has to be paid.
    pub due_date: Option<NaiveDate>,
    /// `open`, `paused`, `settled`, `closed` or `written_off`.
    pub status: String,
    /// Who works on it.
    pub assignee_id: Option<Uuid>,
    /// That user's name.
    pub assignee_name: Option<String>,
    /// To whom it is owed.
    pub creditor: Option<String>,
    /// Portfolio it was bought or placed in.
    pub portfolio: Option<String>,
    /// What was sold.
    pub product: Option<String>,
    /// Latest payment.
    pub last_payment_at: Option<DateTime<Utc>>,
    /// Latest contact.
    pub last_contact_at: Option<DateTime<Utc>>,
    /// When somebody has to act.
    pub next_action_at: Option<DateTime<Utc>>,
    /// Free words.
    pub tags: Vec<String>,
    /// Values of the custom fields.
    pub custom: Object,
    /// When the row was made.
    pub created_at: DateTime<Utc>,
    /// When the row last changed.
    pub updated_at: DateTime<Utc>,
    /// When the account was deleted; such accounts are in no list unless asked for.
    pub deleted_at: Option<DateTime<Utc>>,
}

/// Amounts in minor units of the account's currency.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Amounts {
    /// What is owed now: the sum of the ledger.
    pub balance: i64,
    /// What was owed at the start.
    pub original_amount: i64,
}

impl Account {
    /// A new account, of which nothing is known yet.
    pub fn blank() -> Self {
        let facts = Facts { id: AccountId::new().0, status: "open".into(), ..Facts::default() };
        Self { facts, amounts: Amounts::default(), terms: Terms::default() }
    }

    /// Forgets what a client may say of it, but for what every account keeps: its number, owner, currency and amounts.
    pub fn clear(&mut self) {
        let kept = std::mem::take(&mut self.facts);
        self.facts = Facts {
            id: kept.id,
            account_number: kept.account_number,
            customer_id: kept.customer_id,
            currency: kept.currency,
            ..Self::blank().facts
        };
    }

    /// Reads an account from the source that a search answered.
    ///
    /// # Errors
    /// A source that is not an account's.
    pub fn parse(source: &RawValue) -> serde_json::Result<Self> {
        // Two passes, because flattening while reading copies every member first.
        Ok(Self {
            facts: serde_json::from_str(source.get())?,
            amounts: serde_json::from_str(source.get())?,
            terms: Terms::default(),
        })
    }

    /// Writes the document that the index holds.
    ///
    /// # Errors
    /// None in practice: every member can be written.
    pub fn document(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(&Document { facts: &self.facts, amounts: &self.amounts, search: &self.terms })
    }

    /// Writes the account as the wire shows it on a day.
    ///
    /// # Errors
    /// None in practice: every member can be written.
    pub fn view(&self, today: NaiveDate) -> serde_json::Result<Box<RawValue>> {
        let days_past_due = match self.facts.due_date {
            Some(due) if self.amounts.balance > 0 && self.facts.status == "open" => (today - due).num_days().max(0),
            _ => 0,
        };
        serde_json::value::to_raw_value(&View {
            facts: &self.facts,
            balance: money::decimal(self.amounts.balance, &self.facts.currency)?,
            original_amount: money::decimal(self.amounts.original_amount, &self.facts.currency)?,
            is_overdue: days_past_due > 0,
            days_past_due,
            aging_bucket: aging_bucket(days_past_due),
        })
    }
}

/// The customary buckets of an ageing report, by days past due.
fn aging_bucket(days_past_due: i64) -> &'static str {
    match days_past_due {
        ..=0 => "current",
        1..=30 => "1-30",
        31..=60 => "31-60",
        61..=90 => "61-90",
        _ => "90+",
    }
}

/// Builds the documents for [`crate::search::Collection::load`].
pub fn load<'a>(connection: &'a mut PgConnection, ids: &'a [Uuid]) -> BoxFuture<'a, sqlx::Result<Vec<Loaded>>> {
    Box::pin(async move {
        let accounts = read(connection, ids).await?;
        accounts
            .iter()
            .map(|account| {
                let source = account.document().map_err(|error| sqlx::Error::Encode(error.into()))?;
                Ok(Loaded { id: account.facts.id, source })
            })
            .collect()
    })
}

/// Reads accounts with what they show of their customer, in one statement.
pub async fn read(connection: &mut PgConnection, ids: &[Uuid]) -> sqlx::Result<Vec<Account>> {
    let rows = sqlx::query!(
        r#"
        select
          a.id as "id!", a.version as "version!", a.account_number as "account_number!", a.customer_id as "customer_id!",
          a.currency as "currency!", a.balance as "balance!", a.original_amount as "original_amount!", a.due_date,
          a.status as "status!", a.assignee_id, a.creditor, a.portfolio, a.product, a.last_payment_at, a.last_contact_at,
          a.next_action_at, a.tags as "tags!", a.custom as "custom!: Json<Object>", a.created_at as "created_at!",
          a.updated_at as "updated_at!", a.deleted_at, c.name as "customer_name!", c.given_name, c.family_name, c.company_name,
          c.external_id as customer_external_id, coalesce(u.name, u.username) as assignee_name,
          (
            select json_agg(json_build_array(kind, normalized) order by is_primary desc, id)
            from contact_points
            where customer_id = a.customer_id
          ) as "contacts: Json<Vec<(String, String)>>"
        from accounts a
        join customers c on c.id = a.customer_id
        left join users u on u.id = a.assignee_id
        where a.id = any($1)
        "#,
        ids,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let mut terms = Terms::default();
            terms.name(Name {
                display: &row.customer_name,
                given: row.given_name.as_deref(),
                family: row.family_name.as_deref(),
                company: row.company_name.as_deref(),
            });
            for (kind, normalized) in row.contacts.iter().flat_map(|contacts| &contacts.0) {
                terms.contact(kind, normalized);
            }
            terms.number([&row.account_number].into_iter().chain(&row.customer_external_id));
            Account {
                facts: Facts {
                    id: row.id,
                    version: row.version,
                    account_number: row.account_number,
                    customer_id: row.customer_id,
                    customer_name: row.customer_name,
                    customer_external_id: row.customer_external_id,
                    currency: row.currency,
                    due_date: row.due_date,
                    status: row.status,
                    assignee_id: row.assignee_id,
                    assignee_name: row.assignee_name,
                    creditor: row.creditor,
                    portfolio: row.portfolio,
                    product: row.product,
                    last_payment_at: row.last_payment_at,
                    last_contact_at: row.last_contact_at,
                    next_action_at: row.next_action_at,
                    tags: row.tags,
                    custom: row.custom.0,
                    created_at: row.created_at,
                    updated_at: row.updated_at,
                    deleted_at: row.deleted_at,
                },
                amounts: Amounts { balance: row.balance, original_amount: row.original_amount },
                terms,
            }
        })
        .collect())
}
