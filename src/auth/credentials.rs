//! Users with their password hashes, for sign-in.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;

use super::Permissions;
use crate::error::Result;
use crate::values::ids::UserId;

pub struct Credentials {
    pub id: UserId,
    pub(super) version: i64,
    pub(super) username: String,
    pub(super) email: Option<String>,
    pub(super) name: Option<String>,
    pub(super) role: String,
    pub(super) permissions: Vec<String>,
    pub(super) password_hash: String,
    pub(super) created_at: DateTime<Utc>,
}

/// Finds an enabled user by user name or e-mail address. The user name wins, so that an address cannot take over another user's
/// name.
pub(super) async fn by_login(db: impl PgExecutor<'_>, login: &str) -> Result<Option<Credentials>> {
    let found = sqlx::query_as!(
        Credentials,
        r#"
        select
          id as "id: UserId", version, username, email, name, role, password_hash, created_at,
          array(select permission from permissions p where p.role = users.role) as "permissions!"
        from users
        where (lower(username) = lower($1) or lower(email) = lower($1))
          and disabled_at is null
        order by lower(username) = lower($1) desc
        limit 1
        "#,
        login,
    )
    .fetch_optional(db)
    .await?;
    Ok(found)
}

/// Reads a user, also a disabled one.
pub async fn by_id(db: impl PgExecutor<'_>, id: UserId) -> Result<Option<Credentials>> {
    let found = sqlx::query_as!(
        Credentials,
        r#"
        select
          id as "id: UserId", version, username, email, name, role, password_hash, created_at,
          array(select permission from permissions p where p.role = users.role) as "permissions!"
        from users
        where id = $1
        "#,
        id.0,
    )
    .fetch_optional(db)
    .await?;
    Ok(found)
}

/// What a user may do now; nothing while it is disabled.
pub async fn permissions_of(db: impl PgExecutor<'_>, id: UserId) -> Result<Permissions> {
    let names = sqlx::query_scalar!(
        r#"
        select permission
        from permissions
        join users on users.role = permissions.role
        where users.id = $1
        and users.disabled_at is null
        "#,
        id.0,
    );
    Ok(Permissions::named(&names.fetch_all(db).await?))
}

/// Stores a stronger hash of an unchanged password, which ends no session. Returns false if the password was changed meanwhile.
pub(super) async fn strengthen(db: impl PgExecutor<'_>, user: &Credentials, password_hash: &str) -> Result<bool> {
    let stored = sqlx::query!(
        r#"
        with unchanged as (
          select set_config('collections.password_is_unchanged', 'on', true)
        )
        update users
        set password_hash = $3
        from unchanged
        where id = $1
        and password_hash = $2
        "#,
        user.id.0,
        user.password_hash,
        password_hash,
    );
    Ok(stored.execute(db).await?.rows_affected() > 0)
}
