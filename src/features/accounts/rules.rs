//! The rules of accounts that no table says, and the steps that keep accounts, customers and ledger together.

use sqlx::PgConnection;
use uuid::Uuid;

use super::account::{Account, Status};
use super::fields::COLLECTION;
use crate::api::{Context, fields};
use crate::db::rows;
use crate::error::{Error, OnConstraint, Result, Violations};
use crate::features::customers::{self, Customer};
use crate::features::ledger;
use crate::features::resource::{self, Parent, Patch};
use crate::search::Access;
use crate::validate::MOST_MONEY;
use crate::values::ids::{AccountId, UserId};
use crate::values::json::Object;
use crate::values::money::Money;

/// A new account, and the new customer who owes it, if it comes with one.
#[derive(Clone, Debug)]
pub struct NewAccount {
    pub account: Account,
    pub customer: Option<Customer>,
}

impl NewAccount {
    /// Reads a request for a new account.
    pub fn read(mut body: Object, context: &Context<'_>, violations: &mut Violations) -> Self {
        let customer = fields::take_object(&mut body, "customer", violations).value();
        match (body.contains_key("customerId"), &customer) {
            (true, Some(_)) => violations.add("/customer", "conflicting", "takes customerId or a new customer, not both"),
            (false, None) => violations.add("/customerId", "required", "needs customerId, or a new customer in customer"),
            _ => {}
        }
        let currency: Option<String> = fields::take(&mut body, "currency", violations).value();
        let currency = violations.currency("/currency", currency.as_deref(), context.currency);
        let mut account = Account::new(currency);
        let mut amount = |name: &str, least: i64, violations: &mut Violations| {
            let amount = fields::take_amount(&mut body, name, violations).value()?;
            Some(violations.amount(&format!("/{name}"), &amount, currency, least..=MOST_MONEY))
        };
        let original = amount("originalAmount", 0, violations);
        let owed = match (amount("balance", -MOST_MONEY, violations), amount("amountDue", 0, violations)) {
            (Some(_), Some(_)) => {
                violations.add("/amountDue", "conflicting", "is another name of balance; takes one of them");
                None
            }
            (balance, due) => balance.or(due),
        };
        account.balance = Money { minor: owed.or(original).unwrap_or_default(), currency };
        account.original_amount = Money { minor: original.or(owed).unwrap_or_default().max(0), currency };
        fields::apply(&mut account, &mut body, violations);
        fields::refuse_rest::<Account>(&body, context.is_strict, violations);
        let customer = customer.map(|body| {
            let mut within = Violations::default();
            let customer = Customer::read_new(body, context, &mut within);
            violations.nest("/customer", within);
            account.customer_id = customer.id;
            customer
        });
        Self { account, customer }
    }
}

/// Opens an account, along with its customer if that is new, and posts what is owed at the start.
///
/// # Errors
/// A number or external id that another record has; a customer or assignee that does not exist; a balance or a status that the caller
/// may not give.
pub async fn open(connection: &mut PgConnection, new: &NewAccount, context: &Context<'_>) -> Result<AccountId> {
    match &new.customer {
        Some(customer) => {
            let inserted = customers::insert_all(connection, [customer], context.by).await;
            inserted.map_err(|error| error.within("/customer"))?;
        }
        None if rows::hold(connection, "customers", new.account.customer_id).await? => {}
        None => return Err(unknown_customer()),
    }
    insert(connection, &new.account, context).await
}

/// Inserts an account of a customer that is there, and posts what is owed at the start.
///
/// # Errors
/// As [`open`].
pub async fn insert(connection: &mut PgConnection, account: &Account, context: &Context<'_>) -> Result<AccountId> {
    if account.status == Status::WrittenOff {
        context.require_full_authority()?;
    }
    let mut row = fields::columns(account, |access| access != Access::Server);
    if account.account_number.is_empty() {
        // The column's default makes one up.
        row.remove("account_number");
    }
    written(rows::insert(&mut *connection, COLLECTION.name, &[row], context.by.map(Uuid::from)).await)?.or(taken)?;
    let id = AccountId(account.id);
    ledger::open(connection, id, account.balance, context).await?;
    Ok(id)
}

