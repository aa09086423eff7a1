//! The rules of payments that no table says, and the steps that keep payments and ledger together.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use super::fields::{COLLECTION, METHODS};
use super::payment::Payment;
use super::status::{self, Status};
use crate::api::{Context, fields};
use crate::db::rows;
use crate::error::{Error, OnConstraint, Result, Violations};
use crate::features::accounts::unknown_account;
use crate::features::ledger::{self, Entry};
use crate::features::resource::{self, Patch};
use crate::search::Access;
use crate::validate::Change;
use crate::values::ids::{AccountId, PaymentId, UserId};
use crate::values::json::{Object, Value};
use crate::values::money::{Currency, Money};

/// The account of a payment.
#[derive(Clone, Copy, Debug)]
pub struct Payee {
    pub id: Uuid,
    pub currency: Currency,
    pub customer_id: Uuid,
    pub deleted_at: Option<DateTime<Utc>>,
}

/// Locks the account that a request names, so that it cannot be deleted before the payment is posted.
///
/// # Errors
/// An account that does not exist.
pub(super) async fn lock_payee(connection: &mut PgConnection, account: Option<Uuid>) -> Result<Option<Payee>> {
    let Some(account) = account else { return Ok(None) };
    let payee = sqlx::query_as!(
        Payee,
        r#"
        select id, currency as "currency: Currency", customer_id, deleted_at
        from accounts
        where id = $1
        for no key update
        "#,
        account,
    );
    payee.fetch_optional(connection).await?.ok_or_else(unknown_account).map(Some)
}

/// Locks the accounts that payments have, and those that their changes name.
pub(super) async fn lock_payees(connection: &mut PgConnection, payments: &[Payment], changes: &[&Object]) -> Result<()> {
    let named = changes.iter().filter_map(|members| members.get("accountId")?.as_str()?.parse().ok());
    let accounts: Vec<Uuid> = payments.iter().filter_map(|payment| payment.account_id).chain(named).collect();
    Ok(rows::lock_all(connection, "accounts", &accounts).await?)
}

/// Checks changes of several payments, of which none is read yet. What an amount may be depends on the account.
pub(super) fn check_changes(mut changes: Object, context: &Context<'_>, violations: &mut Violations) {
    for name in ["accountId", "customerId"] {
        fields::take::<Uuid>(&mut changes, name, violations);
    }
    for name in ["currency", "receivedAt"] {
        fields::take::<String>(&mut changes, name, violations);
    }
    fields::take_amount(&mut changes, "amount", violations);
    fields::apply(&mut Payment::default(), &mut changes, violations);
    fields::refuse_rest::<Payment>(&changes, context.is_strict, violations);
}

