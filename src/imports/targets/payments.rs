//! Rows that become payments and move the balances of their accounts.

use std::collections::HashMap;

use sqlx::PgConnection;

use crate::error::{Result, Violation, Violations};
use crate::features::payments::{self, Payee, Payment};
use crate::imports::Import;
use crate::imports::read::record::Record;
use crate::imports::read::survey::Survey;
use crate::imports::run::batch;
use crate::values::money::Currency;

pub(in crate::imports) struct Draft(Payment);

impl batch::Draft for Draft {
    /// Accounts by their numbers.
    type Known = HashMap<String, Payee>;

    /// One transfer may pay several accounts, so the reference alone does not identify a payment.
    fn key(record: &Record) -> Option<String> {
        Some(format!("{}\u{1f}{}", record.value("accountNumber")?, record.value("reference")?))
    }

    /// Locks accounts in one order, so that two imports cannot deadlock, and before the lookup of payments, so that two imports of
    /// one file see each other's.
    async fn look_up(connection: &mut PgConnection, records: &[Record]) -> Result<Self::Known> {
        let numbers: Vec<&str> = records.iter().filter_map(|record| record.value("accountNumber")).collect();
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

    async fn existing(connection: &mut PgConnection, keys: &[String]) -> Result<Vec<String>> {
        let numbers: Vec<&str> = keys.iter().filter_map(|key| key.split('\u{1f}').next()).collect();
        let found = sqlx::query_scalar!(
            r#"
            select accounts.account_number || chr(31) || payments.reference as "key!"
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

    fn make(record: &mut Record, known: &mut Self::Known, survey: &Survey, import: &Import) -> Option<Self> {
        let mut violations = record.require(&["accountNumber", "reference"]);
        let mut body = record.take_members(import.target);
        let account = record.take("accountNumber").and_then(|number| known.get(&number));
        if account.is_none() {
            let message = "there is no such account".to_owned();
            violations.push(Violation { pointer: "/accountNumber".into(), code: "unknown_account".into(), message });
        }
        // Files of payments list money that was received, and few say how.
        body.entry("status".into()).or_insert_with(|| "success".into());
        body.entry("method".into()).or_insert_with(|| "other".into());
        let mut wrong = Violations::default();
        let payment = Payment::read_new(body, account, &import.context(), &mut wrong);
        violations.extend(wrong.take());
        record.add(survey, import.target.fields(), violations);
        (!record.has_failed()).then_some(Self(payment))
    }

    async fn insert(connection: &mut PgConnection, drafts: &[Self], _: &Import) -> Result<()> {
        for Draft(payment) in drafts {
            payments::record(connection, payment, None).await?;
        }
        Ok(())
    }
}
