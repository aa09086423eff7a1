//! Accounts for analysts.

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Facts, STATE, UNLISTED, load};
use crate::search::FieldKind::{Currency as Code, Day, Id, Integer, Moment, Money as Amount, Text};
use crate::search::{Collection, Field, Join};
use crate::values::clock::milliseconds;
use crate::values::money::{Currency, Money};

/// Accounts without persons.
pub static COLLECTION: Collection = Collection {
    name: "analytics-accounts",
    template: include_str!("../../../index-templates/analytics-accounts.json"),
    fields: FIELDS,
    table: "accounts a",
    joins: &[STATE, Join { alias: "u", sql: "left join users u on u.id = a.assignee_id" }],
    id: "a.id",
    load: load::<Account>,
    ..UNLISTED
};

static FIELDS: &[Field] = &[
    Field::new("id", Id, "a.id"),
    Field::new("version", Integer, "a.version"),
    Field::new("accountKey", Text, "pseudonym(s.key, a.id)"),
    Field::new("customerKey", Text, "pseudonym(s.key, a.customer_id)"),
    Field::new("agentKey", Text, "pseudonym(s.key, a.assignee_id)"),
    Field::new("agent", Text, "u.username"),
    Field::new("currency", Code, "a.currency"),
    Field::new("balance", Amount, "a.balance"),
    Field::new("balanceMinor", Integer, "a.balance"),
    Field::new("originalAmount", Amount, "a.original_amount"),
    Field::new("originalAmountMinor", Integer, "a.original_amount"),
    Field::new("dueDate", Day, "a.due_date"),
    Field::new("dueMonth", Day, "date_trunc('month', a.due_date)"),
    Field::new("status", Text, "a.status"),
    Field::new("creditor", Text, "a.creditor"),
    Field::new("portfolio", Text, "a.portfolio"),
    Field::new("product", Text, "a.product"),
    Field::new("lastPaymentAt", Moment, "a.last_payment_at"),
    Field::new("lastContactAt", Moment, "a.last_contact_at"),
    Field::new("nextActionAt", Moment, "a.next_action_at"),
    Field::new("createdAt", Moment, "a.created_at"),
    Field::new("deletedAt", Moment, "a.deleted_at"),
];

/// A debt, without who owes it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Account {
    /// Also the id of the document.
    pub id: Uuid,
    /// Counts the changes of the row.
    pub version: i64,
    /// The account's pseudonym, by which payments and activities refer to it.
    pub account_key: String,
    /// The pseudonym of the customer who owes it.
    pub customer_key: String,
    /// The pseudonym of the user who works on it.
    pub agent_key: Option<String>,
    /// That user's user name, with `ANALYTICS=agents`.
    pub agent: Option<String>,
    /// Currency of all amounts of the account.
    pub currency: Currency,
    /// What is owed, in major units of the currency.
    pub balance: Money,
    /// The same in minor units, which sums add up without rounding.
    pub balance_minor: i64,
    /// What was owed when the account was opened, in major units of the currency.
    pub original_amount: Money,
    /// The same in minor units.
    pub original_amount_minor: i64,
    /// The day on which it has to be paid.
    pub due_date: Option<NaiveDate>,
    /// The first day of that month.
    pub due_month: Option<NaiveDate>,
    /// `open`, `paused`, `settled`, `closed` or `written_off`.
    pub status: String,
    /// To whom it is owed.
    pub creditor: Option<String>,
    /// The batch that it came with.
    pub portfolio: Option<String>,
    /// What was sold.
    pub product: Option<String>,
    /// When the last payment was posted to the ledger.
    #[serde(serialize_with = "milliseconds")]
    pub last_payment_at: Option<DateTime<Utc>>,
    /// When the customer was last reached.
    #[serde(serialize_with = "milliseconds")]
    pub last_contact_at: Option<DateTime<Utc>>,
    /// When to work on it next.
    #[serde(serialize_with = "milliseconds")]
    pub next_action_at: Option<DateTime<Utc>>,
    /// When the row was inserted.
    #[serde(serialize_with = "milliseconds")]
    pub created_at: DateTime<Utc>,
    /// When it was deleted; panels leave deleted rows out.
    #[serde(serialize_with = "milliseconds")]
    pub deleted_at: Option<DateTime<Utc>>,
}

impl Facts for Account {
    fn id(&self) -> Uuid {
        self.id
    }

    async fn select(connection: &mut PgConnection, ids: &[Uuid]) -> sqlx::Result<Vec<Self>> {
        let accounts = sqlx::query_as!(
            Self,
            r#"
            select
              a.id as "id!", a.version as "version!", pseudonym(s.key, a.id) as "account_key!",
              pseudonym(s.key, a.customer_id) as "customer_key!", pseudonym(s.key, a.assignee_id) as agent_key,
              case s.setting when 'agents' then u.username end as agent, a.currency as "currency!: Currency",
              (a.balance, a.currency) as "balance!: Money", a.balance as "balance_minor!",
              (a.original_amount, a.currency) as "original_amount!: Money", a.original_amount as "original_amount_minor!",
              a.due_date, date_trunc('month', a.due_date)::date as due_month, a.status as "status!", a.creditor, a.portfolio,
              a.product, a.last_payment_at, a.last_contact_at, a.next_action_at, a.created_at as "created_at!", a.deleted_at
            from accounts a
            cross join analytics_state s
            left join users u on u.id = a.assignee_id
            where a.id = any($1)
            "#,
            ids,
        );
        accounts.fetch_all(connection).await
    }
}
