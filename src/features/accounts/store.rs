//! Accounts in SQL. Every function takes the connection of its caller's transaction.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use sqlx::types::Json;

use super::document::{self, Account};
use crate::error::{Error, Object, OnConstraint, Result};
use crate::features::ledger;
use crate::values::ids::{AccountId, CustomerId, UserId};

/// A row that this transaction alone may change now.
#[derive(Clone, Debug)]
pub struct Locked {
    /// Counts the row's versions.
    pub version: i64,
    /// The account's currency.
    pub currency: String,
    /// Minor units.
    pub balance: i64,
    /// When it was deleted, if it was.
    pub deleted_at: Option<DateTime<Utc>>,
}

/// Reads one account.
///
/// # Errors
/// The database's.
pub async fn read(connection: &mut PgConnection, id: AccountId) -> Result<Option<Account>> {
    Ok(document::read(connection, &[id.0]).await?.pop())
}

/// Locks an account against every other change.
///
/// # Errors
/// The database's.
pub async fn lock(connection: &mut PgConnection, id: AccountId) -> Result<Option<Locked>> {
    let locked = sqlx::query_as!(
        Locked,
        r#"
        select version, currency, balance, deleted_at
        from accounts
        where id = $1
        for no key update
        "#,
        id.0,
    );
    Ok(locked.fetch_optional(connection).await?)
}

/// Holds a customer until the transaction ends, so that it cannot be deleted meanwhile; false if it is gone already.
///
/// # Errors
/// The database's.
pub async fn hold_customer(connection: &mut PgConnection, id: CustomerId) -> Result<bool> {
    let held = sqlx::query_scalar!(
        r#"
        select id
        from customers
        where id = $1
        and deleted_at is null
        for key share
        "#,
        id.0,
    );
    Ok(held.fetch_optional(connection).await?.is_some())
}

/// Inserts an account and posts what is owed at the start; an empty number is replaced by the next one.
///
/// # Errors
/// A number that another account has, an owner or assignee who does not exist, or the database's.
pub async fn insert(connection: &mut PgConnection, account: &Account, by: Option<UserId>) -> Result<()> {
    let Account { facts, amounts, .. } = account;
    sqlx::query!(
        r#"
        insert into accounts (
          id, account_number, customer_id, currency, original_amount, due_date, status, assignee_id, creditor, portfolio, product,
          last_contact_at, next_action_at, tags, custom, created_by, updated_by)
        values ($1, coalesce(nullif($2, ''), next_account_number()), $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $16)
        "#,
        facts.id,
        facts.account_number,
        facts.customer_id,
        facts.currency,
        amounts.original_amount,
        facts.due_date,
        facts.status,
        facts.assignee_id,
        facts.creditor,
        facts.portfolio,
        facts.product,
        facts.last_contact_at,
        facts.next_action_at,
        &facts.tags,
        Json(&facts.custom) as Json<&Object>,
        by.map(|by| by.0),
    )
    .execute(&mut *connection)
    .await
    .on_constraint("accounts_account_number_key", taken)
    .on_constraint("accounts_customer_id_fkey", unknown_customer)
    .on_constraint("accounts_assignee_id_fkey", unknown_assignee)?;
    ledger::open(connection, AccountId(facts.id), amounts.balance, by).await
}

/// Writes all that a client may change of a locked account.
///
/// # Errors
/// A number that another account has, an owner or assignee who does not exist, or the database's.
pub async fn update(connection: &mut PgConnection, account: &Account, by: UserId) -> Result<()> {
    let facts = &account.facts;
    sqlx::query!(
        r#"
        update accounts
        set
          account_number = $2,
          customer_id = $3,
          due_date = $4,
          status = $5,
          assignee_id = $6,
          creditor = $7,
          portfolio = $8,
          product = $9,
          last_contact_at = $10,
          next_action_at = $11,
          tags = $12,
          custom = $13,
          updated_by = $14
        where id = $1
        "#,
        facts.id,
        facts.account_number,
        facts.customer_id,
        facts.due_date,
        facts.status,
        facts.assignee_id,
        facts.creditor,
        facts.portfolio,
        facts.product,
        facts.last_contact_at,
        facts.next_action_at,
        &facts.tags,
        Json(&facts.custom) as Json<&Object>,
        by.0,
    )
    .execute(connection)
    .await
    .on_constraint("accounts_account_number_key", taken)
    .on_constraint("accounts_customer_id_fkey", unknown_customer)
    .on_constraint("accounts_assignee_id_fkey", unknown_assignee)?;
    Ok(())
}

/// Deletes a locked account softly.
///
/// # Errors
/// The database's.
pub async fn remove(connection: &mut PgConnection, id: AccountId, by: UserId) -> Result<()> {
    sqlx::query!(
        r#"
        update accounts
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

/// Brings a locked account back.
///
/// # Errors
/// The database's.
pub async fn restore(connection: &mut PgConnection, id: AccountId, by: UserId) -> Result<()> {
    sqlx::query!(
        r#"
        update accounts
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

fn taken() -> Error {
    Error::duplicate("/accountNumber", "another account has this number")
}

fn unknown_assignee() -> Error {
    Error::invalid("/assigneeId", "unknown_user", "there is no such user")
}

/// An owner who does not exist, or was deleted.
pub(super) fn unknown_customer() -> Error {
    Error::invalid("/customerId", "unknown_customer", "there is no such customer")
}
