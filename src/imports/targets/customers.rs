//! Rows that become customers, with a contact of each kind, an address, and an account if there is a debt.

use std::collections::HashSet;

use sqlx::PgConnection;
use uuid::Uuid;

use super::{Companion, Draft, Match, NewCompanion, first_row};
use crate::api::Context;
use crate::db::rows;
use crate::error::{Error, Result, Violation, Violations};
use crate::features::accounts::{self, Account, NewAccount};
use crate::features::customers::{self, Customer};
use crate::imports::plan::Plan;
use crate::imports::read::record::Record;
use crate::imports::store::rows::rolled_back;
use crate::values::json::{Object, Value};
use crate::values::text;

/// The columns of the account that is opened with a new customer.
const DEBT: [&str; 4] = ["accountNumber", "amountDue", "currency", "dueDate"];
const NAMES: [&str; 4] = ["name", "givenName", "familyName", "companyName"];
const ADDRESS: [&str; 7] = ["streetNumber", "line1", "line2", "city", "region", "postalCode", "country"];

pub(in crate::imports) struct CustomerDraft {
    customer: Customer,
    account: Option<Account>,
}

impl Draft for CustomerDraft {
    type Record = Customer;
    /// The numbers of accounts that exist.
    type Known = HashSet<String>;
    const SHOWN: &'static [&'static str] = &["phone", "email", "addresses"];
    const RESTORED: &'static [&'static str] = &["contactPoints", "addresses"];

    fn key(record: &Record, plan: &Plan) -> Option<String> {
        let value = record.value(&plan.import.key)?;
        Some(match plan.import.key.as_str() {
            "email" => text::email(value),
            "phone" => text::phone(value, &plan.layout.region),
            _ => value.to_owned(),
        })
    }

    /// Customers that are found by a contact have an external id besides.
    fn number<'a>(record: &'a Record, plan: &Plan) -> Option<&'a str> {
        (plan.import.key != plan.import.target.key()).then(|| record.value(plan.import.target.key())).flatten()
    }

    async fn look_up(connection: &mut PgConnection, records: &[Record], plan: &Plan) -> Result<Self::Known> {
        let numbers: Vec<&str> = records.iter().filter_map(|record| record.value("accountNumber")).collect();
        if numbers.is_empty() {
            return Ok(HashSet::new());
        }
        let found = sqlx::query_scalar!("select account_number from accounts where account_number = any($1)", &numbers as _);
        let mut known: HashSet<String> = found.fetch_all(&mut *connection).await?.into_iter().collect();
        known.extend(rolled_back(connection, plan.import.id, first_row(records), &numbers).await?);
        Ok(known)
    }

    async fn find(connection: &mut PgConnection, plan: &Plan, keys: &[String]) -> Result<Vec<Match>> {
        match plan.import.key.as_str() {
            kind @ ("email" | "phone") => by_contact(connection, kind, keys).await,
            _ => by_external_id(connection, keys).await,
        }
    }

    fn make(record: &mut Record, known: &mut Self::Known, plan: &Plan) -> Option<Self> {
        let mut violations = record.require(&[&plan.import.key]);
        let (customer, wrong) = check(body(record, plan), &plan.context());
        violations.extend(wrong);
        let account = account(record, customer.id, &plan.context(), &mut violations);
        let number = account.as_ref().map(|account| account.account_number.clone()).filter(|number| !number.is_empty());
        if number.as_ref().is_some_and(|number| known.contains(number)) {
            let message = "another account has this number".to_owned();
            violations.push(Violation { pointer: "/accountNumber".into(), code: "duplicate".into(), message });
        }
        record.add(&plan.layout, violations);
        if record.has_failed() {
            return None;
        }
        known.extend(number);
        Some(Self { customer, account })
    }

    async fn insert(connection: &mut PgConnection, drafts: &[Self], plan: &Plan) -> Result<()> {
        let context = plan.context();
        customers::insert_all(connection, drafts.iter().map(|draft| &draft.customer), context.by).await?;
        accounts::insert_all(connection, drafts.iter().filter_map(|draft| draft.account.as_ref()), &context).await
    }

    fn id(&self) -> Uuid {
        self.customer.id
    }

    fn companion(&self) -> Option<NewCompanion<'_>> {
        let account = self.account.as_ref()?;
        Some(NewCompanion { table: "accounts", id: account.id, number: Some(&account.account_number) })
    }

    fn patch(record: &mut Record, before: &Customer, known: &Self::Known, plan: &Plan) -> Object {
        let mut members = record.take_members(plan.import.target);
        let debt = DEBT.map(|name| record.take(name));
        if debt.iter().any(Option::is_some) && !debt[0].as_ref().is_some_and(|number| known.contains(number)) {
            record.warn(&plan.layout, "account_left_out", "only a new customer opens an account; import the account as one");
        }
        let address = ADDRESS.iter().filter_map(|name| Some(((*name).to_owned(), record.take_member(name)?))).collect();
        if let Some(addresses) = changed_addresses(before, address) {
            members.insert("addresses".into(), addresses);
        }
        members
    }

    async fn remove(
        connection: &mut PgConnection,
        customer: &Customer,
        companion: Option<&Companion>,
        context: &Context<'_>,
    ) -> Result<()> {
        let opened = i64::from(companion.is_some());
        if customer.account_count > opened {
            return Err(Error::conflict("has_other_accounts", "the customer has got accounts since"));
        }
        if let Some(account) = companion {
            rows::remove(connection, "accounts", account.id, context.by.map(Uuid::from)).await?;
        }
        customers::remove(connection, customer.id, false, context.by).await
    }

    /// Contact points and addresses that are gone come back as new ones.
    fn restoring(mut before: Object, now: &Customer) -> Object {
        let points: Vec<Uuid> = now.contact_points.iter().map(|point| point.id).collect();
        let addresses: Vec<Uuid> = now.addresses.iter().map(|address| address.id).collect();
        for (name, known) in [("contactPoints", points), ("addresses", addresses)] {
            let Some(Value::Array(entries)) = before.get_mut(name) else { continue };
            for entry in entries {
                let Value::Object(entry) = entry else { continue };
                let id = entry.get("id").and_then(|id| id.as_str()?.parse().ok());
                if id.is_none_or(|id: Uuid| !known.contains(&id)) {
                    entry.remove("id");
                }
            }
        }
        before
    }
}

