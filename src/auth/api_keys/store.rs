//! API keys in SQL.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use sqlx::PgExecutor;
use uuid::Uuid;

use super::key::ApiKey;
use crate::app::App;
use crate::auth::{Permissions, Role};
use crate::error::{Error, Result};
use crate::values::clock::milliseconds;
use crate::values::ids::{ApiKeyId, UserId};

/// How long a server caches a key: the longest that a deleted one is served if Postgres cannot notify the server.
const CACHE_LIFE: Duration = Duration::from_secs(2);

/// How exactly the last use of a key is known. Each notice is a write, so it is far from every request.
const NOTICE_INTERVAL: TimeDelta = TimeDelta::minutes(1);

/// Keys of one owner: one for each of a company's programs, and few enough that every one of them is known.
const MOST_OF_AN_OWNER: i64 = 50;

/// What the holder of a key may do now.
#[derive(Clone, Copy)]
pub(in crate::auth) struct Holder {
    pub(in crate::auth) owner: UserId,
    pub(in crate::auth) role: Role,
    /// What both the key's scopes and the owner's role allow.
    pub(in crate::auth) permissions: Permissions,
    hash: [u8; 32],
    expires_at: Option<DateTime<Utc>>,
}

/// Finds out what a key allows now; none if it is not valid, or its owner is disabled.
pub(in crate::auth) async fn holder(app: &App, key: &ApiKey) -> Result<Option<Holder>> {
    let now = app.clock.now();
    // What is not found is not cached: any client can ask for ids without end.
    let found = app.cache.get_or_read(cache_key(key.id), CACHE_LIFE, read(app, key.id, now)).await;
    match found {
        Ok(holder) => {
            let is_current = holder.expires_at.is_none_or(|end| end > now);
            Ok(Some(holder).filter(|holder| holder.hash == key.hash() && is_current))
        }
        Err(Error::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn read(app: &App, id: ApiKeyId, now: DateTime<Utc>) -> Result<Holder> {
    let found = sqlx::query!(
        r#"
        select
          k.hash, k.scopes, k.expires_at, k.last_used_at, u.id as "owner: UserId", u.role,
          array(select permission from permissions p where p.role = u.role) as "permissions!"
        from api_keys k
        join users u on u.id = k.owner_id
        where k.id = $1
        and (k.expires_at is null or k.expires_at > $2)
        and u.disabled_at is null
        "#,
        id.0,
        now,
    )
    .fetch_optional(&app.db.read)
    .await?
    .ok_or(Error::NotFound("API key"))?;
    if found.last_used_at.is_none_or(|last| now - last >= NOTICE_INTERVAL) {
        tokio::spawn(notice(app.clone(), id, now));
    }
    Ok(Holder {
        owner: found.owner,
        role: found.role.parse().map_err(|error: &str| Error::internal(error))?,
        permissions: Permissions::named(&found.permissions).intersection(Permissions::named(&found.scopes)),
        hash: found.hash.try_into().map_err(|_| Error::internal("a stored hash has another length"))?,
        expires_at: found.expires_at,
    })
}

/// Notes the use of a key beside the request. Several servers may, so the row decides.
async fn notice(app: App, id: ApiKeyId, now: DateTime<Utc>) {
    let noted = sqlx::query!(
        "update api_keys set last_used_at = $2 where id = $1 and (last_used_at is null or last_used_at <= $3)",
        id.0,
        now,
        now - NOTICE_INTERVAL,
    );
    if let Err(error) = noted.execute(&app.db.server).await {
        tracing::warn!(%error, "cannot note the use of an API key");
    }
}

/// The key that the triggers of changed keys and owners notify of.
fn cache_key(id: ApiKeyId) -> String {
    format!("api_key:{id}")
}

/// A key without its secret.
#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ApiKey")]
pub(super) struct Shown {
    pub(super) id: Uuid,
    pub(super) name: String,
    pub(super) scopes: Vec<String>,
    pub(super) owner_id: Uuid,
    pub(super) owner_name: String,
    #[serde(serialize_with = "milliseconds")]
    pub(super) created_at: DateTime<Utc>,
    #[serde(serialize_with = "milliseconds")]
    pub(super) expires_at: Option<DateTime<Utc>>,
    /// To the minute.
    #[serde(serialize_with = "milliseconds")]
    pub(super) last_used_at: Option<DateTime<Utc>>,
}

/// What a new key is stored with.
pub(super) struct New<'a> {
    pub(super) key: &'a ApiKey,
    pub(super) owner: UserId,
    pub(super) name: &'a str,
    pub(super) scopes: &'a [String],
    pub(super) expires_at: Option<DateTime<Utc>>,
}

/// Inserts a key; refuses it if its owner has [`MOST_OF_AN_OWNER`].
pub(super) async fn insert(db: impl PgExecutor<'_>, new: New<'_>, now: DateTime<Utc>) -> Result<Shown> {
    let inserted = sqlx::query_as!(
        Shown,
        r#"
        with inserted as (
          insert into api_keys (id, owner_id, name, hash, scopes, created_at, expires_at)
          select $1, $2, $3, $4, $5, $6, $7
          where (select count(*) from api_keys where owner_id = $2) < $8
          returning id, owner_id, name, scopes, created_at, expires_at, last_used_at
        )
        select
          k.id, k.name, k.scopes, k.owner_id, coalesce(u.name, u.username) as "owner_name!", k.created_at, k.expires_at,
          k.last_used_at
        from inserted k
        join users u on u.id = k.owner_id
        "#,
        new.key.id.0,
        new.owner.0,
        new.name,
        new.key.hash().to_vec(),
        new.scopes,
        now,
        new.expires_at,
        MOST_OF_AN_OWNER,
    );
    let too_many = format!("a user has at most {MOST_OF_AN_OWNER} API keys; delete one");
    inserted.fetch_optional(db).await?.ok_or_else(|| Error::conflict("too_many_api_keys", too_many))
}

/// Lists the keys of an owner, or all without one, newest first, behind the one with the id `after`.
pub(super) async fn list(db: impl PgExecutor<'_>, owner: Option<UserId>, after: Option<Uuid>, limit: i64) -> Result<Vec<Shown>> {
    let keys = sqlx::query_as!(
        Shown,
        r#"
        select
          k.id, k.name, k.scopes, k.owner_id, coalesce(u.name, u.username) as "owner_name!", k.created_at, k.expires_at,
          k.last_used_at
        from api_keys k
        join users u on u.id = k.owner_id
        where ($1::uuid is null or k.owner_id = $1)
        and ($2::uuid is null or k.id < $2)
        order by k.id desc
        limit $3
        "#,
        owner.map(Uuid::from),
        after,
        limit,
    );
    Ok(keys.fetch_all(db).await?)
}

/// Deletes a key of an owner, or of anyone without one; returns false if there is none.
pub(super) async fn remove(app: &App, id: ApiKeyId, owner: Option<UserId>) -> Result<bool> {
    let removed =
        sqlx::query!("delete from api_keys where id = $1 and ($2::uuid is null or owner_id = $2)", id.0, owner.map(Uuid::from),);
    let removed = removed.execute(&app.db.server).await?.rows_affected() > 0;
    app.cache.forget(&cache_key(id));
    Ok(removed)
}
