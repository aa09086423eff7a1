//! Activities for analysts.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Facts, STATE, UNLISTED, load};
use crate::search::FieldKind::{Id, Integer, Moment, Text};
use crate::search::{Collection, Field, Join};
use crate::values::clock::milliseconds;

/// Activities without persons and notes.
pub static COLLECTION: Collection = Collection {
    name: "analytics-activities",
    template: include_str!("../../../index-templates/analytics-activities.json"),
    fields: FIELDS,
    table: "activities t",
    joins: &[STATE, Join { alias: "u", sql: "left join users u on u.id = t.user_id" }],
    id: "t.id",
    load: load::<Activity>,
    ..UNLISTED
};

static FIELDS: &[Field] = &[
    Field::new("id", Id, "t.id"),
    Field::new("version", Integer, "t.version"),
    Field::new("accountKey", Text, "pseudonym(s.key, t.account_id)"),
    Field::new("agentKey", Text, "pseudonym(s.key, t.user_id)"),
    Field::new("agent", Text, "u.username"),
    Field::new("type", Text, "t.kind"),
    Field::new("disposition", Text, "t.disposition"),
    Field::new("channel", Text, "t.channel"),
    Field::new("occurredAt", Moment, "t.occurred_at"),
    Field::new("createdAt", Moment, "t.created_at"),
    Field::new("deletedAt", Moment, "t.deleted_at"),
];

/// What was done about an account, without what was said.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Activity {
    /// Also the id of the document.
    pub id: Uuid,
    /// Counts the changes of the row.
    pub version: i64,
    /// The pseudonym of the account that it is about.
    pub account_key: String,
    /// The pseudonym of the user who did it; none for what no user did.
    pub agent_key: Option<String>,
    /// That user's user name, with `ANALYTICS=agents`.
    pub agent: Option<String>,
    /// What was done: a word such as `call` or `note`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What came of it, such as `no_answer` or `promise`.
    pub disposition: Option<String>,
    /// By which way, such as `phone`.
    pub channel: Option<String>,
    /// When it was done.
    #[serde(serialize_with = "milliseconds")]
    pub occurred_at: DateTime<Utc>,
    /// When the row was inserted.
    #[serde(serialize_with = "milliseconds")]
    pub created_at: DateTime<Utc>,
    /// When it was deleted; panels leave deleted rows out.
    #[serde(serialize_with = "milliseconds")]
    pub deleted_at: Option<DateTime<Utc>>,
}

impl Facts for Activity {
    fn id(&self) -> Uuid {
        self.id
    }

    async fn select(connection: &mut PgConnection, ids: &[Uuid]) -> sqlx::Result<Vec<Self>> {
        let activities = sqlx::query_as!(
            Self,
            r#"
            select
              t.id as "id!", t.version as "version!", pseudonym(s.key, t.account_id) as "account_key!",
              pseudonym(s.key, t.user_id) as agent_key, case s.setting when 'agents' then u.username end as agent,
              t.kind as "kind!", t.disposition, t.channel, t.occurred_at as "occurred_at!", t.created_at as "created_at!",
              t.deleted_at
            from activities t
            cross join analytics_state s
            left join users u on u.id = t.user_id
            where t.id = any($1)
            "#,
            ids,
        );
        activities.fetch_all(connection).await
    }
}
