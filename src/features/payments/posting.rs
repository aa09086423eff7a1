//! What payments do to the ledger.

use sqlx::PgConnection;

use super::document::Payment;
use super::{status, store};
use crate::error::Result;
use crate::features::ledger::{self, Entry};
use crate::values::ids::{AccountId, PaymentId, UserId};

/// Inserts a new payment and posts it to its account, in the transaction of the connection.
///
/// # Errors
/// An account or customer who does not exist, or the database's.
pub async fn record(connection: &mut PgConnection, payment: &Payment, by: Option<UserId>) -> Result<()> {
    store::insert(connection, payment, by).await?;
    post(connection, None, payment, by).await
}

/// Posts to the account what the step from one form of a payment to the next means for it.
pub(super) async fn post(
    connection: &mut PgConnection,
    before: Option<&Payment>,
    after: &Payment,
    by: Option<UserId>,
) -> Result<()> {
    // What was not allocated has not been posted, so for the ledger it comes now.
    let posted = before.filter(|before| before.facts.account_id.is_some());
    let from = posted.map_or("pending", |before| before.facts.status.as_str());
    let (Some(account), Some((kind, sign))) = (after.facts.account_id, status::posting(from, &after.facts.status)) else {
        return Ok(());
    };
    let entry = Entry {
        account: AccountId(account),
        kind,
        amount: sign * after.amount,
        payment: Some(PaymentId(after.facts.id)),
        reason: None,
        occurred_at: (kind == "payment").then_some(after.facts.received_at),
    };
    ledger::post(connection, &entry, by).await?;
    Ok(())
}
