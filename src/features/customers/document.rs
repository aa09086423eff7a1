//! The searchable form of a customer, built here and nowhere else, and its form on the wire.

use chrono::{DateTime, NaiveDate, Utc};
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use crate::error::Object;
use crate::search::{Loaded, Name, Terms};
use crate::values::money;

/// A customer: what is stored in the index, and what the wire shows in another form.
#[derive(Clone, Debug)]
pub struct Customer {
    /// What the index and the wire show alike.
    pub facts: Facts,
    /// What is owed; minor units in the index, decimals on the wire.
    pub debts: Debts,
}

/// The whole document.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    facts: &'a Facts,
    #[serde(flatten)]
    debts: &'a Debts,
    /// What searches compare; the mapping keeps it out of the stored source.
    search: Terms,
}

/// A customer on the wire.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct View<'a> {
    #[serde(flatten)]
    facts: &'a Facts,
    phone: Option<&'a str>,
    email: Option<&'a str>,
    balances: Vec<BalanceView<'a>>,
    balance: Option<Box<RawValue>>,
}

#[derive(Serialize)]
struct BalanceView<'a> {
    currency: &'a str,
    amount: Box<RawValue>,
}

/// What the index and the wire show alike.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Facts {
    /// Identifier.
    pub id: Uuid,
    /// Counts the row's versions; the ETag.
    pub version: i64,
    /// The creditor's name for this customer.
    pub external_id: Option<String>,
    /// `person` or `company`.
    pub kind: String,
    /// Display name.
    pub name: String,
    /// Given name.
    pub given_name: Option<String>,
    /// Family name.
    pub family_name: Option<String>,
    /// Registered name.
    pub company_name: Option<String>,
    /// Day of birth.
    pub date_of_birth: Option<NaiveDate>,
    /// Tax number.
    pub tax_id: Option<String>,
    /// Language tag (BCP 47).
    pub language: Option<String>,
    /// Time zone (IANA).
    pub time_zone: Option<String>,
    /// `active`, `inactive`, `deceased`, `insolvent` or `blocked`.
    pub status: String,
    /// Free words.
    pub tags: Vec<String>,
    /// Free values of integrators.
    pub metadata: Object,
    /// Values of the custom fields.
    pub custom: Object,
    /// Phones and e-mail addresses, primaries first.
    pub contact_points: Vec<ContactPoint>,
    /// Postal addresses, the primary first.
    pub addresses: Vec<Address>,
    /// Accounts that are not deleted.
    pub account_count: i64,
    /// Accounts of those that are open.
    pub open_account_count: i64,
    /// The currency of all accounts, if they share one.
    pub currency: Option<String>,
    /// Oldest due date among open accounts.
    pub oldest_due_date: Option<NaiveDate>,
    /// Latest payment on any account.
    pub last_payment_at: Option<DateTime<Utc>>,
    /// When the row was made.
    pub created_at: DateTime<Utc>,
    /// When the row last changed.
    pub updated_at: DateTime<Utc>,
    /// When the customer was deleted; such customers are in no list unless asked for.
    pub deleted_at: Option<DateTime<Utc>>,
}

/// A phone number or e-mail address.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContactPoint {
    /// Identifier.
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
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Address {
    /// Identifier.
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
    /// Postal code.
    pub postal_code: Option<String>,
    /// Country (ISO 3166-1 alpha-2).
    pub country: Option<String>,
    /// Whether it is the one to use.
    pub is_primary: bool,
}

/// What a customer owes, in minor units.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Debts {
    /// Per currency: never summed across currencies.
    pub balances: Vec<Balance>,
    /// The balance, if all accounts share a currency: for sorting and filtering.
    pub balance: Option<i64>,
}

/// What is owed in one currency, in minor units.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Balance {
    /// ISO 4217.
    pub currency: String,
    /// Minor units.
    pub amount: i64,
}

impl Customer {
    /// Reads a customer from the source that a search answered.
    ///
    /// # Errors
    /// A source that is not a customer's.
    pub fn parse(source: &RawValue) -> serde_json::Result<Self> {
        // Two passes, because flattening while reading copies every member first.
        Ok(Self { facts: serde_json::from_str(source.get())?, debts: serde_json::from_str(source.get())? })
    }

    /// Writes the document that the index holds.
    ///
    /// # Errors
    /// None in practice: every member can be written.
    pub fn document(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(&Document { facts: &self.facts, debts: &self.debts, search: self.terms() })
    }

    /// Writes the customer as the wire shows it.
    ///
    /// # Errors
    /// None in practice: every member can be written.
    pub fn view(&self) -> serde_json::Result<Box<RawValue>> {
        let primary = |kind| {
            let points = self.facts.contact_points.iter().filter(move |point| point.kind == kind);
            points.max_by_key(|point| point.is_primary).map(|point| point.value.as_str())
        };
        let mut balances = Vec::with_capacity(self.debts.balances.len());
        for owed in &self.debts.balances {
            balances.push(BalanceView { currency: &owed.currency, amount: money::decimal(owed.amount, &owed.currency)? });
        }
        let balance = match (self.debts.balance, &self.facts.currency) {
            (Some(minor), Some(currency)) => Some(money::decimal(minor, currency)?),
            _ => None,
        };
        serde_json::value::to_raw_value(&View {
            facts: &self.facts,
            phone: primary("phone"),
            email: primary("email"),
            balances,
            balance,
        })
    }

