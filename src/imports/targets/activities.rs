//! Rows that become activities on accounts.

use std::collections::HashMap;

use chrono::{DateTime, SecondsFormat, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Companion, Draft, Match, make_on_account};
use crate::api::Context;
use crate::db::rows;
use crate::error::Result;
use crate::features::activities::{self, Activity};
use crate::imports::plan::Plan;
use crate::imports::read::record::Record;
use crate::values::json::Object;

pub(in crate::imports) struct ActivityDraft(Activity);

impl Draft for ActivityDraft {
    type Record = Activity;
    /// Accounts by their numbers.
    type Known = HashMap<String, Uuid>;

    /// No number identifies an activity: account, type, moment and text do.
    fn key(record: &Record, _: &Plan) -> Option<String> {
        let moment = DateTime::parse_from_rfc3339(record.value("occurredAt")?).ok()?.to_utc();
        let moment = moment.to_rfc3339_opts(SecondsFormat::Millis, true);
        let [account, kind] = [record.value("accountNumber")?, record.value("type")?];
        let text = record.value("note").or_else(|| record.value("disposition")).unwrap_or_default();
        Some([account, &kind.to_lowercase(), &moment, text].join("\u{1f}"))
    }

    async fn look_up(connection: &mut PgConnection, records: &[Record], _: &Plan) -> Result<Self::Known> {
        let numbers: Vec<&str> = records.iter().filter_map(|record| record.value("accountNumber")).collect();
        let found = sqlx::query!(
            r#"
            select account_number, id
            from accounts
            where account_number = any($1)
            and deleted_at is null
            order by id
            for no key update
            "#,
            &numbers as _
        );
        Ok(found.fetch_all(connection).await?.into_iter().map(|row| (row.account_number, row.id)).collect())
    }

    async fn find(connection: &mut PgConnection, _: &Plan, keys: &[String]) -> Result<Vec<Match>> {
        let mut parts: [Vec<&str>; 4] = Default::default();
        for key in keys {
            parts.iter_mut().zip(key.splitn(4, '\u{1f}')).for_each(|(column, part)| column.push(part));
        }
        let [accounts, kinds, moments, texts] = parts;
        let moments: Vec<DateTime<Utc>> = moments.iter().filter_map(|moment| moment.parse().ok()).collect();
        let found = sqlx::query_as!(
            Match,
            r#"
            select wanted.key as "key!", t.id, t.deleted_at is not null as "is_deleted!"
            from unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::text[])
              as wanted (key, number, kind, moment, said)
            join accounts a on a.account_number = wanted.number
            join activities t on t.account_id = a.id
            where t.occurred_at = wanted.moment
            and t.kind = wanted.kind
            and coalesce(t.note, t.disposition) = wanted.said
            "#,
            keys,
            &accounts as _,
            &kinds as _,
            &moments,
            &texts as _,
        );
        Ok(found.fetch_all(connection).await?)
    }

    fn make(record: &mut Record, known: &mut Self::Known, plan: &Plan) -> Option<Self> {
        let required = ["accountNumber", "type", "occurredAt"];
        // That the type is missing is an error already.
        make_on_account(record, known, &required, &[("type", "note")], plan, |body, account, context, violations| {
            Activity::read_new(body, account.copied().unwrap_or_default(), context, violations)
        })
        .map(Self)
    }

    async fn insert(connection: &mut PgConnection, drafts: &[Self], plan: &Plan) -> Result<()> {
        for Self(activity) in drafts {
            activities::record(connection, activity, plan.context().by).await?;
        }
        Ok(())
    }

    fn id(&self) -> Uuid {
        self.0.id
    }

    fn patch(record: &mut Record, _: &Activity, _: &Self::Known, plan: &Plan) -> Object {
        record.take_members(plan.import.target)
    }

    async fn remove(
        connection: &mut PgConnection,
        activity: &Activity,
        _: Option<&Companion>,
        context: &Context<'_>,
    ) -> Result<()> {
        Ok(rows::remove(connection, "activities", activity.id, context.by.map(Uuid::from)).await?)
    }
}
