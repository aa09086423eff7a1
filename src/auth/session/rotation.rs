//! The rotation of refresh tokens (RFC 9700, 4.14.2): each is used once and answered with its successor.
//!
//! The tokens of a session are a family. One that was used comes again if its answer was lost, which a client notices within
//! seconds; later, if it was stolen, and then the thief may hold the successor, so the whole session ends.

use std::net::IpAddr;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{Connection, PgConnection, PgExecutor};

use super::refresh_token::RefreshToken;
use super::{Grant, end, extend, forget};
use crate::app::App;
use crate::auth::token::TokenIdentity;
use crate::config::Access;
use crate::error::Result;
use crate::values::ids::SessionId;

/// How long a used token still gets its successor: enough for a client that repeats a request whose answer was lost.
const GRACE: TimeDelta = TimeDelta::seconds(10);

/// What became of a presented token.
pub(in crate::auth) enum Rotation {
    Rotated(Grant),
    /// There is no such token, or its time or its session has ended.
    Refused,
    /// It was used before the grace period, so its session has ended now.
    Reused(TokenIdentity),
}

/// Uses a token up and stores its successor, both or neither, or finds the successor that it got moments ago.
pub(in crate::auth) async fn rotate(app: &App, token: RefreshToken, address: IpAddr) -> Result<Rotation> {
    let now = app.clock.now();
    let mut connection = app.db.server.acquire().await?;
    let mut transaction = connection.begin().await?;
    // The lock makes requests with the same token wait for each other.
    let found = sqlx::query!(
        r#"
        select session_id as "session: SessionId", expires_at, used_at, successor
        from refresh_tokens
        where hash = $1
        for update
        "#,
        token.hash(),
    )
    .fetch_optional(&mut *transaction)
    .await?;
    let Some(found) = found else { return Ok(Rotation::Refused) };
    let access = &app.config.access;
    let rotation = match found.used_at.zip(found.successor) {
        None if found.expires_at <= now => Rotation::Refused,
        None => use_up(&mut transaction, access, token, found.session, address, now).await?,
        Some((used_at, successor)) if now - used_at <= GRACE => {
            repeat(&mut transaction, access, token, &successor, found.session, now).await?
        }
        Some(_) => end_family(&mut transaction, found.session, now).await?,
    };
    transaction.commit().await?;
    if let Rotation::Reused(identity) = &rotation {
        forget(app, identity.session);
    }
    Ok(rotation)
}

async fn use_up(
    connection: &mut PgConnection,
    access: &Access,
    token: RefreshToken,
    session: SessionId,
    address: IpAddr,
    now: DateTime<Utc>,
) -> Result<Rotation> {
    let wanted = now + access.jwt_refresh_expires_in;
    let Some((user, expires_at)) = extend(&mut *connection, session, address, now, wanted).await? else {
        return Ok(Rotation::Refused);
    };
    let refresh_token = token.successor(access.key());
    sqlx::query!(
        "update refresh_tokens set used_at = $2, successor = $3 where hash = $1",
        token.hash(),
        now,
        refresh_token.hash(),
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "insert into refresh_tokens (hash, session_id, created_at, expires_at) values ($1, $2, $3, $4)",
        refresh_token.hash(),
        session.0,
        now,
        expires_at,
    )
    .execute(connection)
    .await?;
    Ok(Rotation::Rotated(Grant { identity: TokenIdentity { user, session }, refresh_token, expires_at }))
}

/// Computes the successor again. Another server may have computed it with another of the keys.
async fn repeat(
    connection: &mut PgConnection,
    access: &Access,
    token: RefreshToken,
    successor: &[u8],
    session: SessionId,
    now: DateTime<Utc>,
) -> Result<Rotation> {
    let refresh_token = access.keys().map(|key| token.successor(key)).find(|token| token.hash() == successor);
    let session_now = super::find(connection, session, now).await?;
    Ok(match refresh_token.zip(session_now) {
        Some((refresh_token, (user, expires_at))) => {
            Rotation::Rotated(Grant { identity: TokenIdentity { user, session }, refresh_token, expires_at })
        }
        None => Rotation::Refused,
    })
}

async fn end_family(connection: &mut PgConnection, session: SessionId, now: DateTime<Utc>) -> Result<Rotation> {
    let Some((user, _)) = super::find(&mut *connection, session, now).await? else { return Ok(Rotation::Refused) };
    let identity = TokenIdentity { user, session };
    end(connection, identity, now).await?;
    Ok(Rotation::Reused(identity))
}

/// Finds the session of a token, used or not; none if either has ended.
pub(in crate::auth) async fn find(
    db: impl PgExecutor<'_>,
    token: RefreshToken,
    now: DateTime<Utc>,
) -> Result<Option<TokenIdentity>> {
    let found = sqlx::query_as!(
        TokenIdentity,
        r#"
        select s.user_id as "user: _", s.id as "session: _"
        from refresh_tokens t
        join sessions s on s.id = t.session_id
        where t.hash = $1
        and t.expires_at > $2
        and s.revoked_at is null
        and s.expires_at > $2
        "#,
        token.hash(),
        now,
    );
    Ok(found.fetch_optional(db).await?)
}