async fn by_external_id(connection: &mut PgConnection, keys: &[String]) -> Result<Vec<Match>> {
    let found = sqlx::query_as!(
        Match,
        r#"
        select external_id as "key!", id, deleted_at is not null as "is_deleted!"
        from customers
        where external_id = any($1)
        "#,
        keys
    );
    Ok(found.fetch_all(connection).await?)
}

/// Finds customers by any of their contacts, which several may share.
async fn by_contact(connection: &mut PgConnection, kind: &str, keys: &[String]) -> Result<Vec<Match>> {
    let found = sqlx::query_as!(
        Match,
        r#"
        select distinct p.normalized as key, c.id, false as "is_deleted!"
        from contact_points p
        join customers c on c.id = p.customer_id
        where p.kind = $1
        and p.normalized = any($2)
        and c.deleted_at is null
        "#,
        kind,
        keys
    );
    Ok(found.fetch_all(connection).await?)
}

/// The row as the body of a request.
fn body(record: &mut Record, plan: &Plan) -> Object {
    let mut body = record.take_members(plan.import.target);
    body.retain(|_, value| !value.is_null());
    if let Some(address) = address(record) {
        body.insert("addresses".into(), vec![address].into());
    }
    let company = body.contains_key("companyName") && !["givenName", "familyName"].iter().any(|name| body.contains_key(*name));
    if company {
        body.entry("kind".into()).or_insert_with(|| "company".into());
    }
    // Debts of a person without a name are imported too, under the external id.
    if !NAMES.iter().any(|name| body.contains_key(*name))
        && let Some(number) = body.get("externalId").cloned()
    {
        body.insert("name".into(), number);
        if !NAMES.iter().any(|name| record.is_faulty(name)) {
            record.warn(&plan.layout, "no_name", "the row has no name; the external id stands in for it");
        }
    }
    body
}

/// Checks the customer by the rules of a request.
pub(super) fn check(body: Object, context: &Context<'_>) -> (Customer, Vec<Violation>) {
    let mut violations = Violations::default();
    let customer = Customer::read_new(body, context, &mut violations);
    (customer, violations.take())
}

/// Reads the account, if the row says something of one besides the currency.
fn account(record: &mut Record, customer: Uuid, context: &Context<'_>, violations: &mut Vec<Violation>) -> Option<Account> {
    let members = DEBT.iter().filter_map(|name| Some(((*name).to_owned(), record.take(name)?.into())));
    let mut body: Object = members.collect();
    if body.keys().all(|name| name == "currency") {
        return None;
    }
    body.insert("customerId".into(), customer.to_string().into());
    let mut wrong = Violations::default();
    let new = NewAccount::read(body, context, &mut wrong);
    violations.extend(wrong.take());
    Some(new.account)
}

fn address(record: &mut Record) -> Option<Object> {
    let number = record.take("streetNumber");
    let street = record.take("line1");
    let mut line2 = record.take("line2");
    let city = record.take("city");
    let first = [number, street].into_iter().flatten().collect::<Vec<_>>().join(" ");
    // An address needs a first line: without a street it is the second line, else the city.
    let line1 = if first.is_empty() { line2.take().or_else(|| city.clone()) } else { Some(first) };
    let rest = [("line2", line2), ("city", city)]
        .into_iter()
        .chain(["region", "postalCode", "country"].map(|name| (name, record.take(name))));
    let mut address: Object = rest.filter_map(|(name, value)| Some((name.to_owned(), value?.into()))).collect();
    address.insert("line1".into(), line1?.into());
    Some(address)
}

/// The customer's addresses, the primary one as the row says; none if the row says nothing new.
fn changed_addresses(before: &Customer, mut columns: Object) -> Option<Value> {
    let number = columns.remove("streetNumber");
    if let (Some(Value::String(number)), Some(Value::String(street))) = (number, columns.get_mut("line1")) {
        *street = format!("{number} {street}");
    }
    if columns.is_empty() {
        return None;
    }
    if before.addresses.is_empty() {
        columns.retain(|_, value| !value.is_null());
        let first = ["line2", "city"].into_iter().find_map(|name| columns.get(name).cloned());
        if let Some(first) = first {
            columns.entry("line1".into()).or_insert(first);
        }
        return (!columns.is_empty()).then(|| vec![columns].into());
    }
    let entry = |(at, address): (usize, &customers::Address)| {
        let mut entry = if at == 0 { columns.clone() } else { Object::new() };
        entry.insert("id".into(), address.id.to_string().into());
        entry
    };
    Some(before.addresses.iter().enumerate().map(entry).collect::<Vec<_>>().into())
}
