//! The rules of customers that no table says, and the steps that keep customers, accounts and ledger together.

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use super::contact_rows;
use super::contacts;
use super::customer::{Customer, Kind};
use super::fields::COLLECTION;
use crate::api::{Context, fields};
use crate::db::rows;
use crate::error::{Error, Result, Violations};
use crate::features::ledger;
use crate::features::resource::{self, Patch};
use crate::search::Access;
use crate::validate::{Change, MOST_MONEY, sensible_days};
use crate::values::ids::{AccountId, UserId};
use crate::values::json::{Object, Value};
use crate::values::money::{Currency, Money};

/// What a new customer owes: the account that is opened along with it.
#[derive(Clone, Debug)]
pub struct Debt {
    /// The number that people quote; made up when absent.
    pub account_number: Option<String>,
    pub amount: Money,
    pub due_date: Option<NaiveDate>,
}

impl Debt {
    /// Takes what describes an account out of a request for a new customer.
    pub fn take(body: &mut Object, default: Currency, violations: &mut Violations) -> Option<Self> {
        let is_there = ["amountDue", "dueDate", "accountNumber"].iter().any(|name| body.contains_key(*name));
        let currency: Option<String> = fields::take(body, "currency", violations).value();
        if !is_there {
            return None;
        }
        let currency = violations.currency("/currency", currency.as_deref(), default);
        let amount = fields::take_amount(body, "amountDue", violations).value();
        let minor = amount.map_or(0, |amount| violations.amount("/amountDue", &amount, currency, 0..=MOST_MONEY));
        let mut debt = Self { account_number: None, amount: Money { minor, currency }, due_date: None };
        let (due_date, number) = (fields::take(body, "dueDate", violations), fields::take(body, "accountNumber", violations));
        violations.day("/dueDate", due_date, sensible_days(), &mut debt.due_date);
        violations.text("/accountNumber", number, (1, 64), &mut debt.account_number);
        Some(debt)
    }
}

impl Customer {
    /// Reads a request for a new customer, without the [`Debt`].
    pub fn read_new(mut body: Object, context: &Context<'_>, violations: &mut Violations) -> Self {
        let mut customer = Self::new();
        customer.apply(&mut body, context, violations);
        fields::refuse_rest::<Self>(&body, context.is_strict, violations);
        customer
    }

    pub(super) fn apply(&mut self, body: &mut Object, context: &Context<'_>, violations: &mut Violations) {
        let name_is_derived = self.derived_name().is_some_and(|derived| derived == self.name);
        let name = fields::take(body, "name", violations);
        let points = fields::take(body, "contactPoints", violations);
        let [phone, email] = ["phone", "email"].map(|name| fields::take(body, name, violations));
        let addresses = fields::take(body, "addresses", violations);
        fields::apply(self, body, violations);
        if self.date_of_birth.is_some_and(|day| day > context.now.date_naive()) {
            violations.add("/dateOfBirth", "out_of_range", "takes a day that has come");
        }
        if self.language.as_deref().is_some_and(|tag| !is_language(tag)) {
            violations.add("/language", "not_a_language", "takes a language tag such as en or pt-BR");
        }
        if self.time_zone.as_deref().is_some_and(|zone| zone.parse::<Tz>().is_err()) {
            violations.add("/timeZone", "not_a_time_zone", "takes the name of a time zone such as Europe/Berlin");
        }
        contacts::apply(points, phone, email, context.region, &mut self.contact_points, violations);
        contacts::apply_addresses(addresses, &mut self.addresses, violations);
        self.apply_name(name, name_is_derived, violations);
    }

    /// A name that was derived follows its parts; one that was given stays.
    fn apply_name(&mut self, change: Change<String>, was_derived: bool, violations: &mut Violations) {
        let mut name = None;
        match change {
            Change::Keep if !was_derived && !self.name.is_empty() => return,
            Change::Keep => {}
            change => violations.text("/name", change, (1, 200), &mut name),
        }
        match name.or_else(|| self.derived_name()) {
            Some(name) => self.name = name,
            None => violations.add("/name", "required", "needs a name, or the parts of one"),
        }
    }

