//! The addresses of an account's ledger: its entries, newest first, and entries by hand.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use super::account::Account;
use crate::api::paging::{self, PAGE_DEFAULT, PageEnd};
use crate::api::{Contended, Reply, Request, created, fields};
use crate::auth::Caller;
use crate::error::{Error, Result, Violation, Violations};
use crate::features::ledger::{self, Entry};
use crate::features::resource::{self, Resource};
use crate::operation::{Operation, Takes};
use crate::search::parse::PAGE_SIZE;
use crate::search::query::Engine;
use crate::validate::{Change, MOST_MONEY, Words};
use crate::values::clock::milliseconds;
use crate::values::ids::AccountId;
use crate::values::json::Object;
use crate::values::money::{Amount, Currency, Money};

/// Kinds that can be posted by hand; opening an account and payments post the others.
const KINDS: Words = Words {
    known: &["charge", "fee", "interest", "adjustment", "write_off"],
    aliases: &[("writeoff", "write_off"), ("late_fee", "fee")],
};

/// An entry by hand.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields, rename = "NewLedgerEntry")]
pub(super) struct NewEntry {
    #[schemars(with = "String", extend("enum" = KINDS.known))]
    kind: Change<String>,
    /// More than zero, and what is written off counts down; an adjustment says its direction by its sign.
    #[schemars(with = "Amount")]
    amount: Option<Amount>,
    #[schemars(default, length(min = 1, max = 500))]
    reason: Change<String>,
    #[schemars(default, extend("format" = "date-time"))]
    occurred_at: Change<String>,
}

/// An entry as it is shown.
#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LedgerEntry {
    pub id: Uuid,
    account_id: Uuid,
    kind: String,
    amount: Money,
    currency: Currency,
    payment_id: Option<Uuid>,
    reason: Option<String>,
    #[serde(serialize_with = "milliseconds")]
    occurred_at: DateTime<Utc>,
    #[serde(serialize_with = "milliseconds")]
    created_at: DateTime<Utc>,
    created_by: Option<Uuid>,
    created_by_name: Option<String>,
}

/// A page of entries as it is shown.
#[derive(JsonSchema, Serialize)]
#[schemars(rename = "LedgerPage")]
pub(super) struct Ledger<'a> {
    data: &'a [LedgerEntry],
    #[serde(flatten)]
    end: &'a PageEnd<'a>,
    currency: Currency,
    balance: Money,
}

/// The parameters of a list of entries.
pub(super) struct Paging;

impl Takes for Paging {
    fn describe(operation: &mut Operation<'_>) {
        operation.pages();
        operation.query(
            "includeDeleted",
            "Whether a deleted account shows its ledger; for managers.",
            json!({ "type": "boolean" }),
        );
        operation.headers.extend(["Link", "X-Read-Source", "X-Total-Count"]);
    }
}

/// Lists the entries, newest first, with the balance that they add up to.
pub(super) async fn list(id: AccountId, caller: Caller, request: Request) -> Result<Reply> {
    let (limit, after) = page_of(&request)?;
    let includes_deleted = request.includes_deleted()?;
    if includes_deleted {
        caller.check_sees_deleted()?;
    }
    let indexed_at = request.app.clock.now();
    let mut snapshot = request.snapshot().await?;
    let account: Account = resource::find(&mut snapshot, id.0).await?;
    if account.deleted_at.is_some() && !includes_deleted {
        return Err(Error::NotFound(Account::NAME));
    }
    let total = count(&mut snapshot, id).await?;
    let mut data = page(&mut snapshot, id, after, i64::from(limit) + 1).await?;
    let has_more = data.len() > limit as usize;
    data.truncate(limit as usize);
    let last = data.last().filter(|_| has_more);
    let next = last.map(|entry| paging::cursor_after(&request, entry.id)).transpose()?;
    let end = PageEnd {
        total: Some(total),
        total_relation: Some("eq"),
        page: None,
        limit,
        total_pages: Some(total.div_ceil(u64::from(limit))),
        next_cursor: next.as_deref(),
        engine: Engine::Postgres.name(),
        degraded: false,
        view: None,
        stale: false,
        indexed_at,
        lag_ms: 0,
        aggregated: None,
    };
    let shown = Ledger { data: &data, end: &end, currency: account.currency, balance: account.balance };
    let body = serde_json::to_vec(&shown).map_err(Error::internal)?;
    request.log_read("ledger_entries", id.0);
    Ok(paging::reply(&request, body, &end))
}

/// Posts an entry by hand.
pub(super) async fn post(id: AccountId, caller: Caller, mut request: Request) -> Result<Reply> {
    let body = request.object().await?;
    let mut violations = Violations::default();
    let new = NewEntry::read(body, &mut violations);
    let now = request.app.clock.now();
    request
        .write(caller.id, Contended::Record(id.0), async |connection| {
            request.expect_version(resource::lock::<Account>(connection, id.0).await?.version)?;
            let account: Account = resource::find(connection, id.0).await?;
            let entry = new.entry(&account, now, &mut violations);
            violations.check()?;
            let posted = ledger::post(connection, &entry, Some(caller.id)).await?;
            let posted = ledger_entries(connection, &[posted.0]).await?.pop().ok_or(Error::NotFound("ledger entry"))?;
            created(&format!("/api/v1/accounts/{id}/ledger"), &posted)
        })
        .await
}

