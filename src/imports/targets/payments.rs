//! Rows that become payments and move the balances of their accounts.

use std::collections::HashMap;

use sqlx::PgConnection;
use uuid::Uuid;

use super::{Companion, Draft, Match, make_on_account};
use crate::api::Context;
use crate::error::Result;
use crate::features::payments::{self, Payee, Payment, Status};
use crate::features::resource::Patch;
use crate::imports::plan::Plan;
use crate::imports::read::record::Record;
use crate::imports::store::Mode;
use crate::values::json::Object;
use crate::values::money::Currency;

pub(in crate::imports) struct PaymentDraft(Payment);

impl Draft for PaymentDraft {
    type Record = Payment;
    /// Accounts by their numbers.
    type Known = HashMap<String, Payee>;

    /// One transfer may pay several accounts, so the reference alone does not identify a payment.
    fn key(record: &Record, _: &Plan) -> Option<String> {
        Some(format!("{}\u{1f}{}", record.value("accountNumber")?, record.value("reference")?))
    }

    /// Locks accounts in one order, so that two imports cannot deadlock, and before the lookup of payments, so that two imports of
    /// one file see each other's.
    async fn look_up(connection: &mut PgConnection, records: &[Record], plan: &Plan) -> Result<Self::Known> {
        let numbers: Vec<&str> = records.iter().filter_map(|record| record.value("accountNumber")).collect();
        if plan.import.mode != Mode::Insert {
            let keys: Vec<String> = records.iter().filter_map(|record| Self::key(record, plan)).collect();
            lock(connection, &numbers, &keys).await?;
        }
        let found = sqlx::query!(
            r#"
            select account_number, id, currency as "currency: Currency", customer_id, deleted_at
            from accounts
            where account_number = any($1)
            and deleted_at is null
            order by id
            for no key update
            "#,
            &numbers as _
        );
        let rows = found.fetch_all(connection).await?.into_iter();
        let payee = |id, currency, customer_id, deleted_at| Payee { id, currency, customer_id, deleted_at };
        Ok(rows.map(|row| (row.account_number, payee(row.id, row.currency, row.customer_id, row.deleted_at))).collect())
    }

    async fn find(connection: &mut PgConnection, _: &Plan, keys: &[String]) -> Result<Vec<Match>> {
        let numbers: Vec<&str> = keys.iter().filter_map(|key| key.split('\u{1f}').next()).collect();
        let found = sqlx::query_as!(
            Match,
            r#"
            select
              accounts.account_number || chr(31) || payments.reference as "key!", payments.id,
              payments.deleted_at is not null as "is_deleted!"
            from payments
            join accounts on accounts.id = payments.account_id
            where accounts.account_number = any($1)
            and accounts.account_number || chr(31) || payments.reference = any($2)
            "#,
            &numbers as _,
            keys
        );
        Ok(found.fetch_all(connection).await?)
    }

    fn make(record: &mut Record, known: &mut Self::Known, plan: &Plan) -> Option<Self> {
        // Files of payments list money that was received, and few say how.
        let defaults = [("status", "success"), ("method", "other")];
        make_on_account(record, known, &["accountNumber", "reference"], &defaults, plan, Payment::read_new).map(Self)
    }

    async fn insert(connection: &mut PgConnection, drafts: &[Self], plan: &Plan) -> Result<()> {
        for Self(payment) in drafts {
            payments::record(connection, payment, plan.context().by).await?;
        }
        Ok(())
    }

    fn id(&self) -> Uuid {
        self.0.id
    }

    fn patch(record: &mut Record, _: &Payment, _: &Self::Known, plan: &Plan) -> Object {
        record.take_members(plan.import.target)
    }

    /// Money that came is reversed in the ledger, and the payment stays to tell it.
    async fn remove(
        connection: &mut PgConnection,
        payment: &Payment,
        _: Option<&Companion>,
        context: &Context<'_>,
    ) -> Result<()> {
        if payment.status != Status::Success {
            return payments::remove(connection, payment, context.by).await;
        }
        let members = Object::from([("status".to_owned(), Status::Reversed.as_str().into())]);
        payments::change(connection, payment, Patch { members, is_replacement: false }, context).await
    }
}

/// Locks the payments with these keys before their accounts, as every write does.
async fn lock(connection: &mut PgConnection, numbers: &[&str], keys: &[String]) -> Result<()> {
    let locked = sqlx::query!(
        r#"
        select payments.id
        from payments
        join accounts on accounts.id = payments.account_id
        where accounts.account_number = any($1)
        and accounts.account_number || chr(31) || payments.reference = any($2)
        order by payments.id
        for no key update of payments
        "#,
        numbers as _,
        keys
    );
    locked.fetch_all(connection).await?;
    Ok(())
}