    /// The display name that the parts make.
    fn derived_name(&self) -> Option<String> {
        let parts = [&self.given_name, &self.family_name].into_iter().flatten().map(String::as_str);
        let person = parts.collect::<Vec<_>>().join(" ");
        let company = self.company_name.clone().unwrap_or_default();
        let mut names = if self.kind == Kind::Company { [company, person] } else { [person, company] }.into_iter();
        names.find(|name| !name.is_empty()).map(|name| name.chars().take(200).collect())
    }
}

/// Applies a request to a locked customer.
///
/// # Errors
/// An external id that another customer has, and members that cannot change.
pub async fn change(connection: &mut PgConnection, before: &Customer, patch: Patch, context: &Context<'_>) -> Result<()> {
    let after = changed(before, patch, context)?;
    update(connection, before, &after, context.by).await
}

/// Applies a request to a customer, without writing it.
///
/// # Errors
/// Members that cannot change.
pub(super) fn changed(before: &Customer, mut patch: Patch, context: &Context<'_>) -> Result<Customer> {
    let (mut after, mut violations) = (patch.base(before), Violations::default());
    // The simple form of what is there already says nothing new.
    for (name, shown) in [("phone", &before.phone), ("email", &before.email)] {
        let names_set = !patch.is_replacement || patch.members.contains_key("contactPoints");
        if names_set && patch.members.get(name) == Some(&Value::from(shown.clone())) {
            patch.members.remove(name);
        }
    }
    if patch.is_replacement {
        // The sets stay until what replaces them has named their entries.
        after.name.clear();
        patch.members.entry("contactPoints".into()).or_insert(Value::Null);
        patch.members.entry("addresses".into()).or_insert(Value::Null);
    }
    for name in ["amountDue", "dueDate", "accountNumber"] {
        if patch.members.remove(name).is_some() {
            violations.add(
                format!("/{name}"),
                "not_changeable",
                "belongs to an account; only a new customer takes it, to open one",
            );
        }
    }
    after.apply(&mut patch.members, context, &mut violations);
    resource::apply(before, &mut after, patch, context, &mut violations)?;
    violations.check()?;
    Ok(after)
}

/// Writes all that a client may change of a locked customer. The version counts a change of its contact points too.
///
/// # Errors
/// An external id that another customer has.
pub(super) async fn update(connection: &mut PgConnection, before: &Customer, after: &Customer, by: Option<UserId>) -> Result<()> {
    if after == before {
        return Ok(());
    }
    let (row, by) = (fields::columns(after, |access| access == Access::Write), by.map(Uuid::from));
    if after.external_id == before.external_id {
        rows::update(&mut *connection, COLLECTION.name, after.id, &row, by).await?;
    } else {
        rows::update_unique(&mut *connection, COLLECTION.name, after.id, &row, by).await?.or(taken)?;
    }
    if after.contact_points != before.contact_points {
        contact_rows::clear_contact_points(&mut *connection, after.id, &after.contact_points).await?;
        contact_rows::put_contact_points(&mut *connection, after.id, &after.contact_points).await?;
    }
    if after.addresses != before.addresses {
        contact_rows::clear_addresses(&mut *connection, after.id, &after.addresses).await?;
        contact_rows::put_addresses(connection, after.id, &after.addresses).await?;
    }
    Ok(())
}

/// Inserts customers with their contact points and addresses, one or thousands with the same three statements.
///
/// # Errors
/// An external id that another customer has.
pub async fn insert_all<'a>(
    connection: &mut PgConnection,
    customers: impl IntoIterator<Item = &'a Customer>,
    by: Option<UserId>,
) -> Result<()> {
    let mut customers: Vec<&Customer> = customers.into_iter().collect();
    // Two imports that bring the same customers wait for each other at most in one direction.
    customers.sort_by(|one, other| one.external_id.cmp(&other.external_id));
    let table: Vec<Object> =
        customers.iter().map(|customer| fields::columns(*customer, |access| access != Access::Server)).collect();
    rows::insert(&mut *connection, COLLECTION.name, &table, by.map(Uuid::from)).await?.or(taken)?;
    contact_rows::insert_all(connection, &customers).await
}

