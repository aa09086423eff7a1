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
    open_all(connection, [(account, owed)], context).await
}

/// As [`open`], of one account or thousands with the same statement.
pub async fn open_all(
    connection: &mut PgConnection,
    opened: impl IntoIterator<Item = (AccountId, Money)>,
    context: &Context<'_>,
) -> Result<()> {
    let opened: Vec<_> = opened.into_iter().filter(|(_, owed)| owed.minor != 0).collect();
    if opened.iter().any(|(_, owed)| !(0..=context.largest_payment(owed.currency)).contains(&owed.minor)) {
        context.require_full_authority()?;
    }
    if opened.is_empty() {
        return Ok(());
    }
    let ids: Vec<_> = opened.iter().map(|_| LedgerEntryId::new().0).collect();
    let (accounts, amounts): (Vec<_>, Vec<_>) = opened.iter().map(|(account, owed)| (account.0, owed.minor)).unzip();
    let posted = sqlx::query!(
        r#"
        insert into ledger_entries (id, account_id, kind, amount, created_by)
        select entry.id, entry.account_id, 'opening', entry.amount, $4
        from unnest($1::uuid[], $2::uuid[], $3::bigint[]) as entry (id, account_id, amount)
        "#,
        &ids,
        &accounts,
        &amounts,
        context.by.map(|by| by.0),
    );
    posted.execute(connection).await?;
    Ok(())
}