impl NewEntry {
    fn read(mut body: Object, violations: &mut Violations) -> Self {
        let new = Self {
            kind: fields::take(&mut body, "kind", violations),
            amount: fields::take_amount(&mut body, "amount", violations).value(),
            reason: fields::take(&mut body, "reason", violations),
            occurred_at: fields::take(&mut body, "occurredAt", violations),
        };
        fields::refuse_unknown(&body, violations);
        new
    }

    fn entry(self, account: &Account, now: DateTime<Utc>, violations: &mut Violations) -> Entry {
        let (kind, amount) = self.movement(account.balance, violations);
        let (mut reason, mut occurred_at) = (None, None);
        violations.text("/reason", self.reason, (1, 500), &mut reason);
        violations.past("/occurredAt", self.occurred_at, now, &mut occurred_at);
        Entry { account: AccountId(account.id), kind, amount, payment: None, reason, occurred_at }
    }

    /// The kind as it is stored, and the amount with the sign that it has in the ledger.
    fn movement(&self, balance: Money, violations: &mut Violations) -> (&'static str, i64) {
        let kind = match &self.kind {
            Change::To(Some(kind)) => KINDS.find(kind),
            _ => None,
        };
        let Some(kind) = kind else {
            violations.add("/kind", "unknown_value", format!("takes one of {}", KINDS.known.join(", ")));
            return ("adjustment", 0);
        };
        let Some(amount) = &self.amount else {
            violations.add("/amount", "required", "needs an amount");
            return (kind, 0);
        };
        let range = match kind {
            "adjustment" => -MOST_MONEY..=MOST_MONEY,
            "write_off" if balance.minor > 0 => 1..=balance.minor,
            "write_off" => {
                violations.add("/amount", "nothing_owed", "nothing is owed that could be written off");
                return (kind, 0);
            }
            _ => 1..=MOST_MONEY,
        };
        let amount = violations.amount("/amount", amount, balance.currency, range);
        if amount == 0 {
            violations.add("/amount", "out_of_range", "an adjustment moves the balance");
        }
        (kind, if kind == "write_off" { -amount } else { amount })
    }
}

/// Reads how many entries are asked for, and after which one.
fn page_of(request: &Request) -> Result<(u32, Option<Uuid>)> {
    let refused = |name: &str, code: &'static str, message: String| {
        let violation = Violation { pointer: name.to_owned(), code: code.into(), message };
        let detail = format!("{name}: {}", violation.message);
        Error::Malformed { code: "bad_parameter", detail, violations: violation.into() }
    };
    let (mut limit, mut after) = (PAGE_DEFAULT, None);
    for (name, value) in request.parameters() {
        match &*name {
            size if PAGE_SIZE.contains(&size) => {
                limit = paging::rules(request).page_size(&value).map_err(|message| refused(size, "bad_value", message))?;
            }
            "cursor" if value.is_empty() => {}
            "cursor" => after = Some(paging::resume_after(request, &value)?),
            "includeDeleted" | "syncToken" => {}
            _ => {
                let known = "known are limit, cursor, includeDeleted and syncToken";
                return Err(refused(&name, "unknown_parameter", known.into()));
            }
        }
    }
    Ok((limit, after))
}

async fn count(connection: &mut PgConnection, account: AccountId) -> Result<u64> {
    let count = sqlx::query_scalar!(r#"select count(*) as "count!" from ledger_entries where account_id = $1"#, account.0);
    u64::try_from(count.fetch_one(connection).await?).map_err(Error::internal)
}

async fn page(connection: &mut PgConnection, account: AccountId, after: Option<Uuid>, limit: i64) -> Result<Vec<LedgerEntry>> {
    // Entries never change, so the one at which the last page ended is a good place to go on from.
    let entries = sqlx::query_as!(
        LedgerEntry,
        r#"
        select
          e.id as "id!", e.account_id as "account_id!", e.kind as "kind!", (e.amount, a.currency) as "amount!: Money",
          a.currency as "currency!: Currency", e.payment_id, e.reason, e.occurred_at as "occurred_at!",
          e.created_at as "created_at!", e.created_by,
          coalesce(u.name, u.username) as created_by_name
        from ledger_entries e
        join accounts a on a.id = e.account_id
        left join users u on u.id = e.created_by
        where e.account_id = $1
        and ($2::uuid is null or (e.occurred_at, e.id) < (
          select occurred_at, id
          from ledger_entries
          where id = $2
          and account_id = $1
        ))
        order by e.occurred_at desc, e.id desc
        limit $3
        "#,
        account.0,
        after,
        limit,
    );
    Ok(entries.fetch_all(connection).await?)
}

/// Reads entries of any ledger; ids without one are passed over.
pub async fn ledger_entries(connection: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<LedgerEntry>> {
    let entries = sqlx::query_as!(
        LedgerEntry,
        r#"
        select
          e.id as "id!", e.account_id as "account_id!", e.kind as "kind!", (e.amount, a.currency) as "amount!: Money",
          a.currency as "currency!: Currency", e.payment_id, e.reason, e.occurred_at as "occurred_at!",
          e.created_at as "created_at!", e.created_by,
          coalesce(u.name, u.username) as created_by_name
        from ledger_entries e
        join accounts a on a.id = e.account_id
        left join users u on u.id = e.created_by
        where e.id = any($1)
        "#,
        ids,
    );
    Ok(entries.fetch_all(connection).await?)
}