/// Inserts a customer, and opens an account for what it owes.
///
/// # Errors
/// An external id or an account number that another record has; a debt that the caller may not open.
pub async fn create(
    connection: &mut PgConnection,
    customer: &Customer,
    debt: Option<&Debt>,
    context: &Context<'_>,
) -> Result<()> {
    insert_all(&mut *connection, [customer], context.by).await?;
    match debt {
        Some(debt) => open_account(connection, customer.id, debt, context).await,
        None => Ok(()),
    }
}

async fn open_account(connection: &mut PgConnection, customer: Uuid, debt: &Debt, context: &Context<'_>) -> Result<()> {
    let account = AccountId::new();
    let row = json!({
        "id": account, "customer_id": customer, "currency": debt.amount.currency, "original_amount": debt.amount.minor,
        "due_date": debt.due_date, "status": "open", "tags": [], "custom": {},
    });
    let mut row = Value::from(row).into_object().unwrap_or_default();
    if let Some(number) = &debt.account_number {
        row.insert("account_number".into(), number.clone().into());
    }
    let inserted = rows::insert(&mut *connection, "accounts", &[row], context.by.map(Uuid::from)).await?;
    inserted.or(|| Error::duplicate("/accountNumber", "another account has this number"))?;
    ledger::open(connection, account, debt.amount, context).await
}

/// Locks the accounts of a locked customer.
async fn lock_accounts(connection: &mut PgConnection, customer: Uuid) -> Result<()> {
    let locked = sqlx::query!(
        r#"
        select id
        from accounts
        where customer_id = $1
        order by id
        for no key update
        "#,
        customer,
    );
    locked.fetch_all(connection).await?;
    Ok(())
}

/// Deletes a locked customer softly, and with it its accounts.
///
/// # Errors
/// A conflict with the accounts on which something is owed, unless it is forced.
pub async fn remove(connection: &mut PgConnection, customer: Uuid, is_forced: bool, by: Option<UserId>) -> Result<()> {
    lock_accounts(&mut *connection, customer).await?;
    if !is_forced {
        refuse_open_accounts(&mut *connection, customer).await?;
    }
    sqlx::query!(
        r#"
        update accounts
        set deleted_at = now(), updated_by = $2
        where customer_id = $1
        and deleted_at is null
        "#,
        customer,
        by.map(Uuid::from),
    )
    .execute(&mut *connection)
    .await?;
    Ok(rows::remove(connection, COLLECTION.name, customer, by.map(Uuid::from)).await?)
}

async fn refuse_open_accounts(connection: &mut PgConnection, customer: Uuid) -> Result<()> {
    let open = sqlx::query!(
        r#"
        select id, (balance, currency) as "balance!: Money", count(*) over () as "count!"
        from accounts
        where customer_id = $1
        and deleted_at is null
        and balance > 0
        order by account_number
        limit 20
        "#,
        customer,
    );
    let open = open.fetch_all(connection).await?;
    let Some(count) = open.first().map(|account| account.count) else { return Ok(()) };
    // Without their numbers: problems end up in the logs of clients.
    let shown =
        open.iter().map(|account| json!({ "id": account.id, "balance": account.balance, "currency": account.balance.currency }));
    let accounts: Vec<_> = shown.collect();
    let more = json!({ "openAccounts": accounts, "openAccountCount": count });
    let detail = "the customer still owes; settle the open accounts, or delete them too with force=true";
    Err(Error::Conflict { code: "open_accounts", detail: detail.into(), more: more.as_object().cloned().unwrap_or_default() })
}

/// Brings a locked customer back, and the accounts that were deleted along with it at that moment.
pub async fn restore(connection: &mut PgConnection, customer: Uuid, deleted_at: DateTime<Utc>, by: Option<UserId>) -> Result<()> {
    lock_accounts(&mut *connection, customer).await?;
    sqlx::query!(
        r#"
        update accounts
        set deleted_at = null, updated_by = $3
        where customer_id = $1
        and deleted_at = $2
        "#,
        customer,
        deleted_at,
        by.map(Uuid::from),
    )
    .execute(&mut *connection)
    .await?;
    Ok(rows::restore(connection, COLLECTION.name, customer, by.map(Uuid::from)).await?)
}

