//! How much each user has done.

use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::api::figures::{Asked, Charted};
use crate::api::{Reply, Request, json};
use crate::auth::Caller;
use crate::error::Result;

/// Most users that are shown.
const MOST_USERS: i64 = 1_000;

/// What users have done in a period of days in UTC.
#[derive(Debug, JsonSchema, Serialize)]
pub(super) struct Usage {
    /// Those who have called at all, the busiest first; a thousand at most. The last ten seconds may be missing.
    users: Vec<UserUsage>,
    from: NaiveDate,
    to: NaiveDate,
}

#[derive(Debug, JsonSchema, Serialize)]
struct UserUsage {
    id: Uuid,
    name: String,
    /// Requests to the API.
    calls: i64,
    /// Lists and searches among them.
    searches: i64,
    imports: i64,
}

impl Charted for Usage {
    const PARAMETERS: &'static [&'static str] = &["from", "to"];
}

pub(super) async fn usage(_caller: Caller, request: Request) -> Result<Reply> {
    let asked = Asked::read::<Usage>(&request)?;
    let users = sqlx::query_as!(
        UserUsage,
        r#"
        select
          u.id as "id!", coalesce(u.name, u.username) as "name!", sum(d.calls)::bigint as "calls!",
          sum(d.searches)::bigint as "searches!",
          (select count(*) from imports i where i.created_by = u.id and (i.created_at at time zone 'UTC')::date between $1 and $2)
            as "imports!"
        from user_days d
        join users u on u.id = d.user_id
        where d.day between $1 and $2
        group by u.id
        order by sum(d.calls) desc, u.id
        limit $3
        "#,
        asked.first,
        asked.last,
        MOST_USERS,
    );
    json(&Usage { users: users.fetch_all(&request.app.db.read).await?, from: asked.first, to: asked.last })
}
