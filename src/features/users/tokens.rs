//! One-time tokens in SQL: to choose a new password, or to accept an invitation.
//!
//! A row is first a mail to be sent, and only a worker that sends it makes its secret.

use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest, Sha256};
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use crate::api::Request;
use crate::auth::{Role, lockout};
use crate::error::Result;
use crate::values::ids::{self, UserId};

/// What a token is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub(super) enum Purpose {
    Reset,
    Invitation,
}

impl Purpose {
    /// The word in SQL and in logs.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Reset => "reset",
            Self::Invitation => "invitation",
        }
    }

    /// How long a token is good after it was sent: a reset for as long as a user sits and waits for it, an invitation for as long as
    /// a holiday.
    pub(super) fn lifetime(self) -> TimeDelta {
        match self {
            Self::Reset => TimeDelta::minutes(30),
            Self::Invitation => TimeDelta::days(7),
        }
    }
}

/// Asks for a reset of the password of the user with this user name or e-mail address, if there is one. The worker finds out: the
/// time that it takes to ask does not tell.
pub(super) async fn ask_reset(db: impl PgExecutor<'_>, login: &str, now: DateTime<Utc>) -> sqlx::Result<()> {
    let asked = sqlx::query!(
        r#"
        insert into one_time_tokens (id, purpose, login, send_at, created_at, expires_at)
        values ($1, 'reset', $2, $3, $3, $4)
        "#,
        ids::new(),
        login,
        now,
        now + Purpose::Reset.lifetime(),
    );
    asked.execute(db).await.map(drop)
}

/// Asks for a reset of a user's password on behalf of another one.
pub(super) async fn ask_reset_of(db: impl PgExecutor<'_>, user: UserId, by: UserId, now: DateTime<Utc>) -> sqlx::Result<()> {
    let asked = sqlx::query!(
        r#"
        insert into one_time_tokens (id, purpose, user_id, send_at, created_at, created_by, expires_at)
        values ($1, 'reset', $2, $3, $3, $4, $5)
        "#,
        ids::new(),
        user.0,
        now,
        by.0,
        now + Purpose::Reset.lifetime(),
    );
    asked.execute(db).await.map(drop)
}

/// Asks for an invitation, which replaces earlier ones to the same address. Returns when it expires, if it is sent now.
pub(super) async fn invite(
    connection: &mut PgConnection,
    id: Uuid,
    email: &str,
    role: Role,
    by: UserId,
    now: DateTime<Utc>,
) -> sqlx::Result<DateTime<Utc>> {
    sqlx::query!("delete from one_time_tokens where lower(email) = lower($1) and used_at is null", email)
        .execute(&mut *connection)
        .await?;
    let expires = now + Purpose::Invitation.lifetime();
    let asked = sqlx::query!(
        r#"
        insert into one_time_tokens (id, purpose, email, role, send_at, created_at, created_by, expires_at)
        values ($1, 'invitation', $2, $3, $4, $4, $5, $6)
        "#,
        id,
        email,
        role.as_str(),
        now,
        by.0,
        expires,
    );
    asked.execute(connection).await.map(|_| expires)
}

/// A mail that is to be sent.
pub(super) struct Due {
    pub(super) id: Uuid,
    pub(super) purpose: Purpose,
    login: Option<String>,
    user_id: Option<Uuid>,
    pub(super) email: Option<String>,
    pub(super) expires_at: DateTime<Utc>,
}

/// Takes a mail that is due. It is due again later, with growing pauses, unless it is sent or removed by then.
pub(super) async fn take_due(db: impl PgExecutor<'_>, now: DateTime<Utc>) -> sqlx::Result<Option<Due>> {
    let due = sqlx::query_as!(
        Due,
        r#"
        update one_time_tokens
        set attempts = attempts + 1, send_at = $1::timestamptz + interval '1 minute' * least(2 ^ attempts, 60)
        where id = (
          select id
          from one_time_tokens
          where send_at <= $1
          order by send_at
          limit 1
          for update skip locked
        )
        returning id, purpose as "purpose: Purpose", login, user_id, email, expires_at
        "#,
        now,
    );
    due.fetch_optional(db).await
}