/// Finds the account of a payment; none if there is no such payment, or it is unallocated.
pub(super) async fn account_of(db: impl PgExecutor<'_>, payment: Uuid) -> Result<Option<Uuid>> {
    let account = sqlx::query_scalar!(r#"select account_id from payments where id = $1"#, payment);
    Ok(account.fetch_optional(db).await?.flatten())
}

impl Payment {
    /// Reads a request for a new payment to the account that it names.
    pub fn read_new(mut body: Object, payee: Option<&Payee>, context: &Context<'_>, violations: &mut Violations) -> Self {
        let mut payment = Self::new(payee.map_or(context.currency, |payee| payee.currency), context.now);
        require_method(&body, violations);
        payment.apply_money(&mut body, payee, context, violations);
        fields::apply(&mut payment, &mut body, violations);
        fields::refuse_rest::<Self>(&body, context.is_strict, violations);
        if !payment.status.is_first() {
            violations.add("/status", "not_a_first_status", "a new payment is one of pending, success, failed");
        }
        payment
    }

    /// Takes over account, customer, currency, amount and time, which depend on each other.
    fn apply_money(&mut self, body: &mut Object, payee: Option<&Payee>, context: &Context<'_>, violations: &mut Violations) {
        body.remove("accountId");
        self.account_id = payee.map(|payee| payee.id);
        let customer = fields::take(body, "customerId", violations);
        if let Some(payee) = payee {
            if customer.is_present() && customer.clone().value() != Some(payee.customer_id) {
                violations.add("/customerId", "customer_mismatch", "the account belongs to another customer");
            }
            self.customer_id = Some(payee.customer_id);
        } else {
            customer.apply(&mut self.customer_id);
        }

        let currency = fields::take::<String>(body, "currency", violations);
        if currency.is_present() {
            let default = payee.map_or(context.currency, |payee| payee.currency);
            self.currency = violations.currency("/currency", currency.value().as_deref(), default);
        }
        if let Some(payee) = payee
            && self.currency != payee.currency
        {
            violations.add("/currency", "currency_mismatch", format!("the account's currency is {}", payee.currency));
        }
        let most = context.largest_payment(self.currency);
        let minor = match fields::take_amount(body, "amount", violations) {
            Change::To(Some(amount)) => violations.amount("/amount", &amount, self.currency, 1..=most),
            Change::Keep if self.amount.minor > 0 => self.amount.minor,
            _ => {
                violations.add("/amount", "required", "needs an amount");
                self.amount.minor
            }
        };
        self.amount = Money { minor, currency: self.currency };
        let (change, mut received_at) = (fields::take(body, "receivedAt", violations), Some(self.received_at));
        violations.past("/receivedAt", change, context.now, &mut received_at);
        self.received_at = received_at.unwrap_or(context.now);
    }
}

/// Inserts a payment and posts it to its account.
///
/// # Errors
/// An account or customer that does not exist.
pub async fn record(connection: &mut PgConnection, payment: &Payment, by: Option<UserId>) -> Result<PaymentId> {
    let row = fields::columns(payment, |access| access != Access::Server);
    // A payment has no unique value but its id.
    let _ = written(rows::insert(&mut *connection, COLLECTION.name, &[row], by.map(Uuid::from)).await)?;
    post(connection, None, payment, by).await?;
    Ok(PaymentId(payment.id))
}

/// Applies a request to a locked payment, and posts what the change means for its account.
///
/// # Errors
/// A step that the status does not allow, or the caller's authority; a change of money that came; an account that is deleted.
pub async fn change(connection: &mut PgConnection, before: &Payment, mut patch: Patch, context: &Context<'_>) -> Result<()> {
    let (mut after, mut violations) = (patch.base(before), Violations::default());
    let account = match fields::take(&mut patch.members, "accountId", &mut violations) {
        Change::To(account) => account,
        Change::Keep => after.account_id,
    };
    let payee = lock_payee(connection, account).await?;
    if payee.is_some_and(|payee| payee.deleted_at.is_some()) {
        return Err(Error::conflict("account_deleted", "the payment's account is deleted; restore the account first"));
    }
    if patch.is_replacement {
        require_method(&patch.members, &mut violations);
        (after.status, after.amount.minor) = (before.status, 0);
    }
    after.apply_money(&mut patch.members, payee.as_ref(), context, &mut violations);
    resource::apply(before, &mut after, patch, context, &mut violations)?;
    violations.check()?;
    status::step(before.status, after.status)?;
    if after.status != before.status && after.status == Status::Refunded {
        // Money leaves the house.
        context.require_full_authority()?;
    }
    guard_history(before, &after)?;
    if after == *before {
        return Ok(());
    }
    let row = fields::columns(&after, |access| access == Access::Write);
    written(rows::update(&mut *connection, COLLECTION.name, after.id, &row, context.by.map(Uuid::from)).await)?;
    post(connection, Some(before), &after, context.by).await
}

/// Deletes a locked payment, unless its money came: then it is in the ledger, even if the money went back.
///
/// # Errors
/// A conflict that says what to do instead.
pub async fn remove(connection: &mut PgConnection, payment: &Payment, by: Option<UserId>) -> Result<()> {
    if payment.status.is_settled() {
        return Err(Error::conflict("payment_settled", "a payment whose money came is not deleted; refund or reverse it"));
    }
    Ok(rows::remove(connection, COLLECTION.name, payment.id, by.map(Uuid::from)).await?)
}

/// Finds a payment of the last two minutes that looks the same: perhaps it was sent twice.
pub(super) async fn find_twin(connection: &mut PgConnection, payment: &Payment) -> Result<Option<Uuid>> {
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
        -- As in the index of an account's payments: others have many within the time.
        order by created_at desc nulls last, id
        limit 1
        "#,
        payment.account_id,
        payment.id,
        payment.amount.minor,
        payment.currency.as_str(),
        payment.method,
    );
    Ok(twin.fetch_optional(connection).await?)
}

