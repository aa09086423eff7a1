//! Sessions: one for each signed-in device.

pub(super) mod refresh_token;
pub(super) mod rotation;

use std::net::IpAddr;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use super::credentials::Credentials;
use super::token::TokenIdentity;
use super::{Permissions, Role};
use crate::app::App;
use crate::error::{Error, Result};
use crate::values::clock::milliseconds;
use crate::values::ids::{SessionId, UserId};

use refresh_token::RefreshToken;

/// How long a server caches a session: the longest that an ended one is served if Postgres cannot notify the server of its end.
const CACHE_LIFE: Duration = Duration::from_secs(2);

/// The end of every session, however often it is refreshed: people log in again once in 30 days (NIST SP 800-63B, 4.1.3).
const LONGEST_DAYS: i32 = 30;

/// How long an ended session is kept, so that it can be found out where a user was signed in.
const RETENTION: TimeDelta = TimeDelta::days(30);

/// How exactly the last use of a session is known. Each notice is a write, so it is far from every request.
const NOTICE_INTERVAL: TimeDelta = TimeDelta::minutes(1);

/// What a client gets of its session.
#[derive(Clone, Copy)]
pub(super) struct Grant {
    pub(super) identity: TokenIdentity,
    pub(super) refresh_token: RefreshToken,
    /// When the session ends unless it is refreshed.
    pub(super) expires_at: DateTime<Utc>,
}

/// Where a request came from.
pub(super) struct Origin {
    pub(super) address: IpAddr,
    /// As the client calls itself.
    pub(super) device: Option<String>,
}

/// Starts a session; none if the user was disabled or got another password or role since the credentials were read, whose sessions
/// have ended then.
pub(super) async fn start(app: &App, user: &Credentials, origin: &Origin, now: DateTime<Utc>) -> Result<Option<Grant>> {
    let (id, refresh_token) = (SessionId::new(), RefreshToken::random());
    let expires_at = now + app.config.access.jwt_refresh_expires_in;
    // The lock waits for a change of the user that is under way.
    let started = sqlx::query!(
        r#"
        with started as (
          insert into sessions (id, user_id, device, ip, created_at, updated_at, last_seen_at, expires_at)
          select $1, id, $3, cast($4::text as inet), $5, $5, $5, $6
          from users
          where id = $2
          and password_hash = $7
          and role = $8
          and disabled_at is null
          for share
          returning id
        )
        insert into refresh_tokens (hash, session_id, created_at, expires_at)
        select $9, id, $5, $6
        from started
        "#,
        id.0,
        user.id.0,
        origin.device,
        origin.address.to_string(),
        now,
        expires_at,
        user.password_hash,
        user.role,
        refresh_token.hash(),
    )
    .execute(&app.db.server)
    .await?;
    let identity = TokenIdentity { user: user.id, session: id };
    Ok((started.rows_affected() > 0).then_some(Grant { identity, refresh_token, expires_at }))
}

/// Lets a session last longer, up to [`LONGEST_DAYS`]; returns its user and its end, or none if it has ended.
pub(super) async fn extend(
    connection: &mut PgConnection,
    session: SessionId,
    address: IpAddr,
    now: DateTime<Utc>,
    expires_at: DateTime<Utc>,
) -> Result<Option<(UserId, DateTime<Utc>)>> {
    let extended = sqlx::query!(
        r#"
        update sessions
        set last_seen_at = $2, ip = cast($3::text as inet), expires_at = least($4, created_at + make_interval(days => $5))
        where id = $1
        and revoked_at is null
        and expires_at > $2
        returning user_id as "user: UserId", expires_at
        "#,
        session.0,
        now,
        address.to_string(),
        expires_at,
        LONGEST_DAYS,
    )
    .fetch_optional(connection)
    .await?;
    Ok(extended.map(|extended| (extended.user, extended.expires_at)))
}

/// Returns the user and the end of a session, or none if it has ended.
pub(super) async fn find(
    db: impl PgExecutor<'_>,
    session: SessionId,
    now: DateTime<Utc>,
) -> Result<Option<(UserId, DateTime<Utc>)>> {
    let found = sqlx::query!(
        r#"
        select user_id as "user: UserId", expires_at
        from sessions
        where id = $1
        and revoked_at is null
        and expires_at > $2
        "#,
        session.0,
        now,
    )
    .fetch_optional(db)
    .await?;
    Ok(found.map(|found| (found.user, found.expires_at)))
}

