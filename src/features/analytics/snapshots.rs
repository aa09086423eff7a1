//! Daily snapshots for analysts: how the debts of each day moved between the ageing buckets.

use chrono::NaiveDate;
use serde::Serialize;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Facts, UNLISTED, load};
use crate::search::FieldKind::{Currency as Code, Day, Flag, Id, Integer, Money as Amount, Text};
use crate::search::{Collection, Field};
use crate::values::money::{Currency, Money};

/// The transitions of each day.
pub static COLLECTION: Collection = Collection {
    name: "analytics-snapshots",
    template: include_str!("../../../index-templates/analytics-snapshots.json"),
    fields: FIELDS,
    table: "snapshot_transitions n",
    id: "n.id",
    load: load::<Transition>,
    ..UNLISTED
};

static FIELDS: &[Field] = &[
    Field::new("id", Id, "n.id"),
    Field::new("version", Integer, "n.version"),
    Field::new("day", Day, "n.day"),
    Field::new("currency", Code, "n.currency"),
    Field::new("portfolio", Text, "n.portfolio"),
    Field::new("bucketBefore", Text, "n.bucket_before"),
    Field::new("bucketAfter", Text, "n.bucket_after"),
    Field::new("movement", Text, "n.movement"),
    Field::new("accounts", Integer, "n.accounts"),
    Field::new("balanceBefore", Amount, "n.balance_before"),
    Field::new("balanceBeforeMinor", Integer, "n.balance_before"),
    Field::new("balanceAfter", Amount, "n.balance_after"),
    Field::new("balanceAfterMinor", Integer, "n.balance_after"),
    Field::new("isFromLedger", Flag, "snapshot_days.is_from_ledger"),
];

/// Accounts that were in one bucket at the end of the day before, and in one at the end of this day.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Transition {
    /// Also the id of the document.
    pub id: Uuid,
    /// Always 1: a day that is over does not change.
    pub version: i64,
    /// The day, which ended at midnight in `DEFAULT_TIME_ZONE`.
    pub day: NaiveDate,
    /// Currency of the amounts.
    pub currency: Currency,
    /// The batch that the accounts came with, as it was called that day.
    pub portfolio: Option<String>,
    /// The ageing bucket at the end of the day before; `none` if nothing was owed. Absent on the first day.
    pub bucket_before: Option<String>,
    /// The ageing bucket at the end of the day; `none` if nothing is owed any more.
    pub bucket_after: String,
    /// `new`, `worse`, `same`, `better` or `cured`, which is current or no longer owed after it was past due. Absent on the first day.
    pub movement: Option<String>,
    /// Number of accounts.
    pub accounts: i64,
    /// What they owed at the end of the day before, in major units of the currency.
    pub balance_before: Money,
    /// The same in minor units.
    pub balance_before_minor: i64,
    /// What they owe at the end of the day, in major units of the currency.
    pub balance_after: Money,
    /// The same in minor units.
    pub balance_after_minor: i64,
    /// Whether the day was missed and made later: balances as the ledger tells them, due dates and states as they were then.
    pub is_from_ledger: bool,
}

impl Facts for Transition {
    fn id(&self) -> Uuid {
        self.id
    }

    async fn select(connection: &mut PgConnection, ids: &[Uuid]) -> sqlx::Result<Vec<Self>> {
        let transitions = sqlx::query_as!(
            Self,
            r#"
            select
              n.id as "id!", n.version as "version!", n.day as "day!", n.currency as "currency!: Currency", n.portfolio,
              n.bucket_before, n.bucket_after as "bucket_after!", n.movement, n.accounts as "accounts!",
              (n.balance_before, n.currency) as "balance_before!: Money", n.balance_before as "balance_before_minor!",
              (n.balance_after, n.currency) as "balance_after!: Money", n.balance_after as "balance_after_minor!",
              d.is_from_ledger as "is_from_ledger!"
            from snapshot_transitions n
            join snapshot_days d on d.day = n.day
            where n.id = any($1)
            "#,
            ids,
        );
        transitions.fetch_all(connection).await
    }
}
