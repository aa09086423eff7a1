//! Rows that become accounts, and their customers if those are new.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use sqlx::PgConnection;
use uuid::Uuid;

use super::{Companion, Draft, Match, NewCompanion, customers as customers_of_rows, first_row};
use crate::api::Context;
use crate::db::rows;
use crate::error::{Error, Result, Violation, Violations};
use crate::features::accounts::{self, Account, NewAccount};
use crate::features::customers::{self, Customer};
use crate::imports::plan::Plan;
use crate::imports::read::record::Record;
use crate::imports::store::rows::rolled_back;
use crate::values::json::{Object, Value};

/// The columns of the customer, and their names in the API.
const OWNER: &[(&str, &str)] =
    &[("customerExternalId", "externalId"), ("customerName", "name"), ("customerPhone", "phone"), ("customerEmail", "email")];

pub(in crate::imports) struct AccountDraft {
    account: Account,
    /// The customer, if this row is the first to name it.
    owner: Option<Customer>,
}

impl Draft for AccountDraft {
    type Record = Account;
    /// Customers by their external ids.
    type Known = HashMap<String, Uuid>;

    fn key(record: &Record, _: &Plan) -> Option<String> {
        record.value("accountNumber").map(str::to_owned)
    }

    async fn look_up(connection: &mut PgConnection, records: &[Record], plan: &Plan) -> Result<Self::Known> {
        let numbers: Vec<&str> = records.iter().filter_map(|record| record.value("customerExternalId")).collect();
        // Locked, so that a customer cannot be deleted before the account is inserted.
        let found = sqlx::query!(
            r#"
            select external_id as "external_id!", id
            from customers
            where external_id = any($1)
            and deleted_at is null
            order by id
            for share
            "#,
            &numbers as _
        );
        let found = found.fetch_all(&mut *connection).await?;
        let mut known: Self::Known = found.into_iter().map(|row| (row.external_id, row.id)).collect();
        for number in rolled_back(&mut *connection, plan.import.id, first_row(records), &numbers).await? {
            if let Entry::Vacant(place) = known.entry(number) {
                let customer = stand_in(connection, place.key(), plan).await?;
                place.insert(customer);
            }
        }
        Ok(known)
    }

    async fn find(connection: &mut PgConnection, _: &Plan, keys: &[String]) -> Result<Vec<Match>> {
        let found = sqlx::query_as!(
            Match,
            r#"
            select account_number as key, id, deleted_at is not null as "is_deleted!"
            from accounts
            where account_number = any($1)
            "#,
            keys
        );
        Ok(found.fetch_all(connection).await?)
    }

    fn make(record: &mut Record, known: &mut Self::Known, plan: &Plan) -> Option<Self> {
        // In a file that does not number customers, each account has one of its own.
        let is_numbered = plan.layout.header.position("customerExternalId").is_some();
        let mut violations = record.require(if is_numbered {
            &["accountNumber", "customerExternalId"]
        } else {
            &["accountNumber", "customerName"]
        });
        let mut body = record.take_members(plan.import.target);
        body.retain(|_, value| !value.is_null());
        let owner_body: Object =
            OWNER.iter().filter_map(|(ours, theirs)| Some(((*theirs).to_owned(), record.take(ours)?.into()))).collect();
        let number = owner_body.get("externalId").and_then(Value::as_str).unwrap_or_default().to_owned();
        let owner = match known.get(&number) {
            Some(_) => None,
            None if owner_body.len() > 1 || !is_numbered => {
                let (owner, wrong) = customers_of_rows::check(owner_body, &plan.context());
                violations.extend(wrong.into_iter().map(as_owner));
                Some(owner)
            }
            None => {
                violations.push(unknown_customer());
                None
            }
        };
        let customer = owner.as_ref().map(|owner| owner.id).or_else(|| known.get(&number).copied()).unwrap_or_default();
        body.insert("customerId".into(), customer.to_string().into());
        let (account, wrong) = check(body, &plan.context());
        violations.extend(wrong);
        record.add(&plan.layout, violations);
        if record.has_failed() {
            return None;
        }
        if is_numbered {
            known.insert(number, customer);
        }
        Some(Self { account, owner })
    }

