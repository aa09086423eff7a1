//! The addresses of an account's ledger: its entries, newest first, and entries by hand.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sqlx::PgConnection;
use uuid::Uuid;

use super::routes::live;
use super::store;
use crate::api::paging::{PAGE_DEFAULT, PAGE_LIMIT};
use crate::api::{Reply, Request, created, json};
use crate::auth::Caller;
use crate::error::{Error, Faults, Result};
use crate::features::ledger::{self, Entry};
use crate::validate::{Change, MOST_MONEY, Words};
use crate::values::ids::{AccountId, LedgerEntryId};
use crate::values::money::{self, Amount, Currency};

/// What people post; the other kinds come from opening an account and from payments.
const KINDS: Words = Words {
    known: &["charge", "fee", "interest", "adjustment", "write_off"],
    aliases: &[("writeoff", "write_off"), ("late_fee", "fee")],
};

/// An entry by hand.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct NewEntry {
    kind: Change<String>,
    /// More than zero, and what is written off counts down; an adjustment says its direction by its sign.
    amount: Option<Amount>,
    reason: Change<String>,
    occurred_at: Change<String>,
}

/// An entry as it is stored.
struct Row {
    id: Uuid,
    kind: String,
    amount: i64,
    payment_id: Option<Uuid>,
    reason: Option<String>,
    occurred_at: DateTime<Utc>,
    created_at: DateTime<Utc>,
    created_by: Option<Uuid>,
}

/// An entry on the wire.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct View<'a> {
    id: Uuid,
    account_id: AccountId,
    kind: &'a str,
    amount: Box<RawValue>,
    currency: &'a str,
    payment_id: Option<Uuid>,
    reason: Option<&'a str>,
    occurred_at: DateTime<Utc>,
    created_at: DateTime<Utc>,
    created_by: Option<Uuid>,
}

/// A page of entries on the wire.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PageView<'a> {
    data: Vec<View<'a>>,
    limit: i64,
    next_cursor: Option<Uuid>,
    currency: &'a str,
    balance: Box<RawValue>,
}

/// Lists the entries, newest first, with the balance that they add up to.
pub(super) async fn list(id: AccountId, _: Caller, request: Request) -> Result<Reply> {
    let Page { limit, after } = Page::parse(&request)?;
    let includes_deleted = request.includes_deleted()?;
    // Postgres answers, so every write is included.
    request.sync_token()?;
    let mut snapshot = request.snapshot().await?;
    let account = store::read(&mut snapshot, id).await?;
    let shown = account.filter(|account| account.facts.deleted_at.is_none() || includes_deleted);
    let account = shown.ok_or(Error::NotFound("account"))?;
    let currency = &account.facts.currency;
    let mut rows = page(&mut snapshot, id, after, limit + 1).await?;
    let shown = usize::try_from(limit).map_err(Error::internal)?;
    let next_cursor = rows.get(shown).and_then(|_| rows.get(shown - 1)).map(|row| row.id);
    rows.truncate(shown);
    json(&PageView {
        data: rows.iter().map(|row| view(row, id, currency)).collect::<Result<_>>()?,
        limit,
        next_cursor,
        currency,
        balance: money::decimal(account.amounts.balance, currency).map_err(Error::internal)?,
    })
}

/// Posts an entry by hand.
pub(super) async fn post(id: AccountId, caller: Caller, mut request: Request) -> Result<Reply> {
    let new: NewEntry = request.json().await?;
    let now = request.app.clock.now();
    request
        .write(caller.id, async |connection| {
            let account = live(store::lock(connection, id).await?)?;
            request.expect_version(account.version)?;
            let currency = account.currency.parse::<Currency>().map_err(Error::internal)?;
            let mut faults = Faults::default();
            let (kind, amount) = new.movement(currency, account.balance, &mut faults);
            let (mut reason, mut occurred_at) = (None, None);
            faults.text("/reason", new.reason, (1, 500), &mut reason);
            faults.past("/occurredAt", new.occurred_at, now, &mut occurred_at);
            faults.check()?;
            let entry = Entry { account: id, kind, amount, payment: None, reason: reason.as_deref(), occurred_at };
            let posted = ledger::post(connection, &entry, Some(caller.id)).await?;
            let row = read(connection, posted).await?;
            created(&format!("/api/v1/accounts/{id}/ledger"), &view(&row, id, currency.as_str())?)
        })
        .await
}

