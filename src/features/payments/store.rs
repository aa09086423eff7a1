//! Payments in SQL. Every function takes the connection of its caller's transaction.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::document::{self, Payment};
use crate::error::{Error, OnConstraint, Result};
use crate::values::ids::{AccountId, PaymentId, UserId};
use crate::values::money::Currency;

/// A row that this transaction alone may change now.
#[derive(Clone, Copy, Debug)]
pub struct Locked {
    /// Counts the row's versions.
    pub version: i64,
    /// When it was deleted, if it was.
    pub deleted_at: Option<DateTime<Utc>>,
}

/// What a payment needs to know of its account.
#[derive(Clone, Debug)]
pub struct Payee {
    /// The account's currency.
    pub currency: Currency,
    /// Who owes.
    pub customer_id: Uuid,
    /// When the account was deleted, if it was.
    pub deleted_at: Option<DateTime<Utc>>,
}

/// Reads one payment.
///
/// # Errors
/// The database's.
pub async fn read(connection: &mut PgConnection, id: PaymentId) -> Result<Option<Payment>> {
    Ok(document::read(connection, &[id.0]).await?.pop())
}

/// Locks a payment against every other change. A payment is locked before its account, never after it.
///
/// # Errors
/// The database's.
pub async fn lock(connection: &mut PgConnection, id: PaymentId) -> Result<Option<Locked>> {
    let locked = sqlx::query_as!(
        Locked,
        r#"
        select version, deleted_at
        from payments
        where id = $1
        for no key update
        "#,
        id.0,
    );
    Ok(locked.fetch_optional(connection).await?)
}

/// Locks the account of a payment, so that it cannot be deleted before the payment is posted.
///
/// # Errors
/// The database's.
pub async fn lock_account(connection: &mut PgConnection, id: AccountId) -> Result<Option<Payee>> {
    let row = sqlx::query!(
        r#"
        select currency, customer_id, deleted_at
        from accounts
        where id = $1
        for no key update
        "#,
        id.0,
    )
    .fetch_optional(connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let currency = row.currency.parse().map_err(Error::internal)?;
    Ok(Some(Payee { currency, customer_id: row.customer_id, deleted_at: row.deleted_at }))
}

/// Finds a payment of the last two minutes that looks the same: perhaps somebody pressed the button twice.
///
/// # Errors
/// The database's.
pub async fn find_twin(connection: &mut PgConnection, payment: &Payment) -> Result<Option<Uuid>> {
    let twin = sqlx::query_scalar!(
        r#"
        select id
        from payments
        where account_id = $1
        and id <> $2
        and amount = $3
        and currency = $4
        and method = $5
        and created_at > now() - interval '2 minutes'
        and deleted_at is null
        order by created_at desc
        limit 1
        "#,
        payment.facts.account_id,
        payment.facts.id,
        payment.amount,
        payment.facts.currency,
        payment.facts.method,
    );
    Ok(twin.fetch_optional(connection).await?)
}

/// Inserts a payment; posting it is the caller's.
///
/// # Errors
/// An account or customer who does not exist, or the database's.
pub async fn insert(connection: &mut PgConnection, payment: &Payment, by: Option<UserId>) -> Result<()> {
    let facts = &payment.facts;
    sqlx::query!(
        r#"
        insert into payments (
          id, account_id, customer_id, amount, currency, method, status, receiver, description, reference, failure_code,
          failure_reason, received_at, created_by, updated_by)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $14)
        "#,
        facts.id,
        facts.account_id,
        facts.customer_id,
        payment.amount,
        facts.currency,
        facts.method,
        facts.status,
        facts.receiver,
        facts.description,
        facts.reference,
        facts.failure_code,
        facts.failure_reason,
        facts.received_at,
        by.map(|by| by.0),
    )
    .execute(connection)
    .await
    .on_constraint("payments_account_id_fkey", unknown_account)
    .on_constraint("payments_customer_id_fkey", unknown_customer)?;
    Ok(())
}

/// Writes all that a client may change of a locked payment; posting it is the caller's.
///
/// # Errors
/// An account or customer who does not exist, or the database's.
pub async fn update(connection: &mut PgConnection, payment: &Payment, by: UserId) -> Result<()> {
    let facts = &payment.facts;
    sqlx::query!(
        r#"
        update payments
        set
          account_id = $2,
          customer_id = $3,
          amount = $4,
          currency = $5,
          method = $6,
          status = $7,
          receiver = $8,
          description = $9,
          reference = $10,
          failure_code = $11,
          failure_reason = $12,
          received_at = $13,
          updated_by = $14
        where id = $1
        "#,
        facts.id,
        facts.account_id,
        facts.customer_id,
        payment.amount,
        facts.currency,
        facts.method,
        facts.status,
        facts.receiver,
        facts.description,
        facts.reference,
        facts.failure_code,
        facts.failure_reason,
        facts.received_at,
        by.0,
    )
    .execute(connection)
    .await
    .on_constraint("payments_account_id_fkey", unknown_account)
    .on_constraint("payments_customer_id_fkey", unknown_customer)?;
    Ok(())
}

/// Deletes a locked payment softly.
///
/// # Errors
/// The database's.
pub async fn remove(connection: &mut PgConnection, id: PaymentId, by: UserId) -> Result<()> {
    sqlx::query!(
        r#"
        update payments
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

/// Brings a locked payment back.
///
/// # Errors
/// The database's.
pub async fn restore(connection: &mut PgConnection, id: PaymentId, by: UserId) -> Result<()> {
    sqlx::query!(
        r#"
        update payments
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

/// An account that does not exist, or was deleted.
pub(super) fn unknown_account() -> Error {
    Error::invalid("/accountId", "unknown_account", "there is no such account")
}

fn unknown_customer() -> Error {
    Error::invalid("/customerId", "unknown_customer", "there is no such customer")
}