    async fn insert(connection: &mut PgConnection, drafts: &[Self], plan: &Plan) -> Result<()> {
        let context = plan.context();
        let owners = drafts.iter().filter_map(|draft| draft.owner.as_ref());
        let inserted = customers::insert_all(connection, owners, context.by).await;
        inserted.map_err(|error| match error {
            Error::Duplicate(violation) => Error::Duplicate(as_owner(violation)),
            other => other,
        })?;
        accounts::insert_all(connection, drafts.iter().map(|draft| &draft.account), &context).await
    }

    fn id(&self) -> Uuid {
        self.account.id
    }

    fn companion(&self) -> Option<NewCompanion<'_>> {
        let owner = self.owner.as_ref()?;
        Some(NewCompanion { table: "customers", id: owner.id, number: owner.external_id.as_deref() })
    }

    fn patch(record: &mut Record, before: &Account, known: &Self::Known, plan: &Plan) -> Object {
        let mut members = record.take_members(plan.import.target);
        let [number, ..] = ["customerExternalId", "customerName", "customerPhone", "customerEmail"].map(|name| record.take(name));
        if let Some(number) = number.filter(|number| before.customer_external_id.as_ref() != Some(number)) {
            match known.get(&number) {
                Some(customer) => drop(members.insert("customerId".into(), customer.to_string().into())),
                None => record.add(&plan.layout, vec![unknown_customer()]),
            }
        }
        members
    }

    /// The customer goes too, if it came with the account and has no other.
    async fn remove(
        connection: &mut PgConnection,
        account: &Account,
        companion: Option<&Companion>,
        context: &Context<'_>,
    ) -> Result<()> {
        rows::remove(connection, "accounts", account.id, context.by.map(Uuid::from)).await?;
        let Some(owner) = companion else { return Ok(()) };
        let locked = rows::lock(connection, "customers", owner.id).await?;
        let is_unchanged = locked.is_some_and(|locked| locked.version == owner.version && locked.deleted_at.is_none());
        let others = sqlx::query_scalar!(
            r#"select count(*) as "count!" from accounts where customer_id = $1 and deleted_at is null"#,
            owner.id,
        );
        if is_unchanged && others.fetch_one(&mut *connection).await? == 0 {
            rows::remove(connection, "customers", owner.id, context.by.map(Uuid::from)).await?;
        }
        Ok(())
    }
}

/// Inserts a customer in the place of one that an earlier row of the validation has created; it is rolled back like that one.
async fn stand_in(connection: &mut PgConnection, number: &str, plan: &Plan) -> Result<Uuid> {
    let body = Object::from(["externalId", "name"].map(|name| (name.to_owned(), number.into())));
    let (customer, _) = customers_of_rows::check(body, &plan.context());
    // If another client has created it since, the next attempt finds it.
    customers::insert_all(connection, [&customer], plan.context().by).await.map_err(Error::internal)?;
    Ok(customer.id)
}

/// Checks the account by the rules of a request.
fn check(body: Object, context: &Context<'_>) -> (Account, Vec<Violation>) {
    let mut violations = Violations::default();
    let new = NewAccount::read(body, context, &mut violations);
    (new.account, violations.take())
}

fn unknown_customer() -> Violation {
    let message = "there is no such customer; add a column customerName to make one".to_owned();
    Violation { pointer: "/customerExternalId".into(), code: "unknown_customer".into(), message }
}

/// A violation of the customer, with the name of its column in a file of accounts.
fn as_owner(violation: Violation) -> Violation {
    let ours = OWNER.iter().find(|(_, theirs)| violation.pointer.strip_prefix('/') == Some(theirs));
    Violation { pointer: ours.map_or(violation.pointer, |(ours, _)| format!("/{ours}")), ..violation }
}
