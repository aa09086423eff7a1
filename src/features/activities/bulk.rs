//! The latest activities of many accounts in one answer.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json as schema};
use uuid::Uuid;

use super::activity::{self, Activity};
use crate::api::{Reply, Request, json, paging};
use crate::auth::Caller;
use crate::error::{Error, Result, Violations, clipped};
use crate::features::resource;
use crate::operation::{Operation, Takes};
use crate::search::parse;
use crate::values::ids::AccountId;

const MOST_ACCOUNTS: usize = 100;
/// Activities of one account, if the request does not say.
const DEFAULT_PER_ACCOUNT: u32 = 20;
const MOST_PER_ACCOUNT: u32 = 100;
/// More than there are types.
const MOST_TYPES: usize = 50;

#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LatestActivities {
    /// By account, the latest first; an account that does not exist has none.
    #[schemars(with = "BTreeMap<Uuid, Vec<Activity>>")]
    data: BTreeMap<Uuid, Vec<Box<RawValue>>>,
    limit_per_account: u32,
}

/// The parameters of the request.
pub(super) struct OfAccounts;

impl Takes for OfAccounts {
    fn describe(operation: &mut Operation<'_>) {
        let ids = schema!({ "type": "array", "items": { "type": "string", "format": "uuid" }, "minItems": 1, "maxItems": MOST_ACCOUNTS });
        operation.required_query("accountIds", "Of which accounts.", ids);
        let limit = schema!({ "type": "integer", "minimum": 1, "maximum": MOST_PER_ACCOUNT, "default": DEFAULT_PER_ACCOUNT });
        operation.query("limitPerAccount", "Most activities of one account.", limit);
        let word: Value = schema!({ "type": "string" });
        operation.query("type", "Of which types.", schema!({ "type": "array", "items": word, "maxItems": MOST_TYPES }));
        let text = || -> Value { schema!({ "type": "string" }) };
        operation.query("from", "Done from this day or moment on.", text());
        operation.query("to", "Done until this day or moment.", text());
        operation.query("tz", "Time zone of days.", text());
    }
}

#[derive(Default)]
struct Asked {
    accounts: BTreeSet<Uuid>,
    per_account: Option<u32>,
    types: Vec<String>,
    from: Option<String>,
    to: Option<String>,
}

impl Asked {
    fn read(request: &Request) -> Result<Self> {
        let (mut asked, mut violations) = (Self::default(), Violations::default());
        for (name, value) in request.parameters() {
            if let Err((code, message)) = asked.parameter(&name, &value) {
                violations.add(clipped(&name), code, message);
            }
        }
        if violations.is_empty() && !(1..=MOST_ACCOUNTS).contains(&asked.accounts.len()) {
            violations.add("accountIds", "out_of_range", format!("takes the ids of 1 to {MOST_ACCOUNTS} accounts"));
        }
        if asked.types.len() > MOST_TYPES {
            violations.add("type", "too_many", format!("takes at most {MOST_TYPES} types"));
        }
        match violations.is_empty() {
            true => Ok(asked),
            false => Err(Error::Malformed { code: "bad_parameter", detail: "a parameter cannot be used".into(), violations }),
        }
    }

    fn parameter(&mut self, name: &str, value: &str) -> Result<(), (&'static str, String)> {
        match name {
            "accountIds" => {
                // A text of a thousand ids is refused before the ids are read.
                for id in value.split(',').take(MOST_ACCOUNTS + 1) {
                    let id: AccountId = id.trim().parse().map_err(|_| ("bad_value", "takes ids between commas".to_owned()))?;
                    self.accounts.insert(id.0);
                }
            }
            "limitPerAccount" => {
                let limit = value.parse().ok().filter(|limit| (1..=MOST_PER_ACCOUNT).contains(limit));
                let message = || ("bad_value", format!("takes a whole number from 1 to {MOST_PER_ACCOUNT}"));
                self.per_account = Some(limit.ok_or_else(message)?);
            }
            "type" => self.types.extend(value.split(',').map(|word| word.trim().to_lowercase())),
            "from" => self.from = Some(value.to_owned()),
            "to" => self.to = Some(value.to_owned()),
            "syncToken" | "tz" => {}
            _ => {
                let known = "takes accountIds, limitPerAccount, type, from, to, tz and syncToken";
                return Err(("unknown_parameter", known.to_owned()));
            }
        }
        Ok(())
    }
}

pub(super) async fn read(_caller: Caller, request: Request) -> Result<Reply> {
    let asked = Asked::read(&request)?;
    let period =
        parse::period(asked.from.as_deref(), asked.to.as_deref(), request.parameter("tz").as_deref(), &paging::rules(&request))?;
    let per_account = asked.per_account.unwrap_or(DEFAULT_PER_ACCOUNT);
    let accounts: Vec<Uuid> = asked.accounts.into_iter().collect();
    let mut connection = request.app.db.read.acquire().await?;
    let ids = sqlx::query_scalar!(
        r#"
        select latest.id
        from unnest($1::uuid[]) as wanted(id)
        cross join lateral (
          select t.id
          from activities t
          where t.account_id = wanted.id
          and t.deleted_at is null
          and (cardinality($2::text[]) = 0 or t.kind = any($2))
          and ($3::timestamptz is null or t.occurred_at >= $3)
          and ($4::timestamptz is null or t.occurred_at < $4)
          order by t.occurred_at desc nulls last, t.id
          limit $5
        ) latest
        "#,
        &accounts,
        &asked.types,
        period.from,
        period.before,
        i64::from(per_account),
    );
    let ids = ids.fetch_all(&mut *connection).await?;
    let mut activities = activity::select(&mut connection, &ids).await?;
    activities.sort_by(|one, other| other.occurred_at.cmp(&one.occurred_at).then(one.id.cmp(&other.id)));
    let mut data: BTreeMap<Uuid, Vec<Box<RawValue>>> = accounts.into_iter().map(|account| (account, Vec::new())).collect();
    let shown = resource::show_all(&mut connection, &activities, &request).await?;
    for (activity, shown) in activities.iter().zip(shown) {
        data.entry(activity.account_id).or_default().push(shown);
    }
    json(&LatestActivities { data, limit_per_account: per_account })
}
