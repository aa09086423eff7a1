//! Sessions: one for each signed-in device.

use std::net::IpAddr;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgExecutor;

use super::credentials::Credentials;
use super::token::TokenIdentity;
use super::{Permissions, Role};
use crate::app::App;
use crate::error::{Error, Result};
use crate::values::ids::{SessionId, UserId};

/// How long a server caches a session: the longest that an ended one is served if Postgres cannot notify the server of its end.
const CACHE_LIFE: Duration = Duration::from_secs(2);

const LIFETIME: TimeDelta = TimeDelta::days(7);

/// Starts a session; none if the user was disabled or got another password or role since the credentials were read, whose sessions
/// have ended then.
pub(super) async fn start(
    db: impl PgExecutor<'_>,
    user: &Credentials,
    peer: IpAddr,
    device: Option<&str>,
    now: DateTime<Utc>,
) -> Result<Option<SessionId>> {
    let id = SessionId::new();
    // The lock waits for a change of the user that is under way.
    let started = sqlx::query!(
        r#"
        insert into sessions (id, user_id, device, ip, created_at, last_seen_at, expires_at)
        select $1, id, $3, cast($4::text as inet), $5, $5, $6
        from users
        where id = $2
        and password_hash = $7
        and role = $8
        and disabled_at is null
        for share
        "#,
        id.0,
        user.id.0,
        device,
        peer.to_string(),
        now,
        now + LIFETIME,
        user.password_hash,
        user.role,
    )
    .execute(db)
    .await?;
    Ok((started.rows_affected() > 0).then_some(id))
}

/// Ends a session: at once on this server, on others when Postgres notifies them, and within [`CACHE_LIFE`] at the latest.
pub(super) async fn end(app: &App, session: SessionId) -> Result<()> {
    sqlx::query!(
        r#"
        update sessions
        set revoked_at = $2
        where id = $1
          and revoked_at is null
        "#,
        session.0,
        app.clock.now(),
    )
    .execute(&app.db.server)
    .await?;
    app.cache.forget(&cache_key(session));
    Ok(())
}

/// The user of a session, and what the user's role may do.
#[derive(Clone, Copy)]
pub(super) struct Owner {
    pub(super) user: UserId,
    pub(super) role: Role,
    pub(super) permissions: Permissions,
}

/// Returns the current owner of a session; none if it has ended or the user is disabled.
pub(super) async fn owner(app: &App, identity: TokenIdentity) -> Result<Option<Owner>> {
    let read = read(&app.db.read, identity.session, app.clock.now());
    let owner = app.cache.get_or_read(cache_key(identity.session), CACHE_LIFE, read).await?;
    Ok(owner.filter(|owner| owner.user == identity.user))
}

async fn read(db: impl PgExecutor<'_>, session: SessionId, now: DateTime<Utc>) -> Result<Option<Owner>> {
    let found = sqlx::query!(
        r#"
        select
          u.id as "user: UserId",
          u.role,
          array(select permission from permissions p where p.role = u.role) as "permissions!"
        from sessions s
        join users u on u.id = s.user_id
        where s.id = $1
          and s.revoked_at is null
          and s.expires_at > $2
          and u.disabled_at is null
        "#,
        session.0,
        now,
    )
    .fetch_optional(db)
    .await?;
    let Some(found) = found else { return Ok(None) };
    let role = found.role.parse().map_err(|error: &str| Error::internal(error))?;
    Ok(Some(Owner { user: found.user, role, permissions: Permissions::named(&found.permissions) }))
}

/// The key that the trigger of ended sessions notifies of.
fn cache_key(session: SessionId) -> String {
    format!("session:{session}")
}

/// Deletes sessions that ended before a moment; returns how many.
pub async fn remove_ended(db: impl PgExecutor<'_>, before: DateTime<Utc>) -> Result<u64> {
    let deleted = sqlx::query!("delete from sessions where expires_at < $1 or revoked_at < $1", before).execute(db).await?;
    Ok(deleted.rows_affected())
}
