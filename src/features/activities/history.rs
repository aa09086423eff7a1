//! What an activity said before it was corrected.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;
use sqlx::types::Json;

use super::activity::Activity;
use crate::api::{Reply, Request, json};
use crate::auth::Caller;
use crate::error::{Error, Result};
use crate::features::resource;
use crate::values::clock::milliseconds;
use crate::values::ids::ActivityId;
use crate::values::json::Object;

#[derive(JsonSchema, Serialize)]
#[schemars(rename = "ActivityHistory")]
pub(super) struct History {
    /// The latest first.
    #[schemars(with = "Vec<Correction>")]
    data: Vec<Box<RawValue>>,
}

/// One earlier state.
#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ActivityCorrection")]
struct Correction {
    version: i64,
    #[serde(rename = "type")]
    kind: String,
    disposition: Option<String>,
    channel: Option<String>,
    note: Option<String>,
    #[schemars(with = "Object")]
    metadata: Json<Object>,
    #[serde(serialize_with = "milliseconds")]
    occurred_at: DateTime<Utc>,
    /// When this state was written, and by whom.
    #[serde(serialize_with = "milliseconds")]
    written_at: DateTime<Utc>,
    written_by: Option<String>,
}

pub(super) async fn read(id: ActivityId, _caller: Caller, request: Request) -> Result<Reply> {
    let db = &request.app.db.read;
    let exists =
        sqlx::query_scalar!(r#"select exists (select from activities where id = $1 and deleted_at is null) as "exists!""#, id.0);
    if !exists.fetch_one(db).await? {
        return Err(Error::NotFound("activity"));
    }
    let data = sqlx::query_as!(
        Correction,
        r#"
        select
          h.version, h.kind, h.disposition, h.channel, h.note, h.metadata as "metadata: Json<Object>", h.occurred_at,
          h.written_at, coalesce(u.name, u.username) as written_by
        from activity_corrections h
        left join users u on u.id = h.written_by
        where h.activity_id = $1
        order by h.version desc
        "#,
        id.0,
    );
    let data = data.fetch_all(db).await?;
    json(&History { data: data.iter().map(|state| resource::show_part::<Activity>(state, &request)).collect::<Result<_>>()? })
}