/// Applies a request to an account, without writing it.
///
/// # Errors
/// Members that cannot change; a status that the caller may not give.
fn changed(before: &Account, mut patch: Patch, context: &Context<'_>) -> Result<Account> {
    let (mut after, mut violations) = (patch.base(before), Violations::default());
    if patch.members.remove("customer").is_some() {
        violations.add("/customer", "not_changeable", "only a new account takes a new customer; name another in customerId");
    }
    if let Some(due) = patch.members.remove("amountDue") {
        patch.members.entry("balance".into()).or_insert(due);
    }
    resource::apply(before, &mut after, patch, context, &mut violations)?;
    violations.check()?;
    if after.status != before.status && [before.status, after.status].contains(&Status::WrittenOff) {
        context.require_full_authority()?;
    }
    Ok(after)
}

/// Applies a request to an account, if nothing follows but an update of its row that no other row can refuse.
pub(super) fn changed_row(before: &Account, patch: Patch, context: &Context<'_>) -> Result<Option<Account>> {
    let after = changed(before, patch, context)?;
    let is_plain = after.customer_id == before.customer_id && after.account_number == before.account_number;
    Ok(is_plain.then_some(after))
}

/// Applies a request to a locked account.
///
/// # Errors
/// As [`open`], and members that cannot change.
pub async fn change(connection: &mut PgConnection, before: &Account, patch: Patch, context: &Context<'_>) -> Result<()> {
    let after = changed(before, patch, context)?;
    if after == *before {
        return Ok(());
    }
    if after.customer_id != before.customer_id && !rows::hold_again(connection, "customers", after.customer_id).await? {
        return Err(unknown_customer());
    }
    let (row, by) = (fields::columns(&after, |access| access == Access::Write), context.by.map(Uuid::from));
    if after.account_number == before.account_number {
        written(rows::update(connection, COLLECTION.name, after.id, &row, by).await)
    } else {
        written(rows::update_unique(connection, COLLECTION.name, after.id, &row, by).await)?.or(taken)
    }
}

/// Holds the customers that changes of several accounts name.
pub(super) async fn hold_parents(connection: &mut PgConnection, changes: &[&Object]) -> Result<()> {
    let named = changes.iter().filter_map(|members| members.get("customerId")?.as_str()?.parse().ok());
    Ok(rows::hold_all(connection, "customers", &named.collect::<Vec<_>>()).await?)
}

/// Holds the customer that a request names, or the account's own.
pub(super) async fn hold_parent(connection: &mut PgConnection, parent: Parent<'_>) -> Result<()> {
    let customer = match parent {
        Parent::Named(members) => members.get("customerId").and_then(|id| id.as_str()?.parse().ok()),
        Parent::Current(account) => {
            let customer = sqlx::query_scalar!("select customer_id from accounts where id = $1", account);
            customer.fetch_optional(&mut *connection).await?
        }
    };
    if let Some(customer) = customer {
        rows::hold(connection, "customers", customer).await?;
    }
    Ok(())
}

/// Brings a locked account back, unless its customer is deleted.
///
/// # Errors
/// A conflict that names the customer as the reason.
pub async fn restore(connection: &mut PgConnection, account: &Account, by: Option<UserId>) -> Result<()> {
    // The account may have changed hands since its customer was held.
    if !rows::hold_again(connection, "customers", account.customer_id).await? {
        return Err(Error::conflict("customer_deleted", "the account's customer is deleted; restore the customer first"));
    }
    Ok(rows::restore(connection, COLLECTION.name, account.id, by.map(Uuid::from)).await?)
}

fn unknown_customer() -> Error {
    Error::invalid("/customerId", "unknown_customer", "there is no such customer")
}