fn taken() -> Error {
    Error::duplicate("/externalId", "another customer has this external id")
}

/// The form of a language tag: two or three small letters, then subtags of two to eight letters and digits.
fn is_language(tag: &str) -> bool {
    let mut parts = tag.split('-');
    let first = parts.next().unwrap_or_default();
    (2..=3).contains(&first.len())
        && first.bytes().all(|letter| letter.is_ascii_lowercase())
        && parts.all(|part| (2..=8).contains(&part.len()) && part.bytes().all(|letter| letter.is_ascii_alphanumeric()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Authority;

    fn apply(customer: &mut Customer, body: serde_json::Value) -> Vec<(String, String)> {
        let (mut body, mut violations) = (Value::from(body).into_object().unwrap(), Violations::default());
        let now = DateTime::parse_from_rfc3339("2026-01-01T00:00:00Z").unwrap().to_utc();
        let currency = "EUR".parse().unwrap();
        let context =
            Context { by: None, now, currency, region: "US", payment_max: 1, authority: Authority::Full, is_strict: true };
        customer.apply(&mut body, &context, &mut violations);
        violations.take().into_iter().map(|violation| (violation.pointer, violation.code.into_owned())).collect()
    }

    fn check(patch: serde_json::Value, expected: &[(&str, &str)]) {
        let found = apply(&mut Customer::new(), patch.clone());
        let found: Vec<(&str, &str)> = found.iter().map(|(pointer, code)| (pointer.as_str(), code.as_str())).collect();
        assert_eq!(found, expected, "{patch}");
    }

    #[test]
    fn every_fault_is_found_at_once_and_in_its_place() {
        check(json!({ "name": "Ann" }), &[]);
        check(json!({}), &[("/name", "required")]);
        check(json!({ "name": "x".repeat(201) }), &[("/name", "too_long")]);
        check(
            json!({ "name": "Ann", "language": "english", "timeZone": "not a zone" }),
            &[("/language", "not_a_language"), ("/timeZone", "not_a_time_zone")],
        );
        check(json!({ "name": "Ann", "dateOfBirth": "2026-01-02" }), &[("/dateOfBirth", "out_of_range")]);
        check(
            json!({ "kind": "robot", "externalId": "", "tags": [" "], "phone": "?" }),
            &[
                ("/externalId", "too_short"),
                ("/kind", "unknown_value"),
                ("/tags/0", "too_short"),
                ("/phone", "too_short"),
                ("/name", "required"),
            ],
        );
    }

    #[test]
    fn a_derived_name_follows_its_parts_and_a_given_one_stays() {
        let mut customer = Customer::new();
        apply(&mut customer, json!({ "givenName": "Ann", "familyName": "Lee" }));
        assert_eq!(customer.name, "Ann Lee");
        apply(&mut customer, json!({ "familyName": "Moss" }));
        assert_eq!(customer.name, "Ann Moss");
        apply(&mut customer, json!({ "name": "Dr Moss" }));
        apply(&mut customer, json!({ "givenName": null }));
        assert_eq!(customer.name, "Dr Moss");
        apply(&mut customer, json!({ "name": null }));
        assert_eq!(customer.name, "Moss");
    }

    #[test]
    fn language_tags_have_a_form_and_time_zones_exist() {
        assert!(["en", "pt-BR", "zh-Hant-TW"].into_iter().all(is_language));
        assert!(!["e", "EN", "en-", "en_US", "en-toolongtag"].into_iter().any(is_language));
        for zone in ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+5", "US/Eastern"] {
            check(json!({ "name": "Ann", "timeZone": zone }), &[]);
        }
        for zone in ["Europe/Berlim", "Mars/Olympus", "+02:00", "../etc"] {
            check(json!({ "name": "Ann", "timeZone": zone }), &[("/timeZone", "not_a_time_zone")]);
        }
    }
}
