//! An account as clients get it and as the index stores it.

use std::collections::HashMap;

use chrono::{DateTime, NaiveDate, Utc};
use schemars::{JsonSchema, Schema};
use serde::Serialize;
use serde_json::json;
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use crate::api::show_authors;
use crate::search::{Name, Terms, document};
use crate::values::aging::AsOf;
use crate::values::clock::milliseconds;
use crate::values::ids::AccountId;
use crate::values::json::Object;
use crate::values::money::{Currency, Money};
use crate::words;

words! {
    /// Where a debt stands.
    pub enum Status, STATUSES {
        Open = "open",
        Paused = "paused",
        Settled = "settled",
        Closed = "closed",
        WrittenOff = "written_off",
    }
    aliases { "active" => "open", "inactive" => "paused" }
}

/// Kind and normalised value of contact points, the primaries first.
type Contacts = Json<Vec<(String, String)>>;

/// One debt, with what it shows of its customer and its assignee.
#[derive(Clone, Debug, Default, PartialEq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = show_computed, transform = show_authors)]
pub struct Account {
    /// Also the id of the document.
    pub id: Uuid,
    /// Counts the changes of the row; the ETag repeats it.
    pub version: i64,
    /// The number that people quote; made up by the database if empty.
    pub account_number: String,
    /// The customer who owes it.
    pub customer_id: Uuid,
    /// The customer's display name.
    pub customer_name: String,
    /// The creditor's name for the customer.
    pub customer_external_id: Option<String>,
    /// Currency of all amounts of the account.
    pub currency: Currency,
    /// The sum of the ledger.
    pub balance: Money,
    /// What was owed when the account was opened.
    pub original_amount: Money,
    /// The day on which it has to be paid.
    pub due_date: Option<NaiveDate>,
    /// Where the debt stands.
    pub status: Status,
    /// The user who works on it.
    pub assignee_id: Option<Uuid>,
    /// That user's name, or user name.
    pub assignee_name: Option<String>,
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
    /// Free words to filter by.
    pub tags: Vec<String>,
    /// Free JSON of the deployment.
    #[schemars(with = "Object")]
    pub custom: Json<Object>,
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
    /// Of the customer; see [`select_contacts`].
    #[serde(skip)]
    pub(super) contacts: Contacts,
}

impl Account {
    pub(super) fn new(currency: Currency) -> Self {
        let nothing = Money { minor: 0, currency };
        Self { id: AccountId::new().0, currency, balance: nothing, original_amount: nothing, ..Self::default() }
    }

    pub(super) fn search_terms(&self) -> Terms {
        let mut terms = Terms::default();
        terms.name(Name {
            display: &self.customer_name,
            given: self.given_name.as_deref(),
            family: self.family_name.as_deref(),
            company: self.company_name.as_deref(),
        });
        for (kind, normalized) in self.contacts.iter() {
            terms.contact(kind, normalized);
        }
        terms.number([&self.account_number].into_iter().chain(&self.customer_external_id));
        terms
    }
}

/// Adds to the schema what [`computed`] adds to the record.
fn show_computed(schema: &mut Schema) {
    let computed = [
        ("isOverdue", json!({ "type": "boolean", "description": "Whether it is past due today." })),
        (
            "daysPastDue",
            json!({ "type": "integer", "minimum": 0, "description": "Days since it was due; 0 if it is not past due." }),
        ),
        (
            "agingBucket",
            json!({ "type": "string", "examples": ["31-60"], "description": "The group of `AGING_DAYS` that these are in." }),
        ),
    ];
    let schema = schema.ensure_object();
    for (name, property) in computed {
        schema["properties"][name] = property;
        schema["required"].as_array_mut().into_iter().for_each(|required| required.push(name.into()));
    }
}

/// Writes what depends on the day: only an open account that is owed can be overdue.
pub(super) fn computed(document: &[u8], as_of: AsOf<'_>) -> serde_json::Result<String> {
    // Only its sign counts, which a float keeps.
    let balance: f64 = document::member(document, "balance")?;
    let status: Status = document::member(document, "status")?;
    let days_past_due = match document::member::<Option<NaiveDate>>(document, "dueDate")? {
        Some(due) if balance > 0.0 && status == Status::Open => (as_of.today - due).num_days().max(0),
        _ => 0,
    };
    let (is_overdue, bucket) = (days_past_due > 0, as_of.aging.bucket(days_past_due));
    Ok(format!(r#","isOverdue":{is_overdue},"daysPastDue":{days_past_due},"agingBucket":"{bucket}""#))
}

pub(super) async fn select(connection: &mut PgConnection, ids: &[Uuid]) -> sqlx::Result<Vec<Account>> {
    let accounts = sqlx::query_as!(
        Account,
        r#"
        select
          a.id as "id!", a.version as "version!", a.account_number as "account_number!", a.customer_id as "customer_id!",
          c.name as "customer_name!", c.external_id as customer_external_id, a.currency as "currency!: Currency",
          (a.balance, a.currency) as "balance!: Money", (a.original_amount, a.currency) as "original_amount!: Money", a.due_date,
          a.status as "status!: Status", a.assignee_id, coalesce(u.name, u.username) as assignee_name, a.creditor, a.portfolio,
          a.product, a.last_payment_at, a.last_contact_at, a.next_action_at, a.tags as "tags!",
          a.custom as "custom!: Json<Object>", a.created_at as "created_at!", a.created_by, a.updated_at as "updated_at!", a.updated_by, a.deleted_at,
          c.given_name, c.family_name, c.company_name,
          '[]'::json as "contacts!: Contacts"
        from accounts a
        join customers c on c.id = a.customer_id
        left join users u on u.id = a.assignee_id
        where a.id = any($1)
        "#,
        ids,
    );
    accounts.fetch_all(connection).await
}

/// Reads the contact points of the accounts' customers, by which searches find them; records do not show them.
pub(super) async fn select_contacts(connection: &mut PgConnection, accounts: &mut [Account]) -> sqlx::Result<()> {
    let customers: Vec<Uuid> = accounts.iter().map(|account| account.customer_id).collect();
    let found = sqlx::query!(
        r#"
        select customer_id, json_agg(json_build_array(kind, normalized) order by is_primary desc, id) as "contacts!: Contacts"
        from contact_points
        where customer_id = any($1)
        group by customer_id
        "#,
        &customers,
    );
    let found = found.fetch_all(connection).await?;
    let found: HashMap<Uuid, Contacts> = found.into_iter().map(|found| (found.customer_id, found.contacts)).collect();
    for account in accounts {
        account.contacts = found.get(&account.customer_id).cloned().unwrap_or_default();
    }
    Ok(())
}