/// Posts to the account what the step from one form of a payment to the next means for it.
async fn post(connection: &mut PgConnection, before: Option<&Payment>, after: &Payment, by: Option<UserId>) -> Result<()> {
    // What was not allocated has not been posted, so for the ledger it comes now.
    let posted = before.filter(|before| before.account_id.is_some());
    let from = posted.map_or(Status::Pending, |before| before.status);
    let (Some(account), Some((kind, sign))) = (after.account_id, status::posting(from, after.status)) else {
        return Ok(());
    };
    let entry = Entry {
        account: AccountId(account),
        kind,
        amount: sign * after.amount.minor,
        payment: Some(PaymentId(after.id)),
        reason: None,
        occurred_at: (kind == "payment").then_some(after.received_at),
    };
    ledger::post(connection, &entry, by).await?;
    Ok(())
}

/// Once the money came, its amount is history; it can still be allocated, once.
fn guard_history(before: &Payment, after: &Payment) -> Result<()> {
    let is_same_money = before.amount == after.amount && before.received_at == after.received_at;
    let is_reallocated =
        before.account_id != after.account_id && (before.account_id.is_some() || before.status != Status::Success);
    if !before.status.is_settled() || is_same_money && !is_reallocated {
        return Ok(());
    }
    Err(Error::conflict(
        "payment_settled",
        "the amount, the time and the account of money that came do not change; refund or reverse it",
    ))
}

fn require_method(body: &Object, violations: &mut Violations) {
    if body.get("method").is_none_or(Value::is_null) {
        violations.add("/method", "required", format!("takes one of {}", METHODS.known.join(", ")));
    }
}

fn written<T>(result: sqlx::Result<T>) -> Result<T> {
    result.on_constraint("payments_account_id_fkey", unknown_account).on_constraint("payments_customer_id_fkey", || {
        Error::invalid("/customerId", "unknown_customer", "there is no such customer")
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::Authority;

    fn check(body: serde_json::Value, expected: &[(&str, &str)]) {
        let now = DateTime::parse_from_rfc3339("2026-01-31T12:00:00Z").unwrap().to_utc();
        let payee = Payee { id: Uuid::nil(), currency: "EUR".parse().unwrap(), customer_id: Uuid::nil(), deleted_at: None };
        let currency = "USD".parse().unwrap();
        let context = Context {
            by: None,
            now,
            currency,
            region: "US",
            payment_max: 1_000_000,
            authority: Authority::Ordinary,
            is_strict: true,
        };
        let mut violations = Violations::default();
        Payment::read_new(Value::from(body.clone()).into_object().unwrap(), Some(&payee), &context, &mut violations);
        let violations = violations.take();
        let found: Vec<(&str, &str)> = violations.iter().map(|one| (one.pointer.as_str(), one.code.as_ref())).collect();
        assert_eq!(found, expected, "{body}");
    }

    #[test]
    fn every_violation_is_found_at_once_and_in_its_place() {
        check(json!({ "amount": 1, "method": "Card", "status": "COMPLETED" }), &[]);
        check(json!({}), &[("/method", "required"), ("/amount", "required")]);
        check(
            json!({ "amount": 0, "method": "gold", "receiver": "x", "description": "d".repeat(501), "status": "refunded" }),
            &[
                ("/amount", "out_of_range"),
                ("/method", "unknown_value"),
                ("/receiver", "too_short"),
                ("/description", "too_long"),
                ("/status", "not_a_first_status"),
            ],
        );
    }

    #[test]
    fn the_amount_has_limits_in_the_currency_of_the_account() {
        check(json!({ "amount": "1000000.00", "method": "cash" }), &[]);
        check(json!({ "amount": "1000000.01", "method": "cash" }), &[("/amount", "out_of_range")]);
        check(json!({ "amount": "0.001", "method": "cash" }), &[("/amount", "too_many_decimals")]);
        check(json!({ "amount": 1, "method": "cash", "currency": "USD" }), &[("/currency", "currency_mismatch")]);
        check(json!({ "amount": 1, "method": "cash", "currency": "XYZ" }), &[("/currency", "unknown_currency")]);
    }

    #[test]
    fn money_does_not_come_in_tomorrow() {
        check(json!({ "amount": 1, "method": "cash", "receivedAt": "2026-01-31T12:01:00Z" }), &[]);
        check(
            json!({ "amount": 1, "method": "cash", "receivedAt": "2026-02-01T12:00:00Z" }),
            &[("/receivedAt", "in_the_future")],
        );
    }
}
