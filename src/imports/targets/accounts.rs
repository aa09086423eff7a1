//! Rows that become accounts, and their customers if those are new.

use std::collections::HashMap;

use sqlx::PgConnection;
use uuid::Uuid;

use crate::error::{Error, Result, Violation, Violations};
use crate::features::accounts::{self, Account, NewAccount};
use crate::features::customers::{self, Customer};
use crate::imports::Import;
use crate::imports::read::record::Record;
use crate::imports::read::survey::Survey;
use crate::imports::run::batch;
use crate::imports::targets::customers as customers_of_rows;
use crate::values::json::{Object, Value};

/// The columns of the customer, and their names in the API.
const OWNER: &[(&str, &str)] =
    &[("customerExternalId", "externalId"), ("customerName", "name"), ("customerPhone", "phone"), ("customerEmail", "email")];

pub(in crate::imports) struct Draft {
    account: Account,
    /// The customer, if this row is the first to name it.
    owner: Option<Customer>,
}

impl batch::Draft for Draft {
    /// Customers by their external ids.
    type Known = HashMap<String, Uuid>;

    fn key(record: &Record) -> Option<String> {
        record.value("accountNumber").map(str::to_owned)
    }

    async fn look_up(connection: &mut PgConnection, records: &[Record]) -> Result<Self::Known> {
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
        Ok(found.fetch_all(connection).await?.into_iter().map(|row| (row.external_id, row.id)).collect())
    }

    async fn existing(connection: &mut PgConnection, keys: &[String]) -> Result<Vec<String>> {
        let found = sqlx::query_scalar!(
            r#"
            select account_number
            from accounts
            where account_number = any($1)
            "#,
            keys
        );
        Ok(found.fetch_all(connection).await?)
    }

    fn make(record: &mut Record, known: &mut Self::Known, survey: &Survey, import: &Import) -> Option<Self> {
        let mut violations = record.require(&["accountNumber", "customerExternalId"]);
        let mut body = record.take_members(import.target);
        let owner_body: Object =
            OWNER.iter().filter_map(|(ours, theirs)| Some(((*theirs).to_owned(), record.take(ours)?.into()))).collect();
        let number = owner_body.get("externalId").and_then(Value::as_str).unwrap_or_default().to_owned();
        let owner = match known.get(&number) {
            Some(_) => None,
            None if owner_body.len() > 1 => {
                let (owner, wrong) = customers_of_rows::check(owner_body, import);
                violations.extend(wrong.into_iter().map(as_owner));
                Some(owner)
            }
            None => {
                let message = "there is no such customer; add a column customerName to make one".to_owned();
                violations.push(Violation { pointer: "/customerExternalId".into(), code: "unknown_customer".into(), message });
                None
            }
        };
        let customer = owner.as_ref().map(|owner| owner.id).or_else(|| known.get(&number).copied()).unwrap_or_default();
        body.insert("customerId".into(), customer.to_string().into());
        let (account, wrong) = check(body, import);
        violations.extend(wrong);
        record.add(survey, import.target.fields(), violations);
        if record.has_failed() {
            return None;
        }
        known.insert(number, customer);
        Some(Self { account, owner })
    }

    async fn insert(connection: &mut PgConnection, drafts: &[Self], import: &Import) -> Result<()> {
        let owners = drafts.iter().filter_map(|draft| draft.owner.as_ref());
        let inserted = customers::insert_all(connection, owners, None).await;
        inserted.map_err(|error| match error {
            Error::Duplicate(violation) => Error::Duplicate(as_owner(violation)),
            other => other,
        })?;
        let mut accounts: Vec<&Account> = drafts.iter().map(|draft| &draft.account).collect();
        // Two imports that bring the same accounts wait for each other at most in one direction.
        accounts.sort_by(|one, other| one.account_number.cmp(&other.account_number));
        for account in accounts {
            accounts::insert(connection, account, &import.context()).await?;
        }
        Ok(())
    }
}

/// Checks the account by the rules of a request.
fn check(body: Object, import: &Import) -> (Account, Vec<Violation>) {
    let mut violations = Violations::default();
    let new = NewAccount::read(body, &import.context(), &mut violations);
    (new.account, violations.take())
}

/// A violation of the customer, with the name of its column in a file of accounts.
fn as_owner(violation: Violation) -> Violation {
    let ours = OWNER.iter().find(|(_, theirs)| violation.pointer.strip_prefix('/') == Some(theirs));
    Violation { pointer: ours.map_or(violation.pointer, |(ours, _)| format!("/{ours}")), ..violation }
}