/// Who gets the mail of a reset.
pub(super) struct Addressee {
    pub(super) id: Uuid,
    pub(super) username: String,
    pub(super) email: String,
}

/// Finds who gets the mail of a reset: none if there is no such user, if the user cannot sign in or has no address, or if another
/// such mail was sent after the moment `since`.
pub(super) async fn addressee(db: impl PgExecutor<'_>, due: &Due, since: DateTime<Utc>) -> sqlx::Result<Option<Addressee>> {
    let found = sqlx::query_as!(
        Addressee,
        r#"
        select u.id, u.username, u.email as "email!"
        from users u
        where (u.id = $1 or lower(u.username) = lower($2) or lower(u.email) = lower($2))
        and u.email is not null
        and u.disabled_at is null
        and not exists (
          select
          from one_time_tokens t
          where t.user_id = u.id
          and t.hash is not null
          and t.send_at is null
          and t.created_at > $3
        )
        order by lower(u.username) = lower($2) desc
        limit 1
        "#,
        due.user_id,
        due.login,
        since,
    );
    found.fetch_optional(db).await
}

/// Gives a token that is being sent a new secret. Earlier tokens of its user count no more.
pub(super) async fn make_secret(connection: &mut PgConnection, id: Uuid, user: Option<Uuid>) -> sqlx::Result<String> {
    let secret = ids::secret();
    sqlx::query!("delete from one_time_tokens where user_id = $1 and id <> $2 and send_at is null", user, id)
        .execute(&mut *connection)
        .await?;
    sqlx::query!("update one_time_tokens set hash = $2, user_id = $3 where id = $1", id, hash(&secret), user)
        .execute(connection)
        .await?;
    Ok(secret)
}

/// Remembers that a mail is sent, from which moment on its token is good.
pub(super) async fn sent(db: impl PgExecutor<'_>, due: &Due, now: DateTime<Utc>) -> sqlx::Result<()> {
    let expires = now + due.purpose.lifetime();
    let sent = sqlx::query!("update one_time_tokens set send_at = null, expires_at = $2 where id = $1", due.id, expires);
    sent.execute(db).await.map(drop)
}

pub(super) async fn remove(db: impl PgExecutor<'_>, id: Uuid) -> sqlx::Result<()> {
    sqlx::query!("delete from one_time_tokens where id = $1", id).execute(db).await.map(drop)
}

/// Removes tokens that were sent and have expired.
pub(super) async fn remove_expired(db: impl PgExecutor<'_>, now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!("delete from one_time_tokens where expires_at < $1 and send_at is null", now).execute(db).await.map(drop)
}

/// A token that can be used.
pub(super) struct Token {
    pub(super) id: Uuid,
    pub(super) user_id: Option<Uuid>,
    pub(super) email: Option<String>,
    pub(super) role: Option<Role>,
    pub(super) created_by: Option<Uuid>,
}

/// Finds the token that a client sends, if it can be used now. A wrong one counts like a wrong password of the client's address.
pub(super) async fn find(request: &Request, purpose: Purpose, secret: &str) -> Result<Option<Token>> {
    let (app, client) = (&request.app, request.context.client());
    lockout::check_address(app, client).await?;
    let found = sqlx::query_as!(
        Token,
        r#"
        select id, user_id, email, role as "role: Role", created_by
        from one_time_tokens
        where hash = $1
        and purpose = $2
        and used_at is null
        and expires_at > $3
        "#,
        hash(secret),
        purpose.as_str(),
        app.clock.now(),
    );
    let found = found.fetch_optional(&app.db.server).await?;
    if found.is_none() {
        lockout::count_failure(app, client).await?;
    }
    Ok(found)
}

/// Uses a token up; false if another request was faster.
pub(super) async fn redeem(db: impl PgExecutor<'_>, id: Uuid, now: DateTime<Utc>) -> sqlx::Result<bool> {
    let used = sqlx::query!("update one_time_tokens set used_at = $2 where id = $1 and used_at is null", id, now);
    Ok(used.execute(db).await?.rows_affected() > 0)
}

/// The secret is random, so a plain hash is enough.
fn hash(secret: &str) -> Vec<u8> {
    Sha256::digest(secret).to_vec()
}