fn taken() -> Error {
    Error::duplicate("/accountNumber", "another account has this number")
}

fn written<T>(result: sqlx::Result<T>) -> Result<T> {
    result
        .on_constraint("accounts_customer_id_fkey", unknown_customer)
        .on_constraint("accounts_assignee_id_fkey", || Error::invalid("/assigneeId", "unknown_user", "there is no such user"))
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use serde_json::{Value, json};

    use super::*;
    use crate::api::Authority;
    use crate::values::ids::CustomerId;
    use crate::values::json;

    fn check(body: Value, expected: &[(&str, &str)]) -> Account {
        let (now, currency) = (DateTime::default(), "EUR".parse().unwrap());
        let context =
            Context { by: None, now, currency, region: "US", payment_max: 1, authority: Authority::Full, is_strict: true };
        let mut violations = Violations::default();
        let new = NewAccount::read(json::Value::from(body.clone()).into_object().unwrap(), &context, &mut violations);
        let violations = violations.take();
        let found: Vec<(&str, &str)> = violations.iter().map(|one| (one.pointer.as_str(), one.code.as_ref())).collect();
        assert_eq!(found, expected, "{body}");
        new.account
    }

    #[test]
    fn the_opening_balance_can_be_named_in_three_ways() {
        let amounts = |mut body: Value| {
            body["customerId"] = json!(CustomerId::new());
            let account = check(body, &[]);
            (account.balance.minor, account.original_amount.minor)
        };
        assert_eq!(amounts(json!({})), (0, 0));
        assert_eq!(amounts(json!({ "amountDue": "12.50" })), (1250, 1250));
        assert_eq!(amounts(json!({ "originalAmount": 100, "balance": 40 })), (4000, 10_000));
        assert_eq!(amounts(json!({ "balance": "-3", "currency": "jpy" })), (-3, 0));
    }

    #[test]
    fn every_violation_is_found_at_once_and_in_its_place() {
        check(
            json!({ "balance": 1, "amountDue": 1, "currency": "XXX", "accountNumber": "", "dueDate": "soon", "color": 1, "version": 1 }),
            &[
                ("/customerId", "required"),
                ("/currency", "unknown_currency"),
                ("/amountDue", "conflicting"),
                ("/accountNumber", "too_short"),
                ("/dueDate", "not_a_day"),
                ("/color", "unknown_member"),
                ("/version", "not_changeable"),
            ],
        );
        let id = CustomerId::new();
        check(json!({ "customerId": id, "originalAmount": "1.234" }), &[("/originalAmount", "too_many_decimals")]);
        check(json!({ "customerId": id, "originalAmount": "-1" }), &[("/originalAmount", "out_of_range")]);
        check(json!({ "customerId": id, "creditor": 5, "tags": "a" }), &[("/creditor", "wrong_type"), ("/tags", "wrong_type")]);
    }

    #[test]
    fn what_is_fixed_can_be_repeated_and_not_changed() {
        let before = check(json!({ "customerId": CustomerId::new(), "balance": "40.00", "creditor": "ACME" }), &[]);
        let apply = |body: Value| {
            let patch = Patch { members: json::Value::from(body).into_object().unwrap(), is_replacement: false };
            let (now, currency) = (DateTime::default(), "EUR".parse().unwrap());
            let context =
                Context { by: None, now, currency, region: "US", payment_max: 1, authority: Authority::Full, is_strict: true };
            let (mut after, mut violations) = (patch.base(&before), Violations::default());
            resource::apply(&before, &mut after, patch, &context, &mut violations).unwrap();
            violations.take().len()
        };
        assert_eq!(apply(json!({ "balance": 40, "originalAmount": "40", "currency": "eur" })), 0);
        assert_eq!(
            apply(json!({ "balance": 41, "originalAmount": null, "currency": "USD", "customerId": null, "daysPastDue": 7 })),
            5
        );
    }
}
