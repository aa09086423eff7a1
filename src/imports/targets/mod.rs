//! What rows become: one module for each collection, by the rules and the steps of its feature.

mod accounts;
mod activities;
mod customers;
mod payments;

use std::collections::HashMap;
use std::future::Future;

use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use uuid::Uuid;

use super::plan::Plan;
use super::read::record::Record;
use crate::api::Context;
use crate::error::{Result, Violation, Violations};
use crate::features::resource::Resource;
use crate::values::json::Object;

pub(super) use accounts::AccountDraft;
pub(super) use activities::ActivityDraft;
pub(super) use customers::CustomerDraft;
pub(super) use payments::PaymentDraft;

/// A record on its way from a row of a file into its table.
pub(super) trait Draft: Sized + Send + Sync {
    type Record: Resource;

    /// The records that rows refer to.
    type Known: Send + Sync;

    /// What an update shows of the record besides the fields that a request writes.
    const SHOWN: &'static [&'static str] = &[];

    /// What an undo restores of the record besides the fields that a request writes.
    const RESTORED: &'static [&'static str] = &[];

    /// The key of the row; `None` if its columns are blank.
    fn key(record: &Record, plan: &Plan) -> Option<String>;

    /// The number of the row besides its key that only one record can have.
    fn number<'a>(_record: &'a Record, _plan: &Plan) -> Option<&'a str> {
        None
    }

    /// Looks up what the rows refer to, and locks it until the transaction ends.
    fn look_up(
        connection: &mut PgConnection,
        records: &[Record],
        plan: &Plan,
    ) -> impl Future<Output = Result<Self::Known>> + Send;

    /// Finds the records with these keys.
    fn find(connection: &mut PgConnection, plan: &Plan, keys: &[String]) -> impl Future<Output = Result<Vec<Match>>> + Send;

    /// Makes a record by the rules of the API. Adds violations to the row and returns `None` if it breaks them.
    fn make(record: &mut Record, known: &mut Self::Known, plan: &Plan) -> Option<Self>;

    /// Inserts all or none, by the steps of the feature.
    fn insert(connection: &mut PgConnection, drafts: &[Self], plan: &Plan) -> impl Future<Output = Result<()>> + Send;

    fn id(&self) -> Uuid;

    /// What is inserted along with the record, if something is.
    fn companion(&self) -> Option<NewCompanion<'_>> {
        None
    }

    /// Makes the body of a request that changes a record as the row says.
    fn patch(record: &mut Record, before: &Self::Record, known: &Self::Known, plan: &Plan) -> Object;

    /// Takes back a locked record that an import created, with what it created along with it.
    ///
    /// # Errors
    /// A conflict, if the record has to stay.
    fn remove(
        connection: &mut PgConnection,
        record: &Self::Record,
        companion: Option<&Companion>,
        context: &Context<'_>,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Makes the body of a request that brings back what an import changed.
    fn restoring(before: Object, _now: &Self::Record) -> Object {
        before
    }
}

/// A record that has the key of a row.
#[derive(Debug)]
pub(super) struct Match {
    pub(super) key: String,
    pub(super) id: Uuid,
    pub(super) is_deleted: bool,
}

/// What a row creates along with its record.
#[derive(Debug)]
pub(super) struct NewCompanion<'a> {
    pub(super) table: &'static str,
    pub(super) id: Uuid,
    /// The number by which later rows name it, if they can.
    pub(super) number: Option<&'a str>,
}

/// What a row created along with its record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Companion {
    pub(super) table: String,
    pub(super) id: Uuid,
    /// The version that the import left.
    pub(super) version: i64,
}

/// The number of the first row of a chunk.
fn first_row(records: &[Record]) -> u64 {
    records.first().map_or(0, |record| record.row)
}

/// Makes what belongs to the account that a row names. `defaults` stand in for blank cells.
fn make_on_account<A, R>(
    record: &mut Record,
    accounts: &HashMap<String, A>,
    required: &[&str],
    defaults: &[(&str, &str)],
    plan: &Plan,
    read: impl FnOnce(Object, Option<&A>, &Context<'_>, &mut Violations) -> R,
) -> Option<R> {
    let mut violations = record.require(required);
    let mut body = record.take_members(plan.import.target);
    body.retain(|_, value| !value.is_null());
    for (name, word) in defaults {
        body.entry((*name).to_owned()).or_insert_with(|| (*word).into());
    }
    let account = record.take("accountNumber").and_then(|number| accounts.get(&number));
    if account.is_none() {
        let message = "there is no such account".to_owned();
        violations.push(Violation { pointer: "/accountNumber".into(), code: "unknown_account".into(), message });
    }
    let mut wrong = Violations::default();
    let made = read(body, account, &plan.context(), &mut wrong);
    violations.extend(wrong.take());
    record.add(&plan.layout, violations);
    (!record.has_failed()).then_some(made)
}