/// Ends a session of a user; returns false if there is no such session any more. It ends at once on every server, and within
/// [`CACHE_LIFE`] where Postgres cannot notify.
pub(super) async fn end(db: impl PgExecutor<'_>, identity: TokenIdentity, now: DateTime<Utc>) -> Result<bool> {
    let ended = sqlx::query!(
        r#"
        update sessions
        set revoked_at = $3
        where id = $1
        and user_id = $2
        and revoked_at is null
        and expires_at > $3
        "#,
        identity.session.0,
        identity.user.0,
        now,
    )
    .execute(db)
    .await?;
    Ok(ended.rows_affected() > 0)
}

/// Ends all sessions of a user.
pub(super) async fn end_all(db: impl PgExecutor<'_>, user: UserId, now: DateTime<Utc>) -> Result<()> {
    sqlx::query!("update sessions set revoked_at = $2 where user_id = $1 and revoked_at is null", user.0, now)
        .execute(db)
        .await?;
    Ok(())
}

/// Forgets an ended session on this server, which Postgres may notify a moment later.
pub(super) fn forget(app: &App, session: SessionId) {
    app.cache.forget(&cache_key(session));
}

/// A session as its user sees it.
#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Session {
    pub(super) id: Uuid,
    /// As the client calls itself.
    device: Option<String>,
    /// Of the log-in, or of the latest refresh.
    address: Option<String>,
    #[serde(serialize_with = "milliseconds")]
    created_at: DateTime<Utc>,
    /// To the minute.
    #[serde(serialize_with = "milliseconds")]
    last_seen_at: DateTime<Utc>,
    #[serde(serialize_with = "milliseconds")]
    expires_at: DateTime<Utc>,
    /// Whether the request came from this session.
    is_current: bool,
}

/// Lists the sessions of a user that have not ended, newest first, behind the one with the id `after`.
pub(super) async fn list(
    db: impl PgExecutor<'_>,
    current: TokenIdentity,
    after: Option<Uuid>,
    limit: i64,
    now: DateTime<Utc>,
) -> Result<Vec<Session>> {
    let sessions = sqlx::query_as!(
        Session,
        r#"
        select id, device, host(ip) as address, created_at, last_seen_at, expires_at, id = $2 as "is_current!"
        from sessions
        where user_id = $1
        and revoked_at is null
        and expires_at > $3
        and ($4::uuid is null or id < $4)
        order by id desc
        limit $5
        "#,
        current.user.0,
        current.session.0,
        now,
        after,
        limit,
    );
    Ok(sessions.fetch_all(db).await?)
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
    let read = read(app, identity.session, app.clock.now());
    let owner = app.cache.get_or_read(cache_key(identity.session), CACHE_LIFE, read).await?;
    Ok(owner.filter(|owner| owner.user == identity.user))
}

async fn read(app: &App, session: SessionId, now: DateTime<Utc>) -> Result<Option<Owner>> {
    let found = sqlx::query!(
        r#"
        select
          u.id as "user: UserId", u.role, s.last_seen_at,
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
    .fetch_optional(&app.db.read)
    .await?;
    let Some(found) = found else { return Ok(None) };
    if now - found.last_seen_at >= NOTICE_INTERVAL {
        tokio::spawn(notice(app.clone(), session, now));
    }
    let role = found.role.parse().map_err(|error: &str| Error::internal(error))?;
    Ok(Some(Owner { user: found.user, role, permissions: Permissions::named(&found.permissions) }))
}

/// Notes the use of a session beside the request. Several servers may, so the row decides.
async fn notice(app: App, session: SessionId, now: DateTime<Utc>) {
    let noted = sqlx::query!(
        "update sessions set last_seen_at = $2 where id = $1 and last_seen_at <= $3",
        session.0,
        now,
        now - NOTICE_INTERVAL,
    );
    if let Err(error) = noted.execute(&app.db.server).await {
        tracing::warn!(%error, "cannot note the use of a session");
    }
}

/// The key that the trigger of ended sessions notifies of.
fn cache_key(session: SessionId) -> String {
    format!("session:{session}")
}

/// Deletes refresh tokens and tickets that have expired and sessions that ended long ago; returns how many sessions.
pub async fn remove_ended(connection: &mut PgConnection, now: DateTime<Utc>) -> Result<u64> {
    sqlx::query!("delete from refresh_tokens where expires_at < $1", now).execute(&mut *connection).await?;
    sqlx::query!("delete from tickets where expires_at < $1", now).execute(&mut *connection).await?;
    let deleted = sqlx::query!(
        r#"
        delete from sessions
        where (expires_at < $1 or revoked_at < $1)
        and not exists (select from refresh_tokens where session_id = sessions.id)
        "#,
        now - RETENTION,
    );
    Ok(deleted.execute(connection).await?.rows_affected())
}
