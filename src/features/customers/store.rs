//! Customers in SQL. Every function takes the connection of its caller's transaction.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use sqlx::types::Json;

pub use super::insert::insert_all;

use super::contact_rows as rows;
use super::document::{self, Customer, Facts};
use super::patch::Debt;
use crate::error::{Error, Object, OnConstraint, Result};
use crate::features::ledger;
use crate::values::ids::{AccountId, CustomerId, UserId};

/// A row that this transaction alone may change now.
#[derive(Clone, Copy, Debug)]
pub struct Locked {
    /// Counts the row's versions.
    pub version: i64,
    /// When it was deleted, if it was.
    pub deleted_at: Option<DateTime<Utc>>,
}

/// Reads one customer with everything that belongs to it.
///
/// # Errors
/// The database's.
pub async fn read(connection: &mut PgConnection, id: CustomerId) -> Result<Option<Customer>> {
    Ok(document::read(connection, &[id.0]).await?.pop())
}

/// Locks a customer against every other change, and against new accounts.
///
/// # Errors
/// The database's.
pub async fn lock(connection: &mut PgConnection, id: CustomerId) -> Result<Option<Locked>> {
    let locked = sqlx::query_as!(
        Locked,
        r#"
        select version, deleted_at
        from customers
        where id = $1
        for update
        "#,
        id.0,
    );
    Ok(locked.fetch_optional(connection).await?)
}

/// Locks the accounts of a customer. Whoever locks both locks accounts first, as a payment does, so that none waits for the other.
///
/// # Errors
/// The database's.
pub async fn lock_accounts(connection: &mut PgConnection, id: CustomerId) -> Result<()> {
    sqlx::query!(
        r#"
        select id
        from accounts
        where customer_id = $1
        order by id
        for no key update
        "#,
        id.0,
    )
    .fetch_all(connection)
    .await?;
    Ok(())
}

/// Inserts a customer with its contact points and addresses.
///
/// # Errors
/// An external id that another customer has, or the database's.
pub async fn insert(connection: &mut PgConnection, facts: &Facts, by: Option<UserId>) -> Result<()> {
    insert_all(connection, [facts], by).await
}

/// Writes all that a client may change of a locked customer. The version counts a change of its contact points too.
///
/// # Errors
/// An external id that another customer has, or the database's.
pub async fn update(connection: &mut PgConnection, before: &Facts, facts: &Facts, by: UserId) -> Result<()> {
    sqlx::query!(
        r#"
        update customers
        set
          external_id = $2,
          kind = $3,
          name = $4,
          given_name = $5,
          family_name = $6,
          company_name = $7,
          date_of_birth = $8,
          tax_id = $9,
          language = $10,
          time_zone = $11,
          status = $12,
          tags = $13,
          metadata = $14,
          custom = $15,
          updated_by = $16,
          -- Differs even within one millisecond, so that the version counts a change of the contact points alone.
          updated_at = greatest(clock_timestamp(), updated_at + interval '1 millisecond')
        where id = $1
        "#,
        facts.id,
        facts.external_id,
        facts.kind,
        facts.name,
        facts.given_name,
        facts.family_name,
        facts.company_name,
        facts.date_of_birth,
        facts.tax_id,
        facts.language,
        facts.time_zone,
        facts.status,
        &facts.tags,
        Json(&facts.metadata) as Json<&Object>,
        Json(&facts.custom) as Json<&Object>,
        by.0,
    )
    .execute(&mut *connection)
    .await
    .on_constraint("customers_external_id_key", taken)?;
    if facts.contact_points != before.contact_points {
        rows::clear_contact_points(&mut *connection, facts.id, &facts.contact_points).await?;
        rows::put_contact_points(&mut *connection, facts.id, &facts.contact_points).await?;
    }
    if facts.addresses != before.addresses {
        rows::clear_addresses(&mut *connection, facts.id, &facts.addresses).await?;
        rows::put_addresses(connection, facts.id, &facts.addresses).await?;
    }
    Ok(())
}

/// Deletes a locked customer softly, and with it its accounts.
///
/// # Errors
/// The database's.
pub async fn remove(connection: &mut PgConnection, id: CustomerId, by: UserId) -> Result<()> {
    sqlx::query!(
        r#"
        update accounts
        set deleted_at = now(), updated_by = $2
        where customer_id = $1
        and deleted_at is null
        "#,
        id.0,
        by.0,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        r#"
        update customers
        set deleted_at = now(), updated_by = $2
        where id = $1
        "#,
        id.0,
        by.0,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Brings a locked customer back, and the accounts that were deleted along with it at that moment.
///
/// # Errors
/// The database's.
pub async fn restore(connection: &mut PgConnection, id: CustomerId, deleted_at: DateTime<Utc>, by: UserId) -> Result<()> {
    sqlx::query!(
        r#"
        update accounts
        set deleted_at = null, updated_by = $3
        where customer_id = $1
        and deleted_at = $2
        "#,
        id.0,
        deleted_at,
        by.0,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        r#"
        update customers
        set deleted_at = null, updated_by = $2
        where id = $1
        "#,
        id.0,
        by.0,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Opens the account of a new customer.
///
/// # Errors
/// A number that another account has, or the database's.
pub async fn open_account(connection: &mut PgConnection, customer: CustomerId, debt: &Debt, by: Option<UserId>) -> Result<()> {
    let account = AccountId::new();
    let currency = debt.currency.as_str();
    sqlx::query!(
        r#"
        insert into accounts (id, account_number, customer_id, currency, original_amount, due_date, created_by, updated_by)
        values ($1, coalesce($2, next_account_number()), $3, $4, $5, $6, $7, $7)
        "#,
        account.0,
        debt.account_number,
        customer.0,
        currency,
        debt.amount,
        debt.due_date,
        by.map(|by| by.0),
    )
    .execute(&mut *connection)
    .await
    .on_constraint("accounts_account_number_key", || Error::duplicate("/accountNumber", "another account has this number"))?;
    ledger::open(connection, account, debt.amount, by).await
}

fn taken() -> Error {
    Error::duplicate("/externalId", "another customer has this external id")
}
