//! The ledger: every movement of a balance, append only. A trigger moves the balance by what is posted here.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::api::Context;
use crate::error::{Error, OnConstraint, Result};
use crate::values::ids::{AccountId, LedgerEntryId, PaymentId, UserId};
use crate::values::money::Money;

/// One movement. A positive amount is owed more, a negative one less.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Whose balance moves.
    pub account: AccountId,
    /// Why it moves: `charge`, `payment`, …
    pub kind: &'static str,
    /// Minor units of the account's currency.
    pub amount: i64,
    /// The payment that moves it.
    pub payment: Option<PaymentId>,
    /// Why, in words.
    pub reason: Option<String>,
    /// When it happened; now if absent.
    pub occurred_at: Option<DateTime<Utc>>,
}

/// Posts an entry and thereby moves the balance, in the transaction of the connection.
///
/// # Errors
/// An account that does not exist, and a balance beyond 64 bits.
pub async fn post(connection: &mut PgConnection, entry: &Entry, by: Option<UserId>) -> Result<LedgerEntryId> {
    let id = LedgerEntryId::new();
    sqlx::query!(
        r#"
        insert into ledger_entries (id, account_id, kind, amount, payment_id, reason, occurred_at, created_by)
        values ($1, $2, $3, $4, $5, $6, coalesce($7, now()), $8)
        "#,
        id.0,
        entry.account.0,
        entry.kind,
        entry.amount,
        entry.payment.map(|payment| payment.0),
        entry.reason,
        entry.occurred_at,
        by.map(|by| by.0),
    )
    .execute(connection)
    .await
    .on_constraint("ledger_entries_account_id_fkey", || Error::NotFound("account"))?;
    Ok(id)
}

/// Posts what is owed at the start; an account that starts at zero has no such entry.
///
/// # Errors
/// A credit, or more than the largest payment, of a caller who may not post by hand.
pub async fn open(connection: &mut PgConnection, account: AccountId, owed: Money, context: &Context<'_>) -> Result<()> {
    if !(0..=context.largest_payment(owed.currency)).contains(&owed.minor) {
        context.require_full_authority()?;
    }
    if owed.minor != 0 {
        let entry = Entry { account, kind: "opening", amount: owed.minor, payment: None, reason: None, occurred_at: None };
        post(connection, &entry, context.by).await?;
    }
    Ok(())
}
