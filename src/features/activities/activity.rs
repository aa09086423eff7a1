//! An activity as clients get it and as the index stores it.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use crate::api::show_authors;
use crate::search::{Name, Terms};
use crate::values::clock::milliseconds;
use crate::values::ids::ActivityId;
use crate::values::json::Object;

/// What was done about an account, with what it shows of the account, its customer and who did it.
#[derive(Clone, Debug, Default, PartialEq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = show_authors)]
pub struct Activity {
    /// Also the id of the document.
    pub id: Uuid,
    /// Counts the changes of the row; the ETag repeats it.
    pub version: i64,
    /// The account that it is about.
    pub account_id: Uuid,
    /// The account's number.
    pub account_number: String,
    /// The account's customer.
    pub customer_id: Uuid,
    /// That customer's display name.
    pub customer_name: String,
    /// Who did it; none for what no user did.
    pub user_id: Option<Uuid>,
    /// That user's name, or user name.
    pub user_name: Option<String>,
    /// What was done: a word such as `call` or `note`, in lower case.
    #[serde(rename = "type")]
    pub kind: String,
    /// What came of it, such as `no_answer` or `promise`.
    pub disposition: Option<String>,
    /// By what means, if the type does not say it.
    pub channel: Option<String>,
    /// What an agent writes about it.
    pub note: Option<String>,
    /// Free JSON of the deployment.
    #[schemars(with = "Object")]
    pub metadata: Json<Object>,
    /// Whether it is an alert, to be shown before the others.
    pub is_pinned: bool,
    /// When it was done.
    #[serde(serialize_with = "milliseconds")]
    pub occurred_at: DateTime<Utc>,
    /// When the row was inserted.
    #[serde(serialize_with = "milliseconds")]
    pub created_at: DateTime<Utc>,
    /// When the row last changed.
    #[serde(serialize_with = "milliseconds")]
    pub updated_at: DateTime<Utc>,
    /// The user who inserted it; none if an operator did.
    pub created_by: Option<Uuid>,
    /// The user who last changed it through the API.
    pub updated_by: Option<Uuid>,
    /// When it was deleted; lists leave deleted records out unless they are asked for.
    #[serde(serialize_with = "milliseconds")]
    pub deleted_at: Option<DateTime<Utc>>,
    /// How the customer is searched for.
    #[serde(skip)]
    pub(super) given_name: Option<String>,
    #[serde(skip)]
    pub(super) family_name: Option<String>,
    #[serde(skip)]
    pub(super) company_name: Option<String>,
}

impl Activity {
    pub(super) fn new(account: Uuid, user: Option<Uuid>, now: DateTime<Utc>) -> Self {
        Self { id: ActivityId::new().0, account_id: account, user_id: user, occurred_at: now, ..Self::default() }
    }

    pub(super) fn search_terms(&self) -> Terms {
        let mut terms = Terms::default();
        terms.name(Name {
            display: &self.customer_name,
            given: self.given_name.as_deref(),
            family: self.family_name.as_deref(),
            company: self.company_name.as_deref(),
        });
        terms.number([&self.account_number]);
        terms.text(&self.note);
        terms
    }
}

pub(super) async fn select(connection: &mut PgConnection, ids: &[Uuid]) -> sqlx::Result<Vec<Activity>> {
    let activities = sqlx::query_as!(
        Activity,
        r#"
        select
          t.id, t.version, t.account_id, a.account_number, c.id as customer_id, c.name as customer_name, t.user_id,
          coalesce(u.name, u.username) as "user_name?", t.kind, t.disposition, t.channel, t.note,
          t.metadata as "metadata: Json<Object>", t.is_pinned, t.occurred_at, t.created_at, t.created_by, t.updated_at, t.updated_by,
          t.deleted_at,
          c.given_name, c.family_name, c.company_name
        from activities t
        join accounts a on a.id = t.account_id
        join customers c on c.id = a.customer_id
        left join users u on u.id = t.user_id
        where t.id = any($1)
        "#,
        ids,
    );
    activities.fetch_all(connection).await
}