impl NewEntry {
    /// The kind as it is stored, and the amount with the sign that it has in the ledger.
    fn movement(&self, currency: Currency, balance: i64, faults: &mut Faults) -> (&'static str, i64) {
        let kind = match &self.kind {
            Change::To(Some(kind)) => KINDS.find(kind),
            _ => None,
        };
        let Some(kind) = kind else {
            faults.add("/kind", "unknown_value", format!("takes one of {}", KINDS.known.join(", ")));
            return ("adjustment", 0);
        };
        let Some(amount) = &self.amount else {
            faults.add("/amount", "required", "needs an amount");
            return (kind, 0);
        };
        let range = match kind {
            "adjustment" => -MOST_MONEY..=MOST_MONEY,
            "write_off" if balance > 0 => 1..=balance,
            "write_off" => {
                faults.add("/amount", "nothing_owed", "nothing is owed that could be written off");
                return (kind, 0);
            }
            _ => 1..=MOST_MONEY,
        };
        let amount = faults.amount("/amount", amount, currency, range);
        if amount == 0 {
            faults.add("/amount", "out_of_range", "an adjustment moves the balance");
        }
        (kind, if kind == "write_off" { -amount } else { amount })
    }
}

/// Which entries are asked for.
struct Page {
    limit: i64,
    /// The last entry of the page before.
    after: Option<Uuid>,
}

impl Page {
    fn parse(request: &Request) -> Result<Self> {
        let mut page = Self { limit: i64::from(PAGE_DEFAULT), after: None };
        let unreadable = |name: &str| Error::malformed("bad_parameter", format!("the parameter {name} cannot be read"));
        for (name, value) in request.parameters() {
            match &*name {
                "limit" => page.limit = value.parse().map_err(|_| unreadable(&name))?,
                "cursor" => page.after = Some(value.parse().map_err(|_| unreadable(&name))?),
                "includeDeleted" | "syncToken" => {}
                _ => return Err(Error::malformed("bad_parameter", "takes limit, cursor, includeDeleted and syncToken")),
            }
        }
        if (1..=i64::from(PAGE_LIMIT)).contains(&page.limit) { Ok(page) } else { Err(unreadable("limit")) }
    }
}

async fn page(connection: &mut PgConnection, account: AccountId, after: Option<Uuid>, limit: i64) -> Result<Vec<Row>> {
    // Entries never change, so the one at which the last page ended is a good place to go on from.
    let rows = sqlx::query_as!(
        Row,
        r#"
        select id, kind, amount, payment_id, reason, occurred_at, created_at, created_by
        from ledger_entries
        where account_id = $1
        and ($2::uuid is null or (occurred_at, id) < (
          select occurred_at, id
          from ledger_entries
          where id = $2
          and account_id = $1
        ))
        order by occurred_at desc, id desc
        limit $3
        "#,
        account.0,
        after,
        limit,
    );
    Ok(rows.fetch_all(connection).await?)
}

async fn read(connection: &mut PgConnection, id: LedgerEntryId) -> Result<Row> {
    let row = sqlx::query_as!(
        Row,
        r#"
        select id, kind, amount, payment_id, reason, occurred_at, created_at, created_by
        from ledger_entries
        where id = $1
        "#,
        id.0,
    );
    Ok(row.fetch_one(connection).await?)
}

fn view<'a>(row: &'a Row, account: AccountId, currency: &'a str) -> Result<View<'a>> {
    Ok(View {
        id: row.id,
        account_id: account,
        kind: &row.kind,
        amount: money::decimal(row.amount, currency).map_err(Error::internal)?,
        currency,
        payment_id: row.payment_id,
        reason: row.reason.as_deref(),
        occurred_at: row.occurred_at,
        created_at: row.created_at,
        created_by: row.created_by,
    })
}