    fn terms(&self) -> Terms {
        let facts = &self.facts;
        let mut terms = Terms::default();
        terms.name(Name {
            display: &facts.name,
            given: facts.given_name.as_deref(),
            family: facts.family_name.as_deref(),
            company: facts.company_name.as_deref(),
        });
        for point in &facts.contact_points {
            terms.contact(&point.kind, &point.normalized);
        }
        for address in &facts.addresses {
            let parts = [Some(&address.line1), address.line2.as_ref(), address.city.as_ref(), address.region.as_ref()];
            terms.address(parts.into_iter().chain([address.postal_code.as_ref()]).flatten());
        }
        terms.number(facts.external_id.iter().chain(&facts.tax_id));
        terms
    }
}

/// Builds the documents for [`crate::search::Collection::load`].
pub fn load<'a>(connection: &'a mut PgConnection, ids: &'a [Uuid]) -> BoxFuture<'a, sqlx::Result<Vec<Loaded>>> {
    Box::pin(async move {
        let customers = read(connection, ids).await?;
        customers
            .iter()
            .map(|customer| {
                let source = customer.document().map_err(|error| sqlx::Error::Encode(error.into()))?;
                Ok(Loaded { id: customer.facts.id, source })
            })
            .collect()
    })
}

/// Reads customers with everything that belongs to them, in one statement.
pub async fn read(connection: &mut PgConnection, ids: &[Uuid]) -> sqlx::Result<Vec<Customer>> {
    // Arrays fill the structs in the order of their fields; they cost Postgres half as much as objects.
    let rows = sqlx::query!(
        r#"
        select
          id, version, external_id, kind, name, given_name, family_name, company_name, date_of_birth, tax_id, language, time_zone,
          status, tags, metadata as "metadata: Json<Object>", custom as "custom: Json<Object>", created_at, updated_at, deleted_at,
          (
            select json_agg(json_build_array(id, kind, value, normalized, label, is_primary, state) order by is_primary desc, id)
            from contact_points
            where customer_id = c.id
          ) as "contact_points: Json<Vec<ContactPoint>>",
          (
            select json_agg(
              json_build_array(id, label, line1, line2, city, region, postal_code, country, is_primary)
              order by is_primary desc, id)
            from addresses
            where customer_id = c.id
          ) as "addresses: Json<Vec<Address>>",
          (
            select json_agg(json_build_array(currency, balance, accounts, open, oldest_due_date, last_payment_at) order by currency)
            from (
              select
                currency,
                least(greatest(sum(balance), -9223372036854775808), 9223372036854775807)::bigint as balance,
                count(*) as accounts,
                count(*) filter (where status = 'open') as open,
                min(due_date) filter (where status = 'open') as oldest_due_date,
                max(last_payment_at) as last_payment_at
              from accounts
              where customer_id = c.id
              and deleted_at is null
              group by currency
            ) as debt
          ) as "debts: Json<Vec<Debt>>"
        from customers c
        where id = any($1)
        "#,
        ids,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let debts = row.debts.map(|debts| debts.0).unwrap_or_default();
            let only = if debts.len() == 1 { debts.first() } else { None };
            let facts = Facts {
                id: row.id,
                version: row.version,
                external_id: row.external_id,
                kind: row.kind,
                name: row.name,
                given_name: row.given_name,
                family_name: row.family_name,
                company_name: row.company_name,
                date_of_birth: row.date_of_birth,
                tax_id: row.tax_id,
                language: row.language,
                time_zone: row.time_zone,
                status: row.status,
                tags: row.tags,
                metadata: row.metadata.0,
                custom: row.custom.0,
                contact_points: row.contact_points.map(|points| points.0).unwrap_or_default(),
                addresses: row.addresses.map(|addresses| addresses.0).unwrap_or_default(),
                account_count: debts.iter().map(|debt| debt.accounts).sum(),
                open_account_count: debts.iter().map(|debt| debt.open).sum(),
                currency: only.map(|debt| debt.currency.clone()),
                oldest_due_date: debts.iter().filter_map(|debt| debt.oldest_due_date).min(),
                last_payment_at: debts.iter().filter_map(|debt| debt.last_payment_at).max(),
                created_at: row.created_at,
                updated_at: row.updated_at,
                deleted_at: row.deleted_at,
            };
            let debts = Debts {
                balance: only.map(|debt| debt.balance),
                balances: debts.into_iter().map(|debt| Balance { currency: debt.currency, amount: debt.balance }).collect(),
            };
            Customer { facts, debts }
        })
        .collect())
}

/// What a customer owes in one currency, in minor units.
#[derive(Debug, Deserialize)]
struct Debt {
    currency: String,
    balance: i64,
    accounts: i64,
    open: i64,
    oldest_due_date: Option<NaiveDate>,
    last_payment_at: Option<DateTime<Utc>>,
}
